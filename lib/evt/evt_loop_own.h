/* SPDX-License-Identifier: Apache-2.0 */
/* evt_loop_own - the inside of a loop, for the sources of evt only.
 *
 * Story:  timers lie in a heap of their own instead of in libevent's, so that they follow
 *         core/clock and that moving one is a store; libevent knows a single timer, the tick, which
 *         ends the sleep when the first of ours may be due.
 * Sleep:  a poster stores its message, then reads asleep; the loop stores asleep, then looks for
 *         messages. Both in one total order (seq_cst), so one of them sees the other. */
#ifndef EVT_EVT_LOOP_OWN_H
#define EVT_EVT_LOOP_OWN_H

#include <stdalign.h>
#include <stdatomic.h>

#include "evt/evt_loop.h"
#include "evt/evt_pool.h"

struct event;
struct evt_timer;

struct evt_loop_slot {
	int64_t at; /* when to look at t: never later than t->due */
	struct evt_timer *t;
};

struct evt_loop {
	struct event_base *base;
	int64_t now;
	int in_turn;
	int wake_fd;
	struct event *wake;
	struct event *tick;
	int64_t tick_at; /* 0: not set */
	struct list deferred;
	struct list signals;
	struct list inboxes;
	struct list_link *inbox_next; /* while they are walked */
	struct evt_loop_slot *heap;
	size_t heap_count, heap_room;
	struct evt_pool pool;
	/* written by other threads: a cache line of their own */
	alignas(64) atomic_int asleep;
	atomic_int stop;
	alignas(64) char end[1];
};

/* Ends the sleep if there is one. Any thread; after the store that is to be seen. */
void evt_loop_poke(struct evt_loop *l);

/* Calls what is due at l->now. (evt_timer.c) */
void evt_timer_run(struct evt_loop *l);

/* Calls the receivers of inboxes with messages; _waiting: 1 if there is one. (evt_inbox.c) */
void evt_inbox_run(struct evt_loop *l);
int evt_inbox_waiting(struct evt_loop *l);

#endif
