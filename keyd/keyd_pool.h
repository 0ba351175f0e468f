/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_pool - two threads for what takes long: RSA and Argon2, so that neither delays symmetric
 * work.
 *
 * Story:     a job is embedded in what its owner allocates. work runs on one of the threads and
 *            touches nothing but the job; done then runs on the loop. Jobs start in the order
 *            they were given. Heavy jobs (Argon2) never take the last free thread, so signatures
 *            go on beside them. Without a pool (NULL: tests and fuzzers) work and done run at
 *            once, within keyd_pool_run.
 * Ownership: a job belongs to the pool from run until done is called.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_POOL_H
#define KEYD_KEYD_POOL_H

#include "evt/evt_inbox.h"

#define KEYD_POOL_THREADS 2

struct keyd_pool_job {
	struct evt_msg msg;
	void (*work)(struct keyd_pool_job *job);
	void (*done)(struct keyd_pool_job *job);
	int heavy;
	struct keyd_pool_job *next;
};

struct keyd_pool;

/* NULL: out of memory or threads. */
struct keyd_pool *keyd_pool_new(struct evt_loop *loop);
/* Waits for what runs, drops nothing: done is called for every job first. */
void keyd_pool_free(struct keyd_pool *p);
void keyd_pool_run(struct keyd_pool *p, struct keyd_pool_job *job);

#endif
