/* SPDX-License-Identifier: Apache-2.0 */
/* conn_pair - two ends of a connection on one loop, for tests of evt_conn: each writes down what
 * happens to it, one letter an event, and gathers what it is sent.
 *
 * Letters: C connected, T TLS, D data, R drained, E end, O timeout, X error. */
#ifndef TEST_UNIT_CONN_PAIR_H
#define TEST_UNIT_CONN_PAIR_H

#include "core/buf.h"
#include "evt/evt_conn.h"

struct conn_side {
	struct evt_conn *c; /* NULL when closed */
	char trail[512];    /* D is written once for a run of them */
	struct buf got;
	int err;
	char why[128];
	int keep;		       /* leaves bytes in the connection */
	int close_at;		       /* closes within this event, -1 never */
	void (*also)(struct conn_side *s, enum evt_conn_event ev);
	void *arg;
};

struct conn_pair {
	struct evt_loop *loop;
	struct conn_side a, b;
};

void conn_pair_open(struct conn_pair *p, size_t in_max);
/* One side only; the other end is the descriptor returned. */
int conn_pair_open_half(struct conn_pair *p, size_t in_max);
void conn_pair_close(struct conn_pair *p);
/* Turns until nothing happens any more. */
void conn_pair_settle(struct conn_pair *p);
void conn_side_say(struct conn_side *s, const char *text);
/* What it got so far, as a string; forgotten then. */
const char *conn_side_heard(struct conn_side *s);
void conn_side_event(void *arg, struct evt_conn *c, enum evt_conn_event ev);

#endif
