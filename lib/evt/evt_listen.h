/* SPDX-License-Identifier: Apache-2.0 */
/* evt_listen - listening sockets, TCP and Unix.
 *
 * Story:  evt_listen_address reads "127.0.0.1:2525", "[::1]:25"; each worker opens its own with
 *         SO_REUSEPORT. accept callbacks get a non-blocking, close-on-exec descriptor which they
 *         own; they may close the listener. When descriptors or memory run out accepting pauses for
 *         100 ms instead of spinning, logged at most once a minute (event=accept-paused).
 * Errors: ERR_FORMAT (address), ERR_EXISTS (in use), ERR_DENIED, ERR_NOTFOUND (directory, local
 *         address), ERR_LIMIT (path too long), ERR_NOMEM, ERR_IO.
 * Thread: the loop's; address and format are pure. */
#ifndef EVT_EVT_LISTEN_H
#define EVT_EVT_LISTEN_H

#include <sys/socket.h>

#include "core/span.h"
#include "evt/evt_loop.h"

struct evt_listen;

/* peer: family AF_UNIX and nothing else for a Unix socket. */
typedef void (*evt_listen_fn)(void *arg, int fd, const struct sockaddr_storage *peer);

/* Parses ADDRESS:PORT or [ADDRESS]:PORT, numeric only. Port 0: the kernel chooses. len may be
 * NULL. */
int evt_listen_address(struct span text, struct sockaddr_storage *out, socklen_t *len);
/* "192.0.2.1" / "2001:db8::1" of a socket address, without port; "unix" for a Unix socket. An IPv4
 * address mapped into IPv6 is shown as IPv4. dst of 64 bytes. */
void evt_listen_format(char dst[64], const struct sockaddr_storage *a);
/* Size of the address for bind and connect; 0 if the family is not ours. */
socklen_t evt_listen_len(const struct sockaddr_storage *a);

struct evt_listen *evt_listen_tcp(struct evt_loop *l, const struct sockaddr_storage *address,
				  int reuseport, evt_listen_fn fn, void *arg, int *err);
/* mode: permission bits of the socket file (it never has more, not even for a moment). An old
 * socket nobody answers on is replaced; a live one, or another kind of file, is ERR_EXISTS. */
struct evt_listen *evt_listen_unix(struct evt_loop *l, const char *path, unsigned mode,
				   evt_listen_fn fn, void *arg, int *err);
/* The TCP port in use (of port 0: which one it became), or 0. */
unsigned evt_listen_port(const struct evt_listen *li);
/* Stops accepting, closes, removes a Unix socket's file (if it is still ours). NULL is fine. */
void evt_listen_close(struct evt_listen *li);

#endif
