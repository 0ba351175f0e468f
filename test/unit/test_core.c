/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/log.h"
#include "core/num.h"
#include "core/secret.h"

static void buf_refuses_what_exceeds_its_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_put(&b, "0123456789", 10), 0);
	assert_int_equal(buf_put(&b, "x", 1), ERR_LIMIT);
	assert_int_equal(buf_failed(&b), ERR_LIMIT);
	assert_int_equal(buf_size(&b), 10);
	buf_drain(&b, 4);
	assert_memory_equal(buf_ptr(&b), "456789", 6);
	buf_reset(&b);
	assert_int_equal(buf_put(&b, "x", 1), 0);
	buf_clear(&b);
}

static void buf_reserving_nothing_is_no_failure(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 0);
	assert_non_null(buf_reserve(&b, 0));
	buf_commit(&b, 0);
	assert_int_equal(buf_failed(&b), 0);
	assert_null(buf_reserve(&b, 1));
	assert_int_equal(buf_failed(&b), ERR_LIMIT);
	buf_clear(&b);
}

static void buf_keeps_order_over_many_puts_and_drains(void **state)
{
	struct buf b;
	uint8_t in = 0, out = 0;

	(void)state;
	buf_init(&b, 1000);
	for (int round = 0; round < 2000; round++) {
		for (int i = 0; i < 37; i++, in++)
			buf_put(&b, &in, 1);
		for (size_t n = buf_size(&b) / 2; n; n--, out++) {
			assert_int_equal(*buf_ptr(&b), out);
			buf_drain(&b, 1);
		}
	}
	assert_int_equal(buf_failed(&b), 0);
	buf_clear(&b);
}

static void hex_and_base64_round_trip_and_refuse_foreign_bytes(void **state)
{
	uint8_t data[64], back[64];
	char text[HEX_SIZE(64)];

	(void)state;
	for (size_t n = 0; n <= sizeof(data); n++) {
		for (size_t i = 0; i < n; i++)
			data[i] = (uint8_t)(i * 37 + n);
		hex_encode(text, data, n);
		assert_int_equal(hex_decode(back, sizeof(back), span_str(text)), n);
		assert_memory_equal(data, back, n);
		hex_b64url_encode(text, data, n);
		assert_int_equal(hex_b64url_decode(back, sizeof(back), span_str(text)), n);
		assert_memory_equal(data, back, n);
		hex_b64_encode(text, data, n);
		assert_int_equal(hex_b64_decode(back, sizeof(back), span_str(text)), n);
		assert_memory_equal(data, back, n);
	}
	assert_int_equal(hex_decode(back, 64, SPAN_LIT("0g")), ERR_FORMAT);
	assert_int_equal(hex_decode(back, 64, SPAN_LIT("abc")), ERR_FORMAT);
	assert_int_equal(hex_b64url_decode(back, 64, SPAN_LIT("ab+/")), ERR_FORMAT);
	assert_int_equal(hex_b64url_decode(back, 64, SPAN_LIT("AB")), ERR_FORMAT); /* set bits past the end */
	assert_int_equal(hex_b64_decode(back, 64, SPAN_LIT("AA=A")), ERR_FORMAT);
	assert_int_equal(hex_b64_decode(back, 1, SPAN_LIT("AAAA")), ERR_LIMIT);
}

static void durations_and_sizes_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		int rc;
		int64_t usec;
	} rows[] = {{"5m", 0, 300000000},      {"90", 0, 90000000},	 {"2w", 0, 1209600000000},
		    {"", ERR_FORMAT, 0},       {"m", ERR_FORMAT, 0},	 {"-5m", ERR_FORMAT, 0},
		    {"5 m", ERR_FORMAT, 0},    {"5x", ERR_FORMAT, 0},	 {"99999999999999999999", ERR_LIMIT, 0},
		    {"20000000w", ERR_LIMIT, 0}};
	uint64_t bytes;
	int64_t v;
	char text[24];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(num_parse_duration(span_str(rows[i].text), &v), rows[i].rc);
		if (rows[i].rc == 0)
			assert_int_equal(v, rows[i].usec);
	}
	assert_int_equal(num_parse_size(SPAN_LIT("50M"), &bytes), 0);
	assert_int_equal(bytes, 52428800);
	assert_int_equal(num_parse_size(SPAN_LIT("50T"), &bytes), ERR_FORMAT);
	num_format_duration(text, INT64_C(5400) * 1000000);
	assert_string_equal(text, "1h30m");
}

static void rates_read_as_people_write_them(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t count;
		int64_t seconds;
		const char *again;
	} rows[] = {{"100/15m", 0, 100, 900, "100/15m"},
		    {"1,000/h", 0, 1000, 3600, "1000/h"},
		    {"1_000/hr", 0, 1000, 3600, "1000/h"},
		    {"1000/hour", 0, 1000, 3600, "1000/h"},
		    {"1,000,000/day", 0, 1000000, 86400, "1000000/d"},
		    {"10/min", 0, 10, 60, "10/m"},
		    {"5/s", 0, 5, 1, "5/s"},
		    {"5/90s", 0, 5, 90, "5/90s"},
		    {"5/120s", 0, 5, 120, "5/2m"},
		    {"7/2d", 0, 7, 172800, "7/2d"},
		    {"", 0, 0, 0, ""},
		    {"0/h", ERR_LIMIT, 0, 0, ""},
		    {"5/0s", ERR_LIMIT, 0, 0, ""},
		    {"5/32d", ERR_LIMIT, 0, 0, ""},
		    {"2000000000/h", ERR_LIMIT, 0, 0, ""},
		    {"5/99999999999999999999s", ERR_LIMIT, 0, 0, ""},
		    {"5", ERR_FORMAT, 0, 0, ""},
		    {"/h", ERR_FORMAT, 0, 0, ""},
		    {"5/", ERR_FORMAT, 0, 0, ""},
		    {"5/15", ERR_FORMAT, 0, 0, ""},
		    {"5/w", ERR_FORMAT, 0, 0, ""},
		    {"10,00/h", ERR_FORMAT, 0, 0, ""},
		    {"1000,000/h", ERR_FORMAT, 0, 0, ""},
		    {"1,000_000/h", ERR_FORMAT, 0, 0, ""},
		    {",100/h", ERR_FORMAT, 0, 0, ""},
		    {"-5/h", ERR_FORMAT, 0, 0, ""},
		    {"5 / h", ERR_FORMAT, 0, 0, ""},
		    {"5/h/h", ERR_FORMAT, 0, 0, ""}};
	struct num_rate r;
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(num_parse_rate(span_str(rows[i].text), &r), rows[i].rc);
		assert_int_equal(r.count, rows[i].count);
		assert_int_equal(r.window, rows[i].seconds * CLOCK_SEC);
		num_format_rate(text, r);
		assert_string_equal(text, rows[i].again);
	}
}

static void ids_are_unique_sorted_by_time_and_readable(void **state)
{
	uint64_t a, b, back;
	char text[ID_TEXT_SIZE];

	(void)state;
	clock_set(0, INT64_C(1000) * CLOCK_SEC);
	a = id_new();
	clock_advance(CLOCK_SEC);
	b = id_new();
	clock_restore();
	assert_true(a < b);
	id_format(text, a);
	assert_int_equal(strlen(text), 13);
	assert_int_equal(id_parse(span_str(text), &back), 0);
	assert_true(back == a);
	assert_int_equal(id_parse(SPAN_LIT("zzzzzzzzzzzzz"), &back), ERR_FORMAT);
	assert_int_equal(id_parse(SPAN_LIT("0000000000000"), &back), ERR_FORMAT);
	assert_int_equal(id_parse(SPAN_LIT("../../etc/pas"), &back), ERR_FORMAT);
}

static void secret_memory_comes_zeroed_and_is_wiped(void **state)
{
	size_t used, taken, used2;
	uint8_t *p = secret_alloc(100), *q;

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	memset(p, 0xaa, 100);
	secret_usage(&used, &taken);
	assert_true(used >= 100 && taken >= used);
	secret_free(p, 100);
	secret_usage(&used2, &taken);
	assert_true(used2 < used);
	q = secret_alloc(100);
	assert_ptr_equal(p, q); /* the same piece, and no trace of what it held */
	for (int i = 0; i < 100; i++)
		assert_int_equal(q[i], 0);
	secret_free(q, 100);
	assert_null(secret_alloc(65537));
	assert_true(secret_equal("abc", "abc", 3));
	assert_false(secret_equal("abc", "abd", 3));
}

static void keep_line(void *arg, const char *line)
{
	strncpy(arg, line, LOG_LINE_MAX);
}

static void a_log_line_cannot_be_forged_by_a_value(void **state)
{
	char line[LOG_LINE_MAX + 1] = "", big[3000];

	(void)state;
	log_open("test");
	log_capture(keep_line, line);
	log_event(LOG_LEVEL_INFO, "id1", "greeted", "helo=%s", "a\r\ntest error - event=forged\x1b[0m");
	assert_string_equal(line, "test info id1 event=greeted helo=a\\x0d\\x0atest error - "
				  "event=forged\\x1b[0m");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_event(LOG_LEVEL_INFO, NULL, "long", "v=%s", big);
	assert_true(strlen(line) <= LOG_LINE_MAX);
	log_capture(NULL, NULL);
}

static void dates_are_rfc5322_in_utc(void **state)
{
	char mail[32], iso[21];

	(void)state;
	clock_format_mail(mail, INT64_C(1795328178) * CLOCK_SEC);
	assert_string_equal(mail, "Sun, 22 Nov 2026 06:16:18 +0000");
	clock_format_iso(iso, INT64_C(1795328178) * CLOCK_SEC);
	assert_string_equal(iso, "2026-11-22T06:16:18Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(buf_refuses_what_exceeds_its_maximum),
	    cmocka_unit_test(buf_reserving_nothing_is_no_failure),
	    cmocka_unit_test(buf_keeps_order_over_many_puts_and_drains),
	    cmocka_unit_test(hex_and_base64_round_trip_and_refuse_foreign_bytes),
	    cmocka_unit_test(durations_and_sizes_read_as_people_write_them),
	    cmocka_unit_test(rates_read_as_people_write_them),
	    cmocka_unit_test(ids_are_unique_sorted_by_time_and_readable),
	    cmocka_unit_test(secret_memory_comes_zeroed_and_is_wiped),
	    cmocka_unit_test(a_log_line_cannot_be_forged_by_a_value),
	    cmocka_unit_test(dates_are_rfc5322_in_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
