/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy links-only refuses, each attack in a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "milter/milter_links.h"
#include "milter/milter_scan.h"

static char own[] = "shop.example", below[] = ".shop.example", pdf[] = "application/pdf", image[] = "image/*",
	    zip[] = "application/zip";
static char *hosts[] = {own, below}, *types[] = {pdf, image, zip};
static const struct milter_stream stream = {
    .hosts = {.items = hosts, .count = 2}, .attachments = {.items = types, .count = 3}};

static void same(const char *have, const char *want, const char *of)
{
	if (strcmp(have ? have : "", want ? want : "") != 0)
		fail_msg("%s: %s, not %s", of, have ? have : "passes", want ? want : "passing");
}

static void text_leads_to_listed_hosts_alone(void **state)
{
	static const struct {
		const char *text, *rule;
		size_t at;
	} rows[] = {
	    {"see https://shop.example/a?b=c.de&u=https://evil.example/ and www.shop.example/x.zip", NULL, 0},
	    {"write to a@other.example, mailto:b@other.example, tel:+43-1-2", NULL, 0},
	    {"see evil.example", "text-link", 4},
	    {"see https://shop.example/a,https://evil.example/", "text-link", 27},
	    {"see https://shop.example/a|www.evil.example", "text-link", 27},
	    {"see shop.example;evil.example", "text-link", 17},
	    {"see https://shop.example/\xe2\x80\x8bhttps://evil.example/", "text-link", 28},
	    {"see https://shop.example@evil.example/", "text-link", 4},
	    {"see @evil.example/login", "text-link", 4},
	    {"thanks @anna", NULL, 0},
	    {"see i\xe2\x9d\xa4.ws", "text-link", 4},
	    {"see javascript:alert(1)", "text-link", 4},
	    {"mailto:evil.example/x", "text-link", 7},
	    {"a\x1b$B b", "text-control", 1},
	    {"x\nbegin 644 a.exe\nM", "uuencode", 2},
	    {"begin 64 x", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t at = 0;
		const char *rule = milter_links_text(&stream, span_str(rows[i].text), &at);
		same(rule, rows[i].rule, rows[i].text);
		if (rule)
			assert_int_equal(at, rows[i].at);
	}
}

static void hosts_in_one_link_without_end_cost_bounded_time(void **state)
{
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_put_str(&b, "https://shop.example");
	while (buf_room(&b) > 8)
		buf_put_str(&b, "/a.de");
	assert_string_equal(milter_links_text(&stream, buf_span(&b), &at), "text-link");
	buf_reset(&b);
	while (buf_room(&b) > 24) {
		buf_put_str(&b, "shop.example");
		for (int i = 0; i < 60 && buf_room(&b) > 24; i++)
			buf_put_str(&b, "/a.de");
		buf_put_str(&b, " ");
	}
	assert_null(milter_links_text(&stream, buf_span(&b), &at));
	buf_clear(&b);
}

static void files_are_judged_by_type_and_by_name(void **state)
{
	static const struct {
		const char *type, *filename, *name;
		int body;
		const char *rule;
	} rows[] = {
	    {"application/pdf", "terms.pdf", "terms.pdf", 0, NULL},
	    {"image/png", "", "", 0, NULL},
	    {"application/zip", "all.zip", "", 0, NULL},
	    {"application/x-msdownload", "a.exe", "", 0, "attachment-type"},
	    {"image/svg+xml", "a.svg", "", 0, "attachment-type"},
	    {"image/png", "login.html", "", 0, "attachment-name"},
	    {"image/png", "a.png", "a.HTM", 0, "attachment-name"},
	    {"application/pdf", "terms.pdf.exe", "", 0, "attachment-name"},
	    {"application/pdf", "terms.pdf.exe. ", "", 0, "attachment-name"},
	    {"application/pdf", "terms.lnk", "", 0, "attachment-name"},
	    {"application/pdf", "all.iso", "", 0, "attachment-name"},
	    {"application/zip", "WinMail.dat", "", 0, "attachment-name"},
	    {"text/plain", "", "notes.txt", 1, NULL},
	    {"text/plain", "", "notes.html", 1, "attachment-name"},
	    {"text/plain", "", "run.js", 1, "attachment-name"},
	    {"text/html", "mail.html", "", 1, NULL},
	    {"text/html", "mail.html", "", 0, "attachment-type"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mail_gate_part part = {.type = rows[i].type, .filename = rows[i].filename, .name = rows[i].name};
		same(milter_links_file(&stream, &part, rows[i].body), rows[i].rule, rows[i].filename);
	}
}

static void fields_with_links_are_links(void **state)
{
	static const struct {
		const char *name, *value, *rule;
	} rows[] = {
	    {"List-Unsubscribe", "<https://www.shop.example/u?x=1>, <mailto:u@other.example>", NULL},
	    {"LIST-UNSUBSCRIBE", "<https://evil.example/u>", "header-link"},
	    {"Archived-At", "<http://www.evil.example/>", "header-link"},
	    {"X-Note", "https://evil.example/", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		same(milter_links_field(&stream, span_str(rows[i].name), span_str(rows[i].value)), rows[i].rule, rows[i].value);
}

/* --- whole messages */

#define HTML "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n"

static void a_message_is_refused_by_what_some_reader_makes_of_it(void **state)
{
	static const struct {
		const char *fields, *body, *rule;
	} rows[] = {
	    {HTML, "<p>See <a href='https://www.shop.example/x'>www.shop.example</a></p>\r\n", NULL},
	    {HTML, "<p>See www.evil.example</p>\r\n", "html-text-link"},
	    {HTML, "<a href='https://www.shop.example/x'>https://bank.example/</a>\r\n", "html-text-link"},
	    {HTML "Content-Transfer-Encoding: quoted-printable\r\n", "<=00a href=3Dhttps://evil.example/>x</a>\r\n", "html-control"},
	    {"MIME-Version: 1.0\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n",
	     "/v8APABhAA==\r\n", "html-control"},
	    {"List-Unsubscribe: <https://evil.example/>\r\n", "x\r\n", "header-link"},
	    {"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=\"a.png.html\"\r\n", "x\r\n",
	     "attachment-name"},
	    {"MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nX-Mozilla-External-Attachment-URL: https://evil.example/\r\n",
	     "x\r\n", "part-elsewhere"},
	    {"Subject: x\r\n", "begin 644 a.exe\r\nM\r\n", "uuencode"},
	};
	static struct milter_conf conf;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_scan *s = milter_scan_new(&conf, &stream);
		struct milter_scan_result r;
		const char *at = rows[i].fields;

		assert_non_null(s);
		while (*at) {
			const char *colon = strchr(at, ':'), *end = strstr(at, "\r\n");
			milter_scan_header(s, span_of(at, (size_t)(colon - at)), span_of(colon + 2, (size_t)(end - colon) - 2));
			at = end + 2;
		}
		milter_scan_eoh(s);
		milter_scan_body(s, span_str(rows[i].body));
		milter_scan_end(s, &r);
		same(r.verdict == CAMP_PASS ? NULL : r.reason, rows[i].rule, rows[i].body);
		milter_scan_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(text_leads_to_listed_hosts_alone),
	    cmocka_unit_test(hosts_in_one_link_without_end_cost_bounded_time),
	    cmocka_unit_test(files_are_judged_by_type_and_by_name),
	    cmocka_unit_test(fields_with_links_are_links),
	    cmocka_unit_test(a_message_is_refused_by_what_some_reader_makes_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
