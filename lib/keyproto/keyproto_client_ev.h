/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_client_ev - keyd's asynchronous client, on an event loop.
 *
 * Story:     one per loop. It connects, says HELLO, and keeps trying (after 100 ms, doubling to 2 s) while
 *            keyd is away. state tells the owner at each change: AWAY (0) or an enum keyproto_state.
 *            A call is answered exactly once: with the reply, or ERR_AWAY when the connection is lost
 *            or keyd not READY, or ERR_TIMEOUT. Calls beyond KEYPROTO_CREDIT wait in line here.
 *            Requests of one loop turn leave in one write.
 * Ownership: the reply span is valid only during the callback.
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

struct keyproto_client_ev *keyproto_client_ev_new(struct evt_loop *loop, const char *path,
						  unsigned role, const char *program,
						  keyproto_client_ev_state_fn on_state, void *arg);
/* Open calls are answered with ERR_AWAY first. */
void keyproto_client_ev_free(struct keyproto_client_ev *c);

/* KEYPROTO_AWAY or enum keyproto_state, as last seen. */
unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c);

/* Sends op with the body that fill writes. fill runs at once, within the call. Returns 0 and calls fn
 * later, or ERR_AWAY / ERR_LOCKED / ERR_LIMIT / ERR_NOMEM at once and never calls fn. */
int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg);

#endif
