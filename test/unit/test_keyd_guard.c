/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of tampering, proposals, sums of a minute, zeroized files: each alone; and the audit log as keyd's loop
 * drives it, by a fake clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_audit_sum.h"
#include "keyd/keyd_quorum.h"
#include "keyd/keyd_tamper.h"
#include "keyd/keyd_zeroize.h"
#include "keyproto/keyproto_audit.h"
#include "sys/sys_file.h"
#include "test/unit/keyd_play.h"

#define HOUR (3600 * CLOCK_SEC)

/* --- tamper */

static void a_counter_reaches_its_limit_within_the_window_alone(void **state)
{
	struct keyd_tamper t = {0};
	int64_t now = 1000 * HOUR;

	(void)state;
	keyd_tamper_set(&t, HOUR, 5, 0, 100);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 1, now), 0);
	/* An hour later the four are forgotten, but for the totals. */
	now += HOUR;
	assert_int_equal(keyd_tamper_recent(&t, KEYD_TAMPER_AUTH, now), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 1, now + i * HOUR / 8), 0);
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 1, now + HOUR / 2), 1);
	assert_int_equal(t.counters[KEYD_TAMPER_AUTH].total, 9);
	assert_int_equal(keyd_tamper_recent(&t, KEYD_TAMPER_AUTH, now + HOUR / 2), 0);
	/* 0: never. */
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_DENIED, 1000000, now), 0);
	/* Several at once; a debugger at once. */
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_MAC, 99, now), 0);
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_MAC, 256, now), 1);
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_TRACER, 1, now), 1);
}

static void a_new_limit_keeps_what_was_counted(void **state)
{
	struct keyd_tamper t = {0};

	(void)state;
	keyd_tamper_set(&t, HOUR, 5, 0, 0);
	keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 3, HOUR);
	keyd_tamper_set(&t, HOUR, 4, 0, 0);
	assert_int_equal(keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 1, HOUR + 1), 1);
	/* A clock that stands still, or goes back, forgets nothing. */
	keyd_tamper_note(&t, KEYD_TAMPER_AUTH, 2, HOUR);
	assert_int_equal(keyd_tamper_recent(&t, KEYD_TAMPER_AUTH, HOUR / 2), 2);
	keyd_tamper_set(&t, 2 * HOUR, 4, 0, 0); /* steps of another length */
	assert_int_equal(keyd_tamper_recent(&t, KEYD_TAMPER_AUTH, HOUR), 0);
	assert_int_equal(t.counters[KEYD_TAMPER_AUTH].total, 6);
}

/* --- quorum */

static void approvals_are_of_different_uids(void **state)
{
	struct keyd_quorum q = {0};
	struct keyd_quorum_proposal *p;

	(void)state;
	assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("body"), 10, 3, 0, &p), 0);
	assert_int_equal(p->number, 1);
	assert_int_equal(p->have, 1);
	assert_memory_equal(p->body, "body", 4);
	assert_int_equal(keyd_quorum_approve(&q, 1, 10, 0, &p), ERR_EXISTS);
	assert_int_equal(keyd_quorum_approve(&q, 2, 11, 0, &p), ERR_NOTFOUND);
	assert_int_equal(keyd_quorum_approve(&q, 0, 11, 0, &p), ERR_NOTFOUND);
	assert_int_equal(keyd_quorum_approve(&q, 1, 11, 0, &p), 0);
	assert_int_equal(p->have, 2);
	assert_int_equal(keyd_quorum_approve(&q, 1, 11, 0, &p), ERR_EXISTS);
	assert_int_equal(keyd_quorum_approve(&q, 1, 12, 0, &p), 0);
	assert_int_equal(p->have, p->need);
	keyd_quorum_drop(p);
	assert_int_equal(keyd_quorum_approve(&q, 1, 13, 0, &p), ERR_NOTFOUND);
	/* Numbers do not come again. */
	assert_int_equal(keyd_quorum_add(&q, 52, span_of(NULL, 0), 10, 2, 0, &p), 0);
	assert_int_equal(p->number, 2);
	keyd_quorum_clear(&q);
}

static void proposals_expire_and_are_wiped(void **state)
{
	struct keyd_quorum q = {0};
	struct keyd_quorum_proposal *p;
	size_t before, after, taken;

	(void)state;
	secret_usage(&before, &taken);
	assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("a"), 10, 2, 0, &p), 0);
	assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("b"), 10, 2, CLOCK_SEC, &p), 0);
	assert_null(keyd_quorum_expired(&q, KEYD_QUORUM_TIME - 1));
	assert_int_equal(keyd_quorum_approve(&q, 1, 11, KEYD_QUORUM_TIME, &p), ERR_NOTFOUND);
	p = keyd_quorum_expired(&q, KEYD_QUORUM_TIME);
	assert_non_null(p);
	assert_int_equal(p->number, 1);
	keyd_quorum_drop(p);
	assert_null(keyd_quorum_expired(&q, KEYD_QUORUM_TIME));
	assert_int_equal(keyd_quorum_withdraw(&q, 2, 11, 0, &p), ERR_DENIED);
	assert_int_equal(keyd_quorum_withdraw(&q, 2, 10, 0, &p), 0);
	keyd_quorum_drop(p);
	secret_usage(&after, &taken);
	assert_int_equal(before, after);
	assert_int_equal(secret_check(&taken), 0);
}

static void one_officer_cannot_fill_the_table(void **state)
{
	struct keyd_quorum q = {0};
	struct keyd_quorum_proposal *p;

	(void)state;
	for (unsigned i = 0; i < KEYD_QUORUM_EACH; i++)
		assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("a"), 10, 2, 0, &p), 0);
	assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("a"), 10, 2, 0, &p), ERR_LIMIT);
	for (unsigned i = 0; i < KEYD_QUORUM_MAX - KEYD_QUORUM_EACH; i++)
		assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("a"), 11 + i, 2, 0, &p), 0);
	assert_int_equal(keyd_quorum_add(&q, 52, SPAN_LIT("a"), 99, 2, 0, &p), ERR_LIMIT);
	keyd_quorum_clear(&q);
}

/* --- sums */

static void sums_overflow_into_one_line(void **state)
{
	static struct keyd_audit_sum s;
	struct keyd_audit_sum_row key = {
	    .event = AUDIT_USE, .op = 16, .role = 1, .uid = 7, .count = 2};
	uint64_t total = 0;
	char name[80];

	(void)state;
	keyd_audit_sum_reset(&s);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < KEYD_AUDIT_SUM_MAX + 100; i++) {
			snprintf(name, sizeof(name), "customer-%u", i);
			key.failed = i % 2;
			keyd_audit_sum_add(&s, &key, span_str(name));
		}
	assert_int_equal(s.count, KEYD_AUDIT_SUM_MAX);
	for (unsigned i = 0; i < s.count; i++)
		total += s.rows[i].count;
	assert_int_equal(total, 3 * 2 * KEYD_AUDIT_SUM_MAX);
	assert_int_equal(s.more, 3 * 2 * 100);
	assert_int_equal(s.more_failed, 3 * 50);
	keyd_audit_sum_reset(&s);
	assert_int_equal(s.count, 0);
	memset(name, 'x', sizeof(name)); /* longer than a name */
	keyd_audit_sum_add(&s, &key, span_of(name, sizeof(name)));
	assert_int_equal(s.rows[0].n, KEYPROTO_NAME_MAX);
	keyd_audit_sum_reset(&s);
}

/* --- zeroize */

static void files_are_overwritten_read_back_and_removed(void **state)
{
	char dir[] = "/tmp/test_zeroize.XXXXXX", path[64], link[64], big[100000];
	struct keyd_zeroize z = {0};
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	memset(big, 'k', sizeof(big));
	snprintf(path, sizeof(path), "%s/big", dir);
	assert_int_equal(sys_file_replace(path, span_of(big, sizeof(big)), 0600), 0);
	snprintf(path, sizeof(path), "%s/keep", dir);
	assert_int_equal(sys_file_replace(path, SPAN_LIT("x"), 0600), 0);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(keyd_zeroize_add_dir(&z, dir, "keep"), 0);
	assert_int_equal(z.count, 1); /* a link is no file */
	assert_int_equal(keyd_zeroize_add(&z, z.files[0].path), 0);
	assert_int_equal(z.count, 1);
	assert_int_equal(keyd_zeroize_add(&z, "/nonexistent/file"), 0);
	assert_int_equal(keyd_zeroize_add(&z, link), 0);
	assert_int_equal(keyd_zeroize_run(&z), 0); /* the link is not followed */
	assert_true(z.files[0].verified && z.files[0].removed && z.files[0].bytes == sizeof(big));
	assert_int_equal(z.files[1].rc, ERR_NOTFOUND);
	assert_true(z.files[2].rc < 0 && !z.files[2].removed);
	assert_int_equal(lstat(z.files[0].path, &st), -1);
	keyd_zeroize_clear(&z);
	assert_int_equal(keyd_zeroize_add_dir(&z, "/nonexistent", ""), 0);
	assert_int_equal(keyd_zeroize_run(&z), 1);
	unlink(path);
	unlink(link);
	assert_int_equal(rmdir(dir), 0);
}

/* --- the loop's side */

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay;
};

static void begin(struct scene *s)
{
	clock_set(1000 * HOUR, INT64_C(1795328178000000));
	assert_int_equal(keyd_play_open(&s->play, "[{method: file, path: root.key}]"), 0);
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
	assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
}

static void end(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_close(&s->play);
	clock_restore();
}

static void read_log(const struct scene *s, struct buf *out)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/state/audit/audit-000002.log", s->play.dir);
	buf_init(out, 1 << 20);
	assert_int_equal(sys_file_read(path, out, 1), 0);
	buf_put(out, "", 1);
}

static unsigned lines_with(const struct scene *s, const char *text)
{
	struct buf b;
	unsigned n = 0;

	read_log(s, &b);
	for (const char *at = (const char *)buf_ptr(&b); (at = strstr(at, text)); at++)
		n++;
	buf_clear(&b);
	return n;
}

static int sign(struct scene *s)
{
	struct keyproto_sign m = {SPAN_LIT("tls/relay"), KEYPROTO_ALG_ES256, SPAN_LIT("text")};

	keyproto_sign_put(keyd_play_begin(&s->relay), &m);
	return keyd_play_call(&s->relay, KEYPROTO_SIGN);
}

static void uses_are_written_each_minute(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	assert_int_equal(keyd_play_key(&s.officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(sign(&s), 0);
	clock_advance(59 * CLOCK_SEC);
	keyd_watch_tick(s.play.keyd);
	assert_int_equal(lines_with(&s, "\"event\":\"use\""), 0);
	clock_advance(CLOCK_SEC);
	keyd_watch_tick(s.play.keyd);
	assert_int_equal(
	    lines_with(&s, "\"op\":\"sign\",\"role\":\"relay\",\"uid\":1,\"subject\":\"tls/relay\","
			   "\"count\":20,\"failed\":0"),
	    1);
	/* A minute in which nothing happened leaves no line. */
	clock_advance(CLOCK_SEC * 61);
	keyd_watch_tick(s.play.keyd);
	assert_int_equal(lines_with(&s, "\"event\":\"use\""), 1);
	end(&s);
}

static void proposals_expire_by_the_clock(void **state)
{
	static const uint8_t store[16];
	struct scene s;

	(void)state;
	begin(&s);
	s.play.keyd->conf->quorum.zeroize = 2;
	keyproto_audit_zeroize_put(keyd_play_begin(&s.officer), store);
	assert_int_equal(keyd_play_call(&s.officer, KEYPROTO_ZEROIZE), ERR_QUORUM);
	clock_advance(KEYD_QUORUM_TIME - 1);
	keyd_watch_tick(s.play.keyd);
	assert_int_equal(lines_with(&s, "\"event\":\"expired\""), 0);
	clock_advance(1);
	keyd_watch_tick(s.play.keyd);
	assert_int_equal(lines_with(&s, "\"event\":\"expired\""), 1);
	keyproto_audit_number_put(keyd_play_begin(&s.officer), 1);
	assert_int_equal(keyd_play_call(&s.officer, KEYPROTO_APPROVE), ERR_NOTFOUND);
	end(&s);
}

static void what_could_not_be_written_follows_with_its_own_time(void **state)
{
	struct scene s;
	char dir[96], away[96];

	(void)state;
	begin(&s);
	snprintf(dir, sizeof(dir), "%s/state/audit", s.play.dir);
	snprintf(away, sizeof(away), "%s/away", s.play.dir);
	assert_int_equal(rename(dir, away), 0);
	assert_int_equal(keyd_play_customer(&s.officer, "refused"), ERR_IO);
	assert_int_equal(keyd_play_call((keyd_play_begin(&s.officer), &s.officer), KEYPROTO_LOCK),
			 0);
	assert_int_equal(s.play.keyd->state, KEYPROTO_LOCKED);
	clock_advance(10 * CLOCK_SEC);
	keyd_watch_tick(s.play.keyd);
	assert_false(keyd_audit_writable(s.play.keyd));
	assert_int_equal(rename(away, dir), 0);
	keyd_watch_tick(s.play.keyd);
	assert_true(keyd_audit_writable(s.play.keyd));
	assert_int_equal(
	    lines_with(
		&s, "06:16:18.000000Z\",\"event\":\"state\",\"from\":\"ready\",\"to\":\"locked\""),
	    1);
	assert_int_equal(lines_with(&s, "\"event\":\"gap\""), 1);
	assert_int_equal(lines_with(&s, "\"event\":\"intent\",\"op\":\"customer-add\""), 1);
	assert_int_equal(lines_with(&s, "refused"), 0);
	end(&s);
}

static void a_failed_self_test_ends_all_but_the_end(void **state)
{
	static const uint8_t none[16];
	struct scene s;

	(void)state;
	begin(&s);
	keyd_fail(s.play.keyd, "a self-test failed");
	assert_int_equal(s.play.keyd->state, KEYPROTO_ERROR);
	assert_null(s.play.keyd->ring);
	assert_int_equal(keyd_play_customer(&s.officer, "more"), ERR_IO);
	assert_int_equal(sign(&s), ERR_IO);
	keyproto_audit_zeroize_put(keyd_play_begin(&s.officer), none); /* of another store */
	assert_int_equal(keyd_play_call(&s.officer, KEYPROTO_ZEROIZE), ERR_FORMAT);
	keyproto_audit_zeroize_put(keyd_play_begin(&s.officer), keyd_store_id(s.play.keyd));
	assert_int_equal(keyd_play_call(&s.officer, KEYPROTO_ZEROIZE), 0);
	assert_int_equal(s.play.keyd->state, KEYPROTO_EMPTY);
	end(&s);
}

static void quiet(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_counter_reaches_its_limit_within_the_window_alone),
	    cmocka_unit_test(a_new_limit_keeps_what_was_counted),
	    cmocka_unit_test(approvals_are_of_different_uids),
	    cmocka_unit_test(proposals_expire_and_are_wiped),
	    cmocka_unit_test(one_officer_cannot_fill_the_table),
	    cmocka_unit_test(sums_overflow_into_one_line),
	    cmocka_unit_test(files_are_overwritten_read_back_and_removed),
	    cmocka_unit_test(uses_are_written_each_minute),
	    cmocka_unit_test(proposals_expire_by_the_clock),
	    cmocka_unit_test(a_failed_self_test_ends_all_but_the_end),
	    cmocka_unit_test(what_could_not_be_written_follows_with_its_own_time),
	};

	if (keyd_crypto_init() < 0)
		return 99;
	umask(077);
	log_capture(quiet, NULL);
	return cmocka_run_group_tests_name("keyd_guard", tests, NULL, NULL);
}
