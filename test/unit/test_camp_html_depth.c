/* SPDX-License-Identifier: Apache-2.0 */
/* How deep a document is nested, as a parser would have it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "campaign/camp_html.h"
#include "campaign/camp_html_depth.h"
#include "core/buf.h"
#include "core/err.h"

/* What is open, and left open, when the document is over. */
static unsigned depth_of(const char *html)
{
	struct camp_html_depth *d = malloc(sizeof(*d));
	struct mail_html *m = malloc(sizeof(*m));
	struct mail_html_token t;
	unsigned n;

	assert_non_null(d);
	assert_non_null(m);
	camp_html_depth_init(d, CAMP_HTML_DEPTH);
	mail_html_init(m, span_str(html));
	while (mail_html_next(m, &t) > 0)
		assert_int_equal(camp_html_depth_tag(d, &t), 0);
	n = d->depth + d->left;
	free(m);
	free(d);
	return n;
}

static void what_end_tags_close(void **state)
{
	static const struct {
		const char *html;
		unsigned depth;
	} r[] = {
	    {"", 0},
	    {"<html><head><title>x</title></head><body><p>x</p></body></html>", 0},
	    {"<div><SPAN>x</Span></DIV>", 0},
	    {"<div><br><img src=x><hr/><input><wbr>", 1},
	    {"<div/><div/>", 2}, /* HTML knows no empty div */
	    {"<x-a><x-b></x-a>", 0},
	    /* ends that may be left out */
	    {"<p>a<p>b<p>c", 1},
	    {"<ul><li>a<li>b<p>c<li>d</ul>", 0},
	    {"<dl><dt>a<dd>b<dt>c<dd>d</dl>", 0},
	    {"<table><tr><td>a<td>b<tr><td>c<tr><th>d</table>", 0},
	    {"<table><tbody><tr><td>a<tbody><tr><td>b", 4},
	    {"<a name=x>a<a name=y>b", 1},
	    {"<table><tr><td><table><tr><td>", 8}, /* each with its tbody */
	    /* ends that close nothing */
	    {"<div></x>", 1},
	    {"<span><div></span>", 2},
	    {"<div><table></div>", 4},
	    {"<div><table><tr><td></div>", 5},
	    {"<div><table><tr><td></table></div>", 0},
	    {"<div></body></html>", 1},
	    {"<li><ul></li>", 2},
	    {"<ul><li></ul>", 0},
	    {"<p><x><ol></ol></p>", 0},
	    {"<p><ol></p>", 1},
	    {"<p><button></p>", 2},
	    {"<div><object></div>", 2},
	    /* formatting goes on, but a cell's */
	    {"<b><div></b>", 1},
	    {"<p><b>x</p>", 1},
	    {"<p><b>x</p></b>", 0},
	    {"<p><b>x</p></i>", 1},
	    {"<span><font></span>", 1},
	    {"<table><tr><td><font>x</td><td><font>y</td></tr></table>", 0},
	    {"<table><tr><td><font>x</table>", 0},
	    {"<b><i>x</b></i>", 0},
	    /* no table, no cell */
	    {"<td><b></td>", 1},
	    {"<tr><td><x></td></tr>", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++)
		if (depth_of(r[i].html) != r[i].depth)
			fail_msg("%s: %u, want %u", r[i].html, depth_of(r[i].html), r[i].depth);
}

static void as_many_as_readers_nest_and_no_more(void **state)
{
	static const struct {
		const char *piece;
		unsigned first; /* piece that is refused; 0: none */
	} r[] = {
	    {"<div>", CAMP_HTML_DEPTH + 1},
	    {"<b><div></b>", CAMP_HTML_DEPTH},
	    {"<span><div></span>", 257},
	    {"<li><ul></li>", 257},
	    {"<div></body>", CAMP_HTML_DEPTH + 1},
	    {"<x>", CAMP_HTML_DEPTH + 1},
	    {"<p>a", 0},
	    {"<div></div>", 0},
	    {"<tr><td>a<td>b", 0},
	    {"<b>x</b>", 0},
	    {"<table><tr><td><p>x</table>", 0},
	    {"<!--[if mso]><table><tr><td><![endif]-->", 0},
	    {"<a name=x>", 0},
	    {"<br>", 0},
	};
	struct camp_html_finding f;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		buf_init(&b, 1 << 20);
		for (unsigned k = 0; k < 10000; k++)
			buf_put_str(&b, r[i].piece);
		if (!r[i].first) {
			if (camp_html_live(buf_span(&b), NULL, NULL, NULL, &f))
				fail_msg("%s: %s at %zu", r[i].piece, camp_html_rule_name(f.rule),
					 f.at);
		} else {
			if (camp_html_live(buf_span(&b), NULL, NULL, NULL, &f) != ERR_DENIED ||
			    strcmp(camp_html_rule_name(f.rule), "html-depth") != 0 ||
			    f.at / strlen(r[i].piece) + 1 != r[i].first)
				fail_msg("%s: at %zu", r[i].piece, f.at / strlen(r[i].piece) + 1);
		}
		buf_clear(&b);
	}
}

static void a_conditional_comment_is_a_document_of_its_own(void **state)
{
	struct camp_html_finding f;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (unsigned k = 0; k < CAMP_HTML_DEPTH; k++)
		buf_put_str(&b, "<div><!--[if mso]></div><![endif]-->");
	assert_int_equal(camp_html_live(buf_span(&b), NULL, NULL, NULL, &f), 0);
	buf_put_str(&b, "<div>");
	assert_int_equal(camp_html_live(buf_span(&b), NULL, NULL, NULL, &f), ERR_DENIED);
	buf_reset(&b);
	buf_put_str(&b, "<!--[if mso]>");
	for (unsigned k = 0; k <= CAMP_HTML_DEPTH; k++)
		buf_put_str(&b, "<div>");
	buf_put_str(&b, "<![endif]-->");
	assert_int_equal(camp_html_live(buf_span(&b), NULL, NULL, NULL, &f), ERR_DENIED);
	buf_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_end_tags_close),
	    cmocka_unit_test(as_many_as_readers_nest_and_no_more),
	    cmocka_unit_test(a_conditional_comment_is_a_document_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
