/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "camp_world.h"
#include "campaign/camp_json.h"
#include "campaign/camp_verdict.h"
#include "core/err.h"

static void build(struct camp_world *w)
{
	camp_world_init(w);
	camp_world_field(w, "first", "name", 40, "text", NULL);
	camp_world_template(w, "Hello {{first}}, your list");
	camp_world_template(
	    w, "Dear {{first}},\nread {{@https://shop.example/a}}https://shop.example/a{{/@}}\n"
	       "{{#rep 5}}- {{first}}\n{{/}}bye");
	camp_world_template(w, "<p>{{first}}</p>{{*}}</body>");
	camp_world_attachment(w, "application/pdf", "terms.pdf", SPAN_LIT("%PDF"));
	camp_world_part(w, "{\"d\":0,\"type\":\"multipart/mixed\"}");
	camp_world_part(w, "{\"d\":1,\"type\":\"multipart/alternative\"}");
	camp_world_part(w, "{\"d\":2,\"type\":\"text/plain\",\"charset\":\"utf-8\",\"tpl\":1}");
	camp_world_part(w, "{\"d\":2,\"type\":\"text/html\",\"charset\":\"utf-8\",\"tpl\":2}");
	camp_world_part(w, "{\"d\":1,\"type\":\"application/pdf\",\"att\":0,\"disposition\":"
			   "\"attachment\"}");
}

static void canonical_form_is_that_of_rfc_8785(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
	    {"{\"b\":1,\"a\":[true,false,null]}", "{\"a\":[true,false,null],\"b\":1}"},
	    {"{\"\\u20ac\":\"\\u0001\\n\\\"\\\\\\u00e9/\",\"1\":-0}",
	     "{\"1\":0,\"\u20ac\":\"\\u0001\\n\\\"\\\\\u00e9/\"}"},
	    /* sorted as UTF-16: U+1F600 (D83D..) before U+FB33 */
	    {"{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u0080\":3,\"\\r\":4}",
	     "{\"\\r\":4,\"\xc2\x80\":3,\"\U0001f600\":2,\"\ufb33\":1}"},
	    {"[9007199254740991,-9007199254740991]", "[9007199254740991,-9007199254740991]"},
	    {"9007199254740992", NULL},
	    {"[1.0]", NULL},
	    {"[1e3]", NULL},
	};
	int line, column;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b;
		json_t *v = json_loads(cases[i].in, JSON_DECODE_ANY, NULL);
		int r;

		assert_non_null(v);
		buf_init(&b, 4096);
		r = camp_json_canonical(v, &b);
		assert_int_equal(r, cases[i].out ? 0 : ERR_FORMAT);
		if (cases[i].out)
			assert_true(span_equal(buf_span(&b), span_str(cases[i].out)));
		json_decref(v);
		buf_clear(&b);
	}
	assert_null(camp_json_parse(SPAN_LIT("{\"a\":1,\"a\":2}"), &line, &column));
	assert_null(camp_json_parse(SPAN_LIT("{}x"), &line, &column));
}

static void a_manifest_becomes_a_struct(void **state)
{
	struct camp_world w;
	struct camp_error e;
	struct camp_manifest *m;
	uint8_t hash[32];

	(void)state;
	build(&w);
	m = camp_world_parse(&w, &e);
	if (!m)
		fail_msg("%s: %s", e.place, e.text);
	assert_string_equal(m->customer, "shop");
	assert_int_equal(m->version, 3);
	assert_int_equal(m->valid_to - m->valid_from, 365 * 86400);
	assert_int_equal(m->n_mime, 5);
	assert_int_equal(m->mime[4].att, 0);
	assert_true(m->templates[2].html && !m->templates[1].html);
	assert_int_equal(m->templates[2].pixel_at, 7);
	assert_int_equal(m->templates[1].ops.n, 5);
	assert_int_equal(m->templates[1].ops.op[3].kind, CAMP_OP_REP);
	assert_int_equal(m->templates[1].ops.op[3].max, 5);
	assert_int_equal(m->links[0].from, 12);
	assert_int_equal(m->links[0].to, 34);
	assert_true(m->links[0].track);
	assert_int_equal(camp_manifest_field(m, SPAN_LIT("first")), 0);
	assert_int_equal(camp_json_hash(buf_span(&w.canonical), hash), 0);
	assert_memory_equal(hash, m->hash, 32);
	camp_manifest_free(m);
	camp_world_clear(&w);
}

/* path: of the JSON pointer kind, without the first slash; value: JSON, or NULL: taken away */
static void change(json_t *root, const char *path, const char *value)
{
	char copy[200], *part = copy, *slash;
	json_t *v = root, *new = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((slash = strchr(part, '/'))) {
		*slash = 0;
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(part))
				     : json_object_get(v, part);
		part = slash + 1;
	}
	if (json_is_array(v) && strcmp(part, "+") == 0)
		json_array_append_new(v, new);
	else if (json_is_array(v))
		json_array_set_new(v, (size_t)atoi(part), new);
	else if (new)
		json_object_set_new(v, part, new);
	else
		json_object_del(v, part);
}

static void what_is_wrong_with_a_manifest_is_told_with_its_place(void **state)
{
	static const struct {
		const char *path, *value, *place, *text;
	} cases[] = {
	    {"extra", "1", "extra", "no member"},
	    {"headers/from/x", "1", "headers.from.x", "no member"},
	    {"author", NULL, "author", "missing"},
	    {"v", "2", "v", "must be 1"},
	    {"version", "0", "version", "1 or more"},
	    {"version", "\"3\"", "version", "integer"},
	    {"number", "4294967295", "number", "too large"},
	    {"number", "9007199254740992", "", "I-JSON"},
	    {"customer", "\"a b\"", "customer", "letters"},
	    {"customer", "\"\"", "customer", "empty"},
	    {"mode", "\"loose\"", "mode", "loose"},
	    {"valid/from", "\"2026-02-30T00:00:00Z\"", "valid.from", "time"},
	    {"valid/to", "\"2025-01-10T00:00:00Z\"", "valid", "before it begins"},
	    {"headers/subject", "\"tpl:7\"", "templates", "headers.subject"},
	    {"headers/from/addr", "\"nobody\"", "headers.from", "address"},
	    {"headers/extra_allow/+", "\"Bcc\"", "headers.extra_allow[0]", "lower"},
	    {"headers/extra_allow/+", "\"bcc\"", "headers.extra_allow[0]", "cannot"},
	    {"headers/extra_allow/+", "\"resent-to\"", "headers.extra_allow[0]", "cannot"},
	    {"fields/first/type", "\"free-html\"", "fields.first.type", "free-html"},
	    {"fields/first/ctx", "\"url-path\"", "fields.first", "context"},
	    {"fields/first/max", "0", "fields.first", "max"},
	    {"fields/first/values", "[\"a\"]", "fields.first", "values"},
	    {"templates/1/ops/0/1", "1", "templates[1].ops[0]", "begins at 1"},
	    {"templates/1/ops/0/2", "0", "templates[1].ops[0]", "1 octet"},
	    {"templates/1/ops/1/1", "\"nope\"", "templates[1].ops[1]", "nope"},
	    {"templates/1/ops/3/1", "101", "templates[1].ops[3]", "1 to 100"},
	    {"templates/1/ops/1", "[\"regex\",\".*\"]", "templates[1].ops[1]", "no op"},
	    {"templates/1/sha256", "\"00\"", "templates[1].sha256", "64"},
	    {"mime/0/d", "1", "mime[0]", "first row"},
	    {"mime/3/d", "4", "mime[3]", "no multipart"},
	    {"mime/2/tpl", "9", "mime[2]", "no template 9"},
	    {"mime/2/att", "0", "mime[2]", "not both"},
	    {"mime/4/att", "3", "mime[4]", "no attachment"},
	    {"mime/4/type", "\"image/png\"", "mime[4]", "another type"},
	    {"mime/4/optional", "false", "mime[4].optional", "true"},
	    {"mime/3/pixel_at", "4000", "mime[3]", "pixel_at"},
	    {"links/0/i", "1", "links[0].i", "count"},
	    {"links/0/span", "[9,3]", "links[0].span", "before it begins"},
	    {"links/0/span", "[9,3000]", "links[0]", "behind"},
	    {"hosts/0", "\"Shop.example\"", "hosts[0]", "lower"},
	    {"hosts/0", "\"shop_example\"", "hosts[0]", "host"},
	    {"attachments/0/sha256", "null", "attachments[0]", "signed-part"},
	    {"track", "{}", "track.host", "missing"},
	    {"track", "{\"host\":\"t.shop.example\",\"pixel\":true,\"clicks\":true,\"text\":false,\"vml\":false,\"unsubscribe\":\"none\",\"existing\":\"keep\",\"mailto_domain\":null,\"feedback_id\":null,\"honeypot\":false,\"days\":448,\"consent\":\"none\"}", "track.days", "1 to 447"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_world w;
		struct camp_error e;
		struct camp_manifest *m;

		build(&w);
		change(w.json, cases[i].path, cases[i].value);
		if (strcmp(cases[i].text, "I-JSON") == 0) {
			static const char big[] = "{\"number\":9007199254740992}";

			assert_int_equal(camp_manifest_parse(SPAN_LIT(big), &m, &e), ERR_FORMAT);
		} else {
			m = camp_world_parse(&w, &e);
		}
		assert_null(m);
		if (strcmp(e.place, cases[i].place) != 0 || !strstr(e.text, cases[i].text))
			fail_msg("%s=%s: told \"%s: %s\"", cases[i].path,
				 cases[i].value ? cases[i].value : "", e.place, e.text);
		camp_world_clear(&w);
	}
}

static void bytes_that_are_not_canonical_are_refused(void **state)
{
	struct camp_world w;
	struct camp_manifest *m;
	struct camp_error e;
	char *pretty;

	(void)state;
	build(&w);
	pretty = json_dumps(w.json, JSON_INDENT(1));
	assert_int_equal(camp_manifest_parse(span_str(pretty), &m, &e), ERR_FORMAT);
	assert_non_null(strstr(e.text, "canonical"));
	free(pretty);
	camp_world_clear(&w);
}

static void optional_parts_must_be_told_apart(void **state)
{
	struct camp_world w;
	struct camp_error e;

	(void)state;
	build(&w);
	change(w.json, "mime/2/optional", "true");
	change(w.json, "mime/3/type", "\"text/plain\"");
	change(w.json, "mime/3/pixel_at", NULL);
	assert_null(camp_world_parse(&w, &e));
	assert_string_equal(e.place, "mime[2]");
	assert_non_null(strstr(e.text, "row 3"));
	camp_world_clear(&w);
}

static void files_vouched_for_by_their_sender_are_neither_programs_nor_archives(void **state)
{
	static const struct {
		const char *type, *name;
		int ok;
	} cases[] = {{"application/pdf", "invoice.pdf", 1},
		     {"application/pdf", "invoice.pdf.exe", 0},
		     {"application/zip", "invoice.pdf", 0},
		     {"application/octet-stream", "invoice", 0},
		     {"application/vnd.ms-excel.sheet.macroenabled.12", "a.pdf", 0},
		     {"application/pdf", "x.XLSM", 0},
		     {"text/html", "invoice.pdf", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_world w;
		struct camp_error e;
		struct camp_manifest *m;
		char text[200];

		build(&w);
		change(w.json, "mode", "\"signed-part\"");
		snprintf(text, sizeof(text),
			 "{\"type\":\"%s\",\"name\":\"%s\",\"size\":9,\"sha256\":null}",
			 cases[i].type, cases[i].name);
		change(w.json, "attachments/0", text);
		snprintf(text, sizeof(text), "\"%s\"", cases[i].type);
		change(w.json, "mime/4/type", text);
		m = camp_world_parse(&w, &e);
		if (!!m != cases[i].ok)
			fail_msg("%s %s: %s %s", cases[i].type, cases[i].name, e.place, e.text);
		camp_manifest_free(m);
		camp_world_clear(&w);
	}
}

static void a_bundle_is_what_its_manifest_says(void **state)
{
	struct camp_world w;
	struct camp_bundle b;
	struct camp_manifest *m;
	struct camp_error e;
	struct buf out;

	(void)state;
	build(&w);
	buf_init(&out, CAMP_BUNDLE_MAX);
	assert_int_equal(camp_world_bundle(&w, &out), 0);
	assert_int_equal(camp_bundle_get(buf_span(&out), &b, &m, &e), 0);
	assert_int_equal(b.n_blobs, 3);
	assert_true(span_equal(b.blob[2], buf_span(&w.blob[2])));
	camp_manifest_free(m);
	/* each octet counts: no change of any one passes */
	for (size_t i = 0; i < buf_size(&out); i++) {
		out.data[i] ^= 1;
		assert_int_not_equal(camp_bundle_get(buf_span(&out), &b, &m, &e), 0);
		assert_null(m);
		out.data[i] ^= 1;
		if (i == 8)
			i = 8 + buf_size(&w.canonical); /* the manifest's own bytes are signed */
	}
	for (size_t n = 0; n < buf_size(&out); n += 7)
		assert_int_not_equal(camp_bundle_get(span_of(buf_ptr(&out), n), &b, &m, &e), 0);
	buf_clear(&out);
	camp_world_clear(&w);
}

static void an_audience_is_searched(void **state)
{
	uint8_t hashes[5 * CAMP_AUDIENCE] = {0}, other[CAMP_AUDIENCE] = {3};
	struct camp_bundle b = {.audience = span_of(hashes, sizeof(hashes))};

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		hashes[i * CAMP_AUDIENCE] = (uint8_t)(2 * i);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(camp_bundle_audience(&b, hashes + i * CAMP_AUDIENCE), 1);
	assert_int_equal(camp_bundle_audience(&b, other), 0);
	b.audience.n = 0;
	assert_int_equal(camp_bundle_audience(&b, hashes), 0);
}

static void verdicts_have_a_name_and_a_reply(void **state)
{
	(void)state;
	assert_string_equal(camp_verdict_name(CAMP_LITERAL), "literal");
	assert_int_equal(camp_verdict_reply(CAMP_LITERAL).code, 550);
	assert_int_equal(camp_verdict_reply(CAMP_AMBIGUOUS).code, 554);
	assert_int_equal(camp_verdict_reply(CAMP_TOO_BIG).code, 552);
	assert_int_equal(camp_verdict_reply(CAMP_KEYD).code, 451);
	assert_int_equal(camp_verdict_reply(CAMP_SECOND_RCPT).code, 452);
	assert_int_equal(camp_verdict_reply(CAMP_VERDICT_COUNT).code, 451);
	assert_string_equal(camp_verdict_reply(CAMP_EXPIRED).enhanced, "5.7.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_form_is_that_of_rfc_8785),
	    cmocka_unit_test(a_manifest_becomes_a_struct),
	    cmocka_unit_test(what_is_wrong_with_a_manifest_is_told_with_its_place),
	    cmocka_unit_test(bytes_that_are_not_canonical_are_refused),
	    cmocka_unit_test(optional_parts_must_be_told_apart),
	    cmocka_unit_test(files_vouched_for_by_their_sender_are_neither_programs_nor_archives),
	    cmocka_unit_test(a_bundle_is_what_its_manifest_says),
	    cmocka_unit_test(an_audience_is_searched),
	    cmocka_unit_test(verdicts_have_a_name_and_a_reply),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
