/* SPDX-License-Identifier: Apache-2.0 */
/* The milter protocol as bytes: what an MTA says, octet by octet, and what filters may answer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/hex.h"
#include "milterproto/milterproto.h"
#include "milterproto/milterproto_socket.h"

static struct buf out;

static int start(void **state)
{
	(void)state;
	buf_init(&out, 1 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	buf_clear(&out);
	return 0;
}

/* What was put so far is exactly these bytes. */
static void put_is(const char *bytes, size_t n)
{
	assert_int_equal(buf_size(&out), n);
	assert_memory_equal(buf_ptr(&out), bytes, n);
	buf_reset(&out);
}
#define PUT_IS(lit) put_is(lit, sizeof(lit) - 1)

static void commands_are_what_libmilter_reads(void **state)
{
	const struct span mail[] = {SPAN_LIT("<a@b>"), SPAN_LIT("SIZE=5")};

	(void)state;
	milterproto_put_options(&out, 6, 0x1ff, 0x1ff7ff);
	PUT_IS("\0\0\0\x0dO\0\0\0\x06\0\0\x01\xff\0\x1f\xf7\xff");
	milterproto_put_connect(&out, "[192.0.2.7]", '4', 2525, "192.0.2.7");
	PUT_IS("\0\0\0\x1a"
	       "C[192.0.2.7]\0"
	       "4\x09\xdd"
	       "192.0.2.7\0");
	milterproto_put_connect(&out, "localhost", 'U', 0, "");
	PUT_IS("\0\0\0\x0c"
	       "Clocalhost\0U");
	milterproto_put_strings(&out, MILTERPROTO_MAIL, mail, 2);
	PUT_IS("\0\0\0\x0eM<a@b>\0SIZE=5\0");
	milterproto_put_macros(&out, MILTERPROTO_MAIL, SPAN_LIT("i\0X\0"));
	PUT_IS("\0\0\0\x06"
	       "DMi\0X\0");
	milterproto_put(&out, MILTERPROTO_BODY, SPAN_LIT("abc"));
	PUT_IS("\0\0\0\x04"
	       "Babc");
	milterproto_put(&out, MILTERPROTO_BODYEOB, span_of(NULL, 0));
	PUT_IS("\0\0\0\x01"
	       "E");
}

static void packets_are_cut_off_a_stream(void **state)
{
	struct span data, in = SPAN_LIT("\0\0\0\x01"
					"c\0\0\0\x03hx\0");
	uint8_t command;

	(void)state;
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(milterproto_take(span_sub(in, 0, n), &command, &data), 0);
	assert_int_equal(milterproto_take(in, &command, &data), 5);
	assert_int_equal(command, 'c');
	assert_int_equal(data.n, 0);
	in = span_sub(in, 5, in.n);
	assert_int_equal(milterproto_take(in, &command, &data), 7);
	assert_int_equal(data.n, 2);
	assert_int_equal(milterproto_take(SPAN_LIT("\0\0\0\0"), &command, &data), ERR_FORMAT);
	assert_int_equal(milterproto_take(SPAN_LIT("\0\x04\0\x01"), &command, &data), ERR_LIMIT);
	assert_int_equal(milterproto_take(SPAN_LIT("HTTP"), &command, &data), ERR_LIMIT);
}

#define S(lit) SPAN_LIT(lit)

static void each_reply_has_its_data_and_no_other(void **state)
{
	static const struct {
		char command;
		struct span data;
		enum milterproto_what what; /* NOTHING: refused */
		uint32_t index;
		const char *a, *b;
	} rows[] = {
	    {'a', S(""), MILTERPROTO_SAYS_ACCEPT, 0, "", ""},
	    {'c', S(""), MILTERPROTO_SAYS_CONTINUE, 0, "", ""},
	    {'c', S("x"), MILTERPROTO_NOTHING, 0, "", ""},
	    {'p', S(""), MILTERPROTO_SAYS_PROGRESS, 0, "", ""},
	    {'h', S("A\0b\0"), MILTERPROTO_SAYS_ADD_HEADER, 0, "A", "b"},
	    {'h', S("A\0\0"), MILTERPROTO_SAYS_ADD_HEADER, 0, "A", ""},
	    {'h', S("A\0b"), MILTERPROTO_NOTHING, 0, "", ""},
	    {'h', S("A\0b\0c\0"), MILTERPROTO_NOTHING, 0, "", ""},
	    {'i',
	     S("\0\0\0\x02"
	       "A\0b\0"),
	     MILTERPROTO_SAYS_INS_HEADER, 2, "A", "b"},
	    {'i', S("\0\0\0"), MILTERPROTO_NOTHING, 0, "", ""},
	    {'m', S("\0\0\0\x01Subject\0\0"), MILTERPROTO_SAYS_CHG_HEADER, 1, "Subject", ""},
	    {'b', S("a\0b"), MILTERPROTO_SAYS_REPL_BODY, 0, NULL, ""},
	    {'+', S("<a@b>\0"), MILTERPROTO_SAYS_ADD_RCPT, 0, "<a@b>", ""},
	    {'+', S("<a@b>"), MILTERPROTO_NOTHING, 0, "", ""},
	    {'2', S("<a@b>\0"), MILTERPROTO_SAYS_ADD_RCPT_PAR, 0, "<a@b>", ""},
	    {'2', S("<a@b>\0NOTIFY=NEVER\0"), MILTERPROTO_SAYS_ADD_RCPT_PAR, 0, "<a@b>",
	     "NOTIFY=NEVER"},
	    {'-', S("<a@b>\0"), MILTERPROTO_SAYS_DEL_RCPT, 0, "<a@b>", ""},
	    {'e', S("<a@b>\0"), MILTERPROTO_SAYS_CHG_FROM, 0, "<a@b>", ""},
	    {'q', S("why\0"), MILTERPROTO_SAYS_QUARANTINED, 0, "why", ""},
	    {'y', S("550 5.7.1 no\0"), MILTERPROTO_SAYS_REPLYCODE, 0, "550 5.7.1 no", ""},
	    {'s', S(""), MILTERPROTO_SAYS_SKIPPED, 0, "", ""},
	    {'4', S(""), MILTERPROTO_SAYS_SHUTDOWN, 0, "", ""},
	    {'f', S(""), MILTERPROTO_SAYS_CONN_FAIL, 0, "", ""},
	    {'z', S(""), MILTERPROTO_NOTHING, 0, "", ""},
	    {0, S(""), MILTERPROTO_NOTHING, 0, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milterproto_reply r;
		int err = milterproto_reply((uint8_t)rows[i].command, rows[i].data, &r);

		if (rows[i].what == MILTERPROTO_NOTHING) {
			assert_int_equal(err, ERR_FORMAT);
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(r.what, rows[i].what);
		assert_int_equal(r.index, rows[i].index);
		if (rows[i].a)
			assert_true(span_equal(r.a, span_str(rows[i].a)));
		else
			assert_true(span_equal(r.a, rows[i].data));
		assert_true(span_equal(r.b, span_str(rows[i].b)));
	}
}

static void options_carry_macro_lists(void **state)
{
	struct span data = SPAN_LIT("\0\0\0\x06\0\0\x01\x11\0\x10\0\x80"
				    "\0\0\0\x02{auth_authen}\0\0\0\0\x05i\0");
	struct milterproto_options o;

	(void)state;
	assert_int_equal(milterproto_options(data, &o), 0);
	assert_int_equal(o.version, 6);
	assert_int_equal(o.actions, 0x111);
	assert_int_equal(o.steps, MILTERPROTO_HDR_LEADSPC | MILTERPROTO_NR_HDR);
	assert_int_equal(o.asked, 1 << MILTERPROTO_AT_MAIL | 1 << MILTERPROTO_AT_END);
	assert_true(span_equal(o.macros[MILTERPROTO_AT_MAIL], SPAN_LIT("{auth_authen}")));
	assert_int_equal(milterproto_options(span_sub(data, 0, 12), &o), 0);
	assert_int_equal(o.asked, 0);
	for (size_t n = 0; n < data.n; n++)
		if (n != 12 && n != 30)
			assert_int_equal(milterproto_options(span_sub(data, 0, n), &o), ERR_FORMAT);
	assert_int_equal(
	    milterproto_options(SPAN_LIT("\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\x07x\0"), &o),
	    ERR_FORMAT);
}

static void replies_to_the_client_agree_with_their_codes(void **state)
{
	static const struct {
		const char *in;
		int err, code;
		const char *enhanced, *text;
	} rows[] = {
	    {"550 5.7.1 Spam", 0, 550, "5.7.1", "Spam"},
	    {"451 4.7.1 Greylisted, try again", 0, 451, "4.7.1", "Greylisted, try again"},
	    {"550 no code", 0, 550, "5.7.1", "no code"},
	    {"421", 0, 421, "4.7.1", "Try again later"},
	    {"554 5.6.0", 0, 554, "5.6.0", "Message refused"},
	    {"550-5.7.1 one\r\n550 5.7.1 two", 0, 550, "5.7.1", "one\ntwo"},
	    {"550 5.7.1 100%% sure", 0, 550, "5.7.1", "100% sure"},
	    {"550 5.7.1 a%", 0, 550, "5.7.1", "a"},
	    {"550 5.7.1 a\tb\x7f\xc3\xa4", 0, 550, "5.7.1", "a?b???"},
	    {"550 4.7.1 no", ERR_FORMAT, 550, "", ""},
	    {"450 5.7.1 no", ERR_FORMAT, 451, "", ""},
	    {"550-5.7.1 one\r\n450 4.7.1 two", ERR_FORMAT, 550, "", ""},
	    {"250 2.0.0 fine", ERR_FORMAT, 0, "", ""},
	    {"590 5.0.0 no such", ERR_FORMAT, 550, "", ""},
	    {"5", ERR_FORMAT, 550, "", ""},
	    {"", ERR_FORMAT, 0, "", ""},
	    {"550x5.7.1", ERR_FORMAT, 550, "", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milterproto_smtp s;

		assert_int_equal(milterproto_smtp(span_str(rows[i].in), &s), rows[i].err);
		assert_int_equal(s.code, rows[i].code);
		assert_string_equal(s.enhanced, rows[i].enhanced);
		assert_string_equal(s.text, rows[i].text);
	}
}

static void sockets_are_read_as_libmilter_and_postfix_write_them(void **state)
{
	static const struct {
		const char *text, *host; /* host NULL: refused; "/...": a path */
		unsigned port;
	} rows[] = {
	    {"unix:/run/x.sock", "/run/x.sock", 0},
	    {"local:/x", "/x", 0},
	    {"/run/x", "/run/x", 0},
	    {"inet:8891@127.0.0.1", "127.0.0.1", 8891},
	    {"inet:8891@localhost", "127.0.0.1", 8891},
	    {"inet:8891", "127.0.0.1", 8891},
	    {"inet:192.0.2.1:25", "192.0.2.1", 25},
	    {"inet6:25@::1", "::1", 25},
	    {"inet6:25@[::1]", "::1", 25},
	    {"inet6:25@localhost", "::1", 25},
	    {"inet6:[2001:db8::1]:25", "2001:db8::1", 25},
	    {"unix:x.sock", NULL, 0},
	    {"inet:0@127.0.0.1", NULL, 0},
	    {"inet:65536@127.0.0.1", NULL, 0},
	    {"inet:25@filter.example", NULL, 0},
	    {"inet:25@::1", NULL, 0},
	    {"inet6:25@127.0.0.1", NULL, 0},
	    {"inet:@127.0.0.1", NULL, 0},
	    {"smtp:25@127.0.0.1", NULL, 0},
	    {"", NULL, 0},
	    {"inet:", NULL, 0},
	    {"inet:25x@127.0.0.1", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milterproto_socket s;
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&s.address;
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&s.address;
		int err = milterproto_socket_parse(rows[i].text, &s);
		char host[64] = "";

		if (!rows[i].host) {
			assert_int_equal(err, ERR_FORMAT);
			continue;
		}
		assert_int_equal(err, 0);
		if (rows[i].host[0] == '/') {
			assert_string_equal(s.path, rows[i].host);
			continue;
		}
		assert_string_equal(s.path, "");
		if (s.address.ss_family == AF_INET)
			inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		else
			inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		assert_string_equal(host, rows[i].host);
		assert_int_equal(
		    ntohs(s.address.ss_family == AF_INET ? v4->sin_port : v6->sin6_port),
		    rows[i].port);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_are_what_libmilter_reads),
	    cmocka_unit_test(packets_are_cut_off_a_stream),
	    cmocka_unit_test(each_reply_has_its_data_and_no_other),
	    cmocka_unit_test(options_carry_macro_lists),
	    cmocka_unit_test(sockets_are_read_as_libmilter_and_postfix_write_them),
	    cmocka_unit_test(replies_to_the_client_agree_with_their_codes),
	};

	return cmocka_run_group_tests(tests, start, end);
}
