/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_client_sync - a blocking client of keyd: for the CLI, the milter's threads, the provider.
 *
 * Story:     open connects and says HELLO; call sends one request and waits for its answer. Any
 *            transport failure closes the connection; the next call opens it again (once). Pushes
 *            that arrive in between are skipped.
 * Ownership: one thread at a time per client. The reply body lives in reply (a wiped buf) until the
 *            next call.
 * Errors:    ERR_AWAY (cannot connect), ERR_TIMEOUT, ERR_CLOSED, ERR_FORMAT, or the reply's status as
 *            ERR_* (keyproto_err_of_status). */
#ifndef KEYPROTO_KEYPROTO_CLIENT_SYNC_H
#define KEYPROTO_KEYPROTO_CLIENT_SYNC_H

#include "keyproto/keyproto_msg.h"

struct keyproto_client_sync;

/* path: Unix socket. Does not connect yet. NULL: out of memory. */
struct keyproto_client_sync *keyproto_client_sync_new(const char *path, unsigned role,
						      const char *program, int64_t timeout_usec);
void keyproto_client_sync_free(struct keyproto_client_sync *c);

/* Connects if it is not connected. Fills state (enum keyproto_state) if not NULL. */
int keyproto_client_sync_open(struct keyproto_client_sync *c, uint8_t *state);

/* Body of the request is written by the caller into the buf from _begin, then _call sends it. */
struct buf *keyproto_client_sync_begin(struct keyproto_client_sync *c);
int keyproto_client_sync_call(struct keyproto_client_sync *c, uint16_t op, struct span *reply);

#endif
