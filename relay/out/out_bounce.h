/* SPDX-License-Identifier: Apache-2.0 */
/* out_bounce - commits the report to a sender (out_dsn) as a new message, before the outcome of the
 * original is written.
 *
 * Story:     the report belongs to the customer of the original, comes from the null sender, and
 *            goes through spool and queue as any message. A crash between its commit and the
 *            outcome of the original sends it twice, never not at all.
 * Errors:    of spool_writer_begin and of the commit: the recipients must stay queued then.
 * Ownership: everything given is used within the call, but for done.
 * Thread:    the worker's. */
#ifndef RELAY_OUT_OUT_BOUNCE_H
#define RELAY_OUT_OUT_BOUNCE_H

#include "relay/out/out_dsn.h"

/* result: 0 and the id of the report, or ERR_*. */
typedef void (*out_bounce_fn)(void *arg, int result, uint64_t dsn);

struct out_bounce_of {
	uint64_t id;
	struct spool_reader *reader; /* open; stands somewhere else afterwards: rewind */
	const struct queue_result *results;
	unsigned count;
	const char *remote; /* or NULL */
};
/* 0: done is called later, once. ERR_*: it is not. */
int out_bounce_send(struct relay_worker *w, const struct out_bounce_of *of, out_bounce_fn done,
		    void *arg);

#endif
