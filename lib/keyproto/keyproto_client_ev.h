/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_client_ev - keyd's asynchronous client, on an event loop.
 *
 * Story:     one per loop. It connects, says HELLO, and keeps trying (after 100 ms, doubling to 2
 *            s) while keyd is away. state tells the owner at each change: AWAY (0) or an enum
 *            keyproto_state; and once more the same one when keyd's epoch has grown without a change:
 *            whatever was derived or cached before is to be dropped. A call is answered exactly once: with the reply, or ERR_AWAY when the
 *            connection is lost, or ERR_LOCKED when keyd locks before it could be sent, or
 *            ERR_TIMEOUT. Calls beyond KEYPROTO_CREDIT wait in line here. Requests of one loop turn
 *            leave in one write. When the connection is lost, the owner hears AWAY first, then the
 *            open calls are answered.
 * Ownership: the reply span is valid only during the callback; its memory is wiped behind it.
 *            Callbacks may call, and may free the client.
 * Errors:    a keyd that breaks the protocol, refuses HELLO or does not answer it in 5 s is AWAY,
 *            logged when the reason changes (event=keyd-refused).
 * Limits:    4096 calls or 4 MiB of requests wait in line, then ERR_LIMIT.
 * Thread:    the loop's own. */
#ifndef KEYPROTO_KEYPROTO_CLIENT_EV_H
#define KEYPROTO_KEYPROTO_CLIENT_EV_H

#include "evt/evt_loop.h"
#include "keyproto/keyproto_msg.h"

#define KEYPROTO_AWAY 0 /* beside enum keyproto_state */

struct keyproto_client_ev;

typedef void (*keyproto_client_ev_state_fn)(void *arg, unsigned state);
/* err is 0 (reply holds the body) or ERR_*. */
typedef void (*keyproto_client_ev_reply_fn)(void *arg, int err, struct span reply);

/* on_state may be NULL; it is never called within new. NULL: no memory. program is kept as it is: a
 * literal. */
struct keyproto_client_ev *keyproto_client_ev_new(struct evt_loop *loop, const char *path,
						  unsigned role, const char *program,
						  keyproto_client_ev_state_fn on_state, void *arg);
/* Open calls are answered with ERR_AWAY first. NULL is fine. */
void keyproto_client_ev_free(struct keyproto_client_ev *c);

/* KEYPROTO_AWAY or enum keyproto_state, as last seen. */
unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c);

/* Sends op with the body that fill writes (NULL: empty). fill runs at once, within the call; its
 * failure is returned. timeout_usec <= 0: waits as long as the connection lives. Returns 0 and
 * calls fn later, or at once ERR_AWAY / ERR_LOCKED (keyd locked or empty; STATUS, WITNESS and
 * what administrators ask goes through) / ERR_LIMIT / ERR_NOMEM and never calls fn. */
int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg);

#endif
