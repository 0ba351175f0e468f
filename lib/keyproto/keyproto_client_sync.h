/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_client_sync - a blocking client of keyd: for the CLI, the milter's threads, the provider.
 *
 * Story:     open connects and says HELLO; begin gives the buf that the request's body is written into
 *            (keyproto_X_put); call sends it and waits for its answer. Any transport failure closes the
 *            connection; the next open or call makes a new one. Before it sends, call looks whether keyd
 *            is still there and connects anew if not, so a restart of keyd between two calls is not seen
 *            by the caller. A request that was sent is never sent twice. Pushes that arrive in between
 *            are read; the state they tell is what open reports.
 * Cost:      open on a live connection is one system call that never waits: cheap enough to ask "is keyd
 *            there, and READY?" for every message. call is three (look, send, receive) and a poll.
 * Ownership: one thread at a time per client. The reply lives in the client until its next use, and is
 *            overwritten then.
 * Errors:    ERR_AWAY (cannot connect), ERR_DENIED (may not), ERR_LIMIT (path too long for a socket),
 *            ERR_TIMEOUT, ERR_CLOSED, ERR_FORMAT, ERR_UNSUPPORTED (protocol version), or the reply's
 *            status as ERR_* (keyproto_err_of_status). */
#ifndef KEYPROTO_KEYPROTO_CLIENT_SYNC_H
#define KEYPROTO_KEYPROTO_CLIENT_SYNC_H

#include <sys/types.h>

#include "keyproto/keyproto_msg.h"

struct keyproto_client_sync;

/* path: Unix socket. timeout_usec bounds connecting with HELLO, and each call. Does not connect yet.
 * NULL: out of memory. */
struct keyproto_client_sync *keyproto_client_sync_new(const char *path, unsigned role,
						      const char *program, int64_t timeout_usec);
void keyproto_client_sync_free(struct keyproto_client_sync *c);

/* From now on a connection is made only to a server that runs as one of these users (SO_PEERCRED): for
 * clients that send secrets. uids is copied; at most KEYPROTO_CLIENT_SYNC_TRUST of them. open and call
 * give ERR_AUTH, before a byte is sent, if it is somebody else. */
#define KEYPROTO_CLIENT_SYNC_TRUST 4
void keyproto_client_sync_trust(struct keyproto_client_sync *c, const uid_t *uids, unsigned count);

/* Connects if it is not connected. Fills state (enum keyproto_state, 0 on failure) if not NULL. */
int keyproto_client_sync_open(struct keyproto_client_sync *c, uint8_t *state);

/* Body of the request is written by the caller into the buf from _begin, then _call sends it. A
 * request without a body needs no _begin. A _put that failed is found by _call. */
struct buf *keyproto_client_sync_begin(struct keyproto_client_sync *c);
int keyproto_client_sync_call(struct keyproto_client_sync *c, uint16_t op, struct span *reply);

#endif
