/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions counted for TLS reports, days that end, and which reports become due; what is sent is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/tlsrpt/tlsrpt_own.h"

#define NOON (INT64_C(20000) * TLSRPT_DAY + TLSRPT_DAY / 2)
#define MINUTE (60 * CLOCK_SEC)

static char dir[64], log_text[16384], from[] = "tls@here.example", host[] = "relay.here.example";
static struct relay relay;
static struct relay_conf conf;
static const char *why;
static struct {
	unsigned count;
	char domain[256], name[TLSRPT_REPORT_ID];
	int64_t day, part, end;
} started;
static unsigned running; /* jobs that are said to run: all */

/* --- the job's part, played */

int tlsrpt_job_runs(const struct tlsrpt *t, int64_t report)
{
	(void)t;
	(void)report;
	return (int)running;
}

void tlsrpt_job_start(struct tlsrpt *t, const struct store_tlsrpt_report *r)
{
	(void)t;
	started.count++;
	snprintf(started.domain, sizeof(started.domain), "%s", r->domain);
	snprintf(started.name, sizeof(started.name), "%s", r->name);
	started.day = r->day;
	started.part = r->part;
	started.end = r->end;
}

void tlsrpt_job_end(struct tlsrpt_job *j)
{
	(void)j;
}

/* --- the world */

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void open_all(void)
{
	char text[STORE_ERR_MAX];
	int err;

	memset(&relay, 0, sizeof(relay));
	atomic_store(&relay.conf, &conf);
	relay.loop = evt_loop_new();
	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
	assert_int_equal(tlsrpt_part.open(&relay, &why), 0);
}

static void close_all(void)
{
	tlsrpt_part.close(&relay);
	store_close(relay.store);
	evt_loop_free(relay.loop);
}

static int set_up(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, NOON);
	memset(&started, 0, sizeof(started));
	memset(&conf, 0, sizeof(conf));
	conf.hostname = host;
	conf.tlsrpt.send = 1;
	conf.tlsrpt.from = from;
	running = 0;
	snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	log_text[0] = '\0';
	log_capture(capture, NULL);
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	close_all();
	log_capture(NULL, NULL);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	clock_restore();
	return rmdir(dir);
}

static void pass(int64_t usec)
{
	clock_advance(usec);
	for (int i = 0; i < 3; i++) {
		evt_loop_turn(relay.loop, 0);
		clock_advance(CLOCK_SEC);
	}
}

static void note(const char *domain, enum tlsrpt_result result, const char *ip)
{
	const struct tlsrpt_session s = {.domain = domain,
					 .kind = TLSRPT_KIND_DANE,
					 .policy = SPAN_LIT("3 1 1 ab\n"),
					 .result = result,
					 .mx = "mx.there.example",
					 .ip = ip,
					 .from = "192.0.2.9",
					 .reason = "why"};

	tlsrpt_note(&relay, &s);
}

struct seen {
	unsigned rows;
	int64_t good, failed;
	struct store_tlsrpt_count last;
	char last_ip[64];
};

static int see(void *arg, const struct store_tlsrpt_count *c)
{
	struct seen *s = arg;

	s->rows++;
	*(c->result ? &s->failed : &s->good) += c->sessions;
	snprintf(s->last_ip, sizeof(s->last_ip), "%s", c->ip);
	return 0;
}

static struct seen counts(int64_t day, const char *domain)
{
	struct seen s = {.rows = 0};

	assert_int_equal(tlsrpt_flush(&relay), 0);
	assert_int_equal(store_tlsrpt_counts(relay.store, day, domain, see, &s), 0);
	return s;
}

/* --- tests */

static void the_same_is_counted_together_and_successes_keep_no_host(void **state)
{
	struct seen s;

	(void)state;
	note("a.example", TLSRPT_OK, "192.0.2.1");
	note("a.example", TLSRPT_OK, "192.0.2.2");
	note("a.example", TLSRPT_TLSA_INVALID, "192.0.2.1");
	assert_int_equal(counts(20000, "a.example").rows, 2);
	note("a.example", TLSRPT_TLSA_INVALID, "192.0.2.1"); /* into what is in the store */
	note("a.example", TLSRPT_TLSA_INVALID, "192.0.2.2");
	note("b.example", TLSRPT_OK, "192.0.2.2");
	s = counts(20000, "a.example");
	assert_int_equal(s.rows, 3);
	assert_int_equal(s.good, 2);
	assert_int_equal(s.failed, 3);
	assert_int_equal(counts(20001, "a.example").rows, 0);
}

static void the_session_that_carries_a_report_is_in_none(void **state)
{
	(void)state;
	tlsrpt_spare(relay.tlsrpt, "a.example");
	note("a.example", TLSRPT_OK, "");
	note("b.example", TLSRPT_OK, "");
	clock_advance(TLSRPT_SPARE);
	note("a.example", TLSRPT_VALIDATION_FAILURE, "");
	assert_int_equal(counts(20000, "a.example").good, 0);
	assert_int_equal(counts(20000, "a.example").failed, 1);
	assert_int_equal(counts(20000, "b.example").good, 1);
}

static void counts_survive_a_restart(void **state)
{
	(void)state;
	note("a.example", TLSRPT_OK, "");
	close_all(); /* what was noted last is written then */
	open_all();
	assert_int_equal(counts(20000, "a.example").good, 1);
}

static void counts_are_written_each_minute(void **state)
{
	struct seen s = {.rows = 0};

	(void)state;
	note("a.example", TLSRPT_OK, "");
	pass(MINUTE);
	assert_int_equal(store_tlsrpt_counts(relay.store, 20000, "a.example", see, &s), 0);
	assert_int_equal(s.good, 1);
}

enum { THREADS = 4, NOTES = 5000 };

static void *note_many(void *arg)
{
	char ip[64];

	for (int i = 0; i < NOTES; i++) {
		snprintf(ip, sizeof(ip), "10.%d.0.%d", *(int *)arg, i % 7);
		note("a.example", i % 2 ? TLSRPT_CERTIFICATE_EXPIRED : TLSRPT_OK, ip);
	}
	return NULL;
}

static void workers_note_while_control_writes(void **state)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	struct seen s;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, note_many, &numbers[i]), 0);
	}
	for (int i = 0; i < 20; i++)
		assert_int_equal(tlsrpt_flush(&relay), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	s = counts(20000, "a.example");
	assert_int_equal(s.good, THREADS * NOTES / 2);
	assert_int_equal(s.failed, THREADS * NOTES / 2);
	assert_int_equal(s.rows, 1 + THREADS * 7);
}

static void a_receiver_with_very_many_failures_has_a_report_of_bounded_length(void **state)
{
	struct seen s;
	char ip[64];

	(void)state;
	for (int i = 0; i < 3 * STORE_TLSRPT_DETAILS; i++) {
		snprintf(ip, sizeof(ip), "10.0.%d.%d", i / 250, i % 250);
		note("a.example", TLSRPT_CERTIFICATE_EXPIRED, ip);
	}
	s = counts(20000, "a.example");
	assert_int_equal(s.failed, 3 * STORE_TLSRPT_DETAILS); /* none is lost */
	assert_int_equal(s.rows, STORE_TLSRPT_DETAILS + 1);
}

static void policies_without_end_are_counted_without_their_texts(void **state)
{
	char text[32];

	(void)state;
	for (int i = 0; i < 2 * STORE_TLSRPT_POLICIES; i++) {
		struct tlsrpt_session s = {.domain = "a.example", .kind = TLSRPT_KIND_STS, .policy = span_str(text)};
		snprintf(text, sizeof(text), "version: %d\n", i);
		tlsrpt_note(&relay, &s);
	}
	assert_int_equal(counts(20000, "a.example").rows, STORE_TLSRPT_POLICIES + 1);
	assert_int_equal(counts(20000, "a.example").good, 2 * STORE_TLSRPT_POLICIES);
}

static void a_day_that_is_over_is_reported_once_and_within_the_delay(void **state)
{
	(void)state;
	conf.tlsrpt.delay = 60 * MINUTE;
	note("a.example", TLSRPT_OK, "");
	pass(TLSRPT_DAY / 2 - MINUTE);
	assert_int_equal(started.count, 0);
	note("a.example", TLSRPT_OK, "");
	pass(2 * MINUTE);
	pass(61 * MINUTE);
	assert_true(started.count > 0);
	assert_string_equal(started.domain, "a.example");
	assert_int_equal(started.day, 20000);
	assert_int_equal(started.part, 0);
	assert_int_equal(started.end, 20001 * TLSRPT_DAY);
	assert_int_equal(counts(20000, "a.example").good, 2);
	assert_non_null(strstr(log_text, "event=tlsrpt-day reports=1 sent=yes"));
}

static void a_restart_neither_doubles_nor_loses_a_report(void **state)
{
	char name[TLSRPT_REPORT_ID];

	(void)state;
	note("a.example", TLSRPT_OK, "");
	close_all();
	clock_advance(TLSRPT_DAY); /* it was away at midnight */
	open_all();
	pass(CLOCK_SEC);
	assert_string_equal(started.domain, "a.example");
	memcpy(name, started.name, sizeof(name));
	close_all(); /* before anything was sent */
	memset(&started, 0, sizeof(started));
	open_all();
	pass(CLOCK_SEC);
	assert_string_equal(started.name, name); /* the same report */
}

static void without_a_sender_nothing_is_sent_and_what_is_old_is_not_made_up_for_later(void **state)
{
	(void)state;
	conf.tlsrpt.from = NULL;
	note("a.example", TLSRPT_OK, "");
	pass(TLSRPT_DAY);
	assert_non_null(strstr(log_text, "event=tlsrpt-day reports=1 sent=no"));
	assert_int_equal(tlsrpt_send(&relay, 20000, "a.example"), ERR_CONFIG);
	conf.tlsrpt.from = from;
	pass(MINUTE);
	assert_int_equal(started.count, 0);
	assert_int_equal(tlsrpt_send(&relay, 20000, "a.example"), 0); /* but by order */
	pass(CLOCK_SEC);
	assert_true(started.count > 0);
	assert_int_equal(started.part, 0);
}

static void a_report_of_today_is_one_more(void **state)
{
	(void)state;
	note("a.example", TLSRPT_OK, "");
	assert_int_equal(tlsrpt_send(&relay, 20000, "b.example"), ERR_NOTFOUND);
	assert_int_equal(tlsrpt_send(&relay, 20000, "a.example"), 0);
	pass(CLOCK_SEC);
	assert_true(started.part > 0 && started.end < 20001 * TLSRPT_DAY);
	memset(&started, 0, sizeof(started));
	pass(TLSRPT_DAY);
	assert_true(started.count > 0);
}

static void one_that_is_under_way_is_not_ordered_again(void **state)
{
	(void)state;
	note("a.example", TLSRPT_OK, "");
	pass(TLSRPT_DAY);
	running = 1;
	assert_int_equal(tlsrpt_send(&relay, 20000, "a.example"), ERR_BUSY);
}

static void days_are_forgotten(void **state)
{
	(void)state;
	note("a.example", TLSRPT_OK, "");
	pass(TLSRPT_KEEP * TLSRPT_DAY - TLSRPT_DAY / 2);
	assert_int_equal(counts(20000, "a.example").good, 1);
	pass(TLSRPT_DAY);
	assert_int_equal(counts(20000, "a.example").good, 0);
}

static void a_preview_says_whose_it_is(void **state)
{
	json_t *report;

	(void)state;
	note("a.example", TLSRPT_OK, "");
	assert_int_equal(tlsrpt_flush(&relay), 0);
	assert_int_equal(tlsrpt_make(&relay, 20000, "b.example", NULL, &report), ERR_NOTFOUND);
	assert_int_equal(tlsrpt_make(&relay, 20000, "a.example", NULL, &report), 0);
	assert_string_equal(json_string_value(json_object_get(report, "organization-name")), "here.example");
	assert_string_equal(json_string_value(json_object_get(report, "contact-info")), from);
	json_decref(report);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    ROW(the_same_is_counted_together_and_successes_keep_no_host),
	    ROW(the_session_that_carries_a_report_is_in_none),
	    ROW(counts_survive_a_restart),
	    ROW(counts_are_written_each_minute),
	    ROW(workers_note_while_control_writes),
	    ROW(a_receiver_with_very_many_failures_has_a_report_of_bounded_length),
	    ROW(policies_without_end_are_counted_without_their_texts),
	    ROW(a_day_that_is_over_is_reported_once_and_within_the_delay),
	    ROW(a_restart_neither_doubles_nor_loses_a_report),
	    ROW(without_a_sender_nothing_is_sent_and_what_is_old_is_not_made_up_for_later),
	    ROW(a_report_of_today_is_one_more),
	    ROW(one_that_is_under_way_is_not_ordered_again),
	    ROW(days_are_forgotten),
	    ROW(a_preview_says_whose_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
