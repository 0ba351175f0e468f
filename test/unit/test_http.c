/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "http/http_request.h"

static int parse(const char *text, struct http_request *r)
{
	return http_request_parse(span_str(text), r);
}

static void a_good_request_is_taken_apart(void **state)
{
	static const char text[] = "POST /v1/queue/abc/retry?limit=5&x=y HTTP/1.1\r\nHost: local\r\n"
				   "Content-Length: 3\r\nX-A:  b \r\nConnection: close\r\n\r\nxyz";
	struct http_request r;

	(void)state;
	assert_int_equal(parse(text, &r), sizeof(text) - 1 - 3);
	assert_int_equal(r.segment_count, 4);
	assert_true(span_equal(r.segments[2], SPAN_LIT("abc")));
	assert_true(span_equal(http_request_query(&r, "x"), SPAN_LIT("y")));
	assert_null(http_request_query(&r, "z").p);
	assert_true(span_equal(http_request_field(&r, "x-a"), SPAN_LIT("b")));
	assert_int_equal(r.content_length, 3);
	assert_int_equal(r.close, 1);
}

static void every_shorter_piece_asks_for_more(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct http_request r;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(http_request_parse(span_of(text, n), &r), 0);
	assert_int_equal(parse(text, &r), sizeof(text) - 1);
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
	    {"GET / HTTP/1.1\nHost: a\n\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_UNSUPPORTED},
	    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nA: b\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", ERR_UNSUPPORTED},
	    {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /a//b HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /a/ HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /%2e HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /a;b HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET /1/2/3/4/5/6/7/8/9 HTTP/1.1\r\nHost: a\r\n\r\n", ERR_LIMIT},
	    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_FORMAT},
	    {"GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", ERR_FORMAT},
	};
	struct http_request r;
	char nul[] = "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parse(rows[i].text, &r), rows[i].rc);
	nul[23] = '\0';
	assert_int_equal(http_request_parse(span_of(nul, sizeof(nul) - 1), &r), ERR_FORMAT);
}

static void a_head_without_end_is_over_the_limit(void **state)
{
	struct http_request r;
	char *big = malloc(HTTP_HEAD_MAX);

	(void)state;
	memset(big, 'a', HTTP_HEAD_MAX);
	assert_int_equal(http_request_parse(span_of(big, HTTP_HEAD_MAX - 1), &r), 0);
	assert_int_equal(http_request_parse(span_of(big, HTTP_HEAD_MAX), &r), ERR_LIMIT);
	free(big);
}

static void a_response_that_is_put_reads_back(void **state)
{
	struct http_response r;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	http_request_put_response(&b, 404, "application/json", 17, 1);
	assert_int_equal(http_request_parse_response(buf_span(&b), &r), buf_size(&b));
	assert_int_equal(r.status, 404);
	assert_int_equal(r.content_length, 17);
	buf_clear(&b);
	assert_int_equal(http_request_parse_response(SPAN_LIT("HTTP/1.1 x\r\n\r\n"), &r), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_good_request_is_taken_apart),
	    cmocka_unit_test(every_shorter_piece_asks_for_more),
	    cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
	    cmocka_unit_test(a_head_without_end_is_over_the_limit),
	    cmocka_unit_test(a_response_that_is_put_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
