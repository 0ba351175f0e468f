/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as the programs and providers write them (their own words, addresses changed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_arf.h"
#include "mail/mail_dsn.h"

#define REPORT(type)                                                  \
	"From: MAILER-DAEMON@mx.example.net\r\nMIME-Version: 1.0\r\n" \
	"Content-Type: multipart/report; report-type=" type ";\r\n\tboundary=\"B\"\r\n\r\n"

static const char postfix[] = REPORT(
    "delivery-status") "This is a MIME-encapsulated message.\r\n\r\n--B\r\nContent-Description: "
		       "Notification\r\n"
		       "Content-Type: text/plain; charset=us-ascii\r\n\r\nThis is the mail system "
		       "at host mx.\r\n\r\n"
		       "<gone@example.com>: host mx.example.com said: 550 5.1.1 no such "
		       "user\r\n\r\n--B\r\n"
		       "Content-Description: Delivery report\r\nContent-Type: "
		       "message/delivery-status\r\n\r\n"
		       "Reporting-MTA: dns; mx.example.net\r\nX-Postfix-Queue-ID: 4F9\r\n"
		       "Original-Envelope-Id: QQ314159\r\n"
		       "Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000 (UTC)\r\n\r\n"
		       "Final-Recipient: rfc822; gone@example.com\r\nOriginal-Recipient: "
		       "rfc822;Gone@example.com\r\n"
		       "Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.com\r\n"
		       "Diagnostic-Code: smtp; 550 5.1.1 <gone@example.com>: Recipient address "
		       "rejected:\r\n"
		       "    User unknown in virtual mailbox table\r\n\r\n"
		       "Final-Recipient: rfc822; full@example.com\r\nAction: delayed\r\nStatus: "
		       "4.2.2\r\n"
		       "Diagnostic-Code: smtp; 452 4.2.2 The email account is over quota\r\n\r\n"
		       "--B\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: "
		       "<bounce+tok@b.example.org>\r\n"
		       "To: Gone <gone@example.com>\r\nSubject: hello\r\n\r\nsecret "
		       "body\r\n--B--\r\n";

static const char exchange[] = REPORT(
    "delivery-status") "--B\r\nContent-Type: text/plain; "
		       "charset=\"utf-8\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
		       "RGVsaXZlcnkgaGFzIGZhaWxlZA==\r\n--B\r\nContent-Type: "
		       "message/delivery-status\r\n\r\n"
		       "Reporting-MTA: dns;AM0PR01.prod.exchangelabs.com\r\nReceived-From-MTA: "
		       "dns;relay.example.org\r\n"
		       "Arrival-Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
		       "Original-Recipient: rfc822;gone@example.com\r\nFinal-Recipient: "
		       "rfc822;gone@example.com\r\n"
		       "Action: failed\r\nStatus: 5.1.10\r\nDiagnostic-Code: smtp;550 5.1.10 "
		       "RESOLVER.ADR."
		       "RecipientNotFound; Recipient not found by SMTP address lookup\r\n\r\n"
		       "--B\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: "
		       "gone@example.com\r\n\r\n--B--\r\n";

static const char global[] =
    REPORT("delivery-status") "--B\r\nContent-Type: "
			      "message/global-delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
			      "Final-Recipient: utf-8; j\\x{F6}rg@example.com\r\nAction: "
			      "failed\r\nStatus: 5.1.1 (bad)\r\n\r\n"
			      "--B--\r\n";

struct world {
	struct mail_report report;
	struct mail_dsn dsn;
	struct mail_arf arf;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static int read_dsn(struct world *w, const char *message)
{
	int rc;

	mail_report_init(&w->report);
	mail_report_read(&w->report, span_str(message));
	rc = mail_dsn_read(&w->report, &w->dsn);
	mail_report_clear(&w->report);
	return rc;
}

static void a_report_of_rfc_3464_is_read_per_recipient(void **state)
{
	struct world *w = *state;
	const struct mail_dsn_recipient *r = w->dsn.recipients;

	assert_int_equal(read_dsn(w, postfix), 0);
	assert_string_equal(w->dsn.dialect, "rfc3464");
	assert_string_equal(w->dsn.envid, "QQ314159");
	assert_int_equal(w->dsn.count, 2);
	assert_int_equal(r[0].action, MAIL_DSN_FAILED);
	assert_string_equal(r[0].address, "gone@example.com");
	assert_string_equal(r[0].original, "Gone@example.com");
	assert_string_equal(r[0].status, "5.1.1");
	assert_int_equal(r[0].code, 550);
	assert_string_equal(r[0].text, "550 5.1.1 <gone@example.com>: Recipient address rejected: "
				       "User unknown in virtual mailbox table");
	assert_int_equal(r[1].action, MAIL_DSN_DELAYED);
	assert_string_equal(r[1].address, "full@example.com");
	assert_string_equal(r[1].original, "");
	assert_string_equal(r[1].status, "4.2.2");
	assert_int_equal(r[1].code, 452);
}

static void exchange_and_international_reports_are_read_too(void **state)
{
	struct world *w = *state;

	assert_int_equal(read_dsn(w, exchange), 0);
	assert_int_equal(w->dsn.count, 1);
	assert_string_equal(w->dsn.recipients[0].status, "5.1.10");
	assert_int_equal(w->dsn.recipients[0].code, 550);
	assert_int_equal(read_dsn(w, global), 0);
	assert_string_equal(w->dsn.recipients[0].address, "j\xc3\xb6rg@example.com");
	assert_string_equal(w->dsn.recipients[0].status, "5.1.1");
	assert_int_equal(w->dsn.recipients[0].code, 0);
}

static int note(void *arg, struct span a)
{
	char *dst = arg;
	size_t n = strlen(dst);

	snprintf(dst + n, 400 - n, "%.*s ", (int)a.n, (const char *)a.p);
	return 0;
}

static void the_parts_of_a_report_are_found_and_bodies_left_out(void **state)
{
	struct world *w = *state;
	char seen[400] = "";
	struct span original;

	mail_report_init(&w->report);
	mail_report_read(&w->report, SPAN_LIT(postfix));
	assert_int_equal(w->report.kind, MAIL_REPORT_DSN);
	original = buf_span(&w->report.original);
	assert_null(memmem(original.p, original.n, "secret", 6));
	mail_report_addresses(original, MAIL_REPORT_TO, note, seen);
	assert_string_equal(seen, "gone@example.com ");
	seen[0] = '\0';
	mail_report_addresses(original, MAIL_REPORT_FROM, note, seen);
	assert_string_equal(seen, "bounce+tok@b.example.org ");
	mail_report_clear(&w->report);
}

/* --- reports that are only text */

static const struct {
	const char *dialect, *text;
	enum mail_dsn_action action;
	const char *address, *status;
	unsigned code;
	const char *second; /* or NULL */
} texts[] = {
    {"qmail",
     "Hi. This is the qmail-send program at mx.example.net.\r\nI'm afraid I wasn't able to deliver "
     "your message to the following addresses.\r\nThis is a permanent error; I've given up. Sorry "
     "it "
     "didn't work out.\r\n\r\n<gone@example.com>:\r\n192.0.2.7 does not like recipient.\r\nRemote "
     "host said: 550 5.1.1 User unknown\r\nGiving up on 192.0.2.7.\r\n\r\n<two@example.com>:\r\n"
     "Sorry, no mailbox here by that name. (#5.1.1)\r\n\r\n--- Below this line is a copy of the "
     "message.\r\n\r\nTo: third@example.com\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.1.1", 550, "two@example.com"},
    {"exim",
     "This message was created automatically by mail delivery software.\r\n\r\nA message that you "
     "sent could not be delivered to one or more of its\r\nrecipients. This is a permanent error. "
     "The following address(es) failed:\r\n\r\n  gone@example.com\r\n    host mx.example.com "
     "[192.0.2.7]\r\n    SMTP error from remote mail server after RCPT TO:<gone@example.com>:\r\n"
     "    550 5.1.1 <gone@example.com> User unknown\r\n\r\n------ This is a copy of the message, "
     "including all the headers. ------\r\n\r\nTo: other@example.com\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.1.1", 550, NULL},
    {"exim",
     "This message was created automatically by mail delivery software.\r\nA message that you sent "
     "has not yet been delivered to one or more of its\r\nrecipients after more than 24 hours on "
     "the "
     "queue on mx.example.net.\r\n\r\nThe address to which the message has not yet been delivered "
     "is:\r\n\r\n  slow@example.com\r\n    Delay reason: Connection timed out\r\n\r\nNo action is "
     "required on your part. Delivery attempts will continue for\r\nsome time\r\n",
     MAIL_DSN_DELAYED, "slow@example.com", "", 0, NULL},
    {"postfix",
     "This is the mail system at host mx.example.net.\r\n\r\nI'm sorry to have to inform you that "
     "your message could not\r\nbe delivered to one or more recipients. It's attached "
     "below.\r\n\r\n"
     "<gone@example.com>: host mx.example.com[192.0.2.7] said: 552 5.2.2 mailbox\r\n    full (in "
     "reply to RCPT TO command)\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.2.2", 552, NULL},
    {"sendmail",
     "The original message was received at Sun, 22 Nov 2026 10:00:00 GMT\r\nfrom relay [192.0.2.1]"
     "\r\n\r\n   ----- The following addresses had permanent fatal errors -----\r\n"
     "<gone@example.com>\r\n    (reason: 550 5.7.1 Message rejected as spam)\r\n\r\n   ----- "
     "Transcript of session follows -----\r\n... while talking to mx.example.com.:\r\n>>> DATA\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.7.1", 550, NULL},
    {"exchange",
     "Your message did not reach some or all of the intended recipients.\r\n\r\n      Subject:\thi"
     "\r\n      Sent:\t22/11/2026 10:00\r\n\r\nThe following recipient(s) could not be reached:\r\n"
     "\r\n      gone@example.com on 22/11/2026 10:01\r\n            The e-mail account does not "
     "exist"
     " at the organization this message was sent to.\r\n            <mx.example.com #5.1.1 "
     "smtp;550 "
     "User unknown>\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.1.1", 550, NULL},
    {"exchange",
     "Delivery has failed to these recipients or groups:\r\n\r\nGone Away (gone@example.com)\r\n"
     "The recipient's mailbox is full and can't accept messages now.\r\n\r\nRemote Server returned "
     "'554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException'\r\n\r\nOriginal "
     "message headers:\r\n\r\nReceived: from x@example.com\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.2.2", 554, NULL},
    {"gmail",
     "Delivery to the following recipient failed permanently:\r\n\r\n     gone@example.com\r\n\r\n"
     "Technical details of permanent failure: \r\nGoogle tried to deliver your message, but it was "
     "rejected by the server for the recipient domain example.com by mx.example.com. "
     "[192.0.2.7].\r\n"
     "\r\nThe error that the other server returned was:\r\n550-5.1.1 The email account that you "
     "tried "
     "to reach does not exist.\r\n\r\n----- Original message -----\r\n\r\nTo: x@example.com\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.1.1", 550, NULL},
    {"opensmtpd",
     "    Hi!\r\n\r\n    This is the MAILER-DAEMON, please DO NOT REPLY to this email.\r\n\r\n    "
     "An "
     "error has occurred while attempting to deliver a message for\r\n    the following list of "
     "recipients:\r\n\r\ngone@example.com: 550 Invalid recipient: <gone@example.com>\r\n\r\n    "
     "Below "
     "is a copy of the original message:\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "", 550, NULL},
    {"gmx",
     "This message was created automatically by mail delivery software.\r\n\r\nA message that you "
     "have sent could not be delivered to one or more\r\nrecipients. This is a permanent error. "
     "The "
     "following address failed:\r\n\r\n\"gone@example.com\":\r\nSMTP error from remote server for "
     "RCPT TO command, host: mx.example.com (192.0.2.7)\r\nreason: 550 5.1.1 mailbox "
     "unavailable\r\n"
     "\r\n--- The header of the original message is following. ---\r\n\r\nTo: x@example.com\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "5.1.1", 550, NULL},
    {"yahoo",
     "Sorry, we were unable to deliver your message to the following address.\r\n\r\n"
     "<gone@example.com>:\r\nRemote host said:\r\n554 delivery error: dd This user doesn't have a "
     "yahoo.com account (gone@example.com) [0] - mta1.example.com\r\n [RCPT_TO]\r\n\r\n--- Below "
     "this "
     "line is a copy of the message.\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "", 554, NULL},
    {"domino",
     "Your message\r\n\r\n  Subject: hi\r\n\r\nwas not delivered to:\r\n\r\n  "
     "gone@example.com\r\n\r\n"
     "because:\r\n\r\n  550 User gone not listed in Domino Directory\r\n",
     MAIL_DSN_FAILED, "gone@example.com", "", 550, NULL},
};

static void reports_that_are_only_text_are_known_by_their_words(void **state)
{
	struct world *w = *state;
	char message[4000];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct mail_dsn_recipient *r = w->dsn.recipients;
		snprintf(message, sizeof(message), "From: x\r\nSubject: failure\r\n\r\n%s",
			 texts[i].text);
		assert_int_equal(read_dsn(w, message), 0);
		assert_string_equal(w->dsn.dialect, texts[i].dialect);
		assert_int_equal(r->action, texts[i].action);
		assert_string_equal(r->address, texts[i].address);
		assert_string_equal(r->status, texts[i].status);
		assert_int_equal(r->code, texts[i].code);
		assert_int_equal(w->dsn.count, texts[i].second ? 2 : 1);
		if (texts[i].second)
			assert_string_equal(r[1].address, texts[i].second);
	}
}

static void x_failed_recipients_is_enough(void **state)
{
	struct world *w = *state;

	assert_int_equal(read_dsn(w, "X-Failed-Recipients: gone@example.com\r\n\r\nNo.\r\n"), 0);
	assert_string_equal(w->dsn.recipients[0].address, "gone@example.com");
	assert_int_equal(w->dsn.recipients[0].action, MAIL_DSN_FAILED);
}

static void letters_and_answering_machines_are_no_reports(void **state)
{
	static const char *const others[] = {
	    "",
	    "Subject: hi\r\n\r\nDear you,\r\nplease write to me@example.com\r\n",
	    "Auto-Submitted: auto-replied\r\nSubject: Out of office\r\n\r\nI am away until Monday. "
	    "Call boss@example.com\r\n",
	    REPORT("delivery-status") "--B\r\nContent-Type: "
				      "message/delivery-status\r\n\r\n\r\n--B--\r\n",
	    REPORT("feedback-report") "--B\r\nContent-Type: message/feedback-report\r\n\r\n"
				      "Feedback-Type: abuse\r\n\r\n--B--\r\n",
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(read_dsn(w, others[i]), ERR_NOTFOUND);
}

static void more_recipients_than_the_limit_are_left_out(void **state)
{
	struct world *w = *state;
	char message[8000];
	size_t n;

	n = (size_t)snprintf(message, sizeof(message),
			     "A: b\r\n\r\nThis is the qmail-send program\r\n");
	for (unsigned i = 0; i < MAIL_DSN_RECIPIENTS * 2; i++)
		n += (size_t)snprintf(message + n, sizeof(message) - n,
				      "<a%u@b.example>:\r\nno\r\n", i);
	assert_int_equal(read_dsn(w, message), 0);
	assert_int_equal(w->dsn.count, MAIL_DSN_RECIPIENTS);
}

static void codes_are_found_in_words(void **state)
{
	static const struct {
		const char *text, *status;
		unsigned code;
	} cases[] = {
	    {"550 5.1.1 no", "5.1.1", 550},
	    {"550-5.1.1 no", "5.1.1", 550},
	    {"host x[10.4.5.1] said: 452-4.2.2 full", "4.2.2", 452},
	    {"host 5.1.1.9 said 421 later", "", 421},
	    {"no such user (#5.1.1)", "5.1.1", 0},
	    {"smtp;550 User", "", 550},
	    {"version 4.500.2", "4.500.2", 0},
	    {"5.1.1234", "", 0},
	    {"port 1550 x550 5500 699 471", "", 0},
	    {"", "", 0},
	    {"554", "", 554},
	    {"in 450ms", "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char status[MAIL_DSN_STATUS];
		unsigned code;
		mail_dsn_codes(cases[i].text, &code, status);
		assert_string_equal(status, cases[i].status);
		assert_int_equal(code, cases[i].code);
	}
}

/* --- complaints */

static const char arf[] = REPORT(
    "feedback-report") "--B\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse "
		       "report.\r\n\r\n--B\r\n"
		       "Content-Type: message/feedback-report\r\n\r\nFeedback-Type: Abuse\r\n"
		       "User-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n"
		       "Original-Mail-From: <bounce+tok@b.example.org>\r\nOriginal-Rcpt-To: "
		       "<user@example.com>\r\n"
		       "Removal-Recipient: USER@example.com\r\nRemoval-Recipient: "
		       "two@example.com\r\n"
		       "Source-IP: 192.0.2.1\r\n\r\n"
		       "--B\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: "
		       "<bounce+tok@b.example.org>\r\n"
		       "To: <redacted@example.com>\r\n\r\nbody\r\n--B--\r\n";

static int read_arf(struct world *w, const char *message)
{
	int rc;

	mail_report_init(&w->report);
	mail_report_read(&w->report, span_str(message));
	rc = mail_arf_read(&w->report, &w->arf);
	mail_report_clear(&w->report);
	return rc;
}

static void a_complaint_is_read(void **state)
{
	struct world *w = *state;

	assert_int_equal(read_arf(w, arf), 0);
	assert_string_equal(w->arf.type, "abuse");
	assert_true(w->arf.complaint);
	assert_string_equal(w->arf.from, "bounce+tok@b.example.org");
	assert_string_equal(w->arf.source, "192.0.2.1");
	assert_int_equal(w->arf.count, 2);
	assert_string_equal(w->arf.recipients[0], "user@example.com");
	assert_string_equal(w->arf.recipients[1], "two@example.com");
	assert_int_equal(read_dsn(w, arf), ERR_NOTFOUND);
}

static void not_spam_and_failed_authentication_are_no_complaints(void **state)
{
	static const char *const types[] = {"not-spam", "auth-failure", "dkim", ""};
	struct world *w = *state;
	char message[1000];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		snprintf(
		    message, sizeof(message),
		    REPORT("feedback-report") "--B\r\nContent-Type: message/feedback-report\r\n"
					      "\r\nFeedback-Type: %s\r\n\r\n--B--\r\n",
		    types[i]);
		assert_int_equal(read_arf(w, message), types[i][0] ? 0 : ERR_NOTFOUND);
		assert_false(w->arf.complaint);
	}
}

static void the_report_of_outlook_names_its_recipient_in_a_field(void **state)
{
	static const char jmrp[] =
	    "From: staff@hotmail.com\r\nSubject: complaint about message from 192.0.2.1\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"B\"\r\n\r\n--B\r\n"
	    "Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n"
	    "X-HmXmrOriginalRecipient: user@hotmail.com\r\nReturn-Path: "
	    "bounce+tok@b.example.org\r\n"
	    "Subject: x\r\n\r\nbody\r\n--B--\r\n";
	struct world *w = *state;

	assert_int_equal(read_arf(w, jmrp), 0);
	assert_true(w->arf.complaint);
	assert_int_equal(w->arf.count, 1);
	assert_string_equal(w->arf.recipients[0], "user@hotmail.com");
	assert_int_equal(read_arf(w, postfix), ERR_NOTFOUND);
}

static void addresses_are_found_in_any_text(void **state)
{
	static const struct {
		const char *text, *found;
	} cases[] = {
	    {"<a@b.example>", "a@b.example "},
	    {"a@b.example, \"x\" <c.d+e@f.example>.", "a@b.example c.d+e@f.example "},
	    {"mailto:a@b.example?subject=x", "a@b.example "},
	    {"'a@b.example'", "a@b.example "},
	    {"@b a@ @ a@.b a.@b.example", ""},
	    {"bounce+tok=1@b", "bounce+tok=1@b "},
	    {"a@b@c", "a@b "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char seen[400] = "";
		mail_report_scan(span_str(cases[i].text), note, seen);
		assert_string_equal(seen, cases[i].found);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_report_of_rfc_3464_is_read_per_recipient),
	    T(exchange_and_international_reports_are_read_too),
	    T(the_parts_of_a_report_are_found_and_bodies_left_out),
	    T(reports_that_are_only_text_are_known_by_their_words),
	    T(x_failed_recipients_is_enough),
	    T(letters_and_answering_machines_are_no_reports),
	    T(more_recipients_than_the_limit_are_left_out),
	    T(codes_are_found_in_words),
	    T(a_complaint_is_read),
	    T(not_spam_and_failed_authentication_are_no_complaints),
	    T(the_report_of_outlook_names_its_recipient_in_a_field),
	    T(addresses_are_found_in_any_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
