/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap ordered by when a timer has to be looked at. A timer that was moved later stays
 * where it is; when its old time comes it sinks to its new one. */
#include "evt/evt_timer.h"

#include <stdlib.h>

#include "core/err.h"
#include "evt/evt_loop_own.h"

#define HEAP_FIRST 64

static void place(struct evt_loop *l, size_t i, struct evt_loop_slot s)
{
	l->heap[i] = s;
	s.t->slot = i + 1;
}

static void rise(struct evt_loop *l, size_t i)
{
	struct evt_loop_slot s = l->heap[i];

	while (i > 0 && s.at < l->heap[(i - 1) / 2].at) {
		place(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(l, i, s);
}

static void sink(struct evt_loop *l, size_t i)
{
	struct evt_loop_slot s = l->heap[i];
	size_t child;

	while ((child = 2 * i + 1) < l->heap_count) {
		if (child + 1 < l->heap_count && l->heap[child + 1].at < l->heap[child].at)
			child++;
		if (s.at <= l->heap[child].at)
			break;
		place(l, i, l->heap[child]);
		i = child;
	}
	place(l, i, s);
}

static int make_room(struct evt_loop *l)
{
	size_t room = l->heap_room ? 2 * l->heap_room : HEAP_FIRST;
	struct evt_loop_slot *heap;

	if (l->heap_count < l->heap_room)
		return 0;
	heap = realloc(l->heap, room * sizeof(*heap));
	if (!heap)
		return ERR_NOMEM;
	l->heap = heap;
	l->heap_room = room;
	return 0;
}

static void take_out(struct evt_loop *l, struct evt_timer *t)
{
	size_t i = t->slot - 1;
	struct evt_loop_slot last = l->heap[--l->heap_count];

	t->slot = 0;
	if (i == l->heap_count)
		return;
	place(l, i, last);
	rise(l, i);
	sink(l, last.t->slot - 1);
}

void evt_timer_init(struct evt_timer *t, struct evt_loop *l, void (*fn)(void *arg), void *arg)
{
	*t = (struct evt_timer){.loop = l, .fn = fn, .arg = arg};
}

int evt_timer_set(struct evt_timer *t, int64_t usec)
{
	struct evt_loop *l = t->loop;
	int64_t due = evt_loop_now(l) + (usec > 0 ? usec : 1);

	if (t->slot && l->heap[t->slot - 1].at > due) {
		l->heap[t->slot - 1].at = due;
		rise(l, t->slot - 1);
	} else if (!t->slot) {
		if (make_room(l) < 0)
			return ERR_NOMEM;
		l->heap[l->heap_count] = (struct evt_loop_slot){due, t};
		rise(l, l->heap_count++);
	}
	t->due = due;
	return 0;
}

void evt_timer_stop(struct evt_timer *t)
{
	t->due = 0;
	if (t->slot)
		take_out(t->loop, t);
}

void evt_timer_clear(struct evt_timer *t)
{
	if (t->slot)
		evt_timer_stop(t);
}

void evt_timer_run(struct evt_loop *l)
{
	while (l->heap_count && l->heap[0].at <= l->now) {
		struct evt_timer *t = l->heap[0].t;
		if (t->due > l->now) {
			l->heap[0].at = t->due;
			sink(l, 0);
			continue;
		}
		evt_timer_stop(t);
		t->fn(t->arg);
	}
}
