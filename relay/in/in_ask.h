/* SPDX-License-Identifier: Apache-2.0 */
/* in_ask - what a session asks of the filters, and how it goes on when they have spoken.
 *
 * Story:     a handler that has found nothing wrong calls in_ask_start as its last act. 0: there are no filters, or they
 *            have nothing to say: it goes on by itself. 1: the session waits in state FILTER, commands that have
 *            arrived stay where they are, and in_session_filtered goes on with the row of the question. The
 *            message itself is shown to the filters while it is read (host function show); what they say of
 *            it, and what they change, comes as the answer to END.
 *            A session without filters pays one look at peer.filters.
 * Source:    sealpost-relay(8), Filters.
 * Thread:    its session's. */
#ifndef RELAY_IN_IN_ASK_H
#define RELAY_IN_IN_ASK_H

#include "core/span.h"

struct in_session;

/* X(name, what is asked) */
#define IN_ASKS(X)                                        \
	X(NOTHING, "nothing")                             \
	X(CONNECT, "the connection, before the greeting") \
	X(HELO, "the name given with EHLO or HELO")       \
	X(MAIL, "the sender")                             \
	X(RCPT, "the recipient that was added last")      \
	X(DATA, "the beginning of a message, before 354") \
	X(END, "the whole message, before it is committed")

enum in_ask {
#define IN_ASK_ENUM(name, text) IN_ASK_##name,
	IN_ASKS(IN_ASK_ENUM)
#undef IN_ASK_ENUM
	    IN_ASK_COUNT
};

enum in_verdict_word { IN_VERDICT_GO_ON, IN_VERDICT_DISCARD, IN_VERDICT_REFUSE };

struct in_verdict {
	enum in_verdict_word word;
	int code;	      /* of REFUSE: 400..599; 421 ends the session */
	const char *enhanced; /* these live until in_session_filtered has returned */
	const char *text;     /* lines with \n between */
};

/* params: what stood behind the address, MAIL and RCPT. */
int in_ask_start(struct in_session *s, enum in_ask what, struct span params);
/* The answer to the question of this ticket; in_session_filtered calls it. 1 if it was asked. */
int in_ask_answer(struct in_session *s, uint64_t ticket, const struct in_verdict *v);

#endif
