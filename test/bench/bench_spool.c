/* SPDX-License-Identifier: Apache-2.0 */
/* bench_spool - what the spool log alone does: messages per second, CPU of its thread, syncs, time to recover.
 *
 *   bench_spool [-n messages] [-s bytes] [-w waiting] [-d directory]
 *
 * One thread stands for all who post: it keeps so many COMMITs waiting and posts the next one as soon as one is
 * answered. First mail only piles up; then each message is also delivered (one STATE), so that segments are recycled; then
 * the log is opened again after a crash, and after an orderly end. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"
#include "relay/spool/spool_log_own.h"

struct slot {
	struct spool_job commit, state;
	struct spool_state st;
	int64_t posted;
	int busy; /* jobs out */
};

struct load {
	struct spool_log *log;
	struct evt_inbox *in;
	struct slot *slots;
	uint8_t *body;
	unsigned waiting;
	size_t size;
	uint64_t next, last, answered;
	int deliver;
	uint32_t *latency;
};

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_spool: %s: %s\n", what, err ? err_text(err) : strerror(errno));
	exit(1);
}

static double cpu_of(pthread_t t)
{
	struct timespec ts;
	clockid_t id;

	if (pthread_getcpuclockid(t, &id) || clock_gettime(id, &ts))
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void post_next(struct load *l, struct slot *s)
{
	if (l->next >= l->last)
		return;
	s->commit = (struct spool_job){.kind = SPOOL_COMMIT,
				       .id = ++l->next,
				       .recipients = 1,
				       .head = span_of(l->body, 300),
				       .body = span_of(l->body + 300, l->size - 300),
				       .created = clock_wall(),
				       .reply = l->in};
	s->posted = clock_mono();
	s->busy++;
	spool_log_post(l->log, &s->commit);
}

static void post_state(struct load *l, struct slot *s, uint64_t id)
{
	s->st = (struct spool_state){.outcome = SPOOL_DELIVERED, .code = 250, .attempts = 1};
	s->state = (struct spool_job){.kind = SPOOL_STATE,
				      .id = id,
				      .states = &s->st,
				      .state_count = 1,
				      .head = span_of(l->body, 120),
				      .reply = l->in};
	s->busy++;
	spool_log_post(l->log, &s->state);
}

static void answered(struct load *l, struct spool_job *j)
{
	struct slot *s = j->kind == SPOOL_COMMIT
			     ? (struct slot *)((char *)j - offsetof(struct slot, commit))
			     : (struct slot *)((char *)j - offsetof(struct slot, state));
	uint64_t id = j->id;

	if (j->result)
		die("job", j->result);
	s->busy--;
	if (j->kind == SPOOL_COMMIT) {
		l->latency[l->answered++] = (uint32_t)(clock_mono() - s->posted);
		if (l->deliver) {
			post_state(l, s, id);
			return; /* the next one when that is answered: as with a session */
		}
	}
	post_next(l, s);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void run(struct load *l, const char *what, uint64_t messages)
{
	struct spool_numbers before, after;
	double cpu, took;
	int64_t start;
	unsigned out = 0;

	l->last = l->next + messages;
	l->answered = 0;
	spool_log_numbers(l->log, &before);
	cpu = cpu_of(l->log->thread);
	start = clock_mono();
	for (unsigned i = 0; i < l->waiting; i++)
		post_next(l, &l->slots[i]);
	do {
		struct evt_msg *m = evt_inbox_wait(l->in, -1);
		while (m) {
			struct spool_job *j = (struct spool_job *)m;
			m = m->next;
			answered(l, j);
		}
		out = 0;
		for (unsigned i = 0; i < l->waiting; i++)
			out += (unsigned)l->slots[i].busy;
	} while (out);
	took = (double)(clock_mono() - start) / 1e6;
	cpu = cpu_of(l->log->thread) - cpu;
	spool_log_numbers(l->log, &after);
	qsort(l->latency, messages, sizeof(uint32_t), by_value);
	printf("%-22s %8.0f messages/s  %5.2f us CPU each in the spool thread  %6.0f syncs/s  "
	       "%5.1f per sync  answer p50 %u p99 %u max %u us  segments %llu\n",
	       what, (double)messages / took, cpu * 1e6 / (double)messages,
	       (double)(after.syncs - before.syncs) / took,
	       (double)messages / (double)(after.syncs - before.syncs), l->latency[messages / 2],
	       l->latency[messages - messages / 100 - 1], l->latency[messages - 1],
	       (unsigned long long)after.segments);
	fflush(stdout);
}

static void count(void *arg, const struct spool_found *f)
{
	(void)f;
	++*(uint64_t *)arg;
}

static struct spool_log *open_log(const char *dir, const char *what, int final_check)
{
	struct spool_options options = spool_options_default;
	struct spool_report report;
	struct rusage usage;
	uint64_t found = 0;
	int64_t start = clock_mono();
	struct spool_log *log;
	int err;

	options.no_final_check = !final_check;
	log = spool_log_open_with(dir, (struct spool_floor){0}, count, &found, &report, &err, &options);
	if (!log)
		die(dir, err);
	getrusage(RUSAGE_SELF, &usage);
	if (what)
		printf("%-22s %8.3f s  %llu live, %llu segments, %llu records read, RSS %ld MiB\n",
		       what, (double)(clock_mono() - start) / 1e6, (unsigned long long)found,
		       (unsigned long long)report.segments, (unsigned long long)report.records,
		       usage.ru_maxrss / 1024);
	fflush(stdout);
	return log;
}

static int remove_any(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

int main(int argc, char **argv)
{
	struct load l = {.waiting = 50, .size = 4096};
	char dir[4096] = "/tmp/bench-spool-XXXXXX";
	uint64_t messages = 200000, v;
	int c;

	while ((c = getopt(argc, argv, "n:s:w:d:")) != -1) {
		if (c == 'd') {
			snprintf(dir, sizeof(dir), "%s/bench-spool-XXXXXX", optarg);
			continue;
		}
		if (c == '?' || num_parse_u64(span_str(optarg), &v) < 0) {
			fprintf(stderr, "usage: bench_spool [-n messages] [-s bytes] "
					"[-w waiting] [-d directory]\n");
			return 64;
		}
		if (c == 'n')
			messages = v;
		else if (c == 's')
			l.size = v < 512 ? 512 : v;
		else
			l.waiting = (unsigned)v;
	}
	if (!mkdtemp(dir))
		die(dir, 0);
	l.slots = calloc(l.waiting, sizeof(*l.slots));
	l.body = malloc(l.size);
	l.latency = malloc(messages * sizeof(uint32_t));
	l.in = evt_inbox_new(NULL, NULL, NULL);
	if (!l.slots || !l.body || !l.latency || !l.in)
		die("memory", 0);
	memset(l.body, 0x5a, l.size);
	l.log = open_log(dir, NULL, 1);
	l.deliver = 1;
	run(&l, "accept and deliver", messages);
	run(&l, "again", messages);
	l.deliver = 0;
	run(&l, "accept", messages);
	spool_log_close(l.log);
	l.log = open_log(dir, "start, orderly", 0);
	run(&l, "accept more", messages);
	spool_log_close(l.log);
	l.log = open_log(dir, "start after a crash", 1);
	spool_log_close(l.log);
	nftw(dir, remove_any, 16, FTW_DEPTH | FTW_PHYS);
	free(l.slots);
	free(l.body);
	free(l.latency);
	evt_inbox_free(l.in);
	return 0;
}
