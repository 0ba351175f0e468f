/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a spool whose bytes were altered or cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "spool_bed.h"

static void no_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static int setup(void **state)
{
	struct bed *b = malloc(sizeof(*b));

	log_capture(no_line, NULL);
	bed_init(b, 1);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bed_clear(*state);
	free(*state);
	log_capture(NULL, NULL);
	return 0;
}

static uint64_t seed;

/* Small, fast, and the same in every run. */
static uint32_t dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % sides;
}

/* --- a small log of known content */

#define IDS 14

struct small {
	struct spool_place commit[IDS + 1], part[IDS + 1];
	int finished[IDS + 1], has_part[IDS + 1];
	char name[SPOOL_NAME_SIZE];
	uint8_t *bytes;
	size_t n, end;
};

static size_t body_size(uint64_t id)
{
	return 60 + (size_t)id * 13;
}

/* One segment: every third message has a PART, every second one is finished, the others were deferred once. */
static void write_small(struct bed *b, struct small *m)
{
	memset(m, 0, sizeof(*m));
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= IDS; id++) {
		m->has_part[id] = id % 3 == 0;
		if (m->has_part[id])
			assert_int_equal(bed_part(b, id, 1, 100, &m->part[id]), 0);
		assert_int_equal(bed_commit_parts(b, id, body_size(id), &m->part[id],
						  (unsigned)m->has_part[id], &m->commit[id]),
				 0);
		m->finished[id] = id % 2 == 0;
		assert_int_equal(bed_state(b, id, 0,
					   m->finished[id] ? SPOOL_DELIVERED : SPOOL_DEFERRED,
					   (uint16_t)id),
				 0);
	}
	/* makes all of that certain, so that damage to it is known as damage */
	assert_int_equal(bed_commit(b, 100, 1, 60, NULL), 0);
	assert_int_equal(bed_commit(b, 101, 1, 60, NULL), 0);
	m->end = b->log->current->end;
	spool_segment_name(m->name, b->log->current->mark.number, "seg");
	bed_stop(b);
	m->bytes = bed_load(b->dir, m->name, &m->n);
}

static int is_whole(struct bed *b, const struct small *m, uint64_t id)
{
	return bed_check(b, id, 0, body_size(id), m->commit[id]) == 0 &&
	       (!m->has_part[id] || bed_check(b, id, 1, 100, m->part[id]) == 0);
}

/* Which message the record at a byte belongs to; 0: to none. */
static uint64_t owner(const struct small *m, size_t at)
{
	struct spool_title t;

	assert_int_equal(spool_record_get_title(m->bytes, &t), 0);
	for (uint32_t offset = SPOOL_FIRST; offset <= at && offset < m->end;) {
		struct spool_record r;
		assert_true(spool_record_get(&r, &t.mark, offset, t.size,
					     span_of(m->bytes + offset, m->n - offset)) > 0);
		if (at < offset + spool_record_size(&r))
			return r.id;
		offset += spool_record_size(&r);
	}
	return 0;
}

static void one_flip(struct bed *b, struct small *m, size_t at, uint8_t flip)
{
	uint64_t hit = owner(m, at);

	m->bytes[at] ^= flip;
	bed_empty(b->dir);
	bed_save(b->dir, m->name, m->bytes, m->n);
	m->bytes[at] ^= flip;
	assert_int_equal(bed_open(b), 0);
	for (size_t i = 0; i < b->found_count; i++) {
		uint64_t id = b->found[i].id;
		assert_true((id >= 1 && id <= IDS) || id == 100 || id == 101);
		if (id > IDS)
			continue;
		/* what is found can be read, as it was written */
		assert_true(is_whole(b, m, id));
		if (id == hit)
			continue;
		assert_false(m->finished[id]);
		assert_int_equal(b->found[i].states[0].outcome, SPOOL_DEFERRED);
		assert_int_equal(b->found[i].states[0].attempts, id);
	}
	for (uint64_t id = 1; id <= IDS; id++)
		if (id != hit && !m->finished[id])
			assert_non_null(bed_find(b, id));
	if (hit && hit <= IDS) /* everything but the padding is covered by a sum */
		assert_true(b->report.damaged_records > 0 || b->found_count == IDS / 2 + 2);
	bed_stop(b);
}

static void every_flipped_byte_harms_its_own_message_at_most(void **state)
{
	struct bed *b = *state;
	struct small m;

	write_small(b, &m);
	seed = 1;
	for (size_t at = SPOOL_FIRST; at < m.end; at++) {
		one_flip(b, &m, at, (uint8_t)(1u << dice(8)));
		if (at % 5 == 0)
			one_flip(b, &m, at, 0xff);
	}
	for (size_t at = 0; at < 64; at++) {
		one_flip(b, &m, at, (uint8_t)(1u << dice(8)));
		one_flip(b, &m, SPOOL_PAGE / 2 + at, (uint8_t)(1u << dice(8)));
	}
	free(m.bytes);
}

/* --- cut off at any byte */

enum { SHORTER, ZEROS, GARBAGE };

static void one_cut(struct bed *b, struct small *m, size_t at, int how)
{
	uint8_t *p = malloc(m->n);

	memcpy(p, m->bytes, m->n);
	for (size_t i = at; i < m->n; i++)
		p[i] = how == GARBAGE ? (uint8_t)dice(256) : 0;
	bed_empty(b->dir);
	bed_save(b->dir, m->name, p, how == SHORTER ? at : m->n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= IDS; id++) {
		struct spool_place next = id < IDS ? m->commit[id + 1] : m->commit[id];
		size_t end = m->commit[id].offset + m->commit[id].length;
		/* padding may be missing */
		int there = end - at < SPOOL_ALIGN || end <= at;
		int state_there = id < IDS && next.offset <= at;
		const struct bed_found *f = bed_find(b, id);
		if (end - at < SPOOL_ALIGN)
			continue;
		if (!there)
			assert_null(f);
		else if (!m->finished[id] || !state_there)
			assert_true(f != NULL || m->finished[id]);
		if (f)
			assert_true(is_whole(b, m, id));
		if (f && state_there)
			assert_int_equal(f->states[0].attempts, id);
	}
	assert_int_equal(b->report.damaged_records, 0);
	/* and mail is taken again */
	assert_int_equal(bed_commit(b, 500, 1, 1000, NULL), 0);
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_non_null(bed_find(b, 500));
	bed_stop(b);
}

static void a_log_cut_at_any_byte_holds_what_lies_before(void **state)
{
	struct bed *b = *state;
	struct small m;

	write_small(b, &m);
	seed = 2;
	for (size_t at = SPOOL_FIRST; at < m.end; at++) {
		one_cut(b, &m, at, SHORTER);
		if (at % 3 == 0)
			one_cut(b, &m, at, ZEROS);
		if (at % 7 == 0)
			one_cut(b, &m, at, GARBAGE);
	}
	free(m.bytes);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    T(every_flipped_byte_harms_its_own_message_at_most),
	    T(a_log_cut_at_any_byte_holds_what_lies_before),
	};

	if (argc > 1) /* one of them, by name or pattern */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
