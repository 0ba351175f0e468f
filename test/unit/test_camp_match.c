/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "camp_world.h"
#include "campaign/camp_match.h"
#include "core/err.h"

#define RCPT "anna@example.org"

static void common_fields(struct camp_world *w)
{
	camp_world_field(w, "first", "name", 40, "text", NULL);
	camp_world_field(w, "word", "name", 40, "text", "\"without\":\" .\"");
	camp_world_field(w, "n", "int", 9, "text", NULL);
	camp_world_field(w, "price", "money", 20, "text", NULL);
	camp_world_field(w, "day", "date", 30, "text", NULL);
	camp_world_field(w, "code", "code", 12, "url-query", NULL);
	camp_world_field(w, "ticket", "code", 12, "text", NULL);
	camp_world_field(w, "item", "text-nolink", 80, "text", NULL);
	camp_world_field(w, "maybe", "name", 40, "text", "\"min\":0");
	camp_world_field(w, "size", "enum", 9, "text", "\"values\":[\"S\",\"XL\",\"X\",\"R&D\"]");
	camp_world_field(
	    w, "shop", "url-choice", 99, "url",
	    "\"values\":[\"https://shop.example/a\",\"https://shop.example/b?x=1&y=2\"]");
	camp_world_field(w, "mail", "rcpt-email", 254, "text", NULL);
	camp_world_field(w, "id", "uuid", 36, "text", NULL);
}

/* One template of an HTML (or plain) part; NULL: w->found. */
static struct camp_compiled *compile(struct camp_world *w, const char *text, int html)
{
	camp_world_init(w);
	common_fields(w);
	camp_world_template(w, "Hello");
	camp_world_template(w, text);
	camp_world_part(w,
			html ? "{\"d\":0,\"type\":\"text/html\",\"charset\":\"utf-8\",\"tpl\":1}"
			     : "{\"d\":0,\"type\":\"text/plain\",\"charset\":\"utf-8\",\"tpl\":1}");
	return camp_world_compile(w);
}

struct marks {
	char text[4096];
};
static int on_mark(void *arg, const struct camp_mark *mark)
{
	struct marks *m = arg;
	size_t n = strlen(m->text);

	n += (size_t)snprintf(m->text + n, sizeof(m->text) - n, "%c%u@%llu%s", "[]*"[mark->kind],
			      mark -> link, (unsigned long long)mark -> canonical,
			      mark -> at_end ? "$" : "");
	assert_true(mark->at_end || mark->source == mark->canonical);
	for (size_t i = 0; i < mark->values.n; i += mark->values.p[i] + 1U)
		n += (size_t)snprintf(m->text + n, sizeof(m->text) - n, "=%.*s", mark->values.p[i],
				      (const char *)mark->values.p + i + 1);
	strcat(m->text, " ");
	return 0;
}

/* piece 0: pieces of random size */
static enum camp_verdict match(const struct camp_compiled *c, struct span text, size_t piece,
			       struct marks *marks, struct camp_match *m)
{
	struct camp_match_params params = {.rcpt = SPAN_LIT(RCPT), .mark = on_mark, .arg = marks};
	int r = 0;

	memset(marks, 0, sizeof(*marks));
	camp_match_begin(m, c, 1, &params);
	for (size_t at = 0; at < text.n && r == 0;) {
		size_t n = piece ? piece : (size_t)rand() % 40 + 1;
		struct span s = span_sub(text, at, n);
		uint8_t *copy = malloc(s.n); /* its end is a cliff */

		memcpy(copy, s.p, s.n);
		r = camp_match_feed(m, span_of(copy, s.n));
		free(copy);
		at += s.n;
	}
	if (r == 0)
		r = camp_match_end(m);
	assert_true((r == 0) == (m->verdict == CAMP_PASS));
	return m->verdict;
}

/* Cut as one likes: verdict, places and marks are the same. */
static enum camp_verdict judge(const struct camp_compiled *c, struct span text, struct marks *marks,
			       struct camp_match *m)
{
	static const size_t pieces[] = {1, 2, 7, 0};
	enum camp_verdict v = match(c, text, text.n + 1, marks, m);

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct marks other;
		struct camp_match again;

		assert_int_equal(match(c, text, pieces[i], &other, &again), v);
		if (v == CAMP_PASS)
			assert_string_equal(marks->text, other.text);
		assert_int_equal(again.canonical, m->canonical);
		assert_int_equal(again.blob, m->blob);
		assert_int_equal(again.lines, m->lines);
	}
	assert_true(m->steps <= 20 * (text.n + 20));
	return v;
}

static void instances_match_and_others_do_not(void **state)
{
	static const struct {
		int html;
		const char *tpl, *text;
		enum camp_verdict verdict;
		unsigned at; /* canonical offset of a mismatch */
	} cases[] = {
	    {0, "Hi {{first}}, bye", "Hi Anna Maria, bye", CAMP_PASS, 0},
	    {0, "Hi {{first}}, bye", "Hi Jos\u00e9 O\u2019Brien-M\u00fcller, bye", CAMP_PASS, 0},
	    {0, "Hi {{first}}, bye", "Hi Anna, buy", CAMP_LITERAL, 10},
	    {0, "Hi {{first}}, bye", "Hi Anna, bye!", CAMP_TEXT_GOES_ON, 12},
	    {0, "Hi {{first}}, bye", "Hi Anna, b", CAMP_TEXT_ENDS, 10},
	    {0, "Hi {{first}}, bye", "Hi , bye", CAMP_FIELD_OCTET, 3},
	    {0, "Hi {{first}}, bye", "Hi visit evil.com, bye", CAMP_FIELD_LINK, 17},
	    {0, "Hi {{first}}, bye", "Hi 0123456789", CAMP_FIELD_OCTET, 3},
	    {0, "Hi {{first}}, bye",
	     "Hi aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bye", CAMP_FIELD_LENGTH,
	     43},
	    {1, "<b>{{first}}</b>", "<b>O&#39;Brien</b>", CAMP_PASS, 0},
	    {1, "<b>{{first}}</b>", "<b>O&colon;Brien</b>", CAMP_FIELD_VALUE, 16},
	    {1, "<b>{{first}}</b>", "<b>&#60;a&#62;</b>", CAMP_FIELD_VALUE, 14},
	    {1, "<b>{{first}}</b>", "<b><a href=x>x</b>", CAMP_FIELD_OCTET, 3},
	    {0, "Hi{{#opt}} {{first}}{{/}}!", "Hi!", CAMP_PASS, 0},
	    {0, "Hi{{#opt}} {{first}}{{/}}!", "Hi Anna!", CAMP_PASS, 0},
	    {0, "Hi{{#opt}} {{first}}{{/}}!", "Hi?", CAMP_BRANCH, 2},
	    {0, "Hi{{#opt}} {{first}}{{/}}", "Hi", CAMP_PASS, 0},
	    {0, "Hi{{#opt}} {{first}}{{/}}", "Hi ", CAMP_TEXT_ENDS, 3},
	    {0, "{{#alt}}Mr{{|}}Ms{{/}} {{first}},", "Ms Smith,", CAMP_PASS, 0},
	    {0, "{{#alt}}Mr{{|}}Ms{{/}} {{first}},", "Mx Smith,", CAMP_BRANCH, 1},
	    {1, "<table>{{#rep 3}}<tr>{{item}}</tr>{{/}}</table>", "<table></table>", CAMP_PASS, 0},
	    {1, "<table>{{#rep 3}}<tr>{{item}}</tr>{{/}}</table>",
	     "<table><tr>a</tr><tr>b, c</tr><tr>c</tr></table>", CAMP_PASS, 0},
	    {1, "<table>{{#rep 3}}<tr>{{item}}</tr>{{/}}</table>",
	     "<table><tr>a</tr><tr>b</tr><tr>c</tr><tr>d</tr></table>", CAMP_REPEATS, 37},
	    {1, "<table>{{#rep 3}}<tr>{{item}}</tr>{{/}}</table>", "<table><tr>a</td></table>",
	     CAMP_LITERAL, 15},
	    {0, "{{#rep 9}}a{{#rep 9}}b{{#opt}}c{{/}}{{/}}{{/}}d", "abbcbcaabcd", CAMP_PASS, 0},
	    {0, "a{{#opt}}\nb{{#opt}}\nc{{/}}{{/}}\nd", "a\nb\nc\nd", CAMP_PASS, 0},
	    {0, "a{{#opt}}\nb{{#opt}}\nc{{/}}{{/}}\nd", "a\nd", CAMP_PASS, 0},
	    {0, "a{{#opt}}\nb{{#opt}}\nc{{/}}{{/}}\nd", "a\nc\nd", CAMP_BRANCH, 2},
	    {0, "Size {{size}}.", "Size XL.", CAMP_PASS, 0},
	    {0, "Size {{size}}.", "Size X.", CAMP_PASS, 0},
	    {0, "Size {{size}}.", "Size XX.", CAMP_LITERAL, 6},
	    {0, "Size {{size}}.", "Size M.", CAMP_FIELD_VALUE, 5},
	    {1, "Size {{size}}.", "Size R&amp;D.", CAMP_PASS, 0},
	    {1, "Size {{size}}.", "Size R&D.", CAMP_FIELD_VALUE, 7},
	    {0, "For {{mail}}. Bye", "For " RCPT ". Bye", CAMP_PASS, 0},
	    {0, "For {{mail}}. Bye", "For anna@EXAMPLE.org. Bye", CAMP_PASS, 0},
	    {0, "For {{mail}}. Bye", "For Anna@example.org. Bye", CAMP_FIELD_RCPT, 4},
	    {0, "For {{mail}}. Bye", "For eve@example.org. Bye", CAMP_FIELD_RCPT, 4},
	    {1, "For {{mail}}. Bye", "For anna&#64;example.org. Bye", CAMP_PASS, 0},
	    {0, "ID {{id}}.", "ID 123e4567-e89b-12d3-a456-426614174000.", CAMP_PASS, 0},
	    {0, "ID {{id}}.", "ID 123e4567-e89b-12d3-a456-42661417400.", CAMP_FIELD_OCTET, 38},
	    {0, "Dear {{maybe}}, hi", "Dear , hi", CAMP_PASS, 0},
	    {0, "On {{day}} at {{n}}", "On 31.1.2026 at 9", CAMP_PASS, 0},
	    {0, "On {{day}} at {{n}}", "On 31 January 2026 at 9", CAMP_PASS, 0},
	    {0, "On {{day}} at {{n}}", "On 31 Badword 2026 at 9", CAMP_FIELD_VALUE, 18},
	};

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_world w;
		struct camp_match m;
		struct marks marks;
		struct camp_compiled *c = compile(&w, cases[i].tpl, cases[i].html);
		enum camp_verdict v;

		if (!c)
			fail_msg("%s: %s", cases[i].tpl, w.found);
		v = judge(c, span_str(cases[i].text), &marks, &m);
		if (v != cases[i].verdict || (v != CAMP_PASS && m.canonical != cases[i].at))
			fail_msg("%s / %s: %s at %llu", cases[i].tpl, cases[i].text,
				 camp_verdict_name(v), (unsigned long long)m.canonical);
		camp_template_free(c);
		camp_world_clear(&w);
	}
}

static void links_and_the_pixel_are_found_where_they_came_to_lie(void **state)
{
	static const struct {
		const char *tpl, *text, *marks;
	} cases[] = {
	    {"{{first}}, <a "
	     "href=\"{{@https://shop.example/a}}https://shop.example/a{{/@}}\">x</a>{{*}}</p>",
	     "Anna, <a href=\"https://shop.example/a\">x</a></p>", "[0@15 ]0@37 *0@44 "},
	    {"{{first}}, <a "
	     "href=\"{{@https://shop.example/w?c={code}}}https://shop.example/w?c={{code}}{{/"
	     "@}}\">",
	     "Bo, <a href=\"https://shop.example/w?c=AB-1\">", "[0@13 ]0@42=AB-1 "},
	    {"<a href=\"{{@{shop}}}{{shop}}{{/@}}\">x</a>",
	     "<a href=\"https://shop.example/b?x=1&amp;y=2\">x</a>",
	     "[0@9 ]0@43=https://shop.example/b?x=1&y=2 "},
	    {"<p>{{#rep 5}}<a "
	     "href=\"{{@https://a.example/}}https://a.example/{{/@}}\"></a>{{/}}</p>",
	     "<p><a href=\"https://a.example/\"></a><a href=\"https://a.example/\"></a></p>",
	     "[0@12 ]0@30 [0@45 ]0@63 "},
	    {"<p>{{#alt}}<a href=\"{{@https://a.example/}}https://a.example/{{/@}}\">{{|}}"
	     "<b href=\"{{@https://b.example/}}https://b.example/{{/@}}\">{{/}}</p>",
	     "<p><b href=\"https://b.example/\"></p>", "[1@12 ]1@30 "},
	    {"<p>x</p>{{*}}", "<p>x</p>", "*0@8$ "},
	    {"see {{@https://a.example/}}https://a.example/{{/@}}", "see https://a.example/",
	     "[0@4 ]0@22$ "},
	    {"see {{~https://a.example/}}https://a.example/{{/@}}", "see https://a.example/", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_world w;
		struct camp_match m;
		struct marks marks;
		struct camp_compiled *c = compile(&w, cases[i].tpl, 1);

		if (!c)
			fail_msg("%s: %s", cases[i].tpl, w.found);
		assert_int_equal(judge(c, span_str(cases[i].text), &marks, &m), CAMP_PASS);
		assert_string_equal(marks.text, cases[i].marks);
		camp_template_free(c);
		camp_world_clear(&w);
	}
}

static void templates_that_one_pass_cannot_match_are_named(void **state)
{
	static const struct {
		int html;
		const char *tpl, *found;
	} cases[] = {
	    {0, "Hi {{first}} from us", "literal-in-field@1:3"},
	    {0, "Hi {{word}} from us", ""},
	    {0, "{{n}}{{ticket}}", "adjacent-fields@1:0"},
	    {0, "{{n}}{{#opt}}{{ticket}}{{/}}!", "adjacent-fields@1:0"},
	    {0, "{{n}}7", "literal-in-field@1:0"},
	    {0, "{{#rep 4}}{{n}} {{/}}5", "field-first@1:0"},
	    {0, "{{#opt}}ab{{/}}ab", "branches-alike@1:0"},
	    {0, "{{#opt}}ab{{/}}ac", ""},
	    {0, "{{#opt}}ab{{/}}abc", "branches-alike@1:0"},
	    {0, "{{#alt}}ab{{first}}{{|}}abc{{/}}!", "branches-alike@1:0"},
	    {0, "{{#rep 3}}ab{{/}}{{#rep 3}}ab{{/}}", "branches-alike@1:0"},
	    {0, "{{#opt}}{{#opt}}a{{/}}{{/}}b", "branch-empty@1:0"},
	    {0, "{{#rep 3}}{{/}}b", "branch-empty@1:0"},
	    {0, "x{{#opt}}{{maybe}}{{/}}b", "branch-empty@1:1"},
	    {0, "Size {{size}}LL", "value-prefix@1:5"},
	    {0, "www.{{first}}!", "adjacent-link@1:4"},
	    {0, "Hi {{first}}@x", "adjacent-link@1:3"},
	    {0, "order {{ticket}}.com", "adjacent-link@1:6"},
	    {0, "order {{ticket}}. Bye", ""},
	    {0, "shop.{{ticket}} x", "adjacent-link@1:5"},
	    {0, "line\n", "blob-form@1:4"},
	    {0, "a\rb", "blob-form@1:1"},
	    {0, "a\xff", "blob-form@1:0"},
	    {1, "<p>{{#opt}}x{{*}}x{{/}}</p>", "pixel-in-block@1:4"},
	    {1, "{{@https://a.example/{code}}}https://a.example/{{/@}}\"", "link-fields@1:18"},
	    {1, "{{@https://a.example/}}https://a.example/{{code}}x{{/@}}\"",
	     "literal-in-field@1:18 link-fields@1:18"},
	    {1, "{{@https://a.example/}}https:{{#opt}}//{{/}}a.example/{{/@}}\"",
	     "link-across-block@1:6"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_world w;
		struct camp_compiled *c = compile(&w, cases[i].tpl, cases[i].html);

		if (strncmp(w.found, cases[i].found, strlen(cases[i].found)) != 0 ||
		    !!c == !!cases[i].found[0])
			fail_msg("%s: found \"%s\", not \"%s\"", cases[i].tpl, w.found,
				 cases[i].found);
		camp_template_free(c);
		camp_world_clear(&w);
	}
}

/* --- templates and values made by chance ----------------------------------------------------- */

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* Fixed text that begins with an octet no field holds, and differs from all others by its number. */
static void put_fixed(struct buf *tpl, unsigned *serial)
{
	buf_putf(tpl, "<%u>", (*serial)++);
	for (unsigned i = below(30); i > 0; i--)
		buf_putf(tpl, "%c", "abcdef \n"[below(8)]);
	buf_put_str(tpl, "|");
}

static void put_ops(struct buf *tpl, unsigned *serial, unsigned depth)
{
	static const char *const fields[] = {"first", "n", "price", "day", "ticket", "item", "id"};

	for (unsigned i = 1 + below(4); i > 0; i--) {
		put_fixed(tpl, serial);
		switch (below(depth ? 6 : 3)) {
		case 0:
		case 1:
			buf_putf(tpl, "{{%s}}", fields[below(7)]);
			break;
		case 3:
			buf_put_str(tpl, "{{#opt}}");
			put_ops(tpl, serial, depth - 1);
			buf_put_str(tpl, "{{/}}");
			break;
		case 4:
			buf_put_str(tpl, "{{#alt}}");
			put_ops(tpl, serial, depth - 1);
			buf_put_str(tpl, "{{|}}");
			put_ops(tpl, serial, depth - 1);
			buf_put_str(tpl, "{{/}}");
			break;
		case 5:
			buf_put_str(tpl, "{{#rep 3}}");
			put_ops(tpl, serial, depth - 1);
			buf_put_str(tpl, "{{/}}");
			break;
		default:
			break;
		}
	}
	put_fixed(tpl, serial);
}

static void put_value(struct buf *out, enum camp_field_type type)
{
	static const char *const names[] = {"Anna", "Jos\u00e9 Mar\u00eda", "O&#39;Neil",
					    "\u0418\u0432\u0430\u043d", "J. R. Smith"};
	static const char *const money[] = {"12.50", "\u20ac 1,299.00", "12,5 EUR", "$5", "USD 7"};
	static const char *const days[] = {"2026-01-31", "1.2.2026", "31/12/26",
					   "January 31, 2026"};
	static const char *const items[] = {"Blue shirt, size M (2)", "100% wool", "Caf\u00e9",
					    "a; b", "Tea &amp; milk"};

	switch (type) {
	case CAMP_TYPE_NAME:
		buf_put_str(out, names[below(5)]);
		break;
	case CAMP_TYPE_INT:
		buf_putf(out, "%d", rand() % 20000 - 10000);
		break;
	case CAMP_TYPE_MONEY:
		buf_put_str(out, money[below(5)]);
		break;
	case CAMP_TYPE_DATE:
		buf_put_str(out, days[below(4)]);
		break;
	case CAMP_TYPE_CODE:
		buf_putf(out, "AB-%u", below(1000));
		break;
	case CAMP_TYPE_TEXT_NOLINK:
		buf_put_str(out, items[below(5)]);
		break;
	default:
		buf_put_str(out, "123e4567-e89b-12d3-a456-426614174000");
	}
}

/* An instance of ops; fixed[i]: 1 if octet i is of the fixed text. */
static void instance(const struct camp_manifest *m, const struct camp_ops *ops, struct span blob,
		     struct buf *out, struct buf *fixed)
{
	for (unsigned i = 0; i < ops->n; i++) {
		const struct camp_op *op = &ops->op[i];
		size_t from = buf_size(out);
		unsigned times = op->kind == CAMP_OP_OPT   ? below(2)
				 : op->kind == CAMP_OP_REP ? below(op->max + 1)
							   : 1;

		if (op->kind == CAMP_OP_LIT)
			buf_put(out, blob.p + op->at, op->len);
		else if (op->kind == CAMP_OP_FLD)
			put_value(out, m->fields[op->field].type);
		for (; from < buf_size(out); from++)
			buf_put(fixed, op->kind == CAMP_OP_LIT ? "\1" : "\0", 1);
		for (; op->n_branch && times > 0; times--)
			instance(m, &op->branch[below(op->n_branch)], blob, out, fixed);
	}
}

static void one_change_never_matches(const struct camp_compiled *c, struct buf *text,
				     const struct buf *fixed)
{
	struct marks marks;
	struct camp_match m;

	for (unsigned i = 0; i < 40; i++) {
		size_t at = below((unsigned)buf_size(text));
		uint8_t old = text->data[at];

		if (!buf_ptr(fixed)[at])
			continue;
		text->data[at] = (uint8_t)(old ^ (1U << below(8)));
		assert_int_not_equal(match(c, buf_span(text), buf_size(text), &marks, &m),
				     CAMP_PASS);
		text->data[at] = old;
	}
}

static void any_instance_matches_and_no_change_outside_fields_does(void **state)
{
	(void)state;
	srand(7);
	for (unsigned round = 0; round < 150; round++) {
		struct buf tpl, text, fixed;
		struct camp_world w;
		struct camp_compiled *c;
		unsigned serial = 10;

		buf_init(&tpl, 100000);
		buf_init(&text, 1 << 20);
		buf_init(&fixed, 1 << 20);
		put_ops(&tpl, &serial, 3);
		buf_put(&tpl, "", 1);
		c = compile(&w, (const char *)buf_ptr(&tpl), 1);
		if (!c)
			fail_msg("%s: %s", (const char *)buf_ptr(&tpl), w.found);
		for (unsigned i = 0; i < 10; i++) {
			const struct camp_manifest *m = camp_template_manifest(c);
			struct camp_match matcher;
			struct marks marks;

			buf_reset(&text);
			buf_reset(&fixed);
			instance(m, &m->templates[1].ops, buf_span(&w.blob[1]), &text, &fixed);
			if (judge(c, buf_span(&text), &marks, &matcher) != CAMP_PASS)
				fail_msg("%s\n/ %.*s: %s at %llu", (const char *)buf_ptr(&tpl),
					 (int)buf_size(&text), (const char *)buf_ptr(&text),
					 camp_verdict_name(matcher.verdict),
					 (unsigned long long)matcher.canonical);
			one_change_never_matches(c, &text, &fixed);
		}
		camp_template_free(c);
		camp_world_clear(&w);
		buf_clear(&tpl);
		buf_clear(&text);
		buf_clear(&fixed);
	}
}

static void a_blob_that_is_not_the_manifests_is_not_compiled(void **state)
{
	struct camp_world w;
	struct camp_compiled *c = compile(&w, "Hello", 0);

	(void)state;
	assert_non_null(c);
	camp_template_free(c);
	w.blob[1].data[0] ^= 1;
	assert_null(camp_world_compile(&w));
	assert_string_equal(w.found, "blob-digest@1:0 ");
	w.n_blobs = 1;
	assert_null(camp_world_compile(&w));
	assert_string_equal(w.found, "blob-missing@1:0 ");
	w.n_blobs = 2;
	camp_world_clear(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(instances_match_and_others_do_not),
	    cmocka_unit_test(links_and_the_pixel_are_found_where_they_came_to_lie),
	    cmocka_unit_test(templates_that_one_pass_cannot_match_are_named),
	    cmocka_unit_test(any_instance_matches_and_no_change_outside_fields_does),
	    cmocka_unit_test(a_blob_that_is_not_the_manifests_is_not_compiled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
