/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/track/track_form.h"
#include "relay/track/track_hook.h"
#include "relay/track/track_page.h"

#define TOKEN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqr"

static int path(const char *p, enum seal_track_kind *kind)
{
	char text[512];
	struct http_request r;
	struct seal_track_raw raw;

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", p);
	assert_true(http_request_parse(span_str(text), &r) > 0);
	return track_form_path(&r, kind, &raw);
}

static void paths_are_three_and_no_more(void **state)
{
	enum seal_track_kind kind = SEAL_TRACK_CLICK;

	(void)state;
	assert_int_equal(path("/o/" TOKEN ".gif", &kind), 0);
	assert_int_equal(kind, SEAL_TRACK_OPEN);
	assert_int_equal(path("/o/" TOKEN, &kind), 0);
	assert_int_equal(path("/u/" TOKEN "?x=/c/y", &kind), 0);
	assert_int_equal(kind, SEAL_TRACK_UNSUBSCRIBE);
	assert_int_equal(path("/c/" TOKEN, &kind), 0);
	assert_int_equal(kind, SEAL_TRACK_CLICK);
	assert_int_equal(path("/c/" TOKEN ".gif", &kind), ERR_FORMAT);
	assert_int_equal(path("/c/short", &kind), ERR_FORMAT);
	assert_int_equal(path("/c/" TOKEN "=", &kind), ERR_FORMAT);
	assert_int_equal(path("/o/.gif", &kind), ERR_FORMAT);
	assert_int_equal(path("/c", &kind), ERR_NOTFOUND);
	assert_int_equal(path("/", &kind), ERR_NOTFOUND);
	assert_int_equal(path("/C/" TOKEN, &kind), ERR_NOTFOUND);
	assert_int_equal(path("/c/" TOKEN "/x", &kind), ERR_NOTFOUND);
}

#define WEB "application/x-www-form-urlencoded"
#define PART(b, name, value) "--" b "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"

static void only_one_click_unsubscribes(void **state)
{
	static const struct {
		const char *type, *body;
		int is;
	} rows[] = {
	    {WEB, "List-Unsubscribe=One-Click", 1},
	    {WEB "; charset=UTF-8", "a=b&List-Unsubscribe=One-Click&c", 1},
	    {"Application/X-WWW-Form-URLencoded", "List%2dUnsubscribe=One%2DClick", 1},
	    {WEB, "", 0},
	    {WEB, "List-Unsubscribe=One-Click2", 0},
	    {WEB, "List-Unsubscribe=One-Clic", 0},
	    {WEB, "List-Unsubscribe", 0},
	    {WEB, "list-unsubscribe=One-Click", 0},
	    {WEB, "List-Unsubscribe=One-Click%00", 0},
	    {WEB, "x=List-Unsubscribe=One-Click", 0},
	    {"text/plain", "List-Unsubscribe=One-Click", ERR_UNSUPPORTED},
	    {"", "List-Unsubscribe=One-Click", ERR_UNSUPPORTED},
	    {"multipart/form-data; boundary=b", PART("b", "List-Unsubscribe", "One-Click") "--b--\r\n", 1},
	    {"multipart/form-data; x=y; Boundary=\"b b\"", PART("b b", "a", "1") PART("b b", "List-Unsubscribe", "One-Click") "--b b--", 1},
	    {"multipart/form-data; boundary=b", PART("b", "List-Unsubscribe", "One-Click\r\nmore") "--b--\r\n", 0},
	    {"multipart/form-data; boundary=b", PART("b", "List-Unsubscribe", "No") "--b--\r\n", 0},
	    {"multipart/form-data; boundary=b", PART("c", "List-Unsubscribe", "One-Click") "--c--\r\n", ERR_FORMAT},
	    {"multipart/form-data; boundary=b", PART("b", "List-Unsubscribe", "One-Click"), ERR_FORMAT},
	    {"multipart/form-data", PART("b", "List-Unsubscribe", "One-Click") "--b--\r\n", ERR_FORMAT},
	    {"multipart/form-data; boundary=", "----", ERR_FORMAT},
	    {"multipart/form-data; boundary=b", "--b\r\nX: y\r\n\r\nOne-Click\r\n--b--", 0},
	    {"multipart/form-data; boundary=b",
	     "--b\r\nContent-Disposition: attachment; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (track_form_one_click(span_str(rows[i].type), span_str(rows[i].body)) != rows[i].is)
			fail_msg("row %zu: %s", i, rows[i].body);
}

static void a_location_has_a_fragment_and_nothing_that_ends_the_header(void **state)
{
	char dst[TRACK_PAGE_URL_MAX], large[TRACK_PAGE_URL_MAX + 8];

	(void)state;
	assert_int_equal(track_page_location(dst, SPAN_LIT("https://a.example/x?y")), 0);
	assert_string_equal(dst, "https://a.example/x?y#");
	assert_int_equal(track_page_location(dst, SPAN_LIT("http://a.example/#b")), 0);
	assert_string_equal(dst, "http://a.example/#b");
	assert_true(track_page_location(dst, SPAN_LIT("javascript:alert(1)")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("//evil.example/")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("https:///x")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("https://")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("https://a/\r\nSet-Cookie: x")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("https://a/ b")) < 0);
	assert_true(track_page_location(dst, SPAN_LIT("https://a/\xc3\xa4")) < 0);
	memset(large, 'a', sizeof(large));
	memcpy(large, "https://", 8);
	assert_true(track_page_location(dst, span_of(large, sizeof(large))) < 0);
	assert_int_equal(track_page_location(dst, span_of(large, TRACK_PAGE_URL_MAX - 2)), 0);
}

static void every_reply_is_whole_and_has_its_headers(void **state)
{
	(void)state;
	assert_int_equal(track_page_init(), 0);
	for (int r = 0; r < TRACK_REPLY_COUNT; r++)
		for (int head = 0; head < 2; head++) {
			const struct track_page p = {.reply = (enum track_reply)r, .head = head, .close = 1, .location = "https://a/#"};
			struct buf out;
			struct http_response parsed;
			int n;
			buf_init(&out, TRACK_PAGE_MAX + TRACK_PAGE_URL_MAX);
			assert_int_equal(track_page_put(&out, &p, 1795334400 * CLOCK_SEC), 0);
			n = http_request_parse_response(buf_span(&out), &parsed);
			assert_true(n > 0);
			assert_int_equal(parsed.status, track_page_status((enum track_reply)r));
			assert_int_equal(buf_size(&out), (size_t)n + (head ? 0 : parsed.content_length));
			buf_put(&out, "", 1);
			assert_non_null(strstr((const char *)buf_ptr(&out), "\r\nCache-Control: no-store\r\n"));
			assert_non_null(strstr((const char *)buf_ptr(&out), "\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\n"));
			assert_non_null(strstr((const char *)buf_ptr(&out), "\r\nReferrer-Policy: no-referrer\r\n"));
			assert_int_equal(strstr((const char *)buf_ptr(&out), "\r\nLocation: ") != NULL, r == TRACK_REPLY_GO);
			buf_clear(&out);
		}
}

/* The example of Standard Webhooks 1.0, whose secret has 24 octets: ours have 32, so the vector is one made with Python's
 * hmac: hmac.new(bytes(range(32)), b"msg_1.1614265330.{}", "sha256"). */
static void a_signature_is_that_of_another_implementation(void **state)
{
	char signature[TRACK_HOOK_SIGNATURE], text[TRACK_HOOK_TEXT];
	uint8_t secret[TRACK_HOOK_SECRET];

	(void)state;
	for (unsigned i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)i;
	assert_int_equal(track_hook_sign(signature, secret, NULL, "msg_1", 1614265330, SPAN_LIT("{}")), 0);
	assert_string_equal(signature, "v1,ATSItIDsNRS9QdKP9XOi7h6JK2iXVz31FeOLrDMxCpU=");
	assert_int_equal(track_hook_sign(signature, secret, secret, "msg_1", 1614265330, SPAN_LIT("{}")), 0);
	assert_string_equal(signature, "v1,ATSItIDsNRS9QdKP9XOi7h6JK2iXVz31FeOLrDMxCpU= v1,ATSItIDsNRS9QdKP9XOi7h6JK2iXVz31FeOLrDMxCpU=");
	track_hook_secret_text(text, secret);
	assert_string_equal(text, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
}

static void tries_are_spread_over_days_and_end(void **state)
{
	int64_t least = 0, most = 0;
	unsigned n = 1;

	(void)state;
	for (; track_hook_wait(n, 0) >= 0; n++) {
		assert_true(track_hook_wait(n, 0) <= track_hook_wait(n, UINT64_MAX - 1) || n < 20);
		least += track_hook_wait(n, 0);
		most += track_hook_wait(n, (uint64_t)track_hook_wait(n, 0) / 2);
	}
	assert_int_equal(n, 11);
	assert_true(least > 2 * 86400 * CLOCK_SEC && most < 5 * 86400 * CLOCK_SEC);
}

static void a_server_may_ask_to_be_left_alone_for_a_day_at_most(void **state)
{
	(void)state;
	assert_int_equal(track_hook_quiet(429, 90), 90 * CLOCK_SEC);
	assert_int_equal(track_hook_quiet(503, 1), CLOCK_SEC);
	assert_int_equal(track_hook_quiet(429, 86401), 86400 * CLOCK_SEC);
	assert_int_equal(track_hook_quiet(503, INT64_MAX), 86400 * CLOCK_SEC);
	assert_int_equal(track_hook_quiet(429, 0), 0);
	assert_int_equal(track_hook_quiet(429, -5), 0);
	assert_int_equal(track_hook_quiet(500, 90), 0);
	assert_int_equal(track_hook_quiet(200, 90), 0);
	assert_int_equal(track_hook_quiet(301, 90), 0);
}

static void kinds_are_words_with_commas(void **state)
{
	char text[TRACK_HOOK_KINDS];

	(void)state;
	assert_int_equal(track_hook_kinds(SPAN_LIT("click,unsubscribe")), 5);
	assert_int_equal(track_hook_kinds(SPAN_LIT("click,")), 1);
	assert_int_equal(track_hook_kinds(SPAN_LIT("click,x")), 0);
	assert_int_equal(track_hook_kinds(SPAN_LIT("")), 0);
	track_hook_kinds_text(text, 7);
	assert_string_equal(text, "click,open,unsubscribe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_three_and_no_more),
	    cmocka_unit_test(only_one_click_unsubscribes),
	    cmocka_unit_test(a_location_has_a_fragment_and_nothing_that_ends_the_header),
	    cmocka_unit_test(every_reply_is_whole_and_has_its_headers),
	    cmocka_unit_test(a_signature_is_that_of_another_implementation),
	    cmocka_unit_test(tries_are_spread_over_days_and_end),
	    cmocka_unit_test(a_server_may_ask_to_be_left_alone_for_a_day_at_most),
	    cmocka_unit_test(kinds_are_words_with_commas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
