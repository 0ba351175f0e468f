/* SPDX-License-Identifier: Apache-2.0 */
/* MTA-STS policies: looked up, shared, kept, refreshed. DNS and web servers say what the test
 * wrote down; time is the fake clock; the store is real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/https/https_ask.h"
#include "relay/sts/sts.h"
#include "relay/store/store.h"

#define MINUTE	(60 * CLOCK_SEC)
#define HOUR	(60 * MINUTE)
#define DAY	(24 * HOUR)
#define WORKERS 2

static char log_text[65536];

/* --- the world outside */

static struct {
	int result;
	uint32_t ttl;
	const char *texts[3];
	unsigned asked;
	char name[300];
	int hold; /* never answers */
	out_dns_fn fn;
	void *arg;
} dns;
static struct {
	int err;
	enum https_fail fail;
	long status;
	const char *type, *text;
	int hold; /* do not answer yet */
	struct https_job *held;
	unsigned asked, open;
	char host[HTTPS_URL_HOST], path[HTTPS_URL_PATH];
} web;

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	static struct out_dnsmsg m;

	(void)d;
	assert_int_equal(type, OUT_DNSMSG_TXT);
	dns.asked++;
	snprintf(dns.name, sizeof(dns.name), "%s", name);
	memset(&m, 0, sizeof(m));
	m.ttl = dns.ttl;
	for (; m.count < 3 && dns.texts[m.count]; m.count++) {
		m.txt[m.count].len = (uint16_t)strlen(dns.texts[m.count]);
		strcpy(m.txt[m.count].text, dns.texts[m.count]);
	}
	dns.fn = fn;
	dns.arg = arg;
	if (!dns.hold)
		fn(arg, dns.result, &m, 0);
	return NULL;
}

struct https_job *https_job_new(struct https_fetch *f)
{
	struct https_job *job = calloc(1, sizeof(*job));

	job->fetch = f;
	buf_init(&job->answer, HTTPS_FETCH_ANSWER);
	web.open++;
	return job;
}

void https_job_free(struct https_job *job)
{
	buf_clear(&job->answer);
	free(job);
	web.open--;
}

const char *https_fail_text(enum https_fail f)
{
	return f == HTTPS_NAME ? "wrong name" : "failed";
}

int https_fail_certificate(enum https_fail f)
{
	return f == HTTPS_NAME;
}

static void web_answer(struct https_job *job)
{
	job->err = web.err;
	job->fail = web.fail;
	job->status = web.err ? 0 : web.status;
	snprintf(job->answer_type, sizeof(job->answer_type), "%s", web.type);
	buf_put_str(&job->answer, web.text);
	evt_inbox_post(job->reply, &job->msg.msg);
}

void https_ask(struct relay_worker *w, struct out_dns *d, struct https_job *job)
{
	(void)d;
	job->reply = w->inbox;
	web.asked++;
	snprintf(web.host, sizeof(web.host), "%s", job->url.host);
	snprintf(web.path, sizeof(web.path), "%s", job->url.path);
	if (web.hold)
		web.held = job;
	else
		web_answer(job);
}

/* --- relay */

static struct relay relay;
static struct relay_conf conf;
static struct relay_worker workers[WORKERS];
static char dir[64];

static void run_batch(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

static void note(void *arg, const char *line)
{
	(void)arg;
	strncat(log_text, line, sizeof(log_text) - strlen(log_text) - 2);
	strcat(log_text, "\n");
}

static void turns(void)
{
	for (int i = 0; i < 4; i++) {
		for (int n = 0; n < WORKERS; n++)
			evt_loop_turn(workers[n].loop, 0);
		evt_loop_turn(relay.loop, 0);
	}
}

static void pass(int64_t usec)
{
	clock_advance(usec);
	turns();
}

static void begin(void)
{
	const char *why;
	char text[STORE_ERR_MAX];
	int err;

	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
	assert_int_equal(sts_part.open(&relay, &why), 0);
}

static void end(void)
{
	sts_part.close(&relay);
	store_close(relay.store);
}

#define POLICY(mode, mx) "version: STSv1\nmode: " mode "\nmx: " mx "\nmax_age: 604800\n"

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_sts.XXXXXX");
	assert_non_null(mkdtemp(dir));
	clock_set(1000 * CLOCK_SEC, INT64_C(1795000000) * CLOCK_SEC);
	log_text[0] = '\0';
	log_capture(note, NULL);
	memset(&dns, 0, sizeof(dns));
	memset(&web, 0, sizeof(web));
	dns.ttl = 300;
	dns.texts[0] = "v=STSv1; id=1;";
	web.status = 200;
	web.type = "text/plain";
	web.text = POLICY("enforce", "mx.there.test");
	conf.outbound.mta_sts = 1;
	atomic_store(&relay.conf, &conf);
	relay.loop = evt_loop_new();
	for (int i = 0; i < WORKERS; i++) {
		workers[i].relay = &relay;
		workers[i].loop = evt_loop_new();
		workers[i].inbox = evt_inbox_new(workers[i].loop, run_batch, &workers[i]);
	}
	begin();
	return 0;
}

static int teardown(void **state)
{
	char path[100];

	(void)state;
	end();
	for (int i = 0; i < WORKERS; i++) {
		evt_inbox_free(workers[i].inbox);
		evt_loop_free(workers[i].loop);
	}
	evt_loop_free(relay.loop);
	log_capture(NULL, NULL);
	clock_restore();
	snprintf(path, sizeof(path), "%s/relay.db", dir);
	unlink(path);
	rmdir(dir);
	assert_int_equal(web.open, 0);
	return 0;
}

/* --- asking */

struct heard {
	int calls, result;
	struct sts_policy *policy;
	enum tlsrpt_result failure;
};

static void hear(void *arg, int result, struct sts_policy *p, enum tlsrpt_result failure)
{
	struct heard *h = arg;

	h->calls++;
	h->result = result;
	sts_policy_unref(h->policy);
	h->policy = p;
	h->failure = failure;
}

static void done(struct heard *h)
{
	sts_policy_unref(h->policy);
	memset(h, 0, sizeof(*h));
}

/* What a question gives, and whether its policy names host. */
static void expect(const char *domain, int result, const char *host, enum tlsrpt_result failure)
{
	struct heard h = {0};

	sts_find(&workers[0], NULL, domain, hear, &h);
	turns();
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.result, result);
	assert_int_equal(h.failure, failure);
	assert_true(!h.policy == !host);
	if (host)
		assert_true(sts_policy_match(h.policy, host));
	done(&h);
}

static void expect_asked(unsigned of_dns, unsigned of_web)
{
	assert_int_equal(dns.asked, of_dns);
	assert_int_equal(web.asked, of_web);
}

static void expect_log(const char *text)
{
	if (!strstr(log_text, text))
		fail_msg("no \"%s\" in:\n%s", text, log_text);
	log_text[0] = '\0';
}

/* --- looking up */

static void a_domain_without_record_has_none(void **state)
{
	(void)state;
	dns.texts[0] = NULL;
	dns.result = ERR_NOTFOUND;
	expect("there.test", 0, NULL, TLSRPT_OK);
	assert_string_equal(dns.name, "_mta-sts.there.test");
	expect("There.Test.", 0, NULL, TLSRPT_OK); /* known */
	expect_asked(1, 0);
	pass(2 * MINUTE);
	dns.result = 0;
	dns.texts[0] = "v=spf1 -all";
	expect("there.test", 0, NULL, TLSRPT_OK);
	expect_asked(2, 0);
	assert_string_equal(log_text, "");
}

static void what_can_have_no_policy_is_not_asked_for(void **state)
{
	char name[260];

	(void)state;
	snprintf(name, sizeof(name), "%0248d.test", 0);
	expect("[192.0.2.1]", 0, NULL, TLSRPT_OK);
	expect("192.0.2.1", 0, NULL, TLSRPT_OK);
	expect("localhost", 0, NULL, TLSRPT_OK);
	expect("", 0, NULL, TLSRPT_OK);
	expect(name, 0, NULL, TLSRPT_OK);
	expect_asked(0, 0);
}

static void a_policy_is_fetched_and_kept(void **state)
{
	struct sts_numbers n;

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	assert_string_equal(web.host, "mta-sts.there.test");
	assert_string_equal(web.path, "/.well-known/mta-sts.txt");
	expect_log("event=sts-fetched domain=there.test mode=enforce mx=1 max_age=604800 id=1 "
		   "changed=yes");
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(1, 1);
	pass(301 * CLOCK_SEC); /* the record's time is over: it is asked for, and is the same */
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(2, 1);
	sts_count(relay.sts, &n);
	assert_int_equal(n.policies, 1);
	assert_int_equal(n.enforce, 1);
	assert_int_equal(n.testing + n.failing, 0);
}

static void those_who_ask_meanwhile_share_the_fetch(void **state)
{
	struct heard h[4] = {0};

	(void)state;
	web.hold = 1;
	for (int i = 0; i < 4; i++)
		assert_non_null(sts_find(&workers[i % WORKERS], NULL, "there.test", hear, &h[i]));
	turns();
	for (int i = 0; i < 4; i++)
		assert_int_equal(h[i].calls, 0);
	web_answer(web.held);
	turns();
	for (int i = 0; i < 4; i++) {
		assert_int_equal(h[i].calls, 1);
		assert_non_null(h[i].policy);
		done(&h[i]);
	}
	expect_asked(1, 1);
}

static void another_id_brings_the_new_policy(void **state)
{
	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	pass(301 * CLOCK_SEC);
	dns.texts[0] = "v=STSv1; id=2;";
	web.text = POLICY("testing", "new.there.test");
	expect("there.test", 0, "new.there.test", TLSRPT_OK);
	expect_asked(2, 2);
	expect_log("mode=testing mx=1 max_age=604800 id=2 changed=yes");
}

static void a_policy_stays_when_the_new_one_cannot_be_had(void **state)
{
	struct sts_numbers n;

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	pass(301 * CLOCK_SEC);
	dns.texts[0] = "v=STSv1; id=2;";
	dns.ttl = 30;
	web.status = 404;
	expect("there.test", 0, "mx.there.test", TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_log("event=sts-fetch-failed domain=there.test result=sts-policy-fetch-error "
		   "status=404 kept=6d");
	sts_count(relay.sts, &n);
	assert_int_equal(n.failing, 1);
	expect_asked(2, 2);
	pass(MINUTE); /* not again before five minutes are over */
	expect("there.test", 0, "mx.there.test", TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_asked(3, 2);
	pass(5 * MINUTE);
	web.status = 200;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(4, 3);
	sts_count(relay.sts, &n);
	assert_int_equal(n.failing, 0);
}

static void a_fetch_that_fails_is_tried_again_later_or_for_another_id(void **state)
{
	(void)state;
	dns.ttl = 1;
	web.err = ERR_TIMEOUT;
	web.fail = HTTPS_TIMEOUT;
	expect("there.test", 0, NULL, TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_log("kept=none why=\"failed\"");
	expect("there.test", 0, NULL, TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_asked(1, 1); /* a TTL of a second is not taken so literally */
	pass(6 * CLOCK_SEC);
	expect("there.test", 0, NULL, TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_asked(2, 1);
	pass(6 * CLOCK_SEC);
	dns.texts[0] = "v=STSv1; id=2;";
	expect("there.test", 0, NULL, TLSRPT_STS_POLICY_FETCH_ERROR);
	expect_asked(3, 2);
	pass(301 * CLOCK_SEC);
	web.err = 0;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(4, 3);
}

static void each_failure_has_its_name(void **state)
{
	static const struct {
		int err;
		enum https_fail fail;
		long status;
		const char *type, *text, *log;
		enum tlsrpt_result result;
	} rows[] = {
	    {ERR_TLS, HTTPS_NAME, 0, "", "",
	     "sts-webpki-invalid status=0 kept=none why=\"wrong name\"", TLSRPT_STS_WEBPKI_INVALID},
	    {ERR_AWAY, HTTPS_CONNECT, 0, "", "", "sts-policy-fetch-error",
	     TLSRPT_STS_POLICY_FETCH_ERROR},
	    {0, HTTPS_OK, 404, "text/plain", POLICY("enforce", "a.test"), "status=404",
	     TLSRPT_STS_POLICY_FETCH_ERROR},
	    {0, HTTPS_OK, 204, "text/plain", "", "status=204", TLSRPT_STS_POLICY_FETCH_ERROR},
	    {0, HTTPS_OK, 302, "text/plain", "", "why=\"a redirect", TLSRPT_STS_POLICY_FETCH_ERROR},
	    {0, HTTPS_OK, 200, "text/html", POLICY("enforce", "a.test"),
	     "event=sts-policy-invalid domain=there.test kept=none why=\"the media type",
	     TLSRPT_STS_POLICY_INVALID},
	    {0, HTTPS_OK, 200, "", POLICY("enforce", "a.test"), "why=\"the media type",
	     TLSRPT_STS_POLICY_INVALID},
	    {0, HTTPS_OK, 200, "text/plain", "version: STSv1\nmode: enforce\nmax_age: 5\n",
	     "why=\"it has no mx\"", TLSRPT_STS_POLICY_INVALID},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		web.err = rows[i].err;
		web.fail = rows[i].fail;
		web.status = rows[i].status;
		web.type = rows[i].type;
		web.text = rows[i].text;
		expect("there.test", 0, NULL, rows[i].result);
		expect_log(rows[i].log);
		pass(301 * CLOCK_SEC);
	}
}

static void a_record_that_does_not_count_is_no_record(void **state)
{
	(void)state;
	dns.texts[1] = "v=STSv1; id=2;";
	expect("there.test", 0, NULL, TLSRPT_OK);
	expect_log("event=sts-record-invalid domain=there.test why=\"more than one record\"");
	dns.texts[0] = "v=STSv1; id=!";
	dns.texts[1] = NULL;
	expect("other.test", 0, NULL, TLSRPT_OK);
	expect_log("event=sts-record-invalid domain=other.test why=\"malformed\"");
	dns.texts[0] = "something else";
	dns.texts[1] = "v=STSv1; id=2;";
	expect("third.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(3, 1);
}

static void an_answer_that_the_dns_owes_is_not_no_policy(void **state)
{
	static const int errors[] = {ERR_AWAY, ERR_AUTH};

	(void)state;
	for (int i = 0; i < 2; i++) {
		dns.result = errors[i];
		expect("there.test", ERR_AWAY, NULL, TLSRPT_OK);
		pass(MINUTE);
	}
	dns.result = 0;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	pass(HOUR);
	dns.result = ERR_AWAY;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(4, 1);
}

/* --- keeping */

static void a_policy_outlives_its_record_until_its_time_is_over(void **state)
{
	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	dns.result = ERR_NOTFOUND;
	dns.texts[0] = NULL;
	for (int i = 1; i <= 6; i++) {
		pass(DAY);
		expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	}
	log_text[0] = '\0';
	pass(DAY + CLOCK_SEC);
	expect("there.test", 0, NULL, TLSRPT_OK);
	expect_log("event=sts-expired domain=there.test mode=enforce");
	assert_int_equal(web.asked, 1);
}

static void mode_none_is_a_policy_too(void **state)
{
	struct heard h = {0};

	(void)state;
	web.text = "version: STSv1\nmode: none\nmax_age: 0\n";
	sts_find(&workers[0], NULL, "there.test", hear, &h);
	turns();
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.policy->mode, STS_NONE);
	done(&h);
	log_text[0] = '\0';
	pass(6 * CLOCK_SEC); /* nothing is said when it ends */
	dns.texts[0] = NULL;
	expect("there.test", 0, NULL, TLSRPT_OK);
	assert_string_equal(log_text, "");
}

static void policies_are_there_after_a_restart(void **state)
{
	struct sts_numbers n;

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	web.text = POLICY("testing", "*.other.test");
	expect("other.test", 0, "mx.other.test", TLSRPT_OK);
	web.text = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 60\n";
	expect("short.test", 0, "a.test", TLSRPT_OK);
	end();
	pass(2 * MINUTE);
	begin();
	sts_count(relay.sts, &n);
	assert_int_equal(n.policies, 2);
	dns.result = ERR_AWAY;
	web.err = ERR_AWAY;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect("other.test", 0, "b.other.test", TLSRPT_OK);
	expect("short.test", ERR_AWAY, NULL, TLSRPT_OK);
	assert_int_equal(web.asked, 3);
	dns.result = 0;
	pass(MINUTE); /* and with the id, so that it is not fetched for nothing */
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	assert_int_equal(web.asked, 3);
}

static void a_crash_costs_two_seconds_at_most(void **state)
{
	struct store *copy;
	char text[STORE_ERR_MAX];
	int err;
	struct store_rows r;

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	pass(STS_SAVE + CLOCK_SEC);
	copy = store_open(dir, &err, text); /* as another process sees it */
	assert_non_null(copy);
	assert_int_equal(store_rows_open(copy, &r,
					 STORE_SQL("SELECT id FROM sts WHERE domain='there.test'"),
					 NULL, 0),
			 0);
	assert_int_equal(store_rows_next(&r), 1);
	assert_string_equal(store_rows_text(&r, 0), "1");
	store_rows_close(&r);
	store_close(copy);
}

/* --- waiting */

static void nobody_waits_long_for_a_newer_policy(void **state)
{
	struct heard h = {0};

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	pass(301 * CLOCK_SEC);
	dns.texts[0] = "v=STSv1; id=2;";
	web.hold = 1;
	web.text = POLICY("enforce", "new.there.test");
	assert_non_null(sts_find(&workers[1], NULL, "there.test", hear, &h));
	turns();
	assert_int_equal(h.calls, 0);
	pass(STS_PATIENCE);
	assert_int_equal(h.calls, 1);
	assert_true(sts_policy_match(h.policy, "mx.there.test"));
	done(&h);
	web_answer(web.held);
	turns();
	web.hold = 0;
	expect("there.test", 0, "new.there.test", TLSRPT_OK);
}

static void a_silent_dns_ends_as_one_that_failed(void **state)
{
	static const struct out_dnsmsg nothing;
	struct heard h = {0};

	(void)state;
	dns.hold = 1;
	assert_non_null(sts_find(&workers[1], NULL, "there.test", hear, &h));
	pass(STS_RECORD - CLOCK_SEC);
	assert_int_equal(h.calls, 0);
	pass(CLOCK_SEC);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.result, ERR_AWAY);
	assert_null(h.policy);
	dns.fn(dns.arg, ERR_AWAY, &nothing, 0); /* at last */
	turns();
	assert_int_equal(h.calls, 1);
}

static void a_silent_web_server_ends_as_one_that_failed(void **state)
{
	struct heard h = {0};

	(void)state;
	web.hold = 1;
	assert_non_null(sts_find(&workers[1], NULL, "there.test", hear, &h));
	turns();
	pass(STS_RECORD);
	pass(STS_FETCH - CLOCK_SEC);
	assert_int_equal(h.calls, 0);
	pass(CLOCK_SEC);
	assert_int_equal(h.calls, 1);
	assert_int_equal(h.result, 0);
	assert_null(h.policy);
	assert_int_equal(h.failure, TLSRPT_STS_POLICY_FETCH_ERROR);
	web_answer(web.held); /* late, but kept for the next one */
	turns();
	web.hold = 0;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	assert_int_equal(web.asked, 1);
}

static void who_cancels_hears_nothing_and_the_answer_is_kept(void **state)
{
	struct heard h = {0}, other = {0};
	struct sts_lookup *k;

	(void)state;
	web.hold = 1;
	k = sts_find(&workers[1], NULL, "there.test", hear, &h);
	sts_cancel(k);
	k = sts_find(&workers[1], NULL, "there.test", hear, &h);
	assert_non_null(sts_find(&workers[0], NULL, "there.test", hear, &other));
	turns();
	web_answer(web.held);
	evt_loop_turn(workers[0].loop, 0); /* it is on its way to worker 1 */
	sts_cancel(k);
	turns();
	assert_int_equal(h.calls, 0);
	assert_int_equal(other.calls, 1);
	done(&other);
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	expect_asked(1, 1);
	sts_cancel(NULL);
}

static void the_end_may_come_in_the_middle(void **state)
{
	struct heard h = {0};
	struct sts_lookup *k;

	(void)state;
	web.hold = 1;
	k = sts_find(&workers[0], NULL, "there.test", hear, &h);
	assert_non_null(k);
	turns();
	sts_cancel(k); /* as out_policy does when its worker ends */
	end();
	begin();
	https_job_free(web.held); /* as https_fetch_free does */
	assert_int_equal(h.calls, 0);
}

/* --- refreshing */

static void a_policy_is_renewed_daily_whatever_the_record_says(void **state)
{
	struct sts_tend *t = sts_tend_new(&workers[0], NULL);

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	dns.result = ERR_AWAY; /* somebody holds it back */
	for (int i = 0; i < 20 * 24; i++)
		pass(HOUR);
	assert_in_range(web.asked, 20, 25);
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	assert_null(strstr(log_text, "sts-expired"));
	expect_log("id=1 changed=no");
	sts_tend_free(t);
}

static void a_renewal_that_fails_is_tried_hourly_until_the_end(void **state)
{
	struct sts_tend *t = sts_tend_new(&workers[0], NULL);

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	web.err = ERR_AWAY;
	for (int i = 1; i < 7 * 24; i++) {
		pass(HOUR - 10 * CLOCK_SEC); /* the timer's own time comes on top */
		pass(10 * CLOCK_SEC);
	}
	assert_in_range(web.asked, 100, 200);
	log_text[0] = '\0';
	web.asked = 0;
	pass(2 * HOUR);
	pass(2 * HOUR);
	expect_log("event=sts-expired");
	assert_int_equal(web.asked, 0); /* nobody asks for it now */
	sts_tend_free(t);
}

static void what_nobody_mails_to_is_let_go(void **state)
{
	struct sts_tend *t = sts_tend_new(&workers[0], NULL);
	struct sts_numbers n;

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	for (int i = 0; i < 40; i++)
		pass(DAY);
	sts_count(relay.sts, &n);
	assert_int_equal(n.policies, 0);
	assert_in_range(web.asked, 25, 35);
	sts_tend_free(t);
}

static void nothing_is_renewed_when_it_is_switched_off(void **state)
{
	struct sts_tend *t = sts_tend_new(&workers[0], NULL);

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	conf.outbound.mta_sts = 0;
	for (int i = 0; i < 3; i++)
		pass(DAY);
	expect_asked(1, 1);
	sts_tend_free(t);
}

/* --- bounds */

static void domains_without_policy_are_not_remembered_without_end(void **state)
{
	char name[40];

	(void)state;
	expect("there.test", 0, "mx.there.test", TLSRPT_OK);
	dns.texts[0] = NULL;
	dns.ttl = 3600;
	expect("first.test", 0, NULL, TLSRPT_OK);
	for (unsigned i = 0; i < STS_OTHERS; i++) {
		struct heard h = {0};
		snprintf(name, sizeof(name), "d%u.test", i);
		sts_find(&workers[0], NULL, name, hear, &h);
		evt_loop_turn(workers[0].loop, 0);
		assert_int_equal(h.calls, 1);
	}
	expect_asked(STS_OTHERS + 2, 1);
	expect("d19999.test", 0, NULL, TLSRPT_OK);
	expect_asked(STS_OTHERS + 2, 1);
	expect("first.test", 0, NULL, TLSRPT_OK); /* it made room */
	expect_asked(STS_OTHERS + 3, 1);
	expect("there.test", 0, "mx.there.test",
	       TLSRPT_OK); /* a policy is not pushed out by them */
	expect_asked(STS_OTHERS + 3, 1);
}

static void large_policies_make_room_for_each_other(void **state)
{
	static char text[STS_POLICY_TEXT + 1];
	struct sts_numbers n;
	char name[40];
	size_t at = (size_t)sprintf(text, "%s", POLICY("enforce", "a.test") "x: ");

	(void)state;
	memset(text + at, 'y', sizeof(text) - at - 1);
	web.text = text;
	for (unsigned i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "d%u.test", i);
		expect(name, 0, "a.test", TLSRPT_OK);
	}
	sts_count(relay.sts, &n);
	assert_in_range(n.policies, 400, 512);
	end(); /* and so it is in the store */
	begin();
	sts_count(relay.sts, &n);
	assert_in_range(n.policies, 400, 512);
	expect("d599.test", 0, "a.test", TLSRPT_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_domain_without_record_has_none),
	    TEST(what_can_have_no_policy_is_not_asked_for),
	    TEST(a_policy_is_fetched_and_kept),
	    TEST(those_who_ask_meanwhile_share_the_fetch),
	    TEST(another_id_brings_the_new_policy),
	    TEST(a_policy_stays_when_the_new_one_cannot_be_had),
	    TEST(a_fetch_that_fails_is_tried_again_later_or_for_another_id),
	    TEST(each_failure_has_its_name),
	    TEST(a_record_that_does_not_count_is_no_record),
	    TEST(an_answer_that_the_dns_owes_is_not_no_policy),
	    TEST(a_policy_outlives_its_record_until_its_time_is_over),
	    TEST(mode_none_is_a_policy_too),
	    TEST(policies_are_there_after_a_restart),
	    TEST(a_crash_costs_two_seconds_at_most),
	    TEST(nobody_waits_long_for_a_newer_policy),
	    TEST(a_silent_dns_ends_as_one_that_failed),
	    TEST(a_silent_web_server_ends_as_one_that_failed),
	    TEST(who_cancels_hears_nothing_and_the_answer_is_kept),
	    TEST(the_end_may_come_in_the_middle),
	    TEST(a_policy_is_renewed_daily_whatever_the_record_says),
	    TEST(a_renewal_that_fails_is_tried_hourly_until_the_end),
	    TEST(what_nobody_mails_to_is_let_go),
	    TEST(nothing_is_renewed_when_it_is_switched_off),
	    TEST(domains_without_policy_are_not_remembered_without_end),
	    TEST(large_policies_make_room_for_each_other),
	};
#undef TEST

	return cmocka_run_group_tests_name("sts", tests, NULL, NULL);
}
