/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_sched.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define WAYS 4 /* children of an entry: they share a cache line */

void queue_sched_init(struct queue_sched *s)
{
	memset(s, 0, sizeof(*s));
}

void queue_sched_clear(struct queue_sched *s)
{
	free(s->entries);
	queue_sched_init(s);
}

int queue_sched_reserve(struct queue_sched *s, uint32_t n)
{
	uint32_t room = s->room ? s->room : 64;
	struct queue_sched_entry *more;

	if (n <= s->room)
		return 0;
	while (room < n)
		room += room / 2;
	more = realloc(s->entries, room * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	s->entries = more;
	s->room = room;
	return 0;
}

static void put(struct queue_sched *s, uint32_t at, struct queue_sched_entry e)
{
	s->entries[at] = e;
	*e.pos = at;
}

static void rise(struct queue_sched *s, uint32_t at, struct queue_sched_entry e)
{
	while (at > 0) {
		uint32_t up = (at - 1) / WAYS;
		if (s->entries[up].due <= e.due)
			break;
		put(s, at, s->entries[up]);
		at = up;
	}
	put(s, at, e);
}

static void sink(struct queue_sched *s, uint32_t at, struct queue_sched_entry e)
{
	for (;;) {
		uint32_t first = at * WAYS + 1, least = first, end = first + WAYS;
		if (first >= s->count)
			break;
		if (end > s->count)
			end = s->count;
		for (uint32_t i = first + 1; i < end; i++)
			if (s->entries[i].due < s->entries[least].due)
				least = i;
		if (s->entries[least].due >= e.due)
			break;
		put(s, at, s->entries[least]);
		at = least;
	}
	put(s, at, e);
}

void queue_sched_add(struct queue_sched *s, int64_t due, uint32_t *pos)
{
	rise(s, s->count++, (struct queue_sched_entry){due, pos});
}

void queue_sched_remove(struct queue_sched *s, uint32_t *pos)
{
	uint32_t at = *pos;
	struct queue_sched_entry last;

	if (at == QUEUE_SCHED_OUT)
		return;
	*pos = QUEUE_SCHED_OUT;
	last = s->entries[--s->count];
	if (at == s->count)
		return;
	if (at > 0 && last.due < s->entries[(at - 1) / WAYS].due)
		rise(s, at, last);
	else
		sink(s, at, last);
}

uint32_t *queue_sched_first(const struct queue_sched *s)
{
	return s->count ? s->entries[0].pos : NULL;
}

uint32_t *queue_sched_due(struct queue_sched *s, int64_t now)
{
	uint32_t *pos = queue_sched_first(s);

	if (!pos || s->entries[0].due > now)
		return NULL;
	queue_sched_remove(s, pos);
	return pos;
}

int64_t queue_sched_when(const struct queue_sched *s)
{
	return s->count ? s->entries[0].due : INT64_MAX;
}
