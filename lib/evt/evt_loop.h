/* SPDX-License-Identifier: Apache-2.0 */
/* evt_loop - one event loop of one thread, over libevent.
 *
 * Story:  each thread that does I/O has one. Everything else in evt belongs to a loop and is used only
 *         on its thread; evt_inbox is the one way in from other threads. Before it sleeps, the loop
 *         runs the deferred calls (evt_loop_defer) and flushes the log.
 * Thread: new, then run on the thread that owns it. evt_loop_stop is safe from any thread. */
#ifndef EVT_EVT_LOOP_H
#define EVT_EVT_LOOP_H

#include <stdint.h>

struct evt_loop;
struct event_base;

struct evt_loop *evt_loop_new(void);
void evt_loop_free(struct evt_loop *l);
/* Runs until evt_loop_stop. */
int evt_loop_run(struct evt_loop *l);
/* One turn, waiting at most usec: for tests and for tools. */
int evt_loop_turn(struct evt_loop *l, int64_t usec);
void evt_loop_stop(struct evt_loop *l);
/* Monotonic time at the start of this turn, microseconds (clock_mono, read once per turn). */
int64_t evt_loop_now(const struct evt_loop *l);
/* For libunbound's event interface only. */
struct event_base *evt_loop_base(struct evt_loop *l);

/* fn(arg) once, at the end of this turn, before the loop sleeps. Embedded; a second defer before it
 * ran changes nothing. */
struct evt_defer {
	void (*fn)(void *arg);
	void *arg;
	struct evt_defer *next;
	int queued;
};
void evt_loop_defer(struct evt_loop *l, struct evt_defer *d);
void evt_loop_undefer(struct evt_loop *l, struct evt_defer *d);

/* Calls fn on the loop's thread when signal arrives (SIGTERM, SIGHUP). One loop per process. */
int evt_loop_signal(struct evt_loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);

#endif
