/* SPDX-License-Identifier: Apache-2.0 */
/* out_bounce - commits the report to a sender (out_dsn) as a new message, before the outcome of the
 * original is written.
 *
 * Story:     the report belongs to the customer of the original, comes from the null sender, and
 *            goes through spool and queue as any message. A crash between its commit and the
 *            outcome of the original sends it twice, never not at all. The original is in it whole
 *            if the sender asked for that (RET=FULL), or said nothing and bounce.full is set, and
 *            something failed; unless it is over OUT_BOUNCE_FULL.
 *            A report is signed with DKIM like other mail, if its From (MAILER-DAEMON at hostname) is of a domain that
 *            signs, whoever's customer it is.
 * Errors:    of spool_writer_begin, of dkim_sign and of the commit: the recipients must stay queued then.
 * Ownership: everything given is used within the call, but for done.
 * Thread:    the worker's. */
#ifndef RELAY_OUT_OUT_BOUNCE_H
#define RELAY_OUT_OUT_BOUNCE_H

#include "relay/out/out_dsn.h"

#define OUT_BOUNCE_FULL (512u << 10) /* bytes of the original */

/* result: 0 and the id of the report, or ERR_*. */
typedef void (*out_bounce_fn)(void *arg, int result, uint64_t dsn);

struct out_bounce_of {
	uint64_t id;
	struct spool_reader *reader; /* open; stands somewhere else afterwards: rewind */
	const struct queue_result *results;
	unsigned count;
	const char *remote; /* or NULL */
	int delay;	    /* of a job QUEUE_DELAY: tells what is DEFERRED */
};
/* Whether there is a sender, and anything of this that he is to hear. */
int out_bounce_due(const struct out_bounce_of *of);
/* 0: done is called later, once. ERR_*: it is not. */
int out_bounce_send(struct relay_worker *w, const struct out_bounce_of *of, out_bounce_fn done,
		    void *arg);

#endif
