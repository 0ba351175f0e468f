/* SPDX-License-Identifier: Apache-2.0 */
/* The attacks that registration stops, one by one, and campaigns that pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "campaign/camp_bundle.h"
#include "campaign/camp_template.h"
#include "test/unit/lint_world.h"

#define A(url)	  "<a href=\"" url "\">go</a>"
#define OUR	  "https://shop.example/"
#define CYRILLIC_A "\xd0\xb0"

struct row {
	const char *attack, *subject, *text, *html, *rule;
	enum camp_finding_level level;
};
#define HTML(attack, html, rule) {attack, NULL, "Hi", html, rule, CAMP_FINDING_ERROR}
#define TEXT(attack, text, rule) {attack, NULL, text, NULL, rule, CAMP_FINDING_ERROR}
#define WARN(attack, html, rule) {attack, NULL, "Hi", html, rule, CAMP_FINDING_WARNING}

static void find_all(const struct row *rows, size_t n)
{
	const struct camp_finding *f;
	struct camp_lint l;
	size_t i;

	for (i = 0; i < n; i++) {
		lint_world_run(&l, lint_world_source(rows[i].subject, rows[i].text, rows[i].html));
		f = lint_world_found(&l, rows[i].rule);
		if (!f || f->level != rows[i].level || (f->level == CAMP_FINDING_ERROR && buf_size(&l.manifest)))
			fail_msg("%s: wanted %s, found %s", rows[i].attack, rows[i].rule, lint_world_rules(&l));
		if (strcmp(f->part, "parts[1]") == 0 && f->line == 0)
			fail_msg("%s: no line", rows[i].attack);
		camp_lint_clear(&l);
	}
}
#define FIND_ALL(rows) find_all(rows, sizeof(rows) / sizeof(*(rows)))

static void links_lead_to_owned_hosts_alone(void **state)
{
	static const struct row rows[] = {
		HTML("foreign host", A("https://evil.example/"), "host-not-owned"),
		HTML("subdomain that is not listed", A("https://a.shop.example/"), "host-not-owned"),
		HTML("ends like an owned one", A("https://myshop.example/"), "host-not-owned"),
		HTML("begins like an owned one", A("https://shop.example.evil.example/"), "host-not-owned"),
		HTML("userinfo", A("https://shop.example@evil.example/"), "url-userinfo"),
		HTML("backslash", A("https://evil.example\\@shop.example/"), "html-url-characters"),
		HTML("tab in the URL", A("https://shop.exa\tmple/"), "html-url-characters"),
		HTML("line end in the URL", A("https://shop.example\n.evil.example/"), "html-url-characters"),
		HTML("//host", A("//evil.example/"), "html-url-relative"),
		HTML("one slash", A("https:/evil.example/"), "url-slashes"),
		HTML("punycode look-alike", A("https://xn--pypal-4ve.example/"), "url-host-mixed"),
		HTML("IDN look-alike", A("https://p" CYRILLIC_A "ypal.example/"), "url-host-mixed"),
		HTML("percent-encoded host", A("https://%65vil.example/"), "url-host-percent"),
		HTML("address as a number", A("https://2130706433/"), "url-host-address"),
		HTML("port", A("https://shop.example:8443/"), "url-port"),
		HTML("http", A("http://shop.example/"), "url-http"),
		HTML("shortener", A("https://bit.ly/abc"), "url-shortener"),
		HTML("image of a foreign host", "<img src=\"https://evil.example/a.png\" alt=\"\">", "host-not-owned"),
		HTML("area", "<map name=\"m\"><area href=\"https://evil.example/\" alt=\"\"></map>", "host-not-owned"),
		HTML("reference in the scheme", A("https&colon;//evil.example/"), "host-not-owned"),
		HTML("link in a conditional comment", "<!--[if mso]><a href=\"https://evil.example/\">x</a><![endif]-->",
		     "host-not-owned"),
		HTML("VML href",
		     "<!--[if mso]><v:roundrect href=\"https://evil.example/\"><v:fill src=\"" OUR "a.png\"/></v:roundrect>"
		     "<![endif]-->",
		     "host-not-owned"),
		HTML("CSS url() in an attribute", "<div style=\"background:url(https://evil.example/a.png)\">x</div>",
		     "host-not-owned"),
		HTML("field chooses a redirector's aim", A(OUR "go?url={{q}}"), "url-redirector-field"),
		HTML("mailto with cc", A("mailto:a@shop.example?cc=b@evil.example"), "mail-more"),
		WARN("mailto elsewhere", A("mailto:a@evil.example"), "mail-foreign"),
		WARN("open redirector", A(OUR "go?to=https://evil.example/"), "url-redirector"),
	};

	(void)state;
	FIND_ALL(rows);
}

static void schemes_that_run_or_read_are_refused(void **state)
{
	static const struct row rows[] = {
		HTML("javascript:", A("javascript:alert(1)"), "html-scheme"),
		HTML("javascript: in pieces", A("java\nscript:alert(1)"), "html-url-characters"),
		HTML("data:", A("data:text/html,x"), "html-scheme"),
		HTML("vbscript:", A("vbscript:x"), "html-scheme"),
		HTML("file:", A("file:///etc/passwd"), "html-scheme"),
		HTML("data: image", "<img src=\"data:image/png;base64,AAAA\" alt=\"\">", "html-scheme"),
		HTML("cid: of no part", "<img src=\"cid:nothing\" alt=\"\">", "cid-missing"),
		TEXT("javascript: in text", "Go javascript:alert(1) now", "url-scheme"),
		TEXT("ftp: in text", "Go ftp://shop.example/ now", "url-scheme"),
	};

	(void)state;
	FIND_ALL(rows);
}

static void what_loads_sends_or_runs_is_refused(void **state)
{
	static const struct row rows[] = {
		HTML("base", "<base href=\"https://evil.example/\">", "html-base"),
		HTML("meta refresh", "<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example/\">", "html-meta-refresh"),
		HTML("meta charset", "<meta charset=\"utf-7\">", "html-meta-charset"),
		HTML("form", "<form action=\"" OUR "\"><input name=\"a\"></form>", "html-form"),
		HTML("button formaction", "<button formaction=\"https://evil.example/\">x</button>", "html-form"),
		HTML("iframe", "<iframe src=\"" OUR "\"></iframe>", "html-frame"),
		HTML("object", "<object data=\"" OUR "\"></object>", "html-frame"),
		HTML("embed", "<embed src=\"" OUR "\">", "html-frame"),
		HTML("link rel", "<link rel=\"stylesheet\" href=\"" OUR "a.css\">", "html-link-element"),
		HTML("srcset", "<img src=\"" OUR "a.png\" srcset=\"https://evil.example/b.png 2x\" alt=\"\">", "html-srcset"),
		HTML("background", "<table background=\"https://evil.example/a.png\"><tr><td>x</td></tr></table>", "host-not-owned"),
		HTML("svg", "<svg><a href=\"" OUR "\">x</a></svg>", "html-foreign"),
		HTML("math", "<math><mi>x</mi></math>", "html-foreign"),
		HTML("script", "<script>alert(1)</script>", "html-script"),
		HTML("onclick", "<a href=\"" OUR "\" onclick=\"alert(1)\">x</a>", "html-event-handler"),
		HTML("CSS @import", "<style>@import url(" OUR "a.css);</style>", "html-css-import"),
		HTML("CSS expression", "<div style=\"width:expression(alert(1))\">x</div>", "html-css-active"),
		HTML("CSS escape", "<div style=\"background:u\\72l(https://evil.example/)\">x</div>", "html-css-escape"),
	};

	(void)state;
	FIND_ALL(rows);
}

static void documents_that_parsers_read_differently_are_refused(void **state)
{
	static const struct row rows[] = {
		HTML("<!--> ends a comment", "<!--><a href=\"https://evil.example/\">x</a>-->", "html-comment"),
		HTML("comment in title", "<title><!--</title><a href=\"https://evil.example/\">x</a>--></title>", "host-not-owned"),
		HTML("markup in textarea", "<textarea><a href=\"https://evil.example/\"></textarea>", "html-form"),
		HTML("CDATA", "<![CDATA[<a href=\"https://evil.example/\">x</a>]]>", "html-cdata"),
		HTML("xmp", "<xmp><a href=\"https://evil.example/\"></xmp>", "html-element-raw"),
		HTML("attribute twice", "<a href=\"" OUR "\" href=\"https://evil.example/\">x</a>", "html-attribute-twice"),
		HTML("a tag that never ends", "<p>x<a href=\"https://evil.example/", "html-tag-lost"),
		HTML("text in a table outside of cells", "<table><tr><td>x</td></tr>evil</table>", "parsers-differ"),
	};

	(void)state;
	FIND_ALL(rows);
}

static void what_is_shown_is_what_it_leads_to(void **state)
{
	static const struct row rows[] = {
		HTML("text says bank.example", "<a href=\"" OUR "\">https://bank.example/login</a>", "link-text-host"),
		HTML("text says www.bank.com", "<a href=\"" OUR "\">Go to www.bank.com</a>", "link-text-host"),
		HTML("text says a bare domain", "<a href=\"" OUR "\">bank.com</a>", "link-text-host"),
		HTML("image's alt says it", "<a href=\"" OUR "\"><img src=\"" OUR "a.png\" alt=\"bank.com\"></a>", "link-text-host"),
		HTML("domain in pieces", "<a href=\"" OUR "\">bank<b>.com</b></a>", "link-text-host"),
		HTML("text that becomes a link", "<p>Visit evil.com now</p>", "text-link"),
		TEXT("plain text that becomes a link", "Visit www.evil.example now", "text-link"),
		TEXT("plain text with a foreign URL", "Visit https://evil.example/x now", "host-not-owned"),
		TEXT("plain text with a server's path", "See \\\\evil\\share", "text-link"),
		{"subject that becomes a link", "Visit evil.com", "Hi", NULL, "text-link", CAMP_FINDING_ERROR},
		WARN("display:none", "<div style=\"display:none\">hidden words</div>", "html-hidden"),
		WARN("0 px", "<div style=\"font-size:0px\">hidden words</div>", "html-hidden"),
		WARN("white on white", "<div style=\"color:#fff;background:#ffffff\">hidden words</div>", "html-hidden-colour"),
	};

	(void)state;
	FIND_ALL(rows);
}

static void fields_stand_where_they_cannot_harm(void **state)
{
	static const struct row rows[] = {
		HTML("field as a host", A("https://{{code}}/"), "html-field-host"),
		HTML("field completes a host", A("https://shop.example{{code}}/"), "html-field-host"),
		HTML("field as a scheme", A("{{code}}://shop.example/"), "html-field-host"),
		HTML("field as a port", A("https://shop.example:{{code}}/"), "html-field-host"),
		HTML("field as a tag", "<{{code}}>x</p>", "html-field-context"),
		HTML("field as an attribute", "<p {{code}}>x</p>", "html-field-context"),
		HTML("field unquoted", "<img src=\"" OUR "a.png\" alt={{code}}>", "html-field-context"),
		HTML("field in CSS", "<p style=\"color:{{code}}\">x</p>", "html-field-context"),
		HTML("field in style", "<style>p{color:{{code}}}</style>", "html-field-context"),
		HTML("field in a comment", "<!-- {{code}} -->", "html-field-context"),
		HTML("field in text, literal makes it a link", "<p>www.{{name}}!</p>", "text-link"),
		HTML("field in text, literal touches it", "<p>a@{{name}}!</p>", "adjacent-link"),
		HTML("two fields side by side", "<p>{{name}}{{code}} </p>", "adjacent-fields"),
		HTML("what follows could be the field", "<p>Hi {{name}} and on</p>", "literal-in-field"),
		HTML("in text and in a URL", "<p>{{code}}!</p>" A(OUR "?c={{code}}"), "field-two-contexts"),
		HTML("branches alike", "<p>{{#alt}}a{{|}}a{{/alt}}</p>", "branches-alike"),
		HTML("block in an attribute", "<p title=\"{{#opt}}x{{/opt}}\">x</p>", "html-block"),
		TEXT("field completes a host in text", "Go to https://{{code}}.example/ now", "text-field-host"),
		TEXT("field that nobody declared", "Hi {{nobody}}!", "field-unknown"),
		TEXT("unclosed braces", "Hi {{name!", "template-brace"),
		TEXT("unclosed block", "Hi {{#opt}}x", "template-block"),
		TEXT("closed twice", "Hi {{#opt}}x{{/opt}}{{/opt}}", "template-block"),
		TEXT("no count", "Hi {{#rep}}x{{/rep}}", "template-rep"),
		TEXT("too many repeats", "Hi {{#rep 101}}x{{/rep}}", "template-rep"),
		TEXT("one branch", "Hi {{#alt}}x{{/alt}}", "template-block"),
		TEXT("unknown block", "Hi {{#if}}x{{/if}}", "template-block"),
		TEXT("a CR", "Hi\rthere", "template-octet"),
	};

	(void)state;
	FIND_ALL(rows);
}

/* What is changed in a source that is right, and what is found. value: JSON. */
static void members_are_held_to_their_rules(void **state)
{
	static const struct {
		const char *member, *value, *rule, *part;
	} rows[] = {
		{"v", "2", "source-version", "v"},
		{"customer", "7", "source-type", "customer"},
		{"color", "1", "source-unknown", "color"},
		{"hosts", "[\"*.shop.example\"]", "host-name", "hosts[0]"},
		{"hosts", "[\"Shop.example\"]", "host-name", "hosts[0]"},
		{"hosts", "[\"co.uk\"]", "url-host-suffix", "hosts[0]"},
		{"hosts", "[\"192.0.2.1\"]", "url-host-address", "hosts[0]"},
		{"hosts", "[\"bit.ly\"]", "url-shortener", "hosts[0]"},
		{"hosts", "[\"xn--80ak6aa92e.com\"]", "url-host-lookalike", "hosts[0]"},
		{"from", "{\"addr\":\"news\",\"name\":\"\"}", "address", "from.addr"},
		{"from", "{\"addr\":\"news@evil.com\",\"name\":\"\"}", "address-foreign", "from.addr"},
		{"from", "{\"addr\":\"news@shop.example\",\"name\":\"service@bank.com\"}", "display-name", "from.name"},
		{"from", "{\"addr\":\"news@shop.example\",\"name\":\"P\xd0\xb0ypal\"}", "display-name", "from.name"},
		{"reply_to", "{\"addr\":\"a@evil.com\",\"name\":\"\"}", "address-foreign", "reply_to.addr"},
		{"valid", "{\"from\":\"2026-12-01T00:00:00Z\",\"to\":\"2026-11-01T00:00:00Z\"}", "valid-order", "valid"},
		{"valid", "{\"from\":\"2025-12-01T00:00:00Z\",\"to\":\"2026-01-01T00:00:00Z\"}", "valid-past", "valid.to"},
		{"valid", "{\"from\":\"today\",\"to\":\"2026-01-01T00:00:00Z\"}", "valid-form", "valid"},
		{"max_messages", "0", "max-messages", "max_messages"},
		{"fields", "{\"name\":{\"type\":\"html\"}}", "field-type", "fields.name"},
		{"fields", "{\"name\":{\"type\":\"enum\"}}", "field-values", "fields.name"},
		{"fields", "{\"name\":{\"type\":\"name\",\"max\":5000}}", "field-max", "fields.name"},
		{"fields", "{\"name\":{\"type\":\"url-choice\",\"values\":[\"https://evil.example/\"]}}", "host-not-owned",
		 "fields.name"},
		{"fields", "{\"name\":{\"max\":5}}", "source-missing", "fields.name.type"},
		{"track", "{\"host\":\"T.shop.example\"}", "track-host", "track.host"},
		{"track", "{\"host\":\"t.evil.example\"}", "host-not-owned", "track.host"},
		{"hosts", "[\"shop.example\",\"www.evil.example\"]", "host-not-owned", "hosts[1]"},
		{"hosts", "[\"shop.example\",7]", "source-type", "hosts[1]"},
		{"hosts", "[null]", "source-type", "hosts[0]"},
		{"links", "{\"no_track\":[{}]}", "source-type", "links.no_track[0]"},
		{"extra_allow", "[false]", "source-type", "extra_allow[0]"},
		{"owned", "[]", "host-not-owned", "hosts[0]"},
		{"owned", "[\"www.shop.example\"]", "host-not-owned", "hosts[0]"},
		{"owned", "[\"example\"]", "host-not-owned", "hosts[0]"},
		{"owned", "[\"op.example\",\"\"]", "source-type", "owned[1]"},
		{"owned", "\"shop.example\"", "source-type", "owned"},
		{"tracking", "[5]", "source-type", "tracking[0]"},
		{"track", "{\"host\":\"t.shop.example\",\"unsubscribe\":\"both\"}", "track-mailto", "track.mailto_domain"},
		{"track", "{\"host\":\"t.shop.example\",\"unsubscribe\":\"both\",\"mailto_domain\":\"evil.example\"}",
		 "host-not-owned", "track.mailto_domain"},
		{"track", "null", "unsubscribe-none", "track.unsubscribe"},
		{"track", "{\"host\":\"t.shop.example\",\"unsubscribe\":\"perhaps\"}", "manifest", NULL},
		{"structure", "[{\"d\":0,\"type\":\"text/plain\",\"part\":4}]", "structure", NULL},
	};
	const struct camp_finding *f;
	struct camp_lint l;
	json_t *source;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		source = lint_world_source("Hi", "Hi {{name}}!\n", NULL);
		json_object_set_new(source, rows[i].member, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		lint_world_run(&l, source);
		f = lint_world_found(&l, rows[i].rule);
		if (!f || (rows[i].part && strcmp(f->part, rows[i].part) != 0))
			fail_msg("%s = %s: %s", rows[i].member, rows[i].value, lint_world_rules(&l));
		camp_lint_clear(&l);
	}
}

/* What is in hosts may be anybody's: only relay knows what is the customer's. */
static void hosts_are_held_to_the_customers_domains(void **state)
{
	const char *html = "<p>Hi</p>\n<a href=\"https://cdn.shop.example/a\">go</a>";
	const struct camp_finding *f;
	struct camp_lint l;
	json_t *source = lint_world_source("Hi", "Hi\n", html);

	(void)state;
	json_object_set_new(source, "owned", json_pack("[s,s]", "shop.other.example", "www.shop.example"));
	lint_world_run(&l, json_incref(source));
	f = lint_world_found(&l, "host-not-owned");
	assert_non_null(f);
	assert_string_equal(f->part, "hosts[0]");
	assert_int_equal(buf_size(&l.manifest), 0);
	f = NULL;
	for (size_t i = 0; i < l.findings.n; i++)
		if (!strcmp(l.findings.item[i].part, "parts[1]") && !strcmp(l.findings.item[i].rule, "host-not-owned"))
			f = &l.findings.item[i];
	assert_non_null(f); /* and at the place itself */
	assert_int_equal(f->line, 4);
	assert_int_equal(f->column, 10);
	assert_non_null(strstr(f->text, "cdn.shop.example is no verified domain of the customer"));
	camp_lint_clear(&l);

	/* nothing is owned if nobody says so */
	json_object_del(source, "owned");
	lint_world_run(&l, json_incref(source));
	assert_non_null(lint_world_found(&l, "host-not-owned"));
	camp_lint_clear(&l);

	/* several domains, and a host for tracking that relay has */
	json_object_set_new(source, "owned", json_pack("[s,s]", "other.example", "shop.example"));
	json_object_set_new(source, "track", json_pack("{s:s,s:b,s:s}", "host", "t.far.example", "clicks", 1, "unsubscribe", "both"));
	json_object_set_new(json_object_get(source, "track"), "mailto_domain", json_string("unsub.shop.example"));
	lint_world_run(&l, json_incref(source));
	f = lint_world_found(&l, "host-not-owned");
	assert_non_null(f);
	assert_string_equal(f->part, "track.host");
	camp_lint_clear(&l);
	json_object_set_new(source, "tracking", json_pack("[s,s]", "t.shop.example", "t.far.example"));
	lint_world_run(&l, source);
	assert_null(lint_world_found(&l, "host-not-owned"));
	f = lint_world_found(&l, "track-host"); /* of a foreign domain: a warning */
	assert_non_null(f);
	assert_int_equal(f->level, CAMP_FINDING_WARNING);
	assert_true(buf_size(&l.manifest) > 0);
	assert_null(memmem(buf_ptr(&l.manifest), buf_size(&l.manifest), "other.example", 13)); /* relay's list is no part of it */
	camp_lint_clear(&l);
}

static void files_that_run_or_hide_are_refused(void **state)
{
	static const struct {
		const char *type, *name, *rule;
	} rows[] = {
		{"application/pdf", "terms.exe", "attachment-type"},	 {"application/pdf", "terms.exe.pdf", "attachment-type"},
		{"application/pdf", "TERMS.JS", "attachment-type"},	 {"application/zip", "a.zip", "attachment-type"},
		{"application/pdf", "a.docm", "attachment-type"},	 {"application/octet-stream", "a.bin", "attachment-type"},
		{"text/html", "a.pdf", "attachment-type"},		 {"image/svg+xml", "a.png", "attachment-type"},
		{"application/pdf", "a.iso", "attachment-type"},	 {"application/pdf", "a.lnk", "attachment-type"},
		{"application/pdf", "../a.pdf", "attachment-name"},	 {"application/pdf", "", "attachment-name"},
		{"application/pdf", "a\xe2\x80\xaegpj.pdf", "attachment-name"},
		{"Application/PDF", "a.pdf", "attachment-type"},	 {"application/pdf", "a.pdf.", "attachment-name"},
		{"application/pdf", "terms.pdf", NULL},			 {"image/png", "Preisliste M\xc3\xa4rz.png", NULL},
	};
	struct camp_lint l;
	json_t *source;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		source = lint_world_source("Hi", "Hi\n", NULL);
		json_array_append_new(json_object_get(source, "parts"),
				      json_pack("{s:s,s:s,s:i,s:s}", "type", rows[i].type, "name", rows[i].name, "size", 10,
						"sha256", "0000000000000000000000000000000000000000000000000000000000000000"));
		lint_world_run(&l, source);
		if (rows[i].rule ? !lint_world_found(&l, rows[i].rule) : l.findings.errors != 0)
			fail_msg("%s %s: %s", rows[i].type, rows[i].name, lint_world_rules(&l));
		camp_lint_clear(&l);
	}
}

static void a_finding_says_where(void **state)
{
	const struct camp_finding *f;
	struct camp_lint l;
	json_t *source = lint_world_source("Hi", "Hi\n", "");

	(void)state;
	json_object_set_new(json_array_get(json_object_get(source, "parts"), 1), "text",
			    json_string("<p>\xc3\xa4 {{name}}!\r\n <a href=\"https://evil.example/\">x</a></p>"));
	lint_world_run(&l, source);
	f = lint_world_found(&l, "host-not-owned");
	assert_non_null(f);
	assert_string_equal(f->part, "parts[1]");
	assert_int_equal(f->offset, 27);
	assert_int_equal(f->line, 2);
	assert_int_equal(f->column, 11);
	camp_lint_clear(&l);
}

static const char newsletter[] =
	"<!--[if gte mso 9]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>"
	"<![endif]-->\n"
	"<style type=\"text/css\">body{margin:0;padding:0} @media only screen and (max-width:480px){.w{width:100% !important}}"
	"</style>\n"
	"<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" bgcolor=\"#f4f4f4\"><tr>"
	"<td align=\"center\" style=\"padding:20px 0;font-family:Arial,sans-serif;font-size:16px;color:#333333\">\n"
	"<!--[if mso]><table width=\"600\"><tr><td><![endif]-->\n"
	"<table class=\"w\" width=\"600\" style=\"max-width:600px;background-color:#ffffff\"><tr><td>\n"
	"<a href=\"https://shop.example/?utm_source=news&amp;c={{code}}\" target=\"_blank\"><img src=\"https://cdn.shop.example/l.png\" "
	"width=\"200\" height=\"50\" alt=\"Shop\" style=\"display:block;border:0\"></a></td></tr>\n"
	"<tr><td><h1 style=\"margin:0\">Hello {{name}}!</h1><p>Dear customer,<br>our new things are here &ndash; see "
	"<a href=\"https://shop.example/new\" style=\"color:#0066cc\">shop.example/new</a>.</p>\n"
	"{{#rep 20}}<p><b>&#8364; 12</b> <a href=\"https://shop.example/p/{{p}}\">More</a></p>\n{{/rep}}"
	"<ul><li>One<li>Two</ul></td></tr>\n"
	"<tr><td style=\"font-size:12px\"><a href=\"https://shop.example/unsubscribe\">Unsubscribe</a> | "
	"<a href=\"mailto:help@shop.example\">help@shop.example</a> | <a href=\"tel:+49301234567\">+49 30 1234567</a></td></tr></table>\n"
	"<!--[if mso]></td></tr></table><![endif]-->\n"
	"</td></tr></table>";

/* The result is what the milter loads: a bundle of it compiles. */
static void compiles(const struct camp_lint *l)
{
	struct camp_manifest *m = NULL;
	struct camp_compiled *c = NULL;
	struct span blobs[CAMP_TEMPLATES];
	struct camp_error e;
	unsigned i;

	for (i = 0; i < l->n_blobs; i++)
		blobs[i] = buf_span(&l->blob[i]);
	assert_int_equal(camp_manifest_parse(buf_span(&l->manifest), &m, &e), 0);
	for (i = 0; i < m->n_links; i++) {
		struct span s = span_sub(blobs[m->links[i].tpl], m->links[i].from, m->links[i].to - m->links[i].from);
		if (s.n < 8 || memcmp(s.p, "https://", 8) != 0)
			fail_msg("link %u is %.*s", i, (int)s.n, (const char *)s.p);
	}
	assert_int_equal(camp_template_compile(&m, blobs, l->n_blobs, &c, NULL, NULL), 0);
	camp_template_free(c);
}

static void a_newsletter_passes_without_findings(void **state)
{
	struct camp_lint l;

	(void)state;
	lint_world_run(&l, lint_world_source("News for {{name}}!",
					     "Hello {{name}}!\n\nhttps://shop.example/new\nhttps://shop.example/?c={{code}}\n"
					     "Write to help@shop.example.\n",
					     newsletter));
	if (l.findings.n && strcmp(l.findings.item[0].rule, "field-unused") != 0)
		fail_msg("%s", lint_world_rules(&l));
	assert_int_equal(l.findings.errors, 0);
	assert_int_equal(l.n_blobs, 3);
	compiles(&l);
	camp_lint_clear(&l);
}

static void hidden_preheaders_are_shown_to_who_approves(void **state)
{
	struct camp_lint l;

	(void)state;
	lint_world_run(&l, lint_world_source("News", "Hello\n",
					     "<div style=\"display:none;max-height:0;overflow:hidden\">The best of the week</div>"
					     "<p>Hello</p>"));
	assert_int_equal(l.findings.errors, 0);
	assert_non_null(lint_world_found(&l, "html-hidden"));
	compiles(&l);
	camp_lint_clear(&l);
}

static void plain_campaigns_pass(void **state)
{
	static const char *const texts[] = {
		"Your code: {{code}}\n",
		"Hi {{name}}!\r\n{{#opt}}Sale today.\r\n{{/opt}}Bye\r\n\r\n",
		"{{#alt}}Good morning{{|}}Hello{{/alt}}, {{name}}!\n",
		"Braces {{{ stay }} as they are.\n",
		"See <https://shop.example/p/{{p}}> or (https://shop.example/).\n",
		"Size: {{size}}.\n",
	};
	struct camp_lint l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		lint_world_run(&l, lint_world_source("Hi", texts[i], NULL));
		if (l.findings.errors)
			fail_msg("%s: %s", texts[i], lint_world_rules(&l));
		compiles(&l);
		camp_lint_clear(&l);
	}
}

static void literal_braces_become_what_they_mean(void **state)
{
	struct camp_lint l;

	(void)state;
	lint_world_run(&l, lint_world_source("Hi", "a {{{ b\r\nc\n\n", NULL));
	assert_true(span_equal(buf_span(&l.blob[1]), SPAN_LIT("a {{ b\nc")));
	camp_lint_clear(&l);
}

static void depth_is_bounded_before_the_second_parser(void **state)
{
	struct camp_lint l;
	char *html = malloc(5 * 100000 + 1);
	size_t i;

	(void)state;
	for (i = 0; i < 90000; i++)
		memcpy(html + 5 * i, "<div>", 5);
	html[5 * i] = '\0';
	lint_world_run(&l, lint_world_source("Hi", "Hi\n", html));
	assert_non_null(lint_world_found(&l, "html-depth"));
	camp_lint_clear(&l);
	/* hidden by end tags that close nothing, and by formatting that is opened again and again */
	for (i = 0; i < 40000; i++)
		memcpy(html + 9 * i, "<div></x>", 9);
	html[9 * i] = '\0';
	lint_world_run(&l, lint_world_source("Hi", "Hi\n", html));
	assert_non_null(lint_world_found(&l, "html-depth"));
	camp_lint_clear(&l);
	free(html);
}

static void where_two_parsers_part_is_named(void **state)
{
	/* at "^" */
	static const char *const rows[] = {
		"<p>a &amp; b {{name}} c</p><table><tr><td>^x</td></tr>evil</table>",
		"<p>{{name}}, <b>two</b>  x</p><table><tr><td>  ^words</td></tr>evil</table>",
		"<p>\xc3\xa4 &auml;</p><table><tr><td>^y</td></tr>&#x65;vil</table>",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct camp_finding *f;
		struct camp_lint l;
		char html[200], *place, *text;
		json_t *source;

		snprintf(html, sizeof(html), "%s", rows[i]);
		place = strchr(html, '^');
		memmove(place, place + 1, strlen(place));
		source = json_incref(lint_world_source("Hi", "Hi\n", html));
		lint_world_run(&l, source);
		f = lint_world_found(&l, "parsers-differ");
		assert_non_null(f);
		text = strdup(json_string_value(json_object_get(json_array_get(json_object_get(source, "parts"), 1), "text")));
		assert_string_equal(text + f->offset, strstr(text, html) + (place - html));
		free(text);
		json_decref(source);
		camp_lint_clear(&l);
	}
}

static void without_a_second_parser_nothing_is_approved(void **state)
{
	struct camp_lint l;
	char *text;
	json_t *source = lint_world_source("Hi", "Hi\n", "<p>x</p>");

	(void)state;
	text = json_dumps(source, 0);
	assert_int_equal(camp_lint(&l, span_str(text), NULL, LINT_WORLD_NOW), 0);
	assert_non_null(lint_world_found(&l, "parsers-differ"));
	assert_int_equal(buf_size(&l.manifest), 0);
	camp_lint_clear(&l);
	free(text);
	json_decref(source);
}

static void what_is_no_source_is_told_so(void **state)
{
	static const struct {
		const char *json, *rule;
		unsigned line;
	} rows[] = {{"", "source-json", 0}, {"{\n \"v\": }", "source-json", 2}, {"{\"v\":1,\"v\":1}", "source-json", 1},
		    {"{}", "source-missing", 0}, {"[]", "source-type", 0}, {"7", "source-json", 1}};
	const struct camp_finding *f;
	struct camp_lint l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(camp_lint(&l, span_str(rows[i].json), NULL, LINT_WORLD_NOW), 0);
		f = lint_world_found(&l, rows[i].rule);
		if (!f || f->line != rows[i].line)
			fail_msg("%s: %s", rows[i].json, lint_world_rules(&l));
		camp_lint_clear(&l);
	}
}

static void the_result_is_json_with_all_there_is(void **state)
{
	struct camp_lint l;
	struct buf out;
	json_t *v;

	(void)state;
	buf_init(&out, 1 << 20);
	lint_world_run(&l, lint_world_source("Hi", "Hi {{name}}!\n", NULL));
	assert_int_equal(camp_lint_result(&l, &out), 0);
	v = json_loadb((const char *)buf_ptr(&out), buf_size(&out), 0, NULL);
	assert_true(json_is_true(json_object_get(v, "ok")));
	assert_int_equal(json_array_size(json_object_get(v, "blobs")), 2);
	assert_true(json_is_object(json_object_get(v, "manifest")));
	json_decref(v);
	buf_clear(&out);
	camp_lint_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_lead_to_owned_hosts_alone),
		cmocka_unit_test(hosts_are_held_to_the_customers_domains),
		cmocka_unit_test(schemes_that_run_or_read_are_refused),
		cmocka_unit_test(what_loads_sends_or_runs_is_refused),
		cmocka_unit_test(documents_that_parsers_read_differently_are_refused),
		cmocka_unit_test(what_is_shown_is_what_it_leads_to),
		cmocka_unit_test(fields_stand_where_they_cannot_harm),
		cmocka_unit_test(members_are_held_to_their_rules),
		cmocka_unit_test(files_that_run_or_hide_are_refused),
		cmocka_unit_test(a_finding_says_where),
		cmocka_unit_test(a_newsletter_passes_without_findings),
		cmocka_unit_test(hidden_preheaders_are_shown_to_who_approves),
		cmocka_unit_test(plain_campaigns_pass),
		cmocka_unit_test(literal_braces_become_what_they_mean),
		cmocka_unit_test(depth_is_bounded_before_the_second_parser),
		cmocka_unit_test(where_two_parsers_part_is_named),
		cmocka_unit_test(without_a_second_parser_nothing_is_approved),
		cmocka_unit_test(what_is_no_source_is_told_so),
		cmocka_unit_test(the_result_is_json_with_all_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
