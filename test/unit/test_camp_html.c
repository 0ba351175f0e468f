/* SPDX-License-Identifier: Apache-2.0 */
/* What a campaign knows of HTML. In templates {name} is a field (small letters alone) and ^ the
 * edge of a block. What is told is written down:
 * "rule@offset" for findings, "use:value[text]" for URLs, "context" for fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "campaign/camp_html.h"
#include "core/err.h"

enum { PLACES = 64 };

struct told {
	struct buf blob, findings, urls, text;
	struct camp_html_place places[PLACES];
	char names[PLACES][32];
	struct camp_html_doc doc;
	struct camp_html_result result;
};

static void put_finding(void *arg, const struct camp_html_finding *f)
{
	struct told *t = arg;

	assert_true(f->at <= t->doc.blob.n);
	assert_true(f->level == CAMP_HTML_ERROR || f->level == CAMP_HTML_WARNING);
	assert_string_equal(f->text, camp_html_rule_text(f->rule));
	buf_putf(&t->findings, "%s%s@%zu", buf_size(&t->findings) ? " " : "",
		 camp_html_rule_name(f->rule) + strlen("html-"), f->at);
}

static int put_url(void *arg, const struct camp_html_url *u)
{
	static const char *const uses[] = {"link", "area", "vml", "image", "css", "mention"};
	struct told *t = arg;

	assert_true(u->from <= u->to && u->to <= t->doc.blob.n && u->element <= t->doc.blob.n);
	buf_putf(&t->urls, "%s%s:%.*s", buf_size(&t->urls) ? " " : "", uses[u->use],
		 (int)u->value.n, (const char *)u->value.p);
	if (u->text.n || u->alt.n)
		buf_putf(&t->urls, "[%.*s%s%.*s]", (int)u->text.n, (const char *)u->text.p,
			 u->alt.n ? "+" : "", (int)u->alt.n, (const char *)u->alt.p);
	if (u->no_track)
		buf_put_str(&t->urls, "!");
	return 0;
}

static void put_text(void *arg, struct span s, size_t at)
{
	struct told *t = arg;

	assert_true(at <= t->doc.blob.n);
	buf_put_span(&t->text, s);
}

/* Takes the fields and edges out of a template. */
static void parse(struct told *t, const char *template)
{
	struct camp_html_place *p;
	size_t n;

	for (; *template; template ++) {
		p = &t->places[t->doc.count];
		n = *template == '{' ? strspn(template + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
		if (n && template[n + 1] != '}')
			n = 0;
		if (!n && *template != '^') {
			buf_put(&t->blob, template, 1);
			continue;
		}
		assert_true(t->doc.count < PLACES);
		p->at = buf_size(&t->blob);
		if (n) {
			snprintf(t->names[t->doc.count], 32, "%.*s", (int)n, template + 1);
			p->field = t->names[t->doc.count];
			template += n + 1;
		}
		t->doc.count++;
	}
	t->doc.blob = buf_span(&t->blob);
	t->doc.places = t->places;
}

static void scan_charset(struct told *t, const char *template, const char *charset)
{
	const struct camp_html_fns fns = {put_finding, put_url, put_text};

	memset(t, 0, sizeof(*t));
	buf_init(&t->blob, 1 << 20);
	buf_init(&t->findings, 1 << 20);
	buf_init(&t->urls, 1 << 20);
	buf_init(&t->text, 1 << 20);
	parse(t, template);
	t->doc.charset = charset;
	assert_int_equal(camp_html_scan(&t->doc, &fns, t, &t->result), 0);
	buf_put(&t->findings, "", 1);
	buf_put(&t->urls, "", 1);
	buf_put(&t->text, "", 1);
}

static void scan(struct told *t, const char *template)
{
	scan_charset(t, template, NULL);
}

static void done(struct told *t)
{
	buf_clear(&t->blob);
	buf_clear(&t->findings);
	buf_clear(&t->urls);
	buf_clear(&t->text);
}

static const char *text_of(const struct buf *b)
{
	return (const char *)buf_ptr(b);
}

struct row {
	const char *template, *findings, *urls;
};

static void rows(const struct row *r, size_t n)
{
	struct told t;

	for (size_t i = 0; i < n; i++) {
		scan(&t, r[i].template);
		if (strcmp(text_of(&t.findings), r[i].findings) != 0 ||
		    strcmp(text_of(&t.urls), r[i].urls ? r[i].urls : "") != 0)
			fail_msg("%s\n  findings: %s\n  wanted:   %s\n  urls:   %s\n  wanted: %s",
				 r[i].template, text_of(&t.findings), r[i].findings,
				 text_of(&t.urls), r[i].urls ? r[i].urls : "");
		done(&t);
	}
}
#define ROWS(a) rows(a, sizeof(a) / sizeof((a)[0]))

/* --- what is good --- */

static void a_usual_mail_has_no_finding(void **state)
{
	static const struct row r[] = {
	    {"<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" "
	     "\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n"
	     "<html xmlns=\"http://www.w3.org/1999/xhtml\" "
	     "xmlns:v=\"urn:schemas-microsoft-com:vml\" "
	     "lang=\"en\"><head><meta http-equiv=\"Content-Type\" content=\"text/html; "
	     "charset=UTF-8\" />"
	     "<meta name=\"viewport\" content=\"width=device-width\"/><title>Spring &amp; "
	     "more</title>"
	     "<style type=\"text/css\">@media (max-width:600px){.a{width:100%!important}}"
	     "a[href]{color:#06c} /* x */</style>"
	     "<!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:AllowPNG/>"
	     "</o:OfficeDocumentSettings></xml><![endif]--></head>"
	     "<body bgcolor=\"#ffffff\" style=\"margin:0\"><!-- top --><table "
	     "role=\"presentation\" "
	     "width=\"100%\" cellpadding=\"0\"><tr><td align=\"center\" style=\"color:#333\">"
	     "<h1>Hello {name},</h1>^<p>Your code: {code}.</p>^"
	     "<a href=\"https://shop.example/w?c={code}&amp;u=1\" target=\"_blank\" "
	     "title=\"For {name}\">To  the\n<b>shop</b> <img "
	     "src=\"https://cdn.shop.example/{code}/a.png\" "
	     "alt=\"Go!\"></a></td></tr></table></body></html>",
	     "",
	     "image:https://cdn.shop.example/{code}/a.png "
	     "link:https://shop.example/w?c={code}&u=1[To the shop+Go!]"},
	    {"<!--[if mso]><v:roundrect xmlns:w=\"urn:x\" href=\"https://a.example/?c={c}\" "
	     "style=\"height:40px\" arcsize=\"10%\" stroke=\"f\"><w:anchorlock/><center>Go {n}!"
	     "</center></v:roundrect><![endif]--><!--[if !mso]><!-- --><a "
	     "href=\"https://a.example/\" "
	     "data-dp-track=\"OFF\">Go</a><!--<![endif]-->",
	     "", "vml:https://a.example/?c={c} link:https://a.example/[Go]!"},
	    {"<a href='https://a.example/'><!--[if mso]><i style='letter-spacing:9px'>&nbsp;</i>"
	     "<![endif]--><span>Go</span></a>",
	     "", "link:https://a.example/[Go]"},
	    {"<![if !mso]>x<![endif]>", "", ""},
	    {"<map name=m><area href='https://a.example/1' shape=rect coords='0,0,1,1'></map>"
	     "<td background=https://a.example/b.png>",
	     "", "area:https://a.example/1 image:https://a.example/b.png"},
	    {"<a href=mailto:a@b.example>m</a><a href=tel:+49>t</a><a href='#top'>u</a><a "
	     "name=x>v</a>"
	     "<img src=cid:logo>",
	     "", "link:mailto:a@b.example[m] link:tel:+49[t] link:#top[u] image:cid:logo"},
	    {"<p style=\"background:url('https://a.example/x.png') no-repeat\"><style>"
	     "p{background-image:url( https://a.example/y.png )}</style>",
	     "", "css:https://a.example/x.png css:https://a.example/y.png"},
	};

	(void)state;
	ROWS(r);
}

static void spans_are_those_between_the_quotes_of_the_blob(void **state)
{
	struct told t;

	(void)state;
	scan(&t, "{a}<a href=\"https://a.example/{b}/\">{c}</a>{d}");
	assert_string_equal(text_of(&t.findings), "");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(t.places[i].context,
				 i == 1 ? CAMP_HTML_IN_PATH : CAMP_HTML_IN_TEXT);
	assert_int_equal(t.places[1].quote, '"');
	assert_int_equal(t.result.body_end, t.doc.blob.n);
	assert_string_equal(text_of(&t.text), "xxx");
	done(&t);
}

/* --- fields --- */

static void attack_field_breaks_out_of_its_context(void **state)
{
	static const struct row r[] = {
	    {"<{f}>", "element@1 field-context@1", ""},
	    {"<p{f}>", "element@1 field-context@2", ""},
	    {"</{f}>", "field-context@2", ""},
	    {"<p {f}=a>", "attribute@3 field-context@3", ""},
	    {"<p class='{f}'>", "field-context@10", ""},
	    {"<p title={f}>", "field-context@9", ""},
	    {"<p style='color:{f}'>", "field-context@16", ""},
	    {"<style>{f}</style>", "field-context@7", ""},
	    {"<title>{f}</title>", "field-context@7", ""},
	    {"<!-- {f} -->", "field-context@5", ""},
	    {"<!{f}>", "bogus-comment@0 field-context@2", ""},
	    {"<!DOCTYPE {f}>", "doctype@0 field-context@10", ""},
	    {"1 <{f}> 2", "element@3 field-context@3", ""},
	    {"<a href='https://a.example/'{f}>b</a>",
	     "attribute-glued@28 attribute@28 field-context@28", "link:https://a.example/[b]"},
	};

	(void)state;
	ROWS(r);
}

static void attack_field_completes_a_reference_or_a_comment(void **state)
{
	static const struct row r[] = {
	    {"a&{f}", "field-reference@2", ""},
	    {"a&#{f};", "field-reference@3", ""},
	    {"a&am{f};", "field-reference@4", ""},
	    {"a&amp;{f}", "", ""},
	    {"a&am^p;^", "field-reference@4", ""},
	    {"<a href='https://a.example/?a=1&{f}'>x</a>", "field-url@32",
	     "link:https://a.example/?a=1&{f}[x]"},
	    {"<!--[if mso]>{f}-><![endif]-->", "field-comment@13", ""},
	    {"<!--[if mso]>{f}--!><![endif]-->", "comment@0 field-context@13 bogus-comment@17", ""},
	    {"<!--[if mso]>{f}-!><![endif]-->", "field-comment@13", ""},
	    {"<!--[if mso]>a-^b^-><![endif]-->", "field-comment@16", ""},
	    {"<!--[if mso]>{f}><![endif]-->", "field-comment@13", ""},
	    {"<!--[if mso]>{f}! {f}-{f}<![endif]-->", "", ""},
	};

	(void)state;
	ROWS(r);
}

static void attack_field_forms_a_host(void **state)
{
	static const struct {
		const char *url, *context, *findings;
	} r[] = {
	    {"https://a.example/{f}", "url-path", ""},
	    {"https://a.example/a-{f}/b", "url-path", ""},
	    {"https://a.example/?a={f}", "url-query", ""},
	    {"https://a.example?a={f}&amp;b=1", "url-query", ""},
	    {"https://a.example/?a=1&amp;b=x{f}", "url-query", ""},
	    {"{f}", "refused", "field-host@9 "},
	    {"{f}://a.example/", "refused", "field-host@9 "},
	    {"https:{f}", "refused", "field-host@15 "},
	    {"https://{f}", "refused", "field-host@17 "},
	    {"https://{f}.a.example/", "refused", "field-host@17 "},
	    {"https://a.example{f}/", "refused", "field-host@26 "},
	    {"https://{f}@a.example/", "refused", "field-host@17 "},
	    {"https://a.example:{f}/", "refused", "field-host@27 "},
	    {"https://a.example/?{f}=1", "refused", "field-url@28 "},
	    {"https://a.example/#{f}", "refused", "field-url@28 "},
	    {"https://a.example/%{f}", "refused", "field-url@28 "},
	    {"https://a.example/?a=%4{f}", "refused", "field-url@32 "},
	    {"https://a.example/.{f}/", "refused", "field-url@28 "},
	    {"https&colon;//a.example/{f}", "url-path", ""},
	    {"mailto:a@b.example?subject={f}", "refused", "field-url@36 "},
	};
	struct told t;
	char html[256], want[64];

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		snprintf(html, sizeof(html), "<a href='%s'>x</a>", r[i].url);
		scan(&t, html);
		snprintf(want, sizeof(want), "%s", r[i].findings);
		if (strcmp(camp_html_context_name(t.places[0].context), r[i].context) != 0 ||
		    strncmp(text_of(&t.findings), want, strlen(want) - (want[0] != 0)) != 0 ||
		    (!want[0] && text_of(&t.findings)[0]))
			fail_msg("%s: %s, %s", html, camp_html_context_name(t.places[0].context),
				 text_of(&t.findings));
		done(&t);
	}
}

static void attack_field_forms_a_link_with_its_neighbours(void **state)
{
	static const struct row r[] = {
	    {"www.<b>{f}</b>", "field-joins@7", ""},
	    {"www&#46;{f}", "field-joins@8", ""},
	    {"<b>{f}</b>.com", "field-joins@3", ""},
	    {"<b>{f}</b>&period;com", "field-joins@3", ""},
	    {"{f}<i>.</i>com", "field-joins@0", ""},
	    {"<i>a@</i>{f}", "field-joins@9", ""},
	    {"<i>{f}</i>&commat;a", "field-joins@3", ""},
	    {"https:/<!-- -->/{f}", "", ""},
	    {"https:/<!-- -->/<!-- -->{f}", "field-joins@24", ""},
	    /* the end of a sentence, of a line */
	    {"<b>{f}</b>. Com", "", ""},
	    {"<b>{f}</b>.<p>com", "", ""},
	    {"<b>{f}</b>.<i> </i>com", "", ""},
	    {"www.<p>{f}<br>.com", "", ""},
	    {"<b>{f}</b> .com", "", ""},
	    {"<b>{f}</b>: <b>{g}</b>-{h}", "", ""},
	    /* these are seen in the template itself */
	    {"www.{f}.com", "", ""},
	};

	(void)state;
	ROWS(r);
}

static void attack_blocks_that_change_the_structure(void **state)
{
	static const struct row r[] = {
	    {"^<p>a</p>^", "", ""},
	    {"<table>^<tr><td>{f}</td></tr>^</table>", "", ""},
	    {"<p^ class=a^>", "block@2 block@10", ""},
	    {"<a href='https://a.example/^b^'>c</a>", "block@27 block@28",
	     "link:https://a.example/b[c]"},
	    {"<style>^a{}^</style>", "block@7 block@10", ""},
	    {"<!--^ a ^-->", "block@4 block@7", ""},
	    {"<!--[if mso]>^a^<![endif]-->", "", ""},
	    {"x <^b>", "block@3", ""},
	    {"x <^ y^b>", "stray-lt@2", ""},
	    {"<title>^</title>", "block@7", ""},
	    {"^<a href='https://a.example/'>^b^</a>^", "block-link@29 block-link@30",
	     "link:https://a.example/[b]"},
	    {"^<a href='https://a.example/'>b</a>^", "", "link:https://a.example/[b]"},
	};

	(void)state;
	ROWS(r);
}

/* --- the rows of the attack table that HTML answers for --- */

static void attack_active_content(void **state)
{
	static const struct row r[] = {
	    {"<script>a</script>", "script@1", ""},
	    {"<SCRIPT src=https://a.example/x></SCRIPT>", "script@1", ""},
	    {"<p onclick=a>", "event-handler@3", ""},
	    {"<img src=cid:a onerror='x'>", "event-handler@15", "image:cid:a"},
	    {"<base href='https://a.example/'>", "base@1", ""},
	    {"<meta http-equiv=Refresh content='0;url=https://b.example'>", "meta-refresh@17", ""},
	    {"<meta http-equiv=Set-Cookie content=a>", "meta@17", ""},
	    {"<form action=https://b.example><input><button formaction=x></form>",
	     "form@1 attribute-url@6 form@32 form@39 attribute-url@46", ""},
	    {"<iframe src=x></iframe>", "frame@1", ""},
	    {"<object data=x></object><embed src=x>", "frame@1 attribute-url@8 frame@25", ""},
	    {"<link rel=stylesheet href=https://b.example/x.css>", "link-element@1", ""},
	    {"<img srcset='https://b.example/x 2x'>", "srcset@5", ""},
	    {"<svg><a xlink:href=x></a></svg>", "foreign@1 foreign@6 attribute-url@8", ""},
	    {"<math href=x></math>", "foreign@1 attribute-url@6", ""},
	    {"<noscript><p></noscript>", "element-raw@1", ""},
	    {"<blink>", "element@1", ""},
	    {"<p foo=bar>", "attribute@3", ""},
	    {"<span href='https://a.example/'>", "attribute-url@6", ""},
	};

	(void)state;
	ROWS(r);
}

static void attack_schemes_javascript_data_file_cid(void **state)
{
	static const struct row r[] = {
	    {"<a href=javascript:a>b</a>", "scheme@8", "link:javascript:a[b]"},
	    {"<a href='JaVaScript&colon;a'>b</a>", "scheme@9", "link:JaVaScript:a[b]"},
	    {"<a href='&#106avascript:a'>b</a>", "scheme@9", "link:javascript:a[b]"},
	    {"<a href='java&Tab;script:a'>b</a>", "url-characters@9 url-relative@9",
	     "link:java\tscript:a[b]"},
	    {"<a href=' javascript:a'>b</a>", "url-characters@9 scheme@9", "link: javascript:a[b]"},
	    {"<a href='data:text/html,x'>b</a>", "scheme@9", "link:data:text/html,x[b]"},
	    {"<a href='vbscript:x'>b</a>", "scheme@9", "link:vbscript:x[b]"},
	    {"<a href='file:///etc/passwd'>b</a>", "scheme@9", "link:file:///etc/passwd[b]"},
	    {"<img src='data:image/png;base64,AA=='>", "scheme@10",
	     "image:data:image/png;base64,AA=="},
	    {"<a href='cid:x'>b</a>", "scheme@9", "link:cid:x[b]"},
	    {"<a href='//b.example/'>b</a>", "url-relative@9", "link://b.example/[b]"},
	    {"<a href='/x'>b</a>", "url-relative@9", "link:/x[b]"},
	    {"<a href='https:\\\\b.example'>b</a>", "url-characters@9",
	     "link:https:\\\\b.example[b]"},
	    {"<a href='https://a.example/&#123;x}'>b</a>", "url-characters@9",
	     "link:https://a.example/{x}[b]"},
	    {"<a href=''>b</a>", "url-relative@9", "link:[b]"},
	};

	(void)state;
	ROWS(r);
}

static void attack_css_url_import_expression(void **state)
{
	static const struct row r[] = {
	    {"<style>@import url(https://b.example/x)</style>", "css-import@8",
	     "css:https://b.example/x"},
	    {"<style>@IMPORT 'x'</style>", "css-import@8", ""},
	    {"<p style='width:expression(a)'>", "css-active@16", ""},
	    {"<p style='width:exp/**/ression(a)'>", "css-active@20", ""},
	    {"<p style='behavior : url(https://b.example/x)'>", "css-active@10",
	     "css:https://b.example/x"},
	    {"<p style='-moz-binding:url(https://b.example/x)'>", "css-active@10",
	     "css:https://b.example/x"},
	    {"<p style='background:u\\72l(https://b.example/x)'>", "css-escape@22", ""},
	    {"<p style='background:URL(javascript:a)'>", "scheme@25", "css:javascript:a"},
	    {"<p style='background:url(&quot;https://b.example/x&quot;)'>", "",
	     "css:https://b.example/x"},
	    {"<p style='background:url(a b)'>", "css-url@25", ""},
	    {"<p style='background:url(\"https://b.ex\\61mple\")'>", "css-url@26", ""},
	    {"<p style='background:image-set(\"https://b.example/x\" 1x)'>", "css-active@21", ""},
	    {"<style>p{background:url(https://b.example/x</style>", "css-url@24", ""},
	    /* a comment divides names */
	    {"<p style='background:red/**/url(https://b.example/x)'>", "",
	     "css:https://b.example/x"},
	    {"<style>p{background:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/**/url(https://b.example/x)}</style>", "",
	     "css:https://b.example/x"},
	    {"<p style='a:0/**/image-set(\"https://b.example/x\" 1x)'>", "css-active@17", ""},
	    /* what some readers take for the end of a string, and some do not */
	    {"<style>p{content:\"\f;background:url(https://b.example/x);a:\"}</style>", "css-string@18 css-string@60",
	     "css:https://b.example/x"},
	    {"<style>p{content:\"\r;background:url(https://b.example/x)}</style>", "css-string@18",
	     "css:https://b.example/x"},
	    {"<p style=\"a:'\\&#13;&#10;';background:url(https://b.example/x);a:'\">", "css-string@10", ""},
	    {"<style>/* url(x) */ p:after{content:'url(x)'}</style>", "", ""},
	};

	(void)state;
	ROWS(r);
}

static void attack_link_hidden_for_outlook(void **state)
{
	static const struct row r[] = {
	    {"<!--[if mso]><a href='https://b.example/'>x</a><![endif]-->", "",
	     "link:https://b.example/[x]"},
	    {"<!--[if mso]><v:rect href='javascript:a'></v:rect><![endif]-->", "scheme@27",
	     "vml:javascript:a"},
	    {"<!--[if mso]><script>a</script><![endif]-->", "script@14", ""},
	    {"<!--[if mso]><noscript><xml><o:AllowPNG/></xml></noscript><![endif]--><noscript>", "element-raw@71", ""},
	    {"<!--[if mso]><noscript>a</noscript><NOSCRIPT>b</NoScript ><![endif]-->", "", ""},
	    {"<!--[if mso]><noscript><img alt='</noscript>' src='https://b.example/'></noscript><![endif]-->", "element-raw@73",
	     "image:https://b.example/"},
	    {"<!--[if mso]><noscript><noscript>a</noscript></noscript><![endif]-->", "element-raw@24", ""},
	    {"<!--[if mso]><noscript>a<![endif]-->", "element-raw@14", ""},
	    {"<!--[if mso]><noscript><style></noscript></style><![endif]-->", "element-raw@30", ""},
	    {"<!--[if mso]><noscript><a href='javascript:a'>x</a></noscript><![endif]-->", "scheme@32",
	     "link:javascript:a[x]"},
	    {"<!--[if mso]><a href='https://b.example/'>x</a>-->", "conditional@0", ""},
	    {"<!-- [if mso]><p><![endif]-->", "conditional@0", ""},
	    {"<!--[if mso]x><p><![endif]-->", "conditional@0", ""},
	    {"<!--[if mso]><style>a<![endif]-->", "unclosed@14", ""},
	    {"<!--[if mso]><a href='x<![endif]-->", "tag-lost@13", ""},
	    {"<!--[if mso]>a<![endif]>b<![endif]-->", "conditional@14", ""},
	    {"<a href='https://a.example/'><!--[if mso]><a "
	     "href='https://b.example/'>y</a><![endif]-->"
	     "x</a>",
	     "link-nested@43", "link:https://a.example/ link:https://b.example/[y]"},
	};

	(void)state;
	ROWS(r);
}

static void attack_parser_differential(void **state)
{
	static const struct row r[] = {
	    {"<!--><a href='https://b.example/'>x</a>-->", "comment@0",
	     "link:https://b.example/[x]"},
	    {"<!--->x", "comment@0", ""},
	    {"<!-- a --!>x", "comment@0", ""},
	    {"<!-- a <!-- b -->", "comment@0", ""},
	    {"<!-- a", "comment@0", ""},
	    {"<title><a href='https://b.example/'></title>", "title-markup@7", ""},
	    {"<textarea></textarea>", "form@1", ""},
	    {"<textarea><a href='https://b.example/'></textarea>", "form@1 title-markup@10", ""},
	    {"<title>a", "unclosed@1", ""},
	    {"<![CDATA[<a href='x'>]]>", "cdata@0", ""},
	    {"<?php a ?>", "bogus-comment@0", ""},
	    {"<p a='1' a='2'>", "attribute@3 attribute-twice@9", ""},
	    {"<p class='a'title='b'>", "attribute-glued@12", ""},
	    {"<p \"=b>", "attribute-name@3 attribute@3", ""},
	    {"<p class=a\"b>", "attribute-value@9", ""},
	    {"a < b", "stray-lt@2", ""},
	    {"a</>b", "empty-end@1", ""},
	    {"</p class=a>", "end-attributes@4", ""},
	    {"a<a href='https://b.example/>x</a>", "tag-lost@1", ""},
	    {"a\001b", "control@1", ""},
	    {"<a href='https://a.example/'>x<a href='https://b.example/'>y</a>", "link-nested@31",
	     "link:https://a.example/[x] link:https://b.example/[y]"},
	    {"<a href='https://a.example/'>x", "link-open@1", "link:https://a.example/[x]"},
	    {"<p><!DOCTYPE html>", "doctype@3", ""},
	    {"<plaintext>", "element-raw@1 unclosed@1", ""},
	};

	(void)state;
	ROWS(r);
}

/* What the lint compares with the host: the text as it is seen, whatever markup it is cut up by. */
static void attack_shown_text_names_another_host(void **state)
{
	static const struct row r[] = {
	    {"<a href='https://b.example/'>https://bank.example/</a>", "",
	     "link:https://b.example/[https://bank.example/]"},
	    {"<a href='https://b.example/'>\n <b>bank</b><!-- x -->&#46;<i></i>exam\n ple </a>", "",
	     "link:https://b.example/[bank.exam ple]"},
	    {"<a href='https://b.example/'><img src=cid:a alt='bank.example'></a>", "",
	     "image:cid:a link:https://b.example/[+bank.example]"},
	    {"<a href='https://b.example/'><p><table><td>bank.example</td></table>", "link-open@1",
	     "link:https://b.example/[bank.example]"},
	    {"<a href='https://b.example/'>{name}.example</a>", "",
	     "link:https://b.example/[x.example]"},
	};

	(void)state;
	ROWS(r);
}

static void attack_charset(void **state)
{
	static const struct {
		const char *html, *part, *findings;
	} r[] = {
	    {"<meta charset=utf-8>", NULL, ""},
	    {"<meta charset=\"UTF-8\">", "us-ascii", ""},
	    {"<meta charset=utf-7>", "utf-8", "meta-charset@14"},
	    {"<meta charset=windows-1252>", "utf-8", "meta-charset@14"},
	    {"<meta charset=windows-1252>", "iso-8859-1", ""},
	    {"<meta http-equiv=content-type content='text/html; charset = utf-8'>", "iso-8859-1",
	     "meta-charset@39"},
	    {"<meta http-equiv=content-type content='text/html; charset=\"utf-8\"; x'>", "utf-8",
	     ""},
	    {"<meta http-equiv=content-type content='text/html; charset=shift_jis'>", "utf-8",
	     "meta-charset@39"},
	    {"<meta http-equiv=content-type content='text/html'>", "utf-8", ""},
	};
	struct told t;

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		scan_charset(&t, r[i].html, r[i].part);
		assert_string_equal(text_of(&t.findings), r[i].findings);
		done(&t);
	}
}

static void attack_hidden_text(void **state)
{
	static const struct row r[] = {
	    {"<div style='display:none'>a</div>", "hidden@1", ""},
	    {"<div style='DISPLAY : None !important'>a</div>", "hidden@1", ""},
	    {"<span style='font-size:0'>a</span>", "hidden@1", ""},
	    {"<span style='font-size:1px;color:red'>a</span>", "hidden@1", ""},
	    {"<span style='font-size:1em'>a</span>", "", ""},
	    {"<span style='opacity:0.01'>a</span>", "hidden@1", ""},
	    {"<span style='mso-hide:all'>a</span>", "hidden@1", ""},
	    {"<span style='max-height:0;visibility:hidden'>a</span>", "hidden@1", ""},
	    {"<span style='color:transparent'>a</span>", "hidden@1", ""},
	    {"<div style='position:absolute;left:-9999px'>a</div>", "hidden@1", ""},
	    {"<style>@media print{.a{display:none}} .b,.c { display : none }</style>", "hidden@38",
	     ""},
	    {"<style>@import x;.b{font-size:0}", "css-import@8 hidden@17 unclosed@1", ""},
	    {"a\xe2\x80\xae"
	     "b",
	     "bidi@0", ""},
	    {"a&#x2067;b", "bidi@0", ""},
	    {"<p hidden>a</p>", "hidden@3", ""},
	    {"<p style='color:#fff;background:#FFFFFF url(https://a.example/)'>a</p>",
	     "hidden-colour@1", "css:https://a.example/"},
	    {"<td bgcolor=white><font color='#fff'>a</font></td>", "hidden-colour@19", ""},
	    {"<table bgcolor=white><tr><td bgcolor=black><font "
	     "color='#fff'>a</font></td></tr></table>",
	     "", ""},
	    {"<table bgcolor=black><tr><td bgcolor=white></td><td><font color='#000'>a",
	     "hidden-colour@53", ""},
	};

	(void)state;
	ROWS(r);
}

/* --- where things go --- */

static void the_pixel_goes_before_the_end_of_the_body(void **state)
{
	static const struct {
		const char *html;
		size_t at;
	} r[] = {
	    {"<body>{f}a</body></html>", 7},
	    {"<body>a</body><p></BODY >", 17},
	    {"abc", 3},
	    {"<title></body></title>abc", 25},
	    {"<!-- </body> -->abc", 19},
	    {"abc<a href='x", SIZE_MAX},
	    {"abc<!-- x", SIZE_MAX},
	    {"abc<!-- x>", SIZE_MAX},
	    {"abc<!-- x --", SIZE_MAX},
	    {"abc<style>x", SIZE_MAX},
	    {"abc<!--x-->", 11},
	};
	struct told t;

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		scan(&t, r[i].html);
		if (t.result.body_end != r[i].at)
			fail_msg("%s: %zu", r[i].html, t.result.body_end);
		done(&t);
	}
}

static void the_stand_in_document_is_what_was_read(void **state)
{
	struct told t;
	struct buf b;

	(void)state;
	scan(&t, "^a{b}^c{d}");
	buf_init(&b, 64);
	assert_int_equal(camp_html_stand(&b, &t.doc), 0);
	assert_true(span_equal(buf_span(&b), SPAN_LIT("axcx")));
	buf_clear(&b);
	done(&t);
}

static void places_must_be_in_order(void **state)
{
	struct camp_html_place places[2] = {{.at = 2, .field = "a"}, {.at = 1, .field = "b"}};
	struct camp_html_doc doc = {SPAN_LIT("abc"), places, 2, NULL};
	struct camp_html_result result;
	const struct camp_html_fns none = {0};

	(void)state;
	assert_int_equal(camp_html_scan(&doc, &none, NULL, &result), ERR_LIMIT);
	places[1].at = 4;
	assert_int_equal(camp_html_scan(&doc, &none, NULL, &result), ERR_LIMIT);
	places[1].at = 3;
	assert_int_equal(camp_html_scan(&doc, &none, NULL, &result), 0);
}

/* --- links-only --- */

static int own_host_only(void *arg, const struct camp_html_url *u)
{
	unsigned *count = arg;

	if (u->use == CAMP_HTML_SHOWN)
		return memmem(u->value.p, u->value.n, "b.example", 9) != NULL;
	(*count)++;
	return !(u->value.n >= 18 && !memcmp(u->value.p, "https://a.example/", 18));
}

static void a_live_message_is_held_to_hosts_and_to_what_is_active(void **state)
{
	static const struct {
		const char *html, *rule;
		unsigned asked;
	} r[] = {
	    {"<p foo=bar><blink>a</blink>a < b<a href='https://a.example/x y'>", NULL, 1},
	    {"<div style='display:none'>a</div><a href='#x'>b</a><a href=mailto:x>c</a><img "
	     "src=''>",
	     NULL, 0},
	    {"<meta charset=iso-8859-1>plain", NULL, 0},
	    {"<meta charset=iso-8859-1>\xc3\xa4", "html-meta-charset", 0},
	    {"<a href='https://b.example/'>x</a>", "html-url-host", 1},
	    {"<a href='https://b.example/'>x", "html-url-host", 1},
	    {"<a href='https://b.example/'>x<!--[if mso]><a "
	     "href='https://a.example/'>y</a><![endif]-->",
	     "html-url-host", 1},
	    {"<!--[if mso]><v:rect href='https://b.example/'><![endif]-->", "html-url-host", 1},
	    {"<td background='https://b.example/'>", "html-url-host", 1},
	    {"<p style='background:url(https://b.example/)'>", "html-url-host", 1},
	    {"<a href='//b.example/'>x</a>", "html-url-relative", 0},
	    {"<a href='java\nscript:x'>x</a>", "html-url-characters", 0},
	    {"<script>", "html-script", 0},
	    {"<p onclick=x>", "html-event-handler", 0},
	    {"<!--><p>", "html-comment", 0},
	    {"<a href='https://a.example/'>x</a><form>", "html-form", 1},
	    /* mail programs make links of text, of each piece or of a line */
	    {"<p>see b.example</p>", "html-text-link", 0},
	    {"<p>see b<b>.exam<!-- -->ple</b></p>", "html-text-link", 0},
	    {"<p>see b&#46;example<i>x</i></p>", "html-text-link", 0},
	    {"<p>see b</p><p>.example</p><title>b.example</title>", NULL, 0},
	    {"see b<br>.example <!-- b.example -->", NULL, 0},
	    {"<!--[if mso]><p>b.example</p><![endif]-->", "html-text-link", 0},
	    {"see b<i>.example", "html-text-link", 0},
	    {"<p itemscope><meta itemprop=url content='https://b.example/'>", "html-url-host", 1},
	    {"<p itemscope><meta itemprop=url content='https://a.example/'><meta itemprop=name content=Shop>", NULL, 1},
	    {"<v:rect><v:fill o:althref='https://b.example/'>", "html-attribute-url", 0},
	    {"<p title='<!--[if mso]><a href=https://b.example/>x</a><![endif]-->'>y</p>", "html-conditional", 0},
	    {"<style><!--[if mso]><a href=https://b.example/>x</a><![endif]--></style>", "html-conditional", 0},
	    {"<meta http-equiv=link content='<https://b.example/>; rel=stylesheet'>", "html-link-element", 0},
	    {"<!--[if mso]><style><![endif]><a href='https://b.example/'>x</a></style><![endif]-->", "html-conditional", 0},
	};
	struct camp_html_finding f;

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		unsigned asked = 0;
		int e = camp_html_live(span_str(r[i].html), NULL, own_host_only, &asked, &f);
		if (e != (r[i].rule ? ERR_DENIED : 0) || asked != r[i].asked ||
		    (e && strcmp(camp_html_rule_name(f.rule), r[i].rule) != 0))
			fail_msg("%s: %d, %s at %zu, asked %u", r[i].html, e,
				 e ? camp_html_rule_name(f.rule) : "", f.at, asked);
	}
}

static void a_hundred_thousand_of_anything_is_soon_done(void **state)
{
	static const char *const pieces[] = {"<div>",
					     "<a href=x>",
					     "<!--x-->",
					     "<td bgcolor=red>",
					     "&amp",
					     "<b a=1 a=2>",
					     "<p style='a:b;c:url(x)'>",
					     "<svg>",
					     "<!--[if a]>"};
	const struct camp_html_fns none = {0};
	struct camp_html_finding f;
	struct camp_html_result result;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct camp_html_doc doc = {0};
		buf_init(&b, 8 << 20);
		for (int k = 0; k < 100000; k++)
			buf_put_str(&b, pieces[i]);
		doc.blob = buf_span(&b);
		assert_int_equal(camp_html_scan(&doc, &none, NULL, &result), 0);
		(void)camp_html_live(buf_span(&b), NULL, NULL, NULL, &f);
		buf_clear(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_usual_mail_has_no_finding),
	    cmocka_unit_test(spans_are_those_between_the_quotes_of_the_blob),
	    cmocka_unit_test(attack_field_breaks_out_of_its_context),
	    cmocka_unit_test(attack_field_completes_a_reference_or_a_comment),
	    cmocka_unit_test(attack_field_forms_a_host),
	    cmocka_unit_test(attack_field_forms_a_link_with_its_neighbours),
	    cmocka_unit_test(attack_blocks_that_change_the_structure),
	    cmocka_unit_test(attack_active_content),
	    cmocka_unit_test(attack_schemes_javascript_data_file_cid),
	    cmocka_unit_test(attack_css_url_import_expression),
	    cmocka_unit_test(attack_link_hidden_for_outlook),
	    cmocka_unit_test(attack_parser_differential),
	    cmocka_unit_test(attack_shown_text_names_another_host),
	    cmocka_unit_test(attack_charset),
	    cmocka_unit_test(attack_hidden_text),
	    cmocka_unit_test(the_pixel_goes_before_the_end_of_the_body),
	    cmocka_unit_test(the_stand_in_document_is_what_was_read),
	    cmocka_unit_test(places_must_be_in_order),
	    cmocka_unit_test(a_live_message_is_held_to_hosts_and_to_what_is_active),
	    cmocka_unit_test(a_hundred_thousand_of_anything_is_soon_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
