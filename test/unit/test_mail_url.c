/* SPDX-License-Identifier: Apache-2.0 */
/* Where URLs lead, and what of a text would become a link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_script.h"
#include "mail/mail_url.h"

#define O(x) MAIL_URL_ODD(x)

static void urls_lead_where_browsers_go(void **state)
{
	static const struct {
		const char *url, *host;
		unsigned odd;
	} rows[] = {
		{"https://shop.example/a?b=c#d", "shop.example", 0},
		{"HTTPS://Shop.Example", "shop.example", 0},
		{"http://user@shop.example/", "shop.example", O(USERINFO)},
		{"https://shop.example@evil.example/", "evil.example", O(USERINFO)},
		{"https://shop.example:pw@evil.example:8443/", "evil.example", O(USERINFO) | O(PORT)},
		{"https://shop.example\\@evil.example/", "shop.example", O(BACKSLASH)},
		{"https:\\\\evil.example\\a", "evil.example", O(BACKSLASH)},
		{"https:/\\evil.example", "evil.example", O(BACKSLASH)},
		{"https:evil.example", "evil.example", O(SLASHES)},
		{"https:///evil.example", "evil.example", O(SLASHES)},
		{"ht\ntps://ev\til.example/", "evil.example", O(BLANK)},
		{" https://evil.example ", "evil.example", O(BLANK)},
		{"https://%65vil.example/", "evil.example", O(PERCENT)},
		{"https://ev%C4%B1l.example/", "xn--evl-kua.example", O(PERCENT)},
		{"https://0x7f.1/", "127.0.0.1", O(ADDRESS)},
		{"https://2130706433/", "127.0.0.1", O(ADDRESS)},
		{"https://0300.0250.1/", "192.168.0.1", O(ADDRESS)},
		{"https://192.0.2.1./", "192.0.2.1", O(ADDRESS)},
		{"https://[::1]:80/", "[::1]", O(ADDRESS) | O(PORT)},
		{"https://[2001:DB8::1]/", "[2001:db8::1]", O(ADDRESS)},
		{"https://shop.example:/", "shop.example", O(PORT)},
		{"https://shop.example./", "shop.example", O(MAPPED)},
		{"https://m\xc3\xbcnchen.example/", "xn--mnchen-3ya.example", 0},
		{"https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example", 0},
		{"https://\xef\xbd\x85vil.example/", "evil.example", O(MAPPED)},
		{"https://shop\xe3\x80\x82" "example/", "shop.example", O(MAPPED)},
		/* Cyrillic a in paypal; and all Cyrillic, as apple */
		{"https://p\xd0\xb0ypal.example/", "xn--pypal-4ve.example", O(MIXED)},
		{"https://xn--pypal-4ve.example/", "xn--pypal-4ve.example", O(MIXED)},
		{"https://xn--80ak6aa92e.com/", "xn--80ak6aa92e.com", O(LOOKALIKE)},
		{"https://com/", "com", O(SUFFIX)},
		{"https://co.uk/", "co.uk", O(SUFFIX)},
		{"https://localhost/", "localhost", O(SUFFIX)},
		{"https://shop.example/a b", "shop.example", O(CHARACTER)},
		{"https://shop.example/a\\b", "shop.example", O(BACKSLASH)},
		{"mailto:info@shop.example", "shop.example", 0},
		{"mailto:info@shop.example?subject=Hi", "shop.example", 0},
		{"tel:+49-30-1234567", "", 0},
	};
	struct mail_url u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int rc = mail_url_parse(&u, span_str(rows[i].url));
		if (rc != 0 || strcmp(u.host, rows[i].host) != 0 || u.odd != rows[i].odd)
			fail_msg("%s: %d host %s odd %x", rows[i].url, rc, u.host, u.odd);
	}
}

static void what_is_no_url_is_refused(void **state)
{
	static const struct {
		const char *url;
		int rc;
	} rows[] = {
		{"javascript:alert(1)", ERR_UNSUPPORTED}, {"java\nscript:alert(1)", ERR_UNSUPPORTED},
		{"data:text/html,x", ERR_UNSUPPORTED},	  {"vbscript:x", ERR_UNSUPPORTED},
		{"file:///etc/passwd", ERR_UNSUPPORTED},  {"//evil.example/", ERR_NOTFOUND},
		{"\\\\evil.example\\a", ERR_NOTFOUND},	  {"/path", ERR_NOTFOUND},
		{"", ERR_NOTFOUND},			  {"shop.example/x", ERR_NOTFOUND},
		{"https://", ERR_FORMAT},		  {"https:///", ERR_FORMAT},
		{"https://a b.example/", ERR_FORMAT},	  {"https://a%2fb.example/", ERR_FORMAT},
		{"https://a%00b.example/", ERR_FORMAT},	  {"https://1.2.3.256/", ERR_FORMAT},
		{"https://1.2.3.4.5/", ERR_FORMAT},	  {"https://a.0x/", ERR_FORMAT},
		{"https://[::1/", ERR_FORMAT},		  {"https://[::g]/", ERR_FORMAT},
		{"https://x:70000/", ERR_FORMAT},	  {"https://x:8a/", ERR_FORMAT},
		{"https://a..example/", ERR_FORMAT},	  {"https://xn--a.example/", ERR_FORMAT},
		{"mailto:", ERR_FORMAT},		  {"mailto:nobody", ERR_FORMAT},
		{"tel:", ERR_FORMAT},			  {"tel:+1<x", ERR_FORMAT},
	};
	struct mail_url u;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (mail_url_parse(&u, span_str(rows[i].url)) != rows[i].rc)
			fail_msg("%s: %d", rows[i].url, mail_url_parse(&u, span_str(rows[i].url)));
}

static void parts_are_as_they_are_written(void **state)
{
	struct mail_url u;

	(void)state;
	assert_int_equal(mail_url_parse(&u, span_str("https://shop.example:8443/a/b?c=d&e#f?g")), 0);
	assert_int_equal(u.port, 8443);
	assert_true(span_equal(u.path, span_str("/a/b")));
	assert_true(span_equal(u.query, span_str("c=d&e")));
	assert_true(span_equal(u.fragment, span_str("f?g")));
	assert_int_equal(mail_url_parse(&u, span_str("mailto:a@shop.example?cc=b@evil.example")), 0);
	assert_true(u.more);
	assert_int_equal(mail_url_parse(&u, span_str("mailto:a@shop.example,b@evil.example")), 0);
	assert_true(u.more);
}

static void a_domain_is_what_somebody_registered(void **state)
{
	char dst[MAIL_URL_HOST];

	(void)state;
	assert_int_equal(mail_url_registrable(dst, "www.shop.co.uk"), 0);
	assert_string_equal(dst, "shop.co.uk");
	assert_int_equal(mail_url_registrable(dst, "a.b.shop.example"), 0);
	assert_string_equal(dst, "shop.example");
	assert_int_equal(mail_url_registrable(dst, "co.uk"), ERR_NOTFOUND);
	assert_int_equal(mail_url_registrable(dst, "192.0.2.1"), ERR_NOTFOUND);
	assert_int_equal(mail_url_registrable(dst, "[::1]"), ERR_NOTFOUND);
	assert_true(mail_url_is_tld("com"));
	assert_false(mail_url_is_tld("nosuchtld"));
}

static void a_file_of_suffixes_that_is_cut_short_is_not_taken(void **state)
{
	char path[] = "/tmp/test_mail_url.XXXXXX", dst[MAIL_URL_HOST];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "com\n", 4), 4);
	close(fd);
	assert_int_equal(mail_url_suffixes(path), ERR_FORMAT);
	unlink(path);
	assert_int_equal(mail_url_suffixes(path), ERR_NOTFOUND);
	assert_int_equal(mail_url_registrable(dst, "co.uk"), ERR_NOTFOUND);
}

static void clients_would_make_links_of_these(void **state)
{
	static const struct {
		const char *text;
		enum mail_url_mention_kind kind;
		const char *host;
	} rows[] = {
		{"visit evil.com now", MAIL_URL_M_DOMAIN, "evil.com"},
		{"visit EVIL.Com", MAIL_URL_M_DOMAIN, "evil.com"},
		{"go to sub.evil.co.uk/x.", MAIL_URL_M_DOMAIN, "sub.evil.co.uk"},
		{"https://evil.example/x", MAIL_URL_M_URL, "evil.example"},
		{"foo://bar", MAIL_URL_M_URL, ""},
		{"www.evil", MAIL_URL_M_WWW, "www.evil"},
		{"write to a@evil.com", MAIL_URL_M_MAIL, "evil.com"},
		{"@handle", MAIL_URL_M_MAIL, "handle"},
		{"192.0.2.1", MAIL_URL_M_IPV4, "192.0.2.1"},
		{"tel:+123", MAIL_URL_M_URL, ""},
		{"javascript:alert(1)", MAIL_URL_M_URL, ""},
		{"\\\\evil\\share", MAIL_URL_M_PATH, "evil"},
		{"evil\xe3\x80\x82" "com", MAIL_URL_M_DOMAIN, "evil.com"},
		{"evil\xef\xbc\x8e\xef\xbd\x83om", MAIL_URL_M_DOMAIN, "evil.com"},
		{"a\xef\xbc\xa0" "b", MAIL_URL_M_MAIL, "b"},
		{"(evil.com)", MAIL_URL_M_DOMAIN, "evil.com"},
		{"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84", MAIL_URL_M_DOMAIN,
		 "xn--e1afmkfd.xn--p1ai"},
		{"evil.com-free", MAIL_URL_M_DOMAIN, "evil.com-free"},
		{"evil.xn--p1ai", MAIL_URL_M_DOMAIN, "evil.xn--p1ai"},
	};
	struct mail_url_mention m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int rc = mail_url_find(span_str(rows[i].text), 0, &m);
		if (rc != 1 || m.kind != rows[i].kind || strcmp(m.host, rows[i].host) != 0 || !mail_url_autolink(span_str(rows[i].text)))
			fail_msg("%s: %d kind %d host %s", rows[i].text, rc, rc ? (int)m.kind : -1, rc ? m.host : "");
	}
}

/* A letter beyond ASCII may stand before it. */
static void an_ending_is_a_link_only_as_a_value(void **state)
{
	struct mail_url_mention m;

	(void)state;
	assert_int_equal(mail_url_find(SPAN_LIT(".com"), 0, &m), 0);
	assert_int_equal(mail_url_autolink(SPAN_LIT(".com")), 1);
	assert_int_equal(mail_url_autolink(SPAN_LIT(".com/x")), 1);
	assert_int_equal(mail_url_autolink(SPAN_LIT(".5 and .net")), 0);
	assert_int_equal(mail_url_autolink(SPAN_LIT("...")), 0);
}

static void and_not_of_these(void **state)
{
	static const char *const rows[] = {
		"", "Anna-Maria O'Neill", "J. R. R. Tolkien", "Dr. Meyer", "St.Gallen", "12.05.2026", "1.000,00", "Size 3.5",
		"Price: 12", "a: b", "10:30", "Node.js", "3.14", "Sch\xc3\xb6n. Ja", "u.s.w.", "wwwhere", "...", "a..b", 
		"C:\\x", "Mr.", "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\x86\x8d\xe8\xa7\x81", "and/or", "a_b",
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (mail_url_autolink(span_str(rows[i])))
			fail_msg("%s", rows[i]);
}

static void mentions_are_found_one_after_the_other(void **state)
{
	static const char text[] = "See https://shop.example/a?b, or www.evil.com. Mail: a@b.com!";
	static const char *const found[] = {"https://shop.example/a?b", "www.evil.com", "a@b.com"};
	struct mail_url_mention m;
	size_t at = 0, i;

	(void)state;
	for (i = 0; i < 3; i++) {
		assert_int_equal(mail_url_find(span_str(text), at, &m), 1);
		assert_true(span_equal(span_sub(span_str(text), m.from, m.to - m.from), span_str(found[i])));
		at = m.to;
	}
	assert_int_equal(mail_url_find(span_str(text), at, &m), 0);
}

static void words_of_two_scripts_are_seen(void **state)
{
	(void)state;
	assert_int_equal(mail_script_mixed(span_str("paypal")), 0);
	assert_int_equal(mail_script_mixed(span_str("p\xd0\xb0ypal")), 1);
	assert_int_equal(mail_script_mixed(span_str("Anna \xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0")), 0);
	assert_int_equal(mail_script_mixed(span_str("T\xe3\x82\xb7\xe3\x83\xa3\xe3\x83\x84")), 0);
	assert_int_equal(mail_script_mixed(span_str("\xd0\x96\xe4\xba\xba")), 1);
	assert_int_equal(mail_script_mixed(span_str("\xff")), ERR_FORMAT);
	assert_int_equal(mail_script_mixed(span_str("\xed\xa0\x80")), ERR_FORMAT);
	assert_int_equal(mail_script_mixed(span_str("\xc0\xaf")), ERR_FORMAT);
	assert_int_equal(mail_script_lookalike(span_str("\xd0\xb0\xd1\x80\xd1\x80\xd3\x8f\xd0\xb5")), 1);
	assert_int_equal(mail_script_lookalike(span_str("\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80")), 0);
	assert_int_equal(mail_script_lookalike(span_str("123")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_lead_where_browsers_go),
		cmocka_unit_test(what_is_no_url_is_refused),
		cmocka_unit_test(parts_are_as_they_are_written),
		cmocka_unit_test(a_domain_is_what_somebody_registered),
		cmocka_unit_test(a_file_of_suffixes_that_is_cut_short_is_not_taken),
		cmocka_unit_test(clients_would_make_links_of_these),
		cmocka_unit_test(an_ending_is_a_link_only_as_a_value),
		cmocka_unit_test(and_not_of_these),
		cmocka_unit_test(mentions_are_found_one_after_the_other),
		cmocka_unit_test(words_of_two_scripts_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
