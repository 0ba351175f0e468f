/* SPDX-License-Identifier: Apache-2.0 */
/* in_conn - a session's host: binds in_session to its connection, the spool, the keys and the queue.
 *
 * Story:     made by in_listen for each accepted descriptor. It lives until the connection is gone and no commit is under
 *            way: a message that is being written when its client disappears is still queued when it is stable.
 *            gone is then called, and the struct is freed.
 * Thread:    its worker's. */
#ifndef RELAY_IN_IN_CONN_H
#define RELAY_IN_IN_CONN_H

#include "core/list.h"
#include "relay/in/in_session.h"
#include "relay/relay.h"

struct in_conn;
typedef void (*in_conn_gone_fn)(void *arg);

/* Takes fd over. listen belongs to a configuration that outlives the connection. refused: IN_REPLY_NONE, or what to say
 * instead of the greeting. It links itself into all. 0 (it may be gone again then), or ERR_NOMEM: fd is closed, gone is
 * not called. */
int in_conn_open(struct relay_worker *w, int fd, const struct sockaddr_storage *peer,
		 const struct relay_listen *listen, enum in_reply refused, struct list *all,
		 in_conn_gone_fn gone, void *arg);
/* The daemon stops: 421 at the next command boundary. It may be gone when this returns. */
void in_conn_stop(struct in_conn *c);
/* Cuts it: its message is dropped while the spool still answers. It is gone when this returns, unless a commit is
 * under way: then as soon as that is answered. */
void in_conn_cut(struct in_conn *c);
/* Frees it as it is; gone is not called. */
void in_conn_free(struct in_conn *c);
struct in_conn *in_conn_of(struct list_link *link);

#endif
