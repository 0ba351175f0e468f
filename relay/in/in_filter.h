/* SPDX-License-Identifier: Apache-2.0 */
/* in_filter - binds a session to its chain of filters: facts for macros out of the session, changes into its transaction.
 *
 * Story:     in_conn makes one for a session whose mail passes filters, and hands through what in_session asks of its
 *            host. An answer to END that lets the message pass has put what filters changed into the
 *            transaction's envelope, and has exchanged the spool writer if a filter replaced the body.
 *            A client whose address changed since it was told to the filters (XCLIENT) is told to them anew at its next
 *            EHLO.
 * Ownership: borrows session, configuration and listener.
 * Thread:    its worker's. Answers and room never come within a call; it may be freed in them. */
#ifndef RELAY_IN_IN_FILTER_H
#define RELAY_IN_IN_FILTER_H

#include "relay/in/in_session.h"
#include "relay/relay.h"
#include "relay/spool/spool_message.h"

struct in_filter;

struct in_filter_host {
	/* The answer, to be given on with in_session_filtered. */
	void (*answer)(void *arg, uint64_t ticket, const struct in_verdict *v);
	/* room may be asked again. */
	void (*room)(void *arg);
};

/* NULL: out of memory. sw: where the session's spool writer stands. peer: its address, for the port. */
struct in_filter *in_filter_new(struct relay_worker *w, const struct relay_conf *conf,
				const struct relay_listen *listen,
				const struct sockaddr_storage *peer, struct in_session *s,
				struct spool_writer **sw, const struct in_filter_host *host,
				void *arg);
void in_filter_free(struct in_filter *f);

/* As in struct in_session_host. */
int in_filter_ask(struct in_filter *f, enum in_ask what, uint64_t ticket, struct span params);
int in_filter_show(struct in_filter *f, struct span s);
void in_filter_forget(struct in_filter *f);
/* Our own trace field, before the first show. 0 or ERR_*. */
int in_filter_trace(struct in_filter *f, struct span received);
int in_filter_room(const struct in_filter *f);
/* Once END was answered: the hash of the body that a filter gave, for DKIM; NULL: the body is as it came. */
const uint8_t *in_filter_body_hash(const struct in_filter *f);

#endif
