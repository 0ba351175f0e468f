/* SPDX-License-Identifier: Apache-2.0 */
/* filter_conn - a session's connection to one filter: binds filter_milter to a socket.
 *
 * Story:     opened by the first question (CONNECT), kept for the session as filters expect. If it breaks, the next MAIL
 *            opens another and tells it CONNECT and HELO first. Answers never come within a call, with one
 *            exception: FILTER_CONN_NOW says that verdict stands in the struct already.
 *            A filter that refuses the connection or the HELO name refuses all that follows.
 * Ownership: conf, fact and name are borrowed.
 * Thread:    its worker's. */
#ifndef RELAY_FILTER_FILTER_CONN_H
#define RELAY_FILTER_FILTER_CONN_H

#include "evt/evt_conn.h"
#include "relay/filter/filter_milter.h"

enum { FILTER_CONN_GO_ON, FILTER_CONN_LATER, FILTER_CONN_NOW };

struct filter_conn;
struct filter_conn_host {
	/* To the question, or of the message; it may come while the message is still being shown. */
	void (*verdict)(void *arg, struct filter_conn *c, const struct filter_verdict *v);
	/* As filter_milter_host. */
	int (*change)(void *arg, struct filter_conn *c, const struct milterproto_reply *r);
	void (*room)(void *arg, struct filter_conn *c);
};

struct filter_conn {
	struct evt_loop *loop;
	const struct filter_conn_host *host;
	void *arg;
	const struct relay_filter *conf;
	const struct filter_fact *fact;
	const char *name; /* of the session, for the log */
	struct evt_conn *conn;
	int connected, fed;
	int owing;	      /* a verdict is due to our host */
	enum filter_ask want; /* what it asked */
	int told_connect, told_helo;
	enum filter_ask step; /* on the way there */
	int refused;	      /* for the whole session, with verdict */
	struct filter_verdict verdict;
	struct filter_milter m;
};

void filter_conn_init(struct filter_conn *c, struct evt_loop *loop,
		      const struct filter_conn_host *host, void *arg,
		      const struct relay_filter *conf, const struct filter_fact *fact,
		      const char *name);
/* Says good-bye and closes. */
void filter_conn_clear(struct filter_conn *c);

/* FILTER_CONN_GO_ON, _LATER, _NOW. */
int filter_conn_ask(struct filter_conn *c, enum filter_ask what);
/* 1: body, end and a verdict follow; 0: it does not want this message. A filter that broke since MAIL gives
 * FILTER_FAILED. */
int filter_conn_message(struct filter_conn *c, const struct filter_head *head);
size_t filter_conn_body(struct filter_conn *c, struct span s);
void filter_conn_end(struct filter_conn *c);
void filter_conn_abort(struct filter_conn *c);
/* After change said "not now": now. */
void filter_conn_again(struct filter_conn *c);

#endif
