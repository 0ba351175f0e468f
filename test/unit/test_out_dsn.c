/* SPDX-License-Identifier: Apache-2.0 */
/* Reports to senders, and what is written about attempts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/out/out_dsn.h"
#include "relay/out/out_report.h"

static char customer[] = "default", none[] = "", sender[] = "alice@here.test";
static char bob[] = "bob@there.test", carol[] = "carol@there.test",
	    umlaut[] = "j\xc3\xb6rg+x@there.test";
static struct spool_recipient recipients[] = {
    {.address = bob}, {.address = carol}, {.address = umlaut}};
static struct spool_envelope envelope = {.customer = customer,
					 .sender = sender,
					 .client = none,
					 .tls = none,
					 .created = INT64_C(1790000000) * 1000000,
					 .recipients = recipients,
					 .count = 3};
static const char headers[] = "From: alice@here.test\r\nSubject: hello\r\n there\r\n";

static struct out_dsn dsn_of(const struct queue_result *results, unsigned count)
{
	return (struct out_dsn){.hostname = "relay.test",
				.id = 0x6ab1a8c000000001,
				.boundary = "=_b",
				.now = INT64_C(1790000100) * 1000000,
				.original = 0x6ab1a8c000000002,
				.envelope = &envelope,
				.results = results,
				.count = count,
				.remote = "mx.there.test",
				.headers = span_str(headers)};
}

static const char *format(const struct out_dsn *d, struct buf *b, int *flags)
{
	buf_init(b, OUT_DSN_MAX);
	assert_int_equal(out_dsn_format(d, b, flags), 0);
	buf_put(b, "", 1);
	return (const char *)buf_ptr(b);
}

/* Every CR has its LF, every LF its CR, no line is over 998 octets. */
static void assert_strict(const char *text, size_t n)
{
	size_t column = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\r') {
			assert_int_equal(text[i + 1], '\n');
			column = 0;
			i++;
			continue;
		}
		assert_int_not_equal(text[i], '\n');
		assert_int_not_equal(text[i], '\0');
		assert_in_range(++column, 1, 998);
	}
	assert_memory_equal(text + n - 2, "\r\n", 2);
}

static void a_report_has_its_three_parts_to_the_byte(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 no such user"},
	    {.recipient = 1, .outcome = SPOOL_DELIVERED, .code = 250, .reply = "2.0.0 ok"}};
	static const char want[] =
	    "From: Mail delivery <MAILER-DAEMON@relay.test>\r\n"
	    "To: <alice@here.test>\r\n"
	    "Subject: Your message could not be delivered\r\n"
	    "Date: Mon, 21 Sep 2026 14:15:00 +0000\r\n"
	    "Message-ID: <%s@relay.test>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"=_b\"\r\n"
	    "\r\n"
	    "--=_b\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "This is the mail relay at relay.test.\r\n"
	    "\r\n"
	    "Your message could not be delivered to the recipients below, and it will\r\n"
	    "not be tried again for them. What the servers answered is shown with each;\r\n"
	    "the headers of your message are attached.\r\n"
	    "\r\n"
	    "<bob@there.test>\r\n"
	    "    mx.there.test said: 550 5.1.1 no such user\r\n"
	    "\r\n"
	    "For the administrator: message %s\r\n"
	    "\r\n"
	    "--=_b\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; relay.test\r\n"
	    "Arrival-Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; bob@there.test\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.there.test\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
	    "\r\n"
	    "--=_b\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "From: alice@here.test\r\nSubject: hello\r\n there\r\n"
	    "\r\n"
	    "--=_b--\r\n";
	struct out_dsn d = dsn_of(results, 2);
	char id[ID_TEXT_SIZE], original[ID_TEXT_SIZE], expected[4096];
	struct buf b;
	int flags;
	const char *is = format(&d, &b, &flags);

	(void)state;
	id_format(id, d.id);
	id_format(original, d.original);
	snprintf(expected, sizeof(expected), want, id, original);
	assert_string_equal(is, expected);
	assert_int_equal(flags, 0);
	assert_strict(is, strlen(is));
	buf_clear(&b);
}

static void our_own_decisions_are_not_put_into_a_servers_mouth(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .reply = "5.1.2 domain does not exist"}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;
	const char *is = format(&d, &b, &flags);

	(void)state;
	assert_non_null(strstr(is, "Diagnostic-Code: x-sealpost; 5.1.2 domain does not exist\r\n"));
	assert_non_null(strstr(is, "Status: 5.1.2\r\n"));
	assert_null(strstr(is, "Remote-MTA"));
	assert_null(strstr(is, "said"));
	buf_clear(&b);
}

static void expired_mail_is_reported_as_4_4_7_with_its_last_answer(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_EXPIRED, .code = 451, .reply = "4.7.1 greylisted"}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;
	const char *is = format(&d, &b, &flags);

	(void)state;
	assert_non_null(strstr(
	    is,
	    "Action: failed\r\nStatus: 4.4.7\r\nDiagnostic-Code: smtp; 451 4.7.1 greylisted\r\n"));
	assert_non_null(strstr(is, "Its time ran out. The last"));
	buf_clear(&b);
}

static void long_replies_are_folded_and_never_begin_a_header(void **state)
{
	struct queue_result results[] = {{.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;
	const char *is;

	(void)state;
	memset(results[0].reply, 'x', sizeof(results[0].reply) - 1);
	is = format(&d, &b, &flags);
	assert_strict(is, strlen(is));
	assert_non_null(strstr(is, "xxx\r\n xxx"));
	buf_clear(&b);
	memset(results[0].reply, ' ', sizeof(results[0].reply) - 1);
	is = format(&d, &b, &flags);
	assert_strict(is, strlen(is));
	buf_clear(&b);
}

static void addresses_beyond_ascii_are_encoded(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 2, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 no"}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;
	const char *is = format(&d, &b, &flags);

	(void)state;
	assert_non_null(strstr(is, "Final-Recipient: utf-8; j\\x{F6}rg\\x{2B}x@there.test\r\n"));
	assert_int_equal(flags, 0);
	for (const char *p = is; *p; p++)
		assert_true((unsigned char)*p < 0x80);
	buf_clear(&b);
}

static void a_sender_beyond_ascii_needs_smtputf8(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;

	(void)state;
	envelope.sender = umlaut;
	assert_non_null(strstr(format(&d, &b, &flags), "To: <j\xc3\xb6rg+x@there.test>\r\n"));
	envelope.sender = sender;
	assert_int_equal(flags, SPOOL_8BIT | SPOOL_UTF8);
	buf_clear(&b);
}

static void a_hostile_sender_cannot_add_a_header(void **state)
{
	static char evil[] = "a@b\r\nBcc: c@d";
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;

	(void)state;
	envelope.sender = evil;
	recipients[0].address = evil;
	assert_null(strstr(format(&d, &b, &flags), "\nBcc"));
	envelope.sender = sender;
	recipients[0].address = bob;
	buf_clear(&b);
}

static void headers_beyond_ascii_are_declared(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550}};
	struct out_dsn d = dsn_of(results, 1);
	const char *is;
	struct buf b;
	int flags;

	(void)state;
	d.headers = SPAN_LIT("Subject: gr\xc3\xbc\xc3\x9f\r\n");
	is = format(&d, &b, &flags);
	assert_int_equal(flags, SPOOL_8BIT);
	assert_non_null(
	    strstr(is, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n"));
	buf_clear(&b);
	envelope.flags = SPOOL_UTF8 | SPOOL_8BIT;
	is = format(&d, &b, &flags);
	assert_non_null(strstr(is, "Content-Type: message/global-headers\r\n"));
	envelope.flags = 0;
	buf_clear(&b);
}

static void the_greatest_report_fits_its_limit(void **state)
{
	static char address[300];
	static struct spool_recipient many[OUT_SESSION_RECIPIENTS];
	static struct queue_result results[OUT_SESSION_RECIPIENTS];
	struct spool_envelope e = envelope;
	struct out_dsn d = dsn_of(results, OUT_SESSION_RECIPIENTS);
	char *head = malloc(OUT_DSN_HEADERS);
	const char *is;
	struct buf b;
	int flags;

	(void)state;
	memset(address, '+', 298); /* six octets each, once encoded */
	memcpy(address + 60, "\xc3\xb6@", 3);
	for (unsigned i = 0; i < OUT_SESSION_RECIPIENTS; i++) {
		many[i].address = address;
		results[i].recipient = (uint16_t)i;
		results[i].outcome = SPOOL_BOUNCED;
		results[i].code = 550;
		memset(results[i].reply, 'x', sizeof(results[i].reply) - 1);
	}
	memset(head, 'h', OUT_DSN_HEADERS);
	for (size_t i = 76; i + 1 < OUT_DSN_HEADERS; i += 78)
		memcpy(head + i, "\r\n", 2);
	e.recipients = many;
	d.envelope = &e;
	d.headers = span_of(head, OUT_DSN_HEADERS - OUT_DSN_HEADERS % 78);
	is = format(&d, &b, &flags);
	assert_strict(is, strlen(is));
	buf_clear(&b);
	free(head);
}

static void gather(struct buf *b, const char *text, size_t step, size_t max)
{
	size_t n = strlen(text), at = 0;
	int done = 0;

	buf_init(b, max);
	while (at < n && !done) {
		size_t piece = n - at < step ? n - at : step;
		done = out_dsn_gather(b, span_of(text + at, piece));
		at += piece;
	}
	if (!done)
		out_dsn_gathered(b);
}

static void headers_are_gathered_from_any_stretches(void **state)
{
	static const struct {
		const char *text, *want;
		size_t max;
	} rows[] = {
	    {"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore", "A: 1\r\nB: 2\r\n", 1000},
	    {"\r\nbody\r\n", "", 1000},
	    {"A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n", 1000},
	    {"A: 1\r\nB: 2", "A: 1\r\n", 1000},
	    {"no line end", "", 1000},
	    {"A: 1\r\nB: 2\r\n 3\r\n 4\r\nC: 5\r\n\r\nx", "A: 1\r\n", 18},
	    {"A: 1\r\nB: 2\r\n\r\nx", "A: 1\r\n", 11},
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 20; step++) {
			gather(&b, rows[i].text, step, rows[i].max);
			assert_int_equal(buf_size(&b), strlen(rows[i].want));
			assert_memory_equal(buf_size(&b) ? buf_ptr(&b) : (const uint8_t *)"",
					    rows[i].want, strlen(rows[i].want));
			buf_clear(&b);
		}
}

/* --- detail and log line */

static char logged[8][1200];
static unsigned logged_n;
static void capture(void *arg, const char *line)
{
	(void)arg;
	snprintf(logged[logged_n++ % 8], sizeof(logged[0]), "%s", line);
}

static const struct out_conn_peer peer = {.host = "mx.there.test",
					  .address = "192.0.2.1",
					  .port = 25,
					  .tls = {.version = "TLSv1.3",
						  .cipher = "TLS_AES_256_GCM_SHA384",
						  .group = "x25519",
						  .verified = 1},
					  .policy = "dane",
					  .verified_by = "dane-ee",
					  .why = "the host has TLSA records"};

static void the_detail_tells_peer_tls_and_every_recipient(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 4, .outcome = SPOOL_DELIVERED, .code = 250, .reply = "2.0.0 queued"},
	    {.recipient = 5, .outcome = SPOOL_DELIVERED, .code = 250, .reply = "2.0.0 queued"},
	    {.recipient = 7, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 unknown"}};
	struct out_report r = {.id = 1,
			       .results = results,
			       .count = 3,
			       .peer = &peer,
			       .at = INT64_C(1790000000) * 1000000,
			       .usec = 12345};
	char detail[OUT_REPORT_DETAIL];
	size_t n = out_report_detail(&r, detail);

	(void)state;
	assert_string_equal(
	    detail, "at=2026-09-21T14:13:20Z\npolicy=dane\nby=dane-ee\nwhy=the host has TLSA records\n"
		    "host=mx.there.test\naddress=192.0.2.1\nport=25\n"
		    "tls=TLSv1.3\ncipher=TLS_AES_256_GCM_SHA384\ngroup=x25519\nverified=yes\n"
		    "resumed=no\nms=12\nresult=4 delivered 250 2.0.0 queued\n"
		    "result=5 delivered ditto\nresult=7 bounced 550 5.1.1 unknown\n");
	assert_int_equal(n, strlen(detail));
}

static void the_detail_says_how_much_it_left_out(void **state)
{
	static struct queue_result results[OUT_SESSION_RECIPIENTS];
	struct out_report r = {.id = 1, .results = results, .count = OUT_SESSION_RECIPIENTS};
	char detail[OUT_REPORT_DETAIL], *more;
	unsigned left, lines = 0;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < OUT_SESSION_RECIPIENTS; i++) {
		results[i].recipient = (uint16_t)i;
		results[i].outcome = SPOOL_BOUNCED;
		memset(results[i].reply, 'a' + (int)(i % 26), sizeof(results[i].reply) - 1);
	}
	n = out_report_detail(&r, detail);
	assert_true(n < OUT_REPORT_DETAIL);
	for (char *p = detail; (p = strstr(p, "result=")); p++)
		lines++;
	more = strstr(detail, "more=");
	assert_non_null(more);
	assert_int_equal(sscanf(more, "more=%u\n", &left), 1);
	assert_int_equal(left + lines, OUT_SESSION_RECIPIENTS);
}

static void the_log_has_one_line_per_outcome_and_no_text_of_servers(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0,
	     .outcome = SPOOL_DELIVERED,
	     .code = 250,
	     .reply = "2.0.0 for bob@there.test"},
	    {.recipient = 1,
	     .outcome = SPOOL_BOUNCED,
	     .reason = QUEUE_RECIPIENT,
	     .code = 550,
	     .reply = "5.1.1 carol@there.test unknown"},
	    {.recipient = 2, .outcome = SPOOL_DELIVERED, .code = 250, .reply = "2.0.0 ok"}};
	static struct relay relay;
	struct out_report r = {
	    .id = 1, .results = results, .count = 3, .peer = &peer, .usec = 12345};

	(void)state;
	logged_n = 0;
	log_capture(capture, NULL);
	out_report_log(&r, &relay);
	log_capture(NULL, NULL);
	assert_int_equal(logged_n, 2);
	assert_string_equal(
	    strstr(logged[0], "event="),
	    "event=delivered n=2 host=mx.there.test tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 "
	    "verified=yes policy=dane by=dane-ee code=250 status=2.0.0 ms=12");
	assert_string_equal(
	    strstr(logged[1], "event="),
	    "event=bounced n=1 host=mx.there.test tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 "
	    "verified=yes policy=dane by=dane-ee reason=recipient class=bad-mailbox code=550 status=5.1.1 "
	    "ms=12 dsn=none");
	assert_int_equal(atomic_load(&relay.count.deliveries), 2);
	assert_int_equal(atomic_load(&relay.count.bounces), 1);
	assert_int_equal(atomic_load(&relay.count.tls_out), 1);
}

static void the_log_says_why_a_delivery_went_in_clear(void **state)
{
	static const struct queue_result results[] = {
	    {.outcome = SPOOL_DELIVERED, .code = 250, .reply = "ok"}};
	static struct relay relay;
	static const struct out_conn_peer clear = {.host = "mx.there.test",
						   .clear = "not-offered",
						   .policy = "none",
						   .verified_by = "none",
						   .failure = TLSRPT_STARTTLS_NOT_SUPPORTED};
	struct out_report r = {.id = 1, .results = results, .count = 1, .peer = &clear};

	(void)state;
	logged_n = 0;
	log_capture(capture, NULL);
	out_report_log(&r, &relay);
	log_capture(NULL, NULL);
	assert_string_equal(
	    strstr(logged[0], "event="),
	    "event=delivered n=1 host=mx.there.test tls=none cipher=- verified=no policy=none "
	    "by=none code=250 status=2.0.0 ms=0 failure=starttls-not-supported clear=not-offered");
	assert_int_equal(atomic_load(&relay.count.clear_out), 1);
}

/* --- what the sender asked to hear (RFC 3461) */

static void notify_decides_what_the_sender_hears(void **state)
{
	enum {
		N = SPOOL_NOTIFY_NEVER,
		S = SPOOL_NOTIFY_SUCCESS,
		F = SPOOL_NOTIFY_FAILURE,
		D = SPOOL_NOTIFY_DELAY
	};
	static const struct {
		uint32_t notify;
		int bounced, expired, delayed, delivered;
	} cases[] = {{0, 1, 1, 1, 0}, {N, 0, 0, 0, 0},	   {S, 0, 0, 0, 1},	   {F, 1, 1, 0, 0},
		     {D, 0, 0, 1, 0}, {S | F, 1, 1, 0, 1}, {S | F | D, 1, 1, 1, 1}};
	struct queue_result r = {.recipient = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		recipients[0].notify = cases[i].notify;
		r.outcome = SPOOL_BOUNCED;
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 0), cases[i].bounced);
		r.outcome = SPOOL_EXPIRED;
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 0), cases[i].expired);
		r.outcome = SPOOL_DEFERRED;
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 0), 0);
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 1), cases[i].delayed);
		r.outcome = SPOOL_DELIVERED;
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 0), cases[i].delivered);
		r.dsn_passed = 1; /* the next hop will say it */
		assert_int_equal(!!out_dsn_tells(&envelope, &r, 0), 0);
		r.dsn_passed = 0;
	}
	recipients[0].notify = 0;
}

static void nobody_is_told_of_a_report(void **state)
{
	struct queue_result r = {.recipient = 0, .outcome = SPOOL_BOUNCED};

	(void)state;
	envelope.flags = SPOOL_REPORT;
	assert_false(out_dsn_tells(&envelope, &r, 0));
	envelope.flags = 0;
	r.recipient = 3; /* there is no such one */
	assert_false(out_dsn_tells(&envelope, &r, 0));
}

static void a_delay_says_until_when_is_tried(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 1, .outcome = SPOOL_DEFERRED, .code = 451, .reply = "4.7.1 greylisted"}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;
	const char *is;

	(void)state;
	d.delay = 1;
	d.remote = NULL;
	d.until = INT64_C(1790432000) * 1000000;
	is = format(&d, &b, &flags);
	assert_non_null(strstr(is, "Subject: Your message is late\r\n"));
	assert_non_null(strstr(is, "it is tried again until Sat, 26 Sep 2026 14:13:20 +0000.\r\n"));
	assert_non_null(strstr(is, "Action: delayed\r\nStatus: 4.7.1\r\n"));
	assert_non_null(strstr(is, "Will-Retry-Until: Sat, 26 Sep 2026 14:13:20 +0000\r\n"));
	assert_null(strstr(is, "not be tried again"));
	assert_strict(is, strlen(is));
	buf_clear(&b);
}

static void a_success_is_told_as_relayed_beside_a_failure(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_DELIVERED, .code = 250, .reply = "2.1.5 fine"},
	    {.recipient = 1, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 gone"}};
	struct out_dsn d = dsn_of(results, 2);
	struct buf b;
	int flags;
	const char *is;

	(void)state;
	recipients[0].notify = SPOOL_NOTIFY_SUCCESS;
	is = format(&d, &b, &flags);
	assert_non_null(strstr(is, "Subject: Your message could not be delivered\r\n"));
	assert_non_null(strstr(is, "handed on for the recipients below"));
	assert_non_null(strstr(is, "Final-Recipient: rfc822; bob@there.test\r\nAction: relayed\r\n"
				   "Status: 2.1.5\r\n"));
	assert_non_null(
	    strstr(is, "Final-Recipient: rfc822; carol@there.test\r\nAction: failed\r\n"));
	assert_strict(is, strlen(is));
	buf_clear(&b);
	d.count = 1;
	is = format(&d, &b, &flags);
	assert_non_null(strstr(is, "Subject: Your message was handed on\r\n"));
	buf_clear(&b);
	recipients[0].notify = 0;
}

static void envid_and_orcpt_come_back_as_they_were_meant(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 gone"},
	    {.recipient = 1, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 gone"},
	    {.recipient = 2, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 gone"}};
	static char envid[] = "QQ+2B31+0D+0Ax", plus[] = "rfc822;Bob+2Bnews@there.test",
		    global[] = "utf-8;j\\x{F6}rg+3D@there.test", evil[] = "rfc822;x+0D+0ATo:+20y";
	struct out_dsn d = dsn_of(results, 3);
	struct buf b;
	int flags;
	const char *is;

	(void)state;
	envelope.envid = envid;
	recipients[0].orcpt = plus;
	recipients[1].orcpt = evil;
	recipients[2].orcpt = global;
	is = format(&d, &b, &flags);
	assert_non_null(strstr(is, "\r\nOriginal-Envelope-Id: QQ+31??x\r\n"));
	assert_non_null(strstr(is, "\r\nOriginal-Recipient: rfc822; Bob+news@there.test\r\n"
				   "Final-Recipient: rfc822; bob@there.test\r\n"));
	assert_non_null(strstr(is, "\r\nOriginal-Recipient: rfc822; x??To: y\r\n"));
	assert_non_null(strstr(is, "\r\nOriginal-Recipient: utf-8; j\\x{F6}rg+3D@there.test\r\n"));
	assert_strict(is, strlen(is));
	buf_clear(&b);
	envelope.envid = NULL;
	for (int i = 0; i < 3; i++)
		recipients[i].orcpt = NULL;
}

static void a_full_report_is_open_for_the_original(void **state)
{
	static const struct queue_result results[] = {
	    {.recipient = 0, .outcome = SPOOL_BOUNCED, .code = 550, .reply = "5.1.1 gone"}};
	struct out_dsn d = dsn_of(results, 1);
	struct buf b;
	int flags;

	(void)state;
	d.full = 1;
	buf_init(&b, OUT_DSN_MAX);
	assert_int_equal(out_dsn_format(&d, &b, &flags), 0);
	buf_put_str(&b, "From: a\r\n\r\nbody");
	assert_int_equal(out_dsn_end(&d, 0, &b), 0);
	buf_put(&b, "", 1);
	assert_non_null(strstr((const char *)buf_ptr(&b),
			       "--=_b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a\r\n\r\nbody"
			       "\r\n\r\n--=_b--\r\n"));
	assert_non_null(strstr((const char *)buf_ptr(&b), "your message is attached.\r\n"));
	buf_clear(&b);
	envelope.flags = SPOOL_8BIT;
	buf_init(&b, OUT_DSN_MAX);
	assert_int_equal(out_dsn_format(&d, &b, &flags), 0);
	buf_put(&b, "", 1);
	assert_int_equal(flags, SPOOL_8BIT);
	assert_non_null(strstr((const char *)buf_ptr(&b),
			       "message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
	buf_clear(&b);
	envelope.flags = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(notify_decides_what_the_sender_hears),
	    cmocka_unit_test(nobody_is_told_of_a_report),
	    cmocka_unit_test(a_delay_says_until_when_is_tried),
	    cmocka_unit_test(a_success_is_told_as_relayed_beside_a_failure),
	    cmocka_unit_test(envid_and_orcpt_come_back_as_they_were_meant),
	    cmocka_unit_test(a_full_report_is_open_for_the_original),
	    cmocka_unit_test(a_report_has_its_three_parts_to_the_byte),
	    cmocka_unit_test(our_own_decisions_are_not_put_into_a_servers_mouth),
	    cmocka_unit_test(expired_mail_is_reported_as_4_4_7_with_its_last_answer),
	    cmocka_unit_test(long_replies_are_folded_and_never_begin_a_header),
	    cmocka_unit_test(addresses_beyond_ascii_are_encoded),
	    cmocka_unit_test(a_sender_beyond_ascii_needs_smtputf8),
	    cmocka_unit_test(a_hostile_sender_cannot_add_a_header),
	    cmocka_unit_test(headers_beyond_ascii_are_declared),
	    cmocka_unit_test(the_greatest_report_fits_its_limit),
	    cmocka_unit_test(headers_are_gathered_from_any_stretches),
	    cmocka_unit_test(the_detail_tells_peer_tls_and_every_recipient),
	    cmocka_unit_test(the_detail_says_how_much_it_left_out),
	    cmocka_unit_test(the_log_has_one_line_per_outcome_and_no_text_of_servers),
	    cmocka_unit_test(the_log_says_why_a_delivery_went_in_clear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
