/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of envelope senders, and what a message that came back says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/bounce/bounce_notice.h"

static uint8_t index_of[BOUNCE_VERP_INDEX];

static const char *sender(uint64_t id)
{
	static char dst[SMTP_ADDR_MAX];
	struct bounce_verp v;

	for (unsigned i = 0; i < sizeof(index_of); i++)
		index_of[i] = (uint8_t)(i * 37 + id);
	bounce_verp_make(&v, "acme", id, index_of);
	assert_int_equal(bounce_verp_sender(dst, &v, "b.example.org"), 0);
	return dst;
}

static void a_sender_is_read_back_as_it_was_made(void **state)
{
	(void)state;
	for (uint64_t id = 1; id < UINT64_C(1) << 63; id = id * 3 + 1) {
		struct bounce_verp v;
		const char *s = sender(id);
		size_t local = strcspn(s, "@");
		assert_int_equal(local, BOUNCE_VERP_LOCAL);
		assert_true(local <= 64);
		assert_string_equal(s + local, "@b.example.org");
		assert_int_equal(bounce_verp_parse(span_of(s, local), &v), 0);
		assert_true(v.id == id);
		assert_true(bounce_verp_matches(&v, index_of));
		index_of[BOUNCE_VERP_MAC - 1] ^= 1;
		assert_false(bounce_verp_matches(&v, index_of));
		assert_true(bounce_verp_is_of(&v, "acme"));
		assert_false(bounce_verp_is_of(&v, "acmf"));
	}
}

static void case_is_lost_on_the_way_and_nothing_else(void **state)
{
	char s[SMTP_ADDR_MAX];
	struct bounce_verp v, w;
	size_t n;

	(void)state;
	strcpy(s, sender(77));
	n = strcspn(s, "@");
	bounce_verp_parse(span_of(s, n), &v);
	for (size_t i = 0; i < n; i++)
		if (s[i] >= 'a' && s[i] <= 'z')
			s[i] -= 32;
	assert_int_equal(bounce_verp_parse(span_of(s, n), &w), 0);
	assert_true(v.id == w.id);
	assert_memory_equal(v.tag, w.tag, sizeof(v.tag));
	assert_memory_equal(v.mac, w.mac, sizeof(v.mac));
	assert_int_equal(bounce_verp_parse(span_of(s, n - 1), &w), ERR_FORMAT);
	s[10] = 'u'; /* no digit of this base32 */
	assert_int_equal(bounce_verp_parse(span_of(s, n), &w), ERR_FORMAT);
	strcpy(s, sender(77));
	s[n - 1] = s[n - 1] == '0' ? '1' : s[n - 1] + 1; /* a bit that stands for nothing */
	assert_true(bounce_verp_parse(span_of(s, n), &w) == ERR_FORMAT || !bounce_verp_matches(&w, index_of));
	assert_int_equal(bounce_verp_parse(SPAN_LIT("bounce"), &w), ERR_FORMAT);
	assert_int_equal(bounce_verp_parse(SPAN_LIT(""), &w), ERR_FORMAT);
}

static void the_address_counts_in_lower_case(void **state)
{
	uint8_t a[BOUNCE_VERP_VALUE], b[BOUNCE_VERP_VALUE];
	size_t n = bounce_verp_value(a, 5, SPAN_LIT("Bob@There.test"));

	(void)state;
	assert_int_equal(n, 8 + 14);
	assert_int_equal(bounce_verp_value(b, 5, SPAN_LIT("bob@there.TEST")), n);
	assert_memory_equal(a, b, n);
	bounce_verp_value(b, 6, SPAN_LIT("bob@there.test"));
	assert_memory_not_equal(a, b, n);
}

/* --- notices */

static struct bounce_notice notice;

static const char *names(void)
{
	static char text[4000];

	text[0] = '\0';
	for (unsigned i = 0; i < notice.count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s:%d ",
			 notice.addresses[i].address, notice.addresses[i].of);
	return text;
}

static void read_text(const char *message)
{
	memset(&notice, 0, sizeof(notice));
	assert_int_equal(bounce_notice_read(&notice, span_str(message), "b.example.org"), 0);
}

#define REPORT "Content-Type: multipart/report; boundary=B\r\n\r\n"

static void a_bounce_names_its_recipients_with_what_was_said_of_each(void **state)
{
	(void)state;
	read_text(REPORT
		  "--B\r\n\r\nSorry, a@x.example and help@mx.example\r\n--B\r\n"
		  "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
		  "Original-Recipient: rfc822; A@x.example\r\nFinal-Recipient: rfc822; b@y.example\r\n"
		  "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n"
		  "Final-Recipient: rfc822; c@x.example\r\nAction: failed\r\nStatus: 5.2.2\r\n\r\n"
		  "--B\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: d@x.example\r\n\r\n--B--\r\n");
	assert_int_equal(notice.kind, BOUNCE_NOTICE_BOUNCE);
	assert_string_equal(names(), "A@x.example:0 b@y.example:0 c@x.example:1 d@x.example:-1 "
				     "help@mx.example:-1 ");
	assert_int_equal(notice.told_count, 2);
	assert_true(notice.told[0].hard);
	assert_int_equal(notice.told[0].class, BOUNCE_CLASS_BAD_MAILBOX);
	assert_false(notice.told[1].hard);
	assert_int_equal(notice.told[1].class, BOUNCE_CLASS_QUOTA_ISSUES);
	assert_ptr_equal(bounce_notice_told(&notice, 1), &notice.told[0]);
	assert_null(bounce_notice_told(&notice, 3));
	assert_null(bounce_notice_told(&notice, 99));
}

static void with_one_recipient_every_address_may_be_he(void **state)
{
	(void)state;
	read_text(REPORT "--B\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
			 "Final-Recipient: rfc822; inner@y.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
			 "--B\r\nContent-Type: message/rfc822\r\n\r\nReceived: by mx for <a@x.example>; now\r\n"
			 "To: list@z.example\r\n\r\nbody to x@y.example\r\n--B--\r\n");
	assert_string_equal(names(), "inner@y.example:0 a@x.example:0 list@z.example:0 ");
}

static void a_delay_is_never_hard(void **state)
{
	(void)state;
	read_text(REPORT "--B\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
			 "Final-Recipient: rfc822; a@y.example\r\nAction: delayed\r\nStatus: 5.1.1\r\n\r\n--B--\r\n");
	assert_int_equal(notice.told[0].action, MAIL_DSN_DELAYED);
	assert_false(notice.told[0].hard);
}

static void a_complaint_holds_the_token_of_what_it_is_about(void **state)
{
	char message[2000];

	(void)state;
	for (int where = 0; where < 3; where++) {
		snprintf(message, sizeof(message),
			 REPORT "--B\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
				"%s%s\r\n--B\r\nContent-Type: message/rfc822\r\n\r\n%s%s\r\nTo: u@x.example\r\n\r\n"
				"--B--\r\n",
			 where == 0 ? "Original-Mail-From: " : "X: ", where == 0 ? sender(9) : "y",
			 where == 1 ? "Return-Path: <" : "X-Y: <", where == 1 ? sender(9) : "z");
		read_text(message);
		assert_int_equal(notice.kind, BOUNCE_NOTICE_COMPLAINT);
		assert_string_equal(notice.what, "abuse");
		assert_false(notice.wanted);
		assert_int_equal(notice.has_token, where < 2);
		assert_true(where == 2 || notice.token.id == 9);
		assert_string_equal(names(), "u@x.example:-1 ");
	}
}

static void a_token_of_another_domain_is_none(void **state)
{
	char message[2000];
	struct bounce_verp v;
	char other[SMTP_ADDR_MAX];

	(void)state;
	sender(9);
	bounce_verp_make(&v, "acme", 9, index_of);
	bounce_verp_sender(other, &v, "evil.example");
	snprintf(message, sizeof(message),
		 REPORT "--B\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n"
			"Original-Mail-From: %s\r\nOriginal-Rcpt-To: u@x.example\r\n\r\n--B--\r\n",
		 other);
	read_text(message);
	assert_false(notice.has_token);
}

static void a_token_that_is_known_is_kept(void **state)
{
	(void)state;
	memset(&notice, 0, sizeof(notice));
	notice.has_token = 1;
	notice.token.id = 42;
	assert_int_equal(bounce_notice_read(&notice, SPAN_LIT("Subject: away\r\n\r\nuntil Monday x@y.z\r\n"),
					    "b.example.org"),
			 0);
	assert_int_equal(notice.kind, BOUNCE_NOTICE_OTHER);
	assert_int_equal(notice.count, 0);
	assert_true(notice.has_token && notice.token.id == 42);
}

static void addresses_have_a_limit(void **state)
{
	static char message[20000];
	size_t n = (size_t)snprintf(message, sizeof(message), "X: y\r\n\r\nThis is the qmail-send program\r\n");

	(void)state;
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(message + n, sizeof(message) - n, "<u%d@x.example>:\r\nno\r\n", i);
	read_text(message);
	assert_int_equal(notice.count, BOUNCE_NOTICE_ADDRESSES);
	assert_int_equal(notice.told_count, MAIL_DSN_RECIPIENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sender_is_read_back_as_it_was_made),
	    cmocka_unit_test(case_is_lost_on_the_way_and_nothing_else),
	    cmocka_unit_test(the_address_counts_in_lower_case),
	    cmocka_unit_test(a_bounce_names_its_recipients_with_what_was_said_of_each),
	    cmocka_unit_test(with_one_recipient_every_address_may_be_he),
	    cmocka_unit_test(a_delay_is_never_hard),
	    cmocka_unit_test(a_complaint_holds_the_token_of_what_it_is_about),
	    cmocka_unit_test(a_token_of_another_domain_is_none),
	    cmocka_unit_test(a_token_that_is_known_is_kept),
	    cmocka_unit_test(addresses_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
