/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_pool - threads for what takes long, so that it does not delay the loop's symmetric work.
 *
 * Story:     keyd has three pools: two threads for RSA and Argon2, one for all that waits for a
 *            disk, one that works only when nobody else wants the processor. A job is embedded in what its owner allocates. work runs on one of the threads and
 *            touches nothing but the job; done then runs on the loop. Jobs start in the order
 *            they were given, but bulk jobs (signatures of mail, of which there may be hundreds) wait
 *            until no other job does: a TLS handshake must not stand in their line. Heavy jobs
 *            (Argon2) never take the last free thread, so signatures go on beside them. Without a pool (NULL: tests and fuzzers) work and done run at
 *            once, within keyd_pool_run.
 * Ownership: a job belongs to the pool from run until done is called.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_POOL_H
#define KEYD_KEYD_POOL_H

#include "evt/evt_inbox.h"

#define KEYD_POOL_THREADS_MAX 4

struct keyd_pool_job {
	struct evt_msg msg;
	void (*work)(struct keyd_pool_job *job);
	void (*done)(struct keyd_pool_job *job);
	int heavy, bulk;
	struct keyd_pool_job *next;
};

struct keyd_pool;

/* idle: its threads run at SCHED_IDLE. NULL: out of memory or threads. */
struct keyd_pool *keyd_pool_new(struct evt_loop *loop, unsigned threads, int idle);
/* Waits for what runs, drops nothing: done is called for every job first. */
void keyd_pool_free(struct keyd_pool *p);
void keyd_pool_run(struct keyd_pool *p, struct keyd_pool_job *job);
/* Waits until nothing waits or runs, and calls done for all of it. p may be NULL. */
void keyd_pool_drain(struct keyd_pool *p);

#endif
