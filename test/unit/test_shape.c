/* SPDX-License-Identifier: Apache-2.0 */
/* Shaping as queue and workers see it: sources, lanes, permits, pauses, warm-up, what a restart remembers. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/queue/queue.h"
#include "relay/shape/shape.h"
#include "relay/shape/shape_store.h"

#define MINUTE (60 * CLOCK_SEC)
#define HOUR   (60 * MINUTE)
/* 2026-11-03 12:00 UTC: the third day of the schedules below */
#define NOON   ((INT64_C(20760) * 86400 + 43200) * CLOCK_SEC)

static const char head[] = "hostname: mail.example.test\n"
			   "listen: [{address: \"127.0.0.1:2525\"}]\n"
			   "state: .\n"
			   "outbound: {connections: 3, open: 8}\n";
static const char sources[] = "sources:\n"
			      "  - {name: a, address: 192.0.2.1, hostname: a.example.test}\n"
			      "  - {name: b, address: 192.0.2.2, address6: \"2001:db8::2\"}\n"
			      "  - {name: young, warmup: ramp}\n"
			      "  - {name: child, warmup: wait}\n"
			      "pools:\n"
			      "  - {name: ab, sources: [a=3, b]}\n"
			      "  - {name: only-a, sources: [a]}\n"
			      "  - {name: fresh, sources: [young]}\n"
			      "  - {name: slow, sources: [child]}\n"
			      "warmups:\n"
			      "  - {name: ramp, start: \"2026-11-01\", daily: [\"5\", \"10\", \"20\", all], overflow: only-a}\n"
			      "  - {name: wait, start: \"2026-11-01\", daily: [\"1\", \"2\", \"3\"]}\n"
			      "shaping: [rules.yaml]\n";
static const char rules[] =
    "rules:\n"
    "  - {name: fast, mx: [fast.example], connections: 4, start: 4, rate: 10/s, messages: 9, tls: encrypt}\n"
    "  - {name: own, domains: [own.example], connections: 1}\n"
    "  - name: all\n"
    "    mx: [\"*\"]\n"
    "    patterns:\n"
    "      - {name: later, reply: \"^451 4[.]7\", action: backoff, duration: 10m}\n"
    "      - {name: listed, reply: \"block ?list\", action: suspend, duration: 2h}\n"
    "      - {name: crowd, reply: \"too many conn\", action: fewer}\n"
    "      - {name: gone, reply: \"^4.*mailbox gone\", action: bounce}\n";

struct bed {
	char dir[64], conf_path[128], rules_path[128], keep_path[128];
	struct relay_conf *conf;
	struct shape *s;
	int64_t now;
	int changes;
	char log[4096];
};

static void write_text(const char *path, const char *one, const char *two)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(one, f);
	fputs(two, f);
	fclose(f);
	chmod(path, 0600);
}

static void hear_log(void *arg, const char *line)
{
	struct bed *b = arg;
	size_t n = strlen(b->log);

	snprintf(b->log + n, sizeof(b->log) - n, "%s\n", line);
}

static void on_change(void *arg)
{
	struct bed *b = arg;

	b->changes++;
}

static void open_shape(struct bed *b)
{
	char err[CONF_ERR_MAX];

	b->conf = relay_conf_load(b->conf_path, err);
	if (!b->conf)
		fail_msg("%s", err);
	b->s = shape_new(b->conf, err);
	if (!b->s)
		fail_msg("%s", err);
	shape_on_change(b->s, on_change, b);
}

static void close_shape(struct bed *b)
{
	shape_free(b->s);
	relay_conf_unref(b->conf);
}

static int begin(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	snprintf(b->dir, sizeof(b->dir), "/tmp/test_shape.XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->conf_path, sizeof(b->conf_path), "%s/relay.yaml", b->dir);
	snprintf(b->rules_path, sizeof(b->rules_path), "%s/rules.yaml", b->dir);
	snprintf(b->keep_path, sizeof(b->keep_path), "%s/shaping", b->dir);
	write_text(b->conf_path, head, sources);
	write_text(b->rules_path, rules, "");
	b->now = HOUR;
	clock_set(b->now, NOON);
	log_capture(hear_log, b);
	open_shape(b);
	*state = b;
	return 0;
}

static int end(void **state)
{
	struct bed *b = *state;

	close_shape(b);
	log_capture(NULL, NULL);
	clock_restore();
	unlink(b->conf_path);
	unlink(b->rules_path);
	unlink(b->keep_path);
	rmdir(b->dir);
	free(b);
	return 0;
}

static void pass(struct bed *b, int64_t usec)
{
	clock_advance(usec);
	b->now += usec;
}

static struct shape_lane *take(struct bed *b, const char *pool, const char *site, const char *domain)
{
	struct shape_lane *lane = NULL;
	struct shape_wait w;

	return shape_job_take(b->s, pool, site, domain, b->now, &lane, &w) == 0 ? lane : NULL;
}

static int refused(struct bed *b, const char *pool, const char *site, int64_t *until)
{
	struct shape_lane *lane = NULL;
	struct shape_wait w;

	assert_int_equal(shape_job_take(b->s, pool, site, "x.example", b->now, &lane, &w), ERR_BUSY);
	*until = w.until;
	return w.reason;
}

/* A message over a connection of its own, as a worker would. */
static void send_one(struct bed *b, struct shape_lane *lane)
{
	struct shape_wait w;
	int64_t until;

	assert_int_equal(shape_connection_take(b->s, lane, b->now, &until), 0);
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), 0);
	shape_good(b->s, lane, b->now);
	shape_connection_give(b->s, lane, 1, b->now);
	shape_job_give(b->s, lane);
}

static void without_sources_mail_leaves_from_the_host_itself(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane = take(b, "", "mx.example+1~0000", "x.example");
	struct shape_limits l;

	assert_non_null(lane);
	assert_string_equal(shape_lane_source(lane)->name, "");
	assert_string_equal(shape_lane_source(lane)->hostname, "mail.example.test");
	assert_int_equal(shape_lane_source(lane)->v4.ss_family, 0);
	assert_string_equal(shape_lane_site(lane), "mx.example+1~0000");
	shape_lane_limits(b->s, lane, &l);
	assert_int_equal(l.connections, 3);
	assert_int_equal(l.messages, 1000);
	assert_int_equal(l.recipients, 100);
	assert_int_equal(l.tls, RELAY_TLS_NONE);
	send_one(b, lane);
}

static void a_pool_shares_mail_by_weight(void **state)
{
	struct bed *b = *state;
	int a = 0, n = 4000;

	for (int i = 0; i < n; i++) {
		struct shape_lane *lane = take(b, "ab", "mx.example", "x.example");
		assert_non_null(lane);
		if (shape_lane_source(lane)->name[0] == 'a')
			a++;
		else
			assert_int_equal(shape_lane_source(lane)->v6.ss_family, AF_INET6);
		shape_job_give(b->s, lane);
	}
	assert_in_range(a, n * 70 / 100, n * 80 / 100);
}

static void a_source_that_rests_is_passed_over(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane;
	int64_t until;

	assert_int_equal(shape_suspend(b->s, "a", "mx.example", b->now), 0);
	for (int i = 0; i < 50; i++) {
		lane = take(b, "ab", "mx.example", "x.example");
		assert_string_equal(shape_lane_source(lane)->name, "b");
		shape_job_give(b->s, lane);
	}
	assert_int_equal(shape_suspend(b->s, "b", "", b->now), 0);
	assert_int_equal(refused(b, "ab", "mx.example", &until), QUEUE_SUSPENDED);
	assert_true(until == SHAPE_NEVER);
	/* elsewhere a still sends */
	lane = take(b, "ab", "other.example", "x.example");
	assert_string_equal(shape_lane_source(lane)->name, "a");
	shape_job_give(b->s, lane);
	assert_int_equal(shape_resume(b->s, "b", "", b->now), 0);
	assert_int_equal(b->changes, 1);
	lane = take(b, "ab", "mx.example", "x.example");
	assert_string_equal(shape_lane_source(lane)->name, "b");
	shape_job_give(b->s, lane);
	assert_int_equal(shape_suspend(b->s, "nobody", "", b->now), ERR_NOTFOUND);
}

static void jobs_and_connections_end_at_their_limits(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lanes[8];
	int64_t until;

	/* 3 connections: 3 + 1 + 1 jobs */
	for (int i = 0; i < 5; i++)
		assert_non_null(lanes[i] = take(b, "only-a", "mx.example", "x.example"));
	assert_int_equal(refused(b, "only-a", "mx.example", &until), QUEUE_CONNECTIONS);
	assert_true(until == SHAPE_NEVER);
	for (int i = 0; i < 3; i++)
		assert_int_equal(shape_connection_take(b->s, lanes[i], b->now, &until), 0);
	assert_int_equal(shape_connection_take(b->s, lanes[3], b->now, &until), ERR_BUSY);
	assert_true(until > b->now && until <= b->now + CLOCK_SEC);
	shape_connection_give(b->s, lanes[0], 1, b->now);
	assert_int_equal(shape_connection_take(b->s, lanes[3], b->now, &until), 0);
	for (int i = 1; i < 4; i++)
		shape_connection_give(b->s, lanes[i], 1, b->now);
	for (int i = 0; i < 5; i++)
		shape_job_give(b->s, lanes[i]);
	assert_non_null(lanes[0] = take(b, "only-a", "mx.example", "x.example"));
	shape_job_give(b->s, lanes[0]);
}

static void outgoing_connections_in_all_are_limited(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lanes[9];
	char site[32];
	int64_t until;

	for (int i = 0; i < 9; i++) {
		snprintf(site, sizeof(site), "mx%d.example", i);
		lanes[i] = take(b, "", site, "x.example");
		assert_int_equal(shape_connection_take(b->s, lanes[i], b->now, &until), i < 8 ? 0 : ERR_BUSY);
	}
	for (int i = 0; i < 9; i++) {
		if (i < 8)
			shape_connection_give(b->s, lanes[i], 1, b->now);
		shape_job_give(b->s, lanes[i]);
	}
}

static void a_rate_is_kept_by_jobs_and_by_messages(void **state)
{
	struct bed *b = *state;
	struct shape_lane *one = take(b, "only-a", "fast.example", "x.example"), *two;
	struct shape_wait w;
	struct shape_limits l;
	int64_t until;

	shape_lane_limits(b->s, one, &l);
	assert_int_equal(l.connections, 4);
	assert_int_equal(l.messages, 9);
	assert_int_equal(l.tls, RELAY_TLS_ENCRYPT);
	assert_int_equal(refused(b, "only-a", "fast.example", &until), QUEUE_RATE);
	assert_true(until > b->now + CLOCK_SEC / 10 && until < b->now + CLOCK_SEC / 8);
	pass(b, until - b->now);
	two = take(b, "only-a", "fast.example", "x.example");
	assert_non_null(two);
	/* the first took long to connect: both are ready at the same time, one may send */
	assert_int_equal(shape_message_take(b->s, one, b->now, &w), 0);
	assert_int_equal(shape_message_take(b->s, two, b->now, &w), ERR_BUSY);
	assert_int_equal(w.reason, QUEUE_RATE);
	assert_true(w.until > b->now);
	/* what was not sent after all is free again */
	shape_message_give(b->s, one);
	assert_int_equal(shape_message_take(b->s, two, b->now, &w), 0);
	shape_job_give(b->s, one);
	shape_job_give(b->s, two);
}

static void a_rule_by_domain_has_a_lane_of_its_own(void **state)
{
	struct bed *b = *state;
	struct shape_lane *own = take(b, "only-a", "mx.example", "own.example");
	struct shape_lane *other = take(b, "only-a", "mx.example", "x.example");
	struct shape_limits l;
	int64_t until;

	shape_lane_limits(b->s, own, &l);
	assert_int_equal(l.connections, 1);
	shape_lane_limits(b->s, other, &l);
	assert_int_equal(l.connections, 3);
	assert_int_equal(shape_connection_take(b->s, own, b->now, &until), 0);
	assert_int_equal(shape_connection_take(b->s, own, b->now, &until), ERR_BUSY);
	assert_int_equal(shape_connection_take(b->s, other, b->now, &until), 0);
	shape_connection_give(b->s, own, 1, b->now);
	shape_connection_give(b->s, other, 1, b->now);
	shape_job_give(b->s, own);
	shape_job_give(b->s, other);
	/* suspending the site suspends both */
	shape_suspend(b->s, "a", "mx.example", b->now);
	assert_null(take(b, "only-a", "mx.example", "own.example"));
	assert_null(take(b, "only-a", "mx.example", "x.example"));
}

static void a_pattern_pauses_the_lane_and_one_good_answer_opens_it(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane = take(b, "only-a", "mx.example", "x.example"), *again;
	struct shape_wait w;
	int64_t until;

	assert_int_equal(shape_heard(b->s, lane, 550, "5.1.1 who?", b->now), SHAPE_AS_SAID);
	assert_int_equal(shape_heard(b->s, lane, 450, "4.2.0 mailbox gone", b->now), SHAPE_BOUNCE);
	assert_string_equal(b->log, "");
	assert_int_equal(shape_heard(b->s, lane, 451, "4.7.1 later", b->now), SHAPE_CLOSE);
	assert_int_equal(shape_heard(b->s, lane, 451, "4.7.1 later", b->now), SHAPE_CLOSE);
	assert_non_null(strstr(b->log, "event=shaping-backoff source=a site=mx.example rule=all pattern=later code=451 "
				       "for=10m\n"));
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), ERR_BUSY);
	assert_int_equal(w.reason, QUEUE_BACKOFF);
	assert_int_equal(refused(b, "only-a", "mx.example", &until), QUEUE_BACKOFF);
	assert_true(until == b->now + 10 * MINUTE);
	shape_job_give(b->s, lane);
	pass(b, 10 * MINUTE);
	lane = take(b, "only-a", "mx.example", "x.example");
	again = take(b, "only-a", "mx.example", "x.example");
	assert_non_null(lane);
	assert_non_null(again);
	assert_null(take(b, "only-a", "mx.example", "x.example"));
	assert_int_equal(shape_connection_take(b->s, lane, b->now, &until), 0);
	assert_int_equal(shape_connection_take(b->s, again, b->now, &until), ERR_BUSY);
	shape_connection_give(b->s, lane, 1, b->now);
	b->changes = 0;
	send_one(b, lane);
	assert_int_equal(b->changes, 1);
	assert_non_null(strstr(b->log, "event=shaping-resumed source=a site=mx.example"));
	shape_job_give(b->s, again);
}

static void more_than_a_warm_up_day_allows_goes_to_the_overflow_pool(void **state)
{
	struct bed *b = *state;
	int young = 0, a = 0;

	for (int i = 0; i < 30; i++) {
		struct shape_lane *lane = take(b, "fresh", "mx.example", "x.example");
		assert_non_null(lane);
		if (!strcmp(shape_lane_source(lane)->name, "young"))
			young++;
		else
			a++;
		send_one(b, lane);
	}
	assert_int_equal(young, 20);
	assert_int_equal(a, 10);
	/* another site has a number of its own */
	{
		struct shape_lane *lane = take(b, "fresh", "other.example", "x.example");
		assert_string_equal(shape_lane_source(lane)->name, "young");
		shape_job_give(b->s, lane);
	}
	/* on the fourth day the schedule is over */
	pass(b, 12 * HOUR);
	for (int i = 0; i < 40; i++) {
		struct shape_lane *lane = take(b, "fresh", "mx.example", "x.example");
		assert_string_equal(shape_lane_source(lane)->name, "young");
		send_one(b, lane);
	}
}

static void a_full_overflow_pool_is_waited_for_not_the_next_day(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lanes[5];
	int64_t until;

	for (int i = 0; i < 20; i++)
		send_one(b, take(b, "fresh", "mx.example", "x.example"));
	for (int i = 0; i < 5; i++) {
		lanes[i] = take(b, "fresh", "mx.example", "x.example");
		assert_string_equal(shape_lane_source(lanes[i])->name, "a");
	}
	/* a job place of a is free at any time */
	assert_int_equal(refused(b, "fresh", "mx.example", &until), QUEUE_CONNECTIONS);
	for (int i = 0; i < 5; i++)
		shape_job_give(b->s, lanes[i]);
}

static void without_an_overflow_pool_the_rest_waits_for_the_next_day(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane = NULL;
	struct shape_wait w;
	int64_t until;

	for (int i = 0; i < 3; i++)
		assert_non_null(lane = take(b, "slow", "mx.example", "x.example"));
	/* three jobs are out: no fourth, though nothing was sent yet */
	assert_int_equal(refused(b, "slow", "mx.example", &until), QUEUE_WARMUP);
	assert_true(until <= b->now + CLOCK_SEC); /* one of them may come back unsent */
	for (int i = 0; i < 3; i++)
		send_one(b, lane);
	assert_int_equal(refused(b, "slow", "mx.example", &until), QUEUE_WARMUP);
	assert_true(until == b->now + 12 * HOUR);
	pass(b, 12 * HOUR);
	lane = take(b, "slow", "mx.example", "x.example");
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), 0);
	shape_message_give(b->s, lane);
	shape_job_give(b->s, lane);
}

static void a_reload_gives_new_limits_and_keeps_what_is_open(void **state)
{
	struct bed *b = *state;
	struct shape_lane *old = take(b, "only-a", "fast.example", "x.example"), *new;
	struct relay_conf *conf;
	struct shape_limits l;
	char err[CONF_ERR_MAX];
	int64_t until;

	assert_int_equal(shape_connection_take(b->s, old, b->now, &until), 0);
	write_text(b->rules_path, "rules:\n  - {name: fast, mx: [fast.example], connections: 1}\n", "");
	conf = relay_conf_load(b->conf_path, err);
	assert_int_equal(shape_reload(b->s, conf, err), 0);
	assert_int_equal(b->changes, 1);
	new = take(b, "only-a", "fast.example", "x.example");
	shape_lane_limits(b->s, new, &l);
	assert_int_equal(l.connections, 1);
	shape_lane_limits(b->s, old, &l);
	assert_int_equal(l.messages, 9);
	assert_int_equal(shape_connection_take(b->s, new, b->now, &until), ERR_BUSY);
	shape_connection_give(b->s, old, 1, b->now);
	assert_int_equal(shape_connection_take(b->s, new, b->now, &until), 0);
	shape_connection_give(b->s, new, 1, b->now);
	shape_job_give(b->s, old);
	shape_job_give(b->s, new);
	write_text(b->rules_path, "rules: [{name: fast}]\n", "");
	assert_int_equal(shape_reload(b->s, conf, err), ERR_CONFIG);
	assert_non_null(strstr(err, "rules.yaml:1: rules[0]: needs domains or mx"));
	relay_conf_unref(conf);
}

static void the_list_is_in_order_of_names_page_by_page(void **state)
{
	struct bed *b = *state;
	struct shape_seen page[7], *last = NULL;
	char names[64][SHAPE_SITE], site[32];
	size_t n, total = 0;

	for (int i = 0; i < 40; i++) {
		snprintf(site, sizeof(site), "mx%d.example", i);
		shape_job_give(b->s, take(b, i % 2 ? "only-a" : "", site, "x.example"));
	}
	shape_suspend(b->s, "b", "", b->now);
	do {
		struct shape_list_from from = {0};
		if (last)
			from = (struct shape_list_from){names[60], names[61], names[62], NULL};
		n = shape_list(b->s, &from, b->now, page, 7);
		for (size_t i = 0; i < n; i++, total++) {
			if (total)
				assert_true(strcmp(names[60], page[i].source) < 0 ||
					    strcmp(names[61], page[i].site) < 0 ||
					    strcmp(names[62], page[i].rule) < 0);
			last = &page[i];
			strcpy(names[60], last->source);
			strcpy(names[61], last->site);
			strcpy(names[62], last->rule);
		}
	} while (n == 7);
	assert_int_equal(total, 41);
	assert_string_equal(names[60], "b");
	assert_string_equal(names[61], "");
	assert_true(last->until == SHAPE_NEVER);
	n = shape_list(b->s, &(struct shape_list_from){.only_site = "mx7.example"}, b->now, page, 7);
	assert_int_equal(n, 1);
	assert_string_equal(page[0].source, "a");
	assert_string_equal(page[0].rule, "all");
	assert_int_equal(page[0].limit_max, 3);
}

/* --- what a restart remembers */

struct wait_durable {
	struct shape_durable d;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done, err;
};

static void is_durable(struct shape_durable *d, int err)
{
	struct wait_durable *w = (struct wait_durable *)d;

	pthread_mutex_lock(&w->lock);
	w->done = 1;
	w->err = err;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static int make_durable(struct bed *b)
{
	struct wait_durable w = {.d = {NULL, is_durable}};

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.cond, NULL);
	shape_durable(b->s, &w.d);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	return w.err;
}

static void keep(struct bed *b)
{
	char err[CONF_ERR_MAX];

	if (shape_keep(b->s, b->keep_path, err) < 0)
		fail_msg("%s", err);
}

static void a_restart_remembers_suspensions_pauses_and_warm_up(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane;
	struct shape_wait w;
	int64_t until;

	keep(b);
	/* nothing goes before the file says that it may */
	assert_int_equal(refused(b, "slow", "mx.example", &until), QUEUE_WARMUP);
	assert_true(until <= b->now + CLOCK_SEC);
	assert_int_equal(make_durable(b), 0);
	lane = take(b, "slow", "mx.example", "x.example");
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), 0);
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), 0);
	shape_job_give(b->s, lane);
	lane = take(b, "only-a", "mx.example", "x.example");
	assert_int_equal(shape_heard(b->s, lane, 550, "5.7.1 you are on our blocklist", b->now), SHAPE_CLOSE);
	shape_job_give(b->s, lane);
	shape_suspend(b->s, "b", "", b->now);
	shape_suspend(b->s, "", "held.example", b->now);
	close_shape(b);
	pass(b, HOUR);
	open_shape(b);
	keep(b);
	assert_int_equal(refused(b, "only-a", "mx.example", &until), QUEUE_SUSPENDED);
	assert_true(until == b->now + HOUR);
	assert_int_equal(refused(b, "", "held.example", &until), QUEUE_SUSPENDED);
	assert_true(until == SHAPE_NEVER);
	assert_int_equal(make_durable(b), 0);
	lane = take(b, "ab", "other.example", "x.example");
	assert_string_equal(shape_lane_source(lane)->name, "a");
	shape_job_give(b->s, lane);
	/* two of three went */
	lane = take(b, "slow", "mx.example", "x.example");
	assert_non_null(lane);
	assert_null(take(b, "slow", "mx.example", "x.example"));
	shape_job_give(b->s, lane);
}

static void after_a_crash_a_warm_up_day_is_never_larger_than_it_is(void **state)
{
	struct bed *b = *state;
	struct shape_lane *lane;
	struct shape_wait w;
	char text[4096];
	FILE *f;
	size_t n;

	keep(b);
	assert_null(take(b, "slow", "mx.example", "x.example"));
	assert_int_equal(make_durable(b), 0);
	lane = take(b, "slow", "mx.example", "x.example");
	assert_int_equal(shape_message_take(b->s, lane, b->now, &w), 0);
	/* what a crash would leave: the file as it is now, not as a stop writes it */
	f = fopen(b->keep_path, "r");
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	shape_job_give(b->s, lane);
	close_shape(b);
	write_text(b->keep_path, text, "");
	open_shape(b);
	keep(b);
	assert_non_null(strstr(text, "warm child mx.example 20760 3\n"));
	assert_null(take(b, "slow", "mx.example", "x.example"));
}

static void a_damaged_file_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		int line;
	} rows[] = {{"", 1},
		    {"sealpost-shaping 2\nend 1\n", 1},
		    {"sealpost-shaping 1\n", 2},
		    {"sealpost-shaping 1\nend 2\n", 2},
		    {"sealpost-shaping 1\nend 1\nx\n", 2},
		    {"sealpost-shaping 1\nsource a b\nend 2\n", 2},
		    {"sealpost-shaping 1\nsource a\nsite a -\nend 3\n", 3},
		    {"sealpost-shaping 1\nrest a b - later 5 p\nend 2\n", 2},
		    {"sealpost-shaping 1\nwarm a b 20760 99999999999\nend 2\n", 2},
		    {"sealpost-shaping 1\nwarm a b 20760 5\nend 2", 3}};
	struct bed *b = *state;
	char err[CONF_ERR_MAX], want[160];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_text(b->keep_path, rows[i].text, "");
		assert_int_equal(shape_keep(b->s, b->keep_path, err), ERR_CONFIG);
		snprintf(want, sizeof(want), "%s:%d: malformed", b->keep_path, rows[i].line);
		assert_string_equal(err, want);
	}
}

/* --- many threads */

#define THREADS 4
#define ROUNDS	4000

struct crowd {
	struct bed *bed;
	atomic_int open, most, sent;
};

static void *hammer(void *arg)
{
	struct crowd *k = arg;
	struct shape *s = k->bed->s;

	for (int i = 0; i < ROUNDS; i++) {
		struct shape_lane *lane;
		struct shape_wait w;
		int64_t until, now = clock_mono();
		int open;
		if (shape_job_take(s, "ab", "mx.example", i % 3 ? "x.example" : "own.example", now, &lane, &w) < 0)
			continue;
		if (shape_connection_take(s, lane, now, &until) == 0) {
			open = atomic_fetch_add(&k->open, 1) + 1;
			while (open > atomic_load(&k->most))
				atomic_store(&k->most, open);
			if (shape_message_take(s, lane, now, &w) == 0) {
				atomic_fetch_add(&k->sent, 1);
				if (i % 97)
					shape_good(s, lane, now);
				else
					shape_heard(s, lane, 421, "too many connections", now);
			}
			atomic_fetch_sub(&k->open, 1);
			shape_connection_give(s, lane, 1, now);
		}
		shape_job_give(s, lane);
		if (i % 500 == 0) {
			struct shape_seen seen[3];
			shape_list(s, &(struct shape_list_from){0}, now, seen, 3);
			shape_suspend(s, "b", "", now);
			shape_resume(s, "b", "", now);
		}
	}
	return NULL;
}

static void ignore_change(void *arg)
{
	(void)arg;
}

static void many_threads_never_exceed_the_limits(void **state)
{
	struct bed *b = *state;
	struct crowd k = {.bed = b};
	pthread_t threads[THREADS];
	struct shape_seen seen[16];
	size_t n;

	shape_on_change(b->s, ignore_change, NULL);
	log_capture(NULL, NULL);
	keep(b);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &k), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_in_range(atomic_load(&k.most), 1, 8);
	assert_true(atomic_load(&k.sent) > ROUNDS / 2);
	n = shape_list(b->s, &(struct shape_list_from){0}, b->now, seen, 16);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(seen[i].jobs, 0);
		assert_int_equal(seen[i].connections, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	    T(without_sources_mail_leaves_from_the_host_itself),
	    T(a_pool_shares_mail_by_weight),
	    T(a_source_that_rests_is_passed_over),
	    T(jobs_and_connections_end_at_their_limits),
	    T(outgoing_connections_in_all_are_limited),
	    T(a_rate_is_kept_by_jobs_and_by_messages),
	    T(a_rule_by_domain_has_a_lane_of_its_own),
	    T(a_pattern_pauses_the_lane_and_one_good_answer_opens_it),
	    T(more_than_a_warm_up_day_allows_goes_to_the_overflow_pool),
	    T(a_full_overflow_pool_is_waited_for_not_the_next_day),
	    T(without_an_overflow_pool_the_rest_waits_for_the_next_day),
	    T(a_reload_gives_new_limits_and_keeps_what_is_open),
	    T(the_list_is_in_order_of_names_page_by_page),
	    T(a_restart_remembers_suspensions_pauses_and_warm_up),
	    T(after_a_crash_a_warm_up_day_is_never_larger_than_it_is),
	    T(a_damaged_file_is_named_with_its_line),
	    T(many_threads_never_exceed_the_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
