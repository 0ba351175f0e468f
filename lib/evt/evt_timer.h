/* SPDX-License-Identifier: Apache-2.0 */
/* evt_timer - a one-shot timer, embedded in its owner. Setting it again moves it; moving it later
 * is cheap (no system call, no heap operation until it would have fired), so it suits idle timeouts
 * that are pushed back with every byte. Under a faked clock (core/clock) it fires by that clock.
 * Thread: the loop's. */
#ifndef EVT_EVT_TIMER_H
#define EVT_EVT_TIMER_H

#include "evt/evt_loop.h"

struct evt_timer {
	struct evt_loop *loop;
	void (*fn)(void *arg);
	void *arg;
	int64_t due; /* 0: not set */
	size_t slot; /* place in the loop's heap, from 1; 0: not there */
};

void evt_timer_init(struct evt_timer *t, struct evt_loop *l, void (*fn)(void *arg), void *arg);
/* Fires once, usec from now (evt_loop_now), in a later turn even if usec is 0. ERR_NOMEM: it is as
 * it was. */
int evt_timer_set(struct evt_timer *t, int64_t usec);
void evt_timer_stop(struct evt_timer *t);
/* Before its owner is freed. */
void evt_timer_clear(struct evt_timer *t);

#endif
