/* SPDX-License-Identifier: Apache-2.0 */
/* evt_loop - one event loop of one thread, over libevent.
 *
 * Story:  each thread that does I/O has one. Everything else in evt belongs to a loop and is used
 *         only on its thread; evt_inbox is the one way in from other threads. A turn is: due
 *         timers, inboxes, deferred calls, log_flush, then sleep until something happens, then its
 *         callbacks.
 * Clock:  core/clock. Under a faked clock timers follow it: advance it, then run a turn (or
 *         evt_loop_wake a loop that sleeps on another thread).
 * Thread: new, then run on the thread that owns it. evt_loop_stop and evt_loop_wake are safe from
 *         any. */
#ifndef EVT_EVT_LOOP_H
#define EVT_EVT_LOOP_H

#include <stdint.h>

#include "core/list.h"

struct evt_loop;
struct event_base;

/* NULL: no memory or descriptors. Also makes the process ignore SIGPIPE. */
struct evt_loop *evt_loop_new(void);
/* Connections, listeners, inboxes and timers go first; deferred calls that still wait are run. */
void evt_loop_free(struct evt_loop *l);
/* Runs until evt_loop_stop (a stop that came before it started counts). 0 or ERR_IO. */
int evt_loop_run(struct evt_loop *l);
/* What is due now, then one turn, sleeping at most usec of real time: for tests and for tools. */
int evt_loop_turn(struct evt_loop *l, int64_t usec);
void evt_loop_stop(struct evt_loop *l);
/* Makes the loop run a turn soon. */
void evt_loop_wake(struct evt_loop *l);
/* Monotonic time at the start of this turn, microseconds (clock_mono, read once per turn). Outside
 * of a turn: now. */
int64_t evt_loop_now(const struct evt_loop *l);
/* For libunbound's event interface only. */
struct event_base *evt_loop_base(struct evt_loop *l);

/* fn(arg) once, at the end of this turn, before the loop sleeps. Embedded, zeroed but for fn and
 * arg; a second defer before it ran changes nothing. */
struct evt_defer {
	void (*fn)(void *arg);
	void *arg;
	struct list_link link;
};
void evt_loop_defer(struct evt_loop *l, struct evt_defer *d);
/* Takes it back, if it waits: needed before its owner is freed. */
void evt_loop_undefer(struct evt_loop *l, struct evt_defer *d);

/* Calls fn on the loop's thread when signal arrives (SIGTERM, SIGHUP); once, however many came
 * meanwhile. One loop per process. ERR_NOMEM. */
int evt_loop_signal(struct evt_loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

#endif
