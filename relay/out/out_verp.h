/* SPDX-License-Identifier: Apache-2.0 */
/* out_verp - the envelope senders of a job whose mail is to come back to relay (bounce.verp).
 *
 * Story:     before the first message of a job leaves, keyd makes the tokens of all its recipients (bounce_verp), in batches;
 *            the job waits for them as it waits for the message to be opened. Then each recipient gets a transaction of
 *            his own.
 * Errors:    keyd's: the job is given back to the queue, as with a message whose key cannot be had.
 * Thread:    the worker's.
 * Source:    sealpost-bounce(7). */
#ifndef RELAY_OUT_OUT_VERP_H
#define RELAY_OUT_OUT_VERP_H

#include "relay/out/out_job.h"

struct out_verp;

/* Whether this job's mail (its reader is open) leaves under such senders. */
int out_verp_due(const struct out_job *job);
/* 1: the tokens are there. 0: then is called when they are, or the job has been given back. */
int out_verp_ready(struct out_job *job, void (*then)(struct out_job *job));
/* Of the recipient whose turn it is; lives until the next call. */
const char *out_verp_sender(struct out_job *job);
/* At the job's end, or when what it waits for is given up. */
void out_verp_drop(struct out_job *job);

#endif
