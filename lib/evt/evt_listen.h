/* SPDX-License-Identifier: Apache-2.0 */
/* evt_listen - listening sockets, TCP and Unix.
 *
 * Story:  evt_listen_tcp parses "127.0.0.1:2525", "[::1]:25"; each worker opens its own with
 *         SO_REUSEPORT. accept callbacks get a non-blocking, close-on-exec descriptor which they own.
 *         When descriptors run out accepting pauses for 100 ms instead of spinning, logged once
 *         (event=accept-paused).
 * Errors: ERR_FORMAT (address), ERR_EXISTS (in use), ERR_DENIED, ERR_IO. */
#ifndef EVT_EVT_LISTEN_H
#define EVT_EVT_LISTEN_H

#include <sys/socket.h>

#include "core/span.h"
#include "evt/evt_loop.h"

struct evt_listen;

typedef void (*evt_listen_fn)(void *arg, int fd, const struct sockaddr_storage *peer);

/* Parses ADDRESS:PORT or [ADDRESS]:PORT, numeric only. */
int evt_listen_address(struct span text, struct sockaddr_storage *out, socklen_t *len);
/* "192.0.2.1" / "2001:db8::1" of a socket address, without port; dst of 64 bytes. */
void evt_listen_format(char dst[64], const struct sockaddr_storage *a);

struct evt_listen *evt_listen_tcp(struct evt_loop *l, const struct sockaddr_storage *address,
				  int reuseport, evt_listen_fn fn, void *arg, int *err);
/* mode: permission bits of the socket file; an old socket nobody answers on is replaced. */
struct evt_listen *evt_listen_unix(struct evt_loop *l, const char *path, unsigned mode,
				   evt_listen_fn fn, void *arg, int *err);
/* Stops accepting, closes, removes a Unix socket's file. */
void evt_listen_close(struct evt_listen *li);

#endif
