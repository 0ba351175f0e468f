/* SPDX-License-Identifier: Apache-2.0 */
/* filter_chain_own - what the files of filter_chain share: filter_chain.c (life, questions, judging answers),
 * filter_chain_message.c (the message's way through the filters), filter_chain_change.c (what they change). */
#ifndef RELAY_FILTER_FILTER_CHAIN_OWN_H
#define RELAY_FILTER_FILTER_CHAIN_OWN_H

#include "relay/filter/filter_body.h"
#include "relay/filter/filter_chain.h"
#include "relay/spool/spool_reread.h"

enum filter_chain_phase {
	FILTER_CHAIN_QUIET,  /* nothing is asked */
	FILTER_CHAIN_ASKING, /* a question goes round */
	FILTER_CHAIN_HEAD,   /* the header section is gathered */
	FILTER_CHAIN_STREAM, /* the body goes to the filter at */
	FILTER_CHAIN_FINISH  /* the message is whole; each filter in turn says its word */
};

struct filter_chain_link {
	struct filter_conn conn;
	int missing; /* away, and passed over for this transaction */
};

struct filter_chain {
	struct relay_worker *w;
	const struct relay_conf *conf;
	const struct filter_chain_host *host;
	void *arg;
	const struct filter_fact *fact;
	const char *name;

	enum filter_chain_phase phase;
	enum filter_ask ask;
	unsigned at, count; /* the filter that is asked, or has the message */
	int decided;	    /* decision is the answer */
	struct filter_verdict decision;

	/* the message */
	struct filter_head head;
	struct buf pending; /* of the body, for the filter at */
	int ended;	    /* the filter at was told the end */
	int answered;	    /* and has said its word, which is: */
	struct filter_verdict word;
	struct buf changes;	 /* packets, as they came */
	struct filter_body body; /* what the filter at gives in place of the body */
	struct spool_writer *source,
	    *replaced; /* what holds the message now; ours, if one replaced it */
	uint64_t replaced_id;
	uint8_t replaced_hash[MAIL_DKIM_HASH]; /* if body.hashes */
	struct spool_reread *reread;
	int rereading; /* wanted, or under way */
	struct buf rendered;
	int quarantine;

	struct evt_defer defer;
	int wake; /* what the deferred call is to look at */
	struct filter_chain_link links[];
};

enum { FILTER_CHAIN_WAKE_ANSWER = 1, FILTER_CHAIN_WAKE_ROOM = 2 };
void filter_chain_wake(struct filter_chain *c, int why);

/* Whether the word of filter i decides: decision is set then. */
int filter_chain_judge(struct filter_chain *c, unsigned i, const struct filter_verdict *v);
void filter_chain_decide(struct filter_chain *c, int code, const char *enhanced, const char *text);

/* --- filter_chain_message.c */
/* Goes on with the message; the chain may be gone when it returns. */
void filter_chain_pump(struct filter_chain *c);
void filter_chain_message_clear(struct filter_chain *c);

/* --- filter_chain_change.c */
/* A filter's wish, while it gives its verdict. As filter_milter_host.change. */
int filter_chain_change(struct filter_chain *c, const struct milterproto_reply *r);
/* The filter at has said its word: its changes count. 0, or ERR_*. */
int filter_chain_apply(struct filter_chain *c);
/* They do not. */
void filter_chain_undo(struct filter_chain *c);

#endif
