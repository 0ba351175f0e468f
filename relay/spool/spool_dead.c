/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_dead.h"

#include <stdlib.h>

#include "core/err.h"

#define TIMES_LIVING 4 /* the segments may take so much more than what lives in them, */
#define SLACK	     2 /* and so many segments */
#define DEAD(g)	     ((g)->live < (g)->size / 4)
#define DEAD_FULL(g) ((g)->live < (g)->size / 2)

int spool_dead_full(const struct spool_log *s)
{
	return atomic_load(&s->trouble) == ERR_NOSPACE;
}

static int by_living(const void *a, const void *b)
{
	const struct spool_segment *x = *(struct spool_segment *const *)a;
	const struct spool_segment *y = *(struct spool_segment *const *)b;

	if (x->live != y->live)
		return x->live < y->live ? -1 : 1;
	return x->mark.number < y->mark.number ? -1 : 1;
}

static int wanted(const struct spool_log *s)
{
	uint64_t used = atomic_load(&s->number.used);

	return spool_dead_full(s) ||
	       used > TIMES_LIVING * s->set.live + SLACK * (uint64_t)s->options.segment_size;
}

static size_t candidates(const struct spool_log *s, struct spool_segment **all)
{
	size_t n = 0;

	for (size_t i = 0; i + 2 < s->set.count; i++) {
		struct spool_segment *g = s->set.all[i];
		if (g->pins && g->rest <= s->now && (spool_dead_full(s) ? DEAD_FULL(g) : DEAD(g)))
			all[n++] = g;
	}
	qsort(all, n, sizeof(struct spool_segment *), by_living);
	return n;
}

uint32_t spool_dead_room(const struct spool_log *s)
{
	uint32_t kept = SPOOL_RESERVE(s->current->size);
	uint32_t left = s->current->size - s->current->end - s->group.bytes;

	return left > kept ? left - kept : 0;
}

int spool_dead_choose(struct spool_log *s)
{
	uint32_t room = spool_dead_full(s) ? spool_dead_room(s) : s->options.segment_size;
	struct spool_segment **all;
	size_t n, chosen = 0;

	if (!wanted(s))
		return 0;
	all = malloc(s->set.count * sizeof(struct spool_segment *));
	n = all ? candidates(s, all) : 0;
	while (chosen < n && all[chosen]->live <= room && !(chosen && spool_dead_full(s))) {
		room -= all[chosen]->live;
		all[chosen++]->leaving = 1;
	}
	free(all);
	return chosen > 0;
}

int spool_dead_leaving(const struct spool_log *s, uint32_t number)
{
	const struct spool_segment *g = spool_segment_set_find(&s->set, number);

	return g && g->leaving;
}

int spool_dead_parts(const struct spool_log *s, const struct spool_entry *e)
{
	for (unsigned i = 0; i < e->hold_count; i++)
		if (spool_dead_leaving(s, e->holds[i].segment))
			return 1;
	return 0;
}
