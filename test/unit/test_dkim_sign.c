/* SPDX-License-Identifier: Apache-2.0 */
/* Signing a message by keyd: keys that change meanwhile, a keyd that goes, and owners who do not wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_version.h"
#include "relay/dkim/dkim_domain.h"
#include "relay/dkim/dkim_keys.h"
#include "relay/dkim/dkim_sign.h"

/* --- A keyd that answers when the test says so. */
#define CALLS 64
static struct call {
	uint16_t op;
	keyproto_client_ev_reply_fn fn;
	void *arg;
	char name[80]; /* label, or label#version */
	size_t size;   /* of what is to be signed */
} calls[CALLS];
static unsigned first, last; /* open ones */
static int refuse;
static uint32_t versions[MAIL_DKIM_ALG_COUNT]; /* active in keyd; 0: no such key */

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct call *call = &calls[last];
	struct keyproto_sign m;
	struct span label;
	struct buf b;

	(void)c;
	(void)timeout_usec;
	if (refuse)
		return refuse;
	assert_true(last < CALLS);
	buf_init(&b, 65536);
	assert_int_equal(fill(&b, message), 0);
	*call = (struct call){.op = op, .fn = fn, .arg = arg};
	if (op == KEYPROTO_SIGN) {
		assert_int_equal(keyproto_sign_get(buf_span(&b), &m), 0);
		label = m.label;
		call->size = m.data.n;
	} else {
		assert_int_equal(op, KEYPROTO_KEY_VERSIONS);
		assert_int_equal(keyproto_bytes_get(buf_span(&b), &label), 0);
	}
	assert_int_equal(span_copy_str(call->name, sizeof(call->name), label), 0);
	buf_clear(&b);
	last++;
	return 0;
}

static int alg_of(const struct call *c)
{
	return strstr(c->name, "/rsa") ? MAIL_DKIM_RSA : MAIL_DKIM_ED25519;
}

static int put_versions(const struct call *c, struct buf *reply)
{
	static const uint8_t types[] = {KEYPROTO_KEY_RSA2048, KEYPROTO_KEY_ED25519};
	uint32_t active = versions[alg_of(c)];
	struct keyproto_version all[2];

	if (!active)
		return ERR_NOTFOUND;
	all[0] = (struct keyproto_version){active + 1, types[alg_of(c)], KEYPROTO_VERSION_NEXT, 1, 1, SPAN_LIT("x")};
	all[1] = (struct keyproto_version){active, types[alg_of(c)], KEYPROTO_VERSION_ACTIVE, 1, 1, SPAN_LIT("x")};
	return keyproto_versions_put(reply, all, 2);
}

static int put_signature(const struct call *c, struct buf *reply)
{
	if ((uint32_t)atoi(strchr(c->name, '#') + 1) != versions[alg_of(c)])
		return ERR_DENIED;
	assert_true(alg_of(c) == MAIL_DKIM_RSA || c->size == 32);
	return keyproto_bytes_put(reply, SPAN_LIT("signature"));
}

/* The oldest open call. err: instead of an answer. */
static void keyd_answers(int err)
{
	const struct call *c = &calls[first++];
	struct buf reply;

	buf_init(&reply, 4096);
	if (err == 0)
		err = c->op == KEYPROTO_SIGN ? put_signature(c, &reply) : put_versions(c, &reply);
	c->fn(c->arg, err, buf_span(&reply));
	buf_clear(&reply);
}

static void keyd_answers_all(void)
{
	while (first < last)
		keyd_answers(0);
}

/* --- The worker. */
static struct relay relay;
static struct relay_worker worker;
static struct relay_conf conf;
static char org[] = "example.org", sub[] = "sub.example.org", idn[] = "xn--bcher-kva.example", sp[] = "sp", acme[] = "acme";
static struct relay_dkim domains[] = {{org, NULL, sp, 0}, {sub, acme, sp, 1}, {idn, NULL, sp, 0}};
static struct dkim_sign *sign;
static char heard[4096];
static int answers, result;

static void hear(void *arg, int err, struct span head, const char *domain)
{
	(void)arg;
	answers++;
	result = err;
	heard[0] = '\0';
	if (err == 0) {
		assert_string_equal(domain, "example.org");
		assert_int_equal(span_copy_str(heard, sizeof(heard), head), 0);
	}
}

static void quiet(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static int setup(void **state)
{
	(void)state;
	first = last = 0;
	refuse = answers = 0;
	versions[MAIL_DKIM_RSA] = 1;
	versions[MAIL_DKIM_ED25519] = 3;
	conf.dkim.items = domains;
	conf.dkim.count = 3;
	worker.relay = &relay;
	worker.loop = evt_loop_new();
	worker.dkim = dkim_keys_new(worker.loop, NULL);
	assert_non_null(worker.dkim);
	log_capture(quiet, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dkim_sign_free(sign);
	sign = NULL;
	dkim_keys_free(worker.dkim);
	while (first < last) /* the client's end answers all */
		keyd_answers(ERR_AWAY);
	evt_loop_free(worker.loop);
	log_capture(NULL, NULL);
	return 0;
}

#define MESSAGE "From: a@example.org\r\nSubject: s\r\n\r\nbody\r\n"

static int begin(const char *message)
{
	dkim_sign_free(sign);
	sign = dkim_sign_new(&worker, &conf, 0);
	assert_non_null(sign);
	dkim_sign_feed(sign, span_str(message));
	return dkim_sign_end(sign, "id", "acme", hear, NULL);
}

static void run_deferred(void)
{
	for (int i = 0; i < 3 && !answers; i++)
		evt_loop_turn(worker.loop, 0);
}

static void both_keys_sign_and_are_asked_for_once(void **state)
{
	(void)state;
	assert_int_equal(begin(MESSAGE), 0);
	assert_int_equal(last, 2);
	assert_string_equal(calls[0].name, "dkim/example.org/rsa");
	keyd_answers_all();
	assert_int_equal(answers, 1);
	assert_int_equal(result, 0);
	assert_non_null(strstr(heard, "a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sp1r;"));
	assert_non_null(strstr(heard, "s=sp3e;"));
	assert_int_equal(last, 4);
	assert_int_equal(begin(MESSAGE), 0);
	assert_int_equal(last, 6); /* two signatures and no other question */
	assert_string_equal(calls[4].name, "dkim/example.org/rsa#1");
	assert_string_equal(calls[5].name, "dkim/example.org/ed25519#3");
}

static void messages_that_wait_share_a_question(void **state)
{
	struct dkim_sign *other = dkim_sign_new(&worker, &conf, 0);

	(void)state;
	dkim_sign_feed(other, SPAN_LIT(MESSAGE));
	assert_int_equal(begin(MESSAGE), 0);
	assert_int_equal(dkim_sign_end(other, "id", "acme", hear, NULL), 0);
	assert_int_equal(last, 2);
	keyd_answers_all();
	assert_int_equal(answers, 2);
	dkim_sign_free(other);
}

static void a_key_that_is_there_no_more_is_left_out(void **state)
{
	(void)state;
	versions[MAIL_DKIM_RSA] = 0;
	assert_int_equal(begin(MESSAGE), 0);
	keyd_answers_all();
	assert_int_equal(result, 0);
	assert_null(strstr(heard, "rsa"));
	assert_non_null(strstr(heard, "s=sp3e;"));
}

static void a_version_that_signs_no_more_is_replaced(void **state)
{
	(void)state;
	assert_int_equal(begin(MESSAGE), 0);
	keyd_answers(0);
	keyd_answers(0);
	versions[MAIL_DKIM_RSA] = 2; /* activated while its signature is asked for */
	keyd_answers_all();
	assert_int_equal(answers, 1);
	assert_int_equal(result, 0);
	assert_non_null(strstr(heard, "s=sp2r;"));
	assert_null(strstr(heard, "s=sp1r;"));
	assert_int_equal(last, 8);
}

static void what_was_asked_before_a_change_is_asked_again(void **state)
{
	(void)state;
	assert_int_equal(begin(MESSAGE), 0);
	keyd_answers(0);
	versions[MAIL_DKIM_RSA] = 2;
	dkim_keys_state(worker.dkim, KEYPROTO_READY); /* the epoch has grown */
	keyd_answers_all();
	assert_int_equal(result, 0);
	assert_non_null(strstr(heard, "s=sp2r;"));
	assert_int_equal(last, 6);
}

static void it_does_not_go_on_for_ever(void **state)
{
	(void)state;
	assert_int_equal(begin(MESSAGE), 0);
	while (first < last) { /* keyd denies every signature */
		assert_true(last < CALLS - 4);
		keyd_answers(calls[first].op == KEYPROTO_SIGN ? ERR_DENIED : 0);
	}
	assert_int_equal(answers, 1);
	assert_int_equal(result, ERR_DENIED);
}

static void without_keyd_nothing_is_passed_on(void **state)
{
	static const int errors[][2] = {{ERR_AWAY, ERR_AWAY}, {ERR_LOCKED, ERR_LOCKED}, {ERR_LIMIT, ERR_BUSY}};

	(void)state;
	for (int i = 0; i < 3; i++) { /* at once */
		refuse = errors[i][0];
		answers = 0;
		assert_int_equal(begin(MESSAGE), 0);
		assert_int_equal(answers, 0);
		run_deferred();
		assert_int_equal(answers, 1);
		assert_int_equal(result, errors[i][1]);
	}
	refuse = 0;
	for (int i = 0; i < 3; i++) { /* in the answer to each question */
		answers = 0;
		dkim_keys_state(worker.dkim, KEYPROTO_READY);
		assert_int_equal(begin(MESSAGE), 0);
		for (int k = 0; k < i; k++)
			keyd_answers(0);
		while (first < last)
			keyd_answers(ERR_LOCKED);
		assert_int_equal(answers, 1);
		assert_int_equal(result, ERR_LOCKED);
	}
}

static void no_key_at_all_is_a_failure_and_not_asked_for_each_message(void **state)
{
	(void)state;
	versions[MAIL_DKIM_RSA] = versions[MAIL_DKIM_ED25519] = 0;
	assert_int_equal(begin(MESSAGE), 0);
	keyd_answers_all();
	assert_int_equal(result, ERR_NOTFOUND);
	answers = 0;
	assert_int_equal(begin(MESSAGE), 0);
	run_deferred();
	assert_int_equal(answers, 1);
	assert_int_equal(result, ERR_NOTFOUND);
	assert_int_equal(last, 2);
}

static void an_owner_that_goes_hears_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(begin(MESSAGE), 0);
		for (int k = 0; k < i && first < last; k++)
			keyd_answers(0);
		if (answers) /* the keys were known: fewer steps */
			break;
		dkim_sign_free(sign);
		sign = NULL;
		keyd_answers_all();
		assert_int_equal(answers, 0);
	}
}

static void what_is_not_signed(void **state)
{
	(void)state;
	assert_int_equal(begin("From: a@example.com\r\n\r\n"), 1);
	assert_int_equal(begin("Subject: x\r\n\r\n"), 1);
	assert_int_equal(begin("From: a@sub.example.org\r\n"), 0); /* of acme */
	dkim_sign_free(sign);
	sign = dkim_sign_new(&worker, &conf, 1);
	dkim_sign_feed(sign, SPAN_LIT("From: a@x.sub.example.org\r\n\r\n"));
	assert_int_equal(dkim_sign_end(sign, "id", "other", hear, NULL), 1);
}

static void a_section_that_filters_made_is_behind_the_signatures(void **state)
{
	(void)state;
	sign = dkim_sign_new(&worker, &conf, 1);
	dkim_sign_feed(sign, SPAN_LIT("From: x@elsewhere.example\r\n\r\nbody\r\n"));
	dkim_sign_head(sign, SPAN_LIT("From: a@example.org\r\n\r\n"));
	assert_int_equal(dkim_sign_end(sign, "id", "acme", hear, NULL), 0);
	keyd_answers_all();
	assert_int_equal(result, 0);
	assert_non_null(strstr(heard, "\r\nFrom: a@example.org\r\n\r\n"));
	assert_memory_equal(heard, "DKIM-Signature:", 15);
}

static void the_domain_that_signs(void **state)
{
	int foreign;

	(void)state;
	assert_ptr_equal(dkim_domain_find(&conf, "x", "example.org", &foreign), &domains[0]);
	assert_null(dkim_domain_find(&conf, "x", "a.example.org", &foreign));
	assert_int_equal(foreign, 0);
	assert_null(dkim_domain_find(&conf, "x", "xexample.org", &foreign));
	assert_null(dkim_domain_find(&conf, "x", "org", &foreign));
	assert_ptr_equal(dkim_domain_find(&conf, "acme", "a.b.sub.example.org", &foreign), &domains[1]);
	assert_ptr_equal(dkim_domain_find(&conf, NULL, "sub.example.org", &foreign), &domains[1]);
	assert_null(dkim_domain_find(&conf, "x", "sub.example.org", &foreign));
	assert_int_equal(foreign, 1);
	assert_ptr_equal(dkim_domain_find(&conf, "x", "b\xc3\xbc" "cher.example", &foreign), &domains[2]);
	assert_null(dkim_domain_find(&conf, "x", "\xff.example", &foreign));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(both_keys_sign_and_are_asked_for_once),
	    T(messages_that_wait_share_a_question),
	    T(a_key_that_is_there_no_more_is_left_out),
	    T(a_version_that_signs_no_more_is_replaced),
	    T(what_was_asked_before_a_change_is_asked_again),
	    T(it_does_not_go_on_for_ever),
	    T(without_keyd_nothing_is_passed_on),
	    T(no_key_at_all_is_a_failure_and_not_asked_for_each_message),
	    T(an_owner_that_goes_hears_nothing),
	    T(what_is_not_signed),
	    T(a_section_that_filters_made_is_behind_the_signatures),
	    T(the_domain_that_signs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
