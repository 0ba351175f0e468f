/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "camp_world.h"
#include "campaign/camp_check.h"
#include "campaign/camp_splice.h"
#include "core/err.h"
#include "core/hex.h"
#include "gate_play.h"
#include "mail/mail_header.h"

#define RCPT "anna@example.org"
#define URL  "https://shop.example/w?c="

static const char message[] =
    "Received: from app.shop.example by mx\n"
    "Date: Mon, 12 Jan 2026 10:00:00 +0000\n"
    "From: Shop <news@shop.example>\n"
    "To: =?utf-8?q?Ann=C3=A4?= <anna@example.org>\n"
    "Subject: Anna, your =?utf-8?q?code?=\n"
    "Message-ID: <1@shop.example>\n"
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=\"mix\"\n"
    "X-DoPosta-Campaign: v=1\n"
    "\n"
    "--mix\n"
    "Content-Type: multipart/alternative; boundary=\"alt\"\n"
    "\n"
    "--alt\n"
    "Content-Type: text/plain; charset=utf-8\n"
    "Content-Transfer-Encoding: 8bit\n"
    "\n"
    "Dear Anna,\n"
    "go to " URL "AB-1\n"
    "\n"
    "--alt\n"
    "Content-Type: text/html; charset=utf-8\n"
    "Content-Transfer-Encoding: quoted-printable\n"
    "\n"
    "<html><body><p>Dear Anna</p><a href=3D\"https://shop.exam=\n"
    "ple/w?c=3DAB-1\">code</a> <img src=3D\"cid:logo@shop\"></body></html>\n"
    "\n"
    "--alt--\n"
    "\n"
    "--mix\n"
    "Content-Type: image/png; name=\"logo.png\"\n"
    "Content-Transfer-Encoding: base64\n"
    "Content-Disposition: inline; filename=\"logo.png\"\n"
    "Content-ID: <logo@shop>\n"
    "\n"
    "UE5HIHBpY3R1cmU=\n"
    "\n"
    "--mix--\n";

static void build(struct camp_world *w)
{
	camp_world_init(w);
	camp_world_field(w, "first", "name", 40, "text", NULL);
	camp_world_field(w, "code", "code", 12, "url-query", NULL);
	camp_world_template(w, "{{first}}, your code");
	camp_world_template(w, "Dear {{first}},\ngo to {{@" URL "{code}}}" URL "{{code}}{{/@}}");
	camp_world_template(
	    w, "<html><body><p>Dear {{first}}</p><a href=\"{{@" URL "{code}}}" URL
	       "{{code}}{{/@}}\">code</a> <img src=\"cid:logo@shop\">{{*}}</body></html>");
	camp_world_attachment(w, "image/png", "logo.png", SPAN_LIT("PNG picture"));
	camp_world_part(w, "{\"d\":0,\"type\":\"multipart/mixed\"}");
	camp_world_part(w, "{\"d\":1,\"type\":\"multipart/alternative\"}");
	camp_world_part(w, "{\"d\":2,\"type\":\"text/plain\",\"charset\":\"utf-8\",\"tpl\":1}");
	camp_world_part(w, "{\"d\":2,\"type\":\"text/html\",\"charset\":\"utf-8\",\"tpl\":2}");
	camp_world_part(w, "{\"d\":1,\"type\":\"image/png\",\"att\":0,\"disposition\":\"inline\","
			   "\"cid\":\"logo@shop\"}");
}

/* text with what is replaced (once), LF as CR LF. */
static void put_message(struct buf *out, const char *text, const char *what, const char *by)
{
	const char *at = what ? strstr(text, what) : NULL;

	if (what)
		assert_non_null(at);
	for (const char *p = text; *p;) {
		const char *from = p;

		if (p == at) {
			for (const char *q = by; *q; q++)
				buf_put(out, *q == '\n' ? "\r\n" : q, *q == '\n' ? 2 : 1);
			p += strlen(what);
			continue;
		}
		buf_put(out, *from == '\n' ? "\r\n" : from, *from == '\n' ? 2 : 1);
		p++;
	}
}

static int run(struct camp_check *k, struct span text, size_t piece)
{
	struct mail_header h;
	struct mail_header_field f;
	struct span body = span_sub(text, mail_header_length(text), text.n);
	int r = 0;

	mail_header_init(&h, text, 0);
	while (r == 0 && mail_header_next(&h, &f) == 1)
		r = camp_check_header(k, f.name, f.value);
	if (r == 0)
		r = camp_check_eoh(k);
	for (size_t at = 0; at < body.n && r == 0; at += piece)
		r = camp_check_body(k, span_sub(body, at, piece));
	return r ? r : camp_check_end(k);
}

static struct camp_check *judge(const struct camp_compiled *c, struct span text, size_t piece)
{
	struct camp_check *k =
	    camp_check_new(c, &(struct camp_check_params){SPAN_LIT("<" RCPT ">")});
	int r = run(k, text, piece);

	assert_int_equal(r == 0, camp_check_result(k).verdict == CAMP_PASS);
	return k;
}

static void the_unaltered_message_passes_and_its_links_are_placed(void **state)
{
	static const size_t pieces[] = {100000, 1, 3, 64};
	struct camp_world w;
	struct camp_compiled *c;
	struct buf text;

	(void)state;
	build(&w);
	c = camp_world_compile(&w);
	if (!c)
		fail_msg("%s", w.found);
	buf_init(&text, 1 << 20);
	put_message(&text, message, NULL, NULL);
	for (size_t i = 0; i < 4; i++) {
		struct camp_check *k = judge(c, buf_span(&text), pieces[i]);
		struct camp_check_result res = camp_check_result(k);
		struct span body = gate_play_body(buf_span(&text));
		const struct camp_place *p;
		const struct camp_edit_part *parts;
		size_t n;

		if (res.verdict != CAMP_PASS)
			fail_msg("%s (%s) part %u at %llu header %s",
				 camp_verdict_name(res.verdict), res.rule, res.part,
				 (unsigned long long)res.offset, res.header);
		p = camp_check_places(k, &n);
		assert_int_equal(n, 3);
		assert_int_equal(p[0].part, 2);
		assert_memory_equal(body.p + p[0].from, URL "AB-1\r\n", p[0].to - p[0].from);
		assert_int_equal(p[0].to - p[0].from, strlen(URL "AB-1"));
		assert_true(span_equal(camp_check_values(k, &p[0]), SPAN_LIT("\4AB-1")));
		assert_int_equal(p[1].part, 3);
		assert_memory_equal(body.p + p[1].from, "https://shop.exam=\r\nple/w?c=3DAB-1",
				    p[1].to - p[1].from);
		assert_int_equal(body.p[p[1].to], '"');
		assert_int_equal(p[2].kind, CAMP_MARK_PIXEL);
		assert_memory_equal(body.p + p[2].from, "</body>", 7);
		parts = camp_check_parts(k, &n);
		assert_int_equal(n, 2);
		assert_int_equal(parts[1].index, 3);
		assert_int_equal(parts[1].encoding, MAIL_CTE_QP);
		camp_check_free(k);
	}
	camp_template_free(c);
	buf_clear(&text);
	camp_world_clear(&w);
}

struct attack {
	const char *name, *what, *by;
	enum camp_verdict verdict;
	const char *rule; /* the gate's */
};
static const struct attack attacks[] = {
    {"other link in the text part", "go to https://shop.example", "go to https://evil.example",
     CAMP_LITERAL, NULL},
    {"other link in the HTML part", "\"https://shop.exam=\nple", "\"https://shop.evil=\n.com",
     CAMP_LITERAL, NULL},
    {"a link more", "<p>Dear", "<a href=3D\"https://evil.com\">x</a><p>Dear", CAMP_LITERAL, NULL},
    {"a script at the end", "</body></html>", "</body></html><script>", CAMP_TEXT_GOES_ON, NULL},
    {"a paragraph less", "code</a> <img", "code</a><img", CAMP_LITERAL, NULL},
    {"only the text part swapped", "Dear Anna,\ngo", "Dear Anna,\ncall us! go", CAMP_LITERAL, NULL},
    {"a third alternative", "--alt--",
     "--alt\nContent-Type: text/x-amp-html; charset=utf-8\n\nx\n--alt--", CAMP_PART_TYPE, NULL},
    {"a calendar for the HTML", "Content-Type: text/html", "Content-Type: text/calendar",
     CAMP_PART_TYPE, NULL},
    {"a part more at the end", "--mix--", "--mix\nContent-Type: text/plain\n\nx\n--mix--",
     CAMP_PART_EXTRA, NULL},
    {"a part less",
     "--mix\nContent-Type: image/png; name=\"logo.png\"\nContent-Transfer-Encoding: "
     "base64\nContent-Disposition: inline; filename=\"logo.png\"\nContent-ID: "
     "<logo@shop>\n\nUE5HIHBpY3R1cmU=\n\n",
     "", CAMP_PART_MISSING, NULL},
    {"a name that carries a host", "<p>Dear Anna", "<p>Dear visit evil.com", CAMP_FIELD_LINK, NULL},
    {"a name with markup", "<p>Dear Anna", "<p>Dear <a href=3Dx>x", CAMP_FIELD_OCTET, NULL},
    {"a name with a reference to <", "<p>Dear Anna", "<p>Dear &#60;Anna", CAMP_FIELD_VALUE, NULL},
    {"a name with &colon;", "<p>Dear Anna", "<p>Dear javascript&colon;x", CAMP_FIELD_VALUE, NULL},
    {"a name that breaks out of quotes", "<p>Dear Anna", "<p>Dear \"Anna", CAMP_FIELD_OCTET, NULL},
    {"a name in two alphabets", "<p>Dear Anna", "<p>Dear =D0=90nna", CAMP_FIELD_VALUE, NULL},
    {"a name with a zero-width space", "<p>Dear Anna", "<p>Dear An=E2=80=8Bna", CAMP_FIELD_VALUE,
     NULL},
    {"a name with a bidi control", "<p>Dear Anna", "<p>Dear =E2=80=AEAnna", CAMP_FIELD_VALUE, NULL},
    {"a value that leaves the query", "c=3DAB-1", "c=3DAB&x", CAMP_LITERAL, NULL},
    {"a value in a URL that is too long", "c=3DAB-1", "c=3DABABABABABABABAB", CAMP_FIELD_LENGTH,
     NULL},
    {"another image", "UE5HIHBpY3R1cmU=", "UE5HIHBpY3R1cm0=", CAMP_PART_DIGEST, NULL},
    {"a longer image", "UE5HIHBpY3R1cmU=", "UE5HIHBpY3R1cmUh", CAMP_PART_SIZE, NULL},
    {"an image under another name", "filename=\"logo.png\"", "filename=\"logo.exe\"",
     CAMP_PART_NAME, NULL},
    {"an image of two names", "name=\"logo.png\"\nContent-T", "name=\"l.exe\"\nContent-T",
     CAMP_PART_NAME, NULL},
    {"another Content-ID", "<logo@shop>", "<other@shop>", CAMP_PART_CID, NULL},
    {"shown as an attachment", "inline", "attachment", CAMP_PART_DISPOSITION, NULL},
    {"HTML as an attachment", "Content-Type: text/html; charset=utf-8\n",
     "Content-Type: text/html; charset=utf-8\nContent-Disposition: attachment\n",
     CAMP_PART_DISPOSITION, NULL},
    {"another charset", "text/html; charset=utf-8", "text/html; charset=iso-8859-1",
     CAMP_PART_CHARSET, NULL},
    {"UTF-7", "text/html; charset=utf-8", "text/html; charset=utf-7", CAMP_AMBIGUOUS, "charset"},
    {"Content-Type twice in a part", "Content-Type: text/html; charset=utf-8\n",
     "Content-Type: text/html; charset=utf-8\nContent-Type: text/plain\n", CAMP_AMBIGUOUS,
     "duplicate-header"},
    {"broken base64", "UE5HIHBpY3R1cmU=", "UE5HIHBpY3R1c!mU=", CAMP_AMBIGUOUS, "base64-foreign"},
    {"two boundaries", "boundary=\"alt\"", "boundary=\"alt\"; boundary=\"x\"", CAMP_AMBIGUOUS,
     "boundary-twice"},
    {"no close delimiter", "--mix--\n", "", CAMP_AMBIGUOUS, "missing-close"},
    {"another From", "news@shop.example", "ceo@shop.example", CAMP_HEADER_FROM, NULL},
    {"another name in From", "From: Shop", "From: Bank", CAMP_HEADER_FROM, NULL},
    {"a second From", "To: ", "From: Shop <news@shop.example>\nTo: ", CAMP_AMBIGUOUS,
     "duplicate-header"},
    {"a Reply-To", "To: ", "Reply-To: eve@evil.example\nTo: ", CAMP_HEADER_REPLY_TO, NULL},
    {"a Sender", "To: ", "Sender: eve@evil.example\nTo: ", CAMP_HEADER_FOREIGN, NULL},
    {"a Cc", "To: ", "Cc: eve@evil.example\nTo: ", CAMP_HEADER_FOREIGN, NULL},
    {"an unknown header", "To: ", "X-Other: 1\nTo: ", CAMP_HEADER_FOREIGN, NULL},
    {"a List-Unsubscribe",
     "To: ", "List-Unsubscribe: <https://evil.example/>\nTo: ", CAMP_HEADER_FOREIGN, NULL},
    {"a List-Id", "To: ", "List-Id: <x.example>\nTo: ", CAMP_HEADER_LIST_ID, NULL},
    {"To somebody else", "<anna@example.org>", "<eve@example.org>", CAMP_HEADER_TO, NULL},
    {"To two", "<anna@example.org>", "<anna@example.org>, eve@example.org", CAMP_HEADER_TO, NULL},
    {"a text in the name of To",
     "=?utf-8?q?Ann=C3=A4?=", "=?utf-8?q?go_to_evil.com?=", CAMP_HEADER_TO, NULL},
    {"another subject", "your =?utf-8?q?code?=", "your =?utf-8?q?cash?=", CAMP_LITERAL, NULL},
    {"a host in the subject", "Subject: Anna", "Subject: Anna evil.com", CAMP_FIELD_LINK, NULL},
    {"a broken word in the subject", "=?utf-8?q?code?=", "=?utf-7?q?code?=", CAMP_HEADER_SUBJECT,
     NULL},
    {"a text for Date", "Date: Mon, 12 Jan 2026 10:00:00 +0000", "Date: see https://evil.example/", CAMP_HEADER_DATE,
     NULL},
    {"a text behind Date", "10:00:00 +0000", "10:00:00 +0000 (see evil.com)", CAMP_HEADER_DATE, NULL},
    {"a text before Date", "Date: Mon, 12", "Date: evil.com, 12", CAMP_HEADER_DATE, NULL},
    {"a part that lies elsewhere", "Content-Type: text/html; charset=utf-8\n",
     "X-Mozilla-External-Attachment-URL: https://evil.example/\nContent-Type: text/html; charset=utf-8\n", CAMP_AMBIGUOUS,
     "part-elsewhere"},
    {"blanks for readers that know no DelSp", "text/plain; charset=utf-8", "text/plain; charset=utf-8; delsp=yes",
     CAMP_PART_CHARSET, NULL},
    {"a description of a part", "Content-Type: text/html; charset=utf-8\n",
     "Content-Description: evil\nContent-Type: text/html; charset=utf-8\n", CAMP_AMBIGUOUS, "part-field"},
    {"no Date", "Date: Mon, 12 Jan 2026 10:00:00 +0000\n", "", CAMP_HEADER_MISSING, NULL},
    {"no To", "To: =?utf-8?q?Ann=C3=A4?= <anna@example.org>\n", "", CAMP_HEADER_MISSING, NULL},
};

static void each_attack_is_refused_with_its_verdict(void **state)
{
	struct camp_world w;
	struct camp_compiled *c;

	(void)state;
	build(&w);
	c = camp_world_compile(&w);
	assert_non_null(c);
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		const struct attack *a = &attacks[i];

		for (size_t piece = 1; piece < 5000; piece *= 60) {
			struct camp_check_result res;
			struct camp_check *k;
			struct buf text;

			buf_init(&text, 1 << 20);
			put_message(&text, message, a->what, a->by);
			k = judge(c, buf_span(&text), piece);
			res = camp_check_result(k);
			if (res.verdict != a->verdict ||
			    (a->rule && strcmp(res.rule, a->rule) != 0))
				fail_msg("%s: %s (%s) part %u at %llu", a->name,
					 camp_verdict_name(res.verdict), res.rule, res.part,
					 (unsigned long long)res.offset);
			camp_check_free(k);
			buf_clear(&text);
		}
	}
	camp_template_free(c);
	camp_world_clear(&w);
}

static void a_mismatch_is_told_with_part_line_and_template_offset(void **state)
{
	struct camp_check_result res;
	struct camp_compiled *c;
	struct camp_world w;
	struct camp_check *k;
	struct buf text;

	(void)state;
	build(&w);
	c = camp_world_compile(&w);
	buf_init(&text, 1 << 20);
	put_message(&text, message, "go to https", "go to http:");
	k = judge(c, buf_span(&text), 7);
	res = camp_check_result(k);
	assert_int_equal(res.part, 2);
	assert_int_equal(res.line, 2);
	assert_int_equal(res.offset, 21);
	assert_int_equal(res.tpl, 1);
	assert_int_equal(res.tpl_offset, 17);
	assert_string_equal(res.rule, "literal");
	camp_check_free(k);
	camp_template_free(c);
	buf_clear(&text);
	camp_world_clear(&w);
}

static void optional_parts_may_be_left_out(void **state)
{
	struct camp_compiled *c;
	struct camp_world w;
	struct camp_check *k;
	struct buf text;

	(void)state;
	build(&w);
	json_object_set_new(json_array_get(json_object_get(w.json, "mime"), 2), "optional",
			    json_true());
	json_object_set_new(json_array_get(json_object_get(w.json, "mime"), 4), "optional",
			    json_true());
	c = camp_world_compile(&w);
	assert_non_null(c);
	buf_init(&text, 1 << 20);
	put_message(&text, message, attacks[9].what, "");
	k = judge(c, buf_span(&text), 100);
	assert_int_equal(camp_check_result(k).verdict, CAMP_PASS);
	camp_check_free(k);
	camp_template_free(c);
	buf_clear(&text);
	camp_world_clear(&w);
}

static void lists_are_left_to_hosts_of_the_manifest(void **state)
{
	static const struct {
		const char *value;
		int ok;
	} cases[] = {{"<https://shop.example/u>, <mailto:u@shop.example>", 1},
		     {"<https://shop.example>", 1},
		     {"<https://shop.example.evil.com/u>", 0},
		     {"<https://shop.example@evil.com/u>", 0},
		     {"<https://shop.example:8443/u>", 0},
		     {"<http://shop.example/u>", 0},
		     {"<https://evil.com/u>", 0},
		     {"https://shop.example/", 0},
		     {"<https://shop.example/\\x>", 0},
		     {"<mailto:a@b>, evil", 0},
		     {"<mailto:u-1@bounce.shop.example?subject=stop>", 1},
		     {"<mailto:u@evil.example>", 0},
		     {"<mailto:u@shop.example,eve@evil.example>", 0},
		     {"<mailto:u@shop.example?cc=eve@evil.example>", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_compiled *c;
		struct camp_world w;
		struct camp_check *k;
		struct buf text;
		char field[200];

		build(&w);
		json_array_append_new(
		    json_object_get(json_object_get(w.json, "headers"), "extra_allow"),
		    json_string("list-unsubscribe"));
		c = camp_world_compile(&w);
		assert_non_null(c);
		buf_init(&text, 1 << 20);
		snprintf(field, sizeof(field), "List-Unsubscribe: %s\nTo: ", cases[i].value);
		put_message(&text, message, "To: ", field);
		k = judge(c, buf_span(&text), 100);
		assert_int_equal(camp_check_result(k).verdict,
				 cases[i].ok ? CAMP_PASS : CAMP_HEADER_URL);
		camp_check_free(k);
		camp_template_free(c);
		buf_clear(&text);
		camp_world_clear(&w);
	}
}

static void a_file_of_its_own_for_each_recipient_needs_the_senders_word(void **state)
{
	/* SHA-256 of "PNG picture" */
	static const struct {
		const char *field;
		enum camp_verdict verdict;
	} cases[] = {
	    {"X-DoPosta-Part: v=1; n=4; sha256=%s; size=11; mac=%s\nTo: ", CAMP_PASS},
	    {"X-DoPosta-Part: v=1; n=4;\n sha256=%s; size=12; mac=%s\nTo: ", CAMP_PART_SIZE},
	    {"X-DoPosta-Part: v=1; n=3; sha256=%s; size=11; mac=%s\nTo: ", CAMP_PART_SIGNED},
	    {"X-DoPosta-Part: n=4; sha256=%s; size=11; mac=%s\nTo: ", CAMP_PART_SIGNED},
	    {"To: ", CAMP_PART_SIGNED},
	};
	char mac[HEX_B64_SIZE(32)], digest[65], field[400];

	(void)state;
	hex_b64url_encode(mac, "0123456789abcdef0123456789abcdef", 32);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_compiled *c;
		struct camp_world w;
		struct camp_check *k;
		struct buf text, input;
		const uint8_t *have;
		json_t *a;

		build(&w);
		a = json_array_get(json_object_get(w.json, "attachments"), 0);
		snprintf(digest, sizeof(digest), "%s",
			 json_string_value(json_object_get(a, "sha256")));
		json_object_set_new(a, "sha256", json_null());
		json_object_set_new(a, "size", json_integer(5000));
		json_object_set_new(w.json, "mode", json_string("signed-part"));
		c = camp_world_compile(&w);
		if (!c)
			fail_msg("%s", w.found);
		buf_init(&text, 1 << 20);
		buf_init(&input, 4096);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
		snprintf(field, sizeof(field), cases[i].field, digest, mac);
#pragma GCC diagnostic pop
		put_message(&text, message, "To: ", field);
		k = judge(c, buf_span(&text), 33);
		assert_int_equal(camp_check_result(k).verdict, cases[i].verdict);
		if (i == 0) {
			assert_int_equal(camp_check_signed(k, 0, SPAN_LIT(" <1@x>\r\n"), &input, &have),
					 0);
			assert_memory_equal(have, "0123456789abcdef", 16);
			snprintf(field, sizeof(field), "dp-part-1\ncmp_01\n3\n<1@x>\n4\n11\n%s",
				 digest);
			assert_true(span_equal(buf_span(&input), span_str(field)));
			assert_int_equal(camp_check_signed(k, 1, SPAN_LIT(""), &input, &have),
					 ERR_NOTFOUND);
		}
		camp_check_free(k);
		camp_template_free(c);
		buf_clear(&text);
		buf_clear(&input);
		camp_world_clear(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_unaltered_message_passes_and_its_links_are_placed),
	    cmocka_unit_test(each_attack_is_refused_with_its_verdict),
	    cmocka_unit_test(a_mismatch_is_told_with_part_line_and_template_offset),
	    cmocka_unit_test(optional_parts_may_be_left_out),
	    cmocka_unit_test(lists_are_left_to_hosts_of_the_manifest),
	    cmocka_unit_test(a_file_of_its_own_for_each_recipient_needs_the_senders_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
