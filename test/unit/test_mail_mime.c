/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_mime.h"

struct seen {
	char text[4000];
	unsigned count, stop_at;
};

static int note(void *arg, const struct mail_mime_part *p)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%u %s <%.*s>\n", p->depth, p->type,
		 (int)p->body.n, p->body.n ? (const char *)p->body.p : "");
	return ++s->count == s->stop_at;
}

static void leaves_are(const char *message, const char *expected)
{
	struct seen s = {.text = ""};

	assert_int_equal(mail_mime_walk(span_str(message), note, &s), 0);
	assert_string_equal(s.text, expected);
}

static void parts_come_in_order(void **state)
{
	(void)state;
	leaves_are("Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\none\r\n"
		   "--b\r\nContent-Type: Text/HTML\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue\r\n",
		   "1 text/plain <one>\n1 text/html <two\r\n>\n");
	leaves_are("Subject: x\r\n\r\ntext\r\n", "0 text/plain <text\r\n>\n");
	leaves_are("", "0 text/plain <>\n");
}

static void multiparts_nest_and_messages_are_leaves(void **state)
{
	(void)state;
	leaves_are(
	    "Content-Type: multipart/mixed;\r\n boundary=\"o u\\ter\"\r\n\r\n--o uter\r\n"
	    "Content-Type: multipart/alternative; boundary=inner\r\n\r\n--inner\r\n\r\na\r\n"
	    "--inner  \r\n\r\nb\r\n--inner--\r\n--o uter\r\nContent-Type: message/rfc822\r\n\r\n"
	    "Content-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\nc\r\n--o uter--\r\n",
	    "2 text/plain <a>\n2 text/plain <b>\n"
	    "1 message/rfc822 <Content-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\nc>\n");
}

static void a_multipart_without_end_or_boundary_is_still_read(void **state)
{
	(void)state;
	leaves_are("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n",
		   "1 text/plain <one\r\n>\n");
	leaves_are("Content-Type: multipart/mixed\r\n\r\n--b\r\n", "0 multipart/mixed <--b\r\n>\n");
	leaves_are("Content-Type: multipart/mixed; boundary=b\r\n\r\n--bc\r\n", "");
	leaves_are("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
		   "1 text/plain <one>\n");
}

static void a_walk_can_be_stopped(void **state)
{
	struct seen s = {.stop_at = 1};

	(void)state;
	assert_int_equal(mail_mime_walk(SPAN_LIT("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
						 "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
					note, &s),
			 1);
	assert_int_equal(s.count, 1);
}

static int count(void *arg, const struct mail_mime_part *p)
{
	unsigned *n = arg;

	assert_true(p->depth <= MAIL_MIME_DEPTH);
	++*n;
	return 0;
}

static void depth_and_number_are_bounded(void **state)
{
	enum { LEVELS = 10000, LEAVES = 5000 };
	size_t room = LEVELS * 70, n = 0;
	char *text = malloc(room);
	unsigned leaves = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < LEVELS; i++)
		n += (size_t)snprintf(
		    text + n, room - n,
		    "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	mail_mime_walk(span_of(text, n), count, &leaves);
	assert_int_equal(leaves, 1);
	n = (size_t)snprintf(text, room, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (int i = 0; i < LEAVES; i++)
		n += (size_t)snprintf(text + n, room - n, "--b\r\n\r\nx\r\n");
	leaves = 0;
	mail_mime_walk(span_of(text, n), count, &leaves);
	assert_int_equal(leaves, MAIL_MIME_PARTS);
	free(text);
}

static void types_and_parameters_are_read(void **state)
{
	static const char report[] = "Multipart/Report (a; comment); x=\"a;boundary=no\" ;\r\n\t"
				     "Report-Type=delivery-status; BOUNDARY = \"a \\\"b\\\" c\"; y";
	char type[MAIL_MIME_TYPE], value[20];

	(void)state;
	assert_int_equal(mail_mime_type(type, SPAN_LIT(report)), 0);
	assert_string_equal(type, "multipart/report");
	assert_int_equal(mail_mime_param(value, sizeof(value), SPAN_LIT(report), "report-type"),
			 15);
	assert_string_equal(value, "delivery-status");
	assert_int_equal(mail_mime_param(value, sizeof(value), SPAN_LIT(report), "boundary"), 7);
	assert_string_equal(value, "a \"b\" c");
	assert_int_equal(mail_mime_param(value, 4, SPAN_LIT(report), "boundary"), ERR_LIMIT);
	assert_int_equal(mail_mime_param(value, sizeof(value), SPAN_LIT(report), "charset"),
			 ERR_NOTFOUND);
	assert_int_equal(mail_mime_type(type, SPAN_LIT("text")), ERR_FORMAT);
	assert_int_equal(mail_mime_type(type, SPAN_LIT("/plain")), ERR_FORMAT);
	assert_int_equal(mail_mime_type(type, SPAN_LIT("")), ERR_FORMAT);
	assert_int_equal(mail_mime_encoding(SPAN_LIT(" Quoted-Printable ")), MAIL_MIME_QP);
	assert_int_equal(mail_mime_encoding(SPAN_LIT("BASE64")), MAIL_MIME_BASE64);
	assert_int_equal(mail_mime_encoding(SPAN_LIT("8bit")), MAIL_MIME_PLAIN);
}

static void encodings_are_undone(void **state)
{
	static const struct {
		enum mail_mime_encoding encoding;
		const char *in, *out;
	} cases[] = {
	    {MAIL_MIME_PLAIN, "a=20b\r\n", "a=20b\r\n"},
	    {MAIL_MIME_QP, "a=20b=3D=\r\nc= \r\nd=\n=e9=E9", "a b=cd\xe9\xe9"},
	    {MAIL_MIME_QP, "5.1.1=zz =4", "5.1.1=zz =4"},
	    {MAIL_MIME_BASE64, "VGhl\r\nIHVz\r\nZXI=\r\n", "The user"},
	    {MAIL_MIME_BASE64, "VGhlIHVzZX", "The use"},
	    {MAIL_MIME_BASE64, "", ""},
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 100);
		mail_mime_decode(&b, cases[i].encoding, span_str(cases[i].in));
		assert_true(span_equal(buf_span(&b), span_str(cases[i].out)));
		buf_clear(&b);
	}
}

static void what_does_not_fit_is_left_out(void **state)
{
	struct buf b;

	(void)state;
	for (int e = MAIL_MIME_PLAIN; e <= MAIL_MIME_BASE64; e++) {
		buf_init(&b, 3);
		mail_mime_decode(&b, (enum mail_mime_encoding)e, SPAN_LIT("VGhlIHVzZXIg"));
		assert_int_equal(buf_size(&b), 3);
		buf_clear(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_come_in_order),
	    cmocka_unit_test(multiparts_nest_and_messages_are_leaves),
	    cmocka_unit_test(a_multipart_without_end_or_boundary_is_still_read),
	    cmocka_unit_test(a_walk_can_be_stopped),
	    cmocka_unit_test(depth_and_number_are_bounded),
	    cmocka_unit_test(types_and_parameters_are_read),
	    cmocka_unit_test(encodings_are_undone),
	    cmocka_unit_test(what_does_not_fit_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
