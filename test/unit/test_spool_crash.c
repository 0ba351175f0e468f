/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a spool after failures and kills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
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
	b->options.look = 500; /* compaction, too, as often as it can */
	b->options.pace = 0;
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

/* --- every call fails once, or from then on */

#define RUN_IDS 130

struct run {
	int8_t acked[RUN_IDS + 1], refused[RUN_IDS + 1], final_asked[RUN_IDS + 1];
	int8_t final_done[RUN_IDS + 1], final_certain[RUN_IDS + 1];
	int void_certain; /* what was refused is void for certain */
};

/* A segment was given up, and no checkpoint has said again yet what it took along. */
static atomic_int unsure;

static atomic_int deaf; /* the spool's thread logs while this is changed */

static void see_segment_lost_or_made_good(void *arg, const char *line)
{
	(void)arg;
	if (deaf)
		return;
	if (strstr(line, "event=spool-io-failed"))
		unsure = 1;
	else if (strstr(line, "event=spool-checkpoint "))
		unsure = 0;
}

static size_t run_size(uint64_t id)
{
	return 300 + (size_t)(id * 37 % 900);
}

/* Single messages, batches, PARTs, outcomes, over some segments. */
static void run_some(struct bed *b, struct run *r)
{
	struct spool_place part;

	for (uint64_t id = 1; id <= RUN_IDS; id++) {
		int err = 0, has_part = id % 10 == 0;
		if (has_part)
			err = bed_part(b, id, 1, 700, &part);
		if (!err)
			err =
			    bed_commit_parts(b, id, run_size(id), &part, (unsigned)has_part, NULL);
		else
			assert_int_equal(bed_drop(b, id), 0);
		r->acked[id] = err == 0;
		r->refused[id] = err != 0;
		/* the sync of this COMMIT covers outcomes that were answered before it was posted */
		if (r->acked[id] && !unsure)
			memcpy(r->final_certain, r->final_done, sizeof(r->final_done));
		if (id > 3 && id % 25 && r->acked[id - 3]) {
			r->final_asked[id - 3] = 1;
			r->final_done[id - 3] = bed_state(b, id - 3, 0, SPOOL_DELIVERED, 1) == 0;
		}
	}
}

static void check_run(struct bed *b, const struct run *r)
{
	const int8_t *final = unsure ? r->final_certain : r->final_done;

	for (uint64_t id = 1; id <= RUN_IDS; id++) {
		const struct bed_found *f = bed_find(b, id);
		if (r->acked[id] && !r->final_asked[id])
			assert_non_null(f);
		if (f) {
			assert_int_equal(bed_check(b, id, 0, run_size(id), f->place), 0);
			assert_true(r->acked[id] || r->refused[id]);
		}
		if (r->void_certain && r->refused[id])
			assert_null(f);
		if (final[id])
			assert_null(f);
	}
}

/* 0 when the fault was never reached. */
static int one_fault(struct bed *b, int at, int count, int why)
{
	struct run r;
	int reached;

	memset(&r, 0, sizeof(r));
	unsure = 0;
	bed_empty(b->dir);
	bed_disk.calls = 0;
	bed_disk.fail_errno = why;
	bed_disk.fail_count = count;
	bed_disk.fail_at = at;
	bed_disk.tear = at % 2;
	bed_disk.kinds = BED_OPEN | BED_READ | BED_WRITE | BED_SYNC | BED_NAME | BED_ALLOCATE;
	if (bed_open(b) == 0) {
		run_some(b, &r);
		/* a disk that is gone cannot be told what was refused, one that failed once can */
		r.void_certain = count == 1 || spool_log_ready(b->log) == 0;
		if (at % 3)
			bed_close(b);
		else
			bed_stop(b);
	}
	reached = bed_disk.calls >= at;
	bed_disk.kinds = 0;
	deaf = 1; /* what the next start writes makes nothing certain */
	assert_int_equal(bed_open(b), 0);
	check_run(b, &r);
	deaf = 0;
	assert_int_equal(bed_commit(b, 1000, 1, 500, NULL), 0);
	bed_stop(b);
	return reached;
}

static void whichever_call_fails_nothing_acknowledged_is_lost(void **state)
{
	static const int whys[] = {EIO, ENOSPC};
	struct bed *b = *state;
	int faults = 0;

	log_capture(see_segment_lost_or_made_good, NULL);
	log_topic_add("spool");
	b->options.look = 500;
	b->options.segment_size = 32u << 10;
	for (int why = 0; why < 2; why++)
		for (int at = 1; one_fault(b, at, 1, whys[why]); at++) {
			one_fault(b, at, at % 4 == 0 ? 5 : INT32_MAX, whys[why]);
			faults += 2;
		}
	print_message("%d faults\n", faults);
	assert_true(faults > 500);
}

/* --- kill -9 */

#define KILL_IDS 400000
#define POSTERS	 4
#define KILLS	 24

struct shared { /* with the child that is killed */
	_Atomic uint64_t next_id;
	_Atomic uint8_t posted[KILL_IDS], acked[KILL_IDS], final_asked[KILL_IDS];
	_Atomic uint8_t final_done[KILL_IDS];
};

struct poster {
	struct bed *b;
	struct shared *sh;
	struct bed own; /* for its inbox */
};

static size_t kill_size(uint64_t id)
{
	return 100 + (size_t)(id * 17 % 1500);
}

static void *poster(void *arg)
{
	struct poster *p = arg;
	struct spool_place part;

	p->own = *p->b;
	p->own.in = evt_inbox_new(NULL, NULL, NULL);
	for (;;) {
		uint64_t id = atomic_fetch_add(&p->sh->next_id, 1);
		int has_part = id % 13 == 0;
		if (id >= KILL_IDS)
			pause();
		p->sh->posted[id] = 1;
		if (has_part && bed_part(&p->own, id, 1, 900, &part))
			abort();
		if (bed_commit_parts(&p->own, id, kill_size(id), &part, (unsigned)has_part, NULL))
			abort();
		p->sh->acked[id] = 1;
		if (id % 50 == 0)
			continue;
		p->sh->final_asked[id] = 1;
		if (bed_state(&p->own, id, 0, SPOOL_DELIVERED, 1))
			abort();
		p->sh->final_done[id] = 1;
	}
	return NULL;
}

static void child(struct bed *b, struct shared *sh)
{
	struct poster posters[POSTERS];

	if (bed_open(b))
		abort();
	for (int i = 0; i < POSTERS; i++) {
		pthread_t t;
		posters[i].b = b;
		posters[i].sh = sh;
		if (pthread_create(&t, NULL, poster, &posters[i]))
			abort();
	}
	for (;;)
		pause();
}

static void check_kill(struct bed *b, struct shared *sh)
{
	uint8_t *found = calloc(1, KILL_IDS);

	for (size_t i = 0; i < b->found_count; i++) {
		uint64_t id = b->found[i].id;
		assert_true(id < KILL_IDS && sh->posted[id]);
		assert_int_equal(bed_check(b, id, 0, kill_size(id), b->found[i].place), 0);
		found[id] = 1;
		/* the kernel lives on: what was answered as written is there */
		assert_false(sh->final_done[id]);
	}
	for (uint64_t id = 1; id < KILL_IDS && sh->posted[id]; id++)
		if (sh->acked[id] && !sh->final_asked[id])
			assert_true(found[id]);
	assert_int_equal(b->report.damaged_records, 0);
	free(found);
}

static void kills_at_random_moments_lose_nothing_acknowledged(void **state)
{
	struct bed *b = *state;
	struct shared *sh =
	    mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(sh != MAP_FAILED);
	sh->next_id = 1;
	bed_disk.lazy = 0;
	b->options.segment_size = 256u << 10;
	for (int i = 0; i < KILLS; i++) {
		uint64_t want = atomic_load(&sh->next_id) + 20 + rand_u64() % 700;
		pid_t pid = fork();
		int status;
		if (pid == 0)
			child(b, sh);
		assert_true(pid > 0);
		while (atomic_load(&sh->next_id) < want && waitpid(pid, &status, WNOHANG) == 0)
			usleep((useconds_t)(rand_u64() % 300));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(bed_open(b), 0);
		check_kill(b, sh);
		bed_stop(b);
	}
	munmap(sh, sizeof(*sh));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    T(whichever_call_fails_nothing_acknowledged_is_lost),
	    T(kills_at_random_moments_lose_nothing_acknowledged),
	};

	if (argc > 1) /* one of them, by name or pattern */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
