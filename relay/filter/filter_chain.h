/* SPDX-License-Identifier: Apache-2.0 */
/* filter_chain - all filters of the configuration, in order, for one session.
 *
 * Story:     the session's host (in_filter) asks what a client's command asks: each filter is asked in turn, the first that
 *            refuses, defers or discards decides. A message streams to the first filter that wants it while it is
 *            sealed into the spool; at its end (end) that one gives verdict and changes, and only then the next
 *            sees the message, as changed: header section from here, body read back from the spool's writer. So
 *            a filter that signs sees what is sent.
 *            What is changed is kept and counts when the filter has given its verdict, not before.
 * Away:      a filter that cannot be reached, breaks the protocol or is too slow: filters.away. At CONNECT and HELO
 *            that is passed over, for MAIL tries it again.
 * Ownership: conf and fact are borrowed, the writer given to end stays the caller's.
 * Limits:    header section FILTER_HEAD_MAX and what filters add, FILTER_CHAIN_CHANGES of changes by one filter.
 * Thread:    its worker's. Answers and room never come within a call; the chain may be freed in them. */
#ifndef RELAY_FILTER_FILTER_CHAIN_H
#define RELAY_FILTER_FILTER_CHAIN_H

#include "relay/filter/filter_conn.h"
#include "relay/spool/spool_message.h"

#define FILTER_CHAIN_CHANGES (1u << 20)

struct filter_chain_host {
	/* GO_ON, DISCARD or REFUSE. */
	void (*answer)(void *arg, const struct filter_verdict *v);
	/* show takes octets again. */
	void (*room)(void *arg);
	/* Changes of the envelope; addresses without brackets. 0 or ERR_*. */
	int (*add_recipient)(void *arg, struct span address);
	int (*remove_recipient)(void *arg, struct span address);
	int (*set_sender)(void *arg, struct span address);
};

struct filter_chain;

/* NULL: out of memory. name: of the session. */
struct filter_chain *filter_chain_new(struct relay_worker *w, const struct relay_conf *conf,
				      const struct filter_chain_host *host, void *arg,
				      const struct filter_fact *fact, const char *name);
void filter_chain_free(struct filter_chain *c);

/* 1: answer comes; 0: nobody has anything to say. MAIL begins a transaction, forget ends it, FILTER_MESSAGE is not
 * asked but ended. */
int filter_chain_ask(struct filter_chain *c, enum filter_ask what);
void filter_chain_forget(struct filter_chain *c);

/* Our own trace field, first. customer: whose message it is; borrowed until forget. */
int filter_chain_trace(struct filter_chain *c, const char *customer, struct span received);
/* The next octets of the message. 0; 1: it is decided already, end gives the answer; ERR_LIMIT, ERR_NOMEM. */
int filter_chain_show(struct filter_chain *c, struct span s);
int filter_chain_room(const struct filter_chain *c);
/* That was all of it, and sw holds it (NULL if it was decided). 1: answer comes. */
int filter_chain_end(struct filter_chain *c, struct spool_writer *sw);

/* What became of it, once the answer to end was GO_ON. */
struct filter_chain_result {
	struct span head; /* n 0: unchanged; valid until forget */
	uint64_t skip;
	struct spool_writer *writer; /* not NULL: to be committed instead; the caller's */
	uint64_t id;		     /* its id */
	const uint8_t *hash;	     /* with it, if mail is signed: of the body, for DKIM; valid until forget */
	int quarantine;
	int mark; /* head has one trace header of our milter, and a filter wrote it */
};
void filter_chain_result(struct filter_chain *c, struct filter_chain_result *out);

#endif
