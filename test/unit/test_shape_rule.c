/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "shape/shape_rule.h"

static struct shape_rules *parse(const char *text)
{
	char err[CONF_ERR_MAX];
	struct shape_rules *s = shape_rules_parse("rules.yaml", span_str(text), err);

	if (!s)
		fail_msg("%s", err);
	return s;
}

static void every_mistake_in_a_rule_names_file_line_and_key(void **state)
{
	static const struct {
		const char *text, *err;
	} rows[] = {
	    {"rules:\n  - {name: a}\n", "rules.yaml:2: rules[0]: needs domains or mx"},
	    {"rules:\n  - {name: A, mx: [\"*\"]}\n",
	     "rules.yaml:2: rules[0].name: must be 1 to 31 of a-z 0-9 - . _"},
	    {"rules:\n  - {name: a, mx: [\"*.x\"]}\n",
	     "rules.yaml:2: rules[0].mx[0]: must be *, a host name in lower case, or .example.org for what is below "
	     "it"},
	    {"rules:\n  - {name: a, domains: [\"*\"]}\n",
	     "rules.yaml:2: rules[0].domains[0]: must be a domain in lower case, or .example.org for what is below it"},
	    {"rules:\n  - name: a\n    mx: [\"*\"]\n    rate: 5 a day\n",
	     "rules.yaml:4: rules[0].rate: must be a rate such as 100/15m, 1,000/h, 10/min or 5/s, or empty"},
	    {"rules:\n  - {name: a, mx: [b], start: 5, connections: 4}\n",
	     "rules.yaml:2: rules[0]: start must not be more than connections"},
	    {"rules:\n  - name: a\n    mx: [b]\n    patterns:\n      - {name: p, action: backoff, reply: \"(\"}\n",
	     "rules.yaml:5: rules[0].patterns[0].reply: a ( is not closed"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: \"a{2}\"}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].reply: counted repetition such as {2,3} is not taken; for the "
	     "character write \\{"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: \"[[^]{2}\"}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].reply: counted repetition such as {2,3} is not taken; for the "
	     "character write \\{"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: \"(a)\\\\1\"}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].reply: back-references are not taken"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: \"(((((a)+)+)+)+)+\"}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].reply: more than 4 groups repeated by +"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: \"\xc3\xa4\"}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].reply: must be printable ASCII"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: slow, reply: x}]}\n",
	     "rules.yaml:2: rules[0].patterns[0]: action slow needs rate or connections"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: bounce, reply: x, duration: 1h}]}\n",
	     "rules.yaml:2: rules[0].patterns[0]: duration goes with slow, backoff and suspend only"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: x, threshold: 101/h}]}\n",
	     "rules.yaml:2: rules[0].patterns[0].threshold: must be hits within a time, such as 3/h, and at most 100"},
	    {"rules:\n  - {name: a, mx: [b], patterns: [{name: p, action: fewer, reply: x}, {name: p, action: fewer, "
	     "reply: y}]}\n",
	     "rules.yaml:2: rules[0]: two patterns of the same name"},
	    {"rules:\n  - {name: a, mx: [b]}\n  - {name: a, mx: [c]}\n", "rules.yaml: two rules of the name a"},
	    {"rules:\n  - {name: a, mx: [\"*\"]}\n  - {name: b, mx: [\"*\"]}\n", "rules a and b both match *"},
	    {"rules:\n  - {name: a, domains: [x.y]}\n  - {name: b, domains: [x.y]}\n",
	     "rules a and b both name domain x.y"},
	};
	char err[CONF_ERR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(shape_rules_parse("rules.yaml", span_str(rows[i].text), err));
		assert_string_equal(err, rows[i].err);
	}
}

static const char *host(const struct shape_rules *s, const char *site)
{
	const struct shape_rule *r = shape_rules_host(s, shape_rule_host(span_str(site)));

	return r ? r->name : "";
}

static const char *domain(const struct shape_rules *s, const char *name)
{
	const struct shape_rule *r = shape_rules_domain(s, span_str(name));

	return r ? r->name : "";
}

static void the_closest_name_decides(void **state)
{
	struct shape_rules *s = parse("rules:\n"
				      "  - {name: all, mx: [\"*\"]}\n"
				      "  - {name: google, mx: [.google.com, .googlemail.com]}\n"
				      "  - {name: one, mx: [mx7.l.google.com], domains: [a.example, .b.example]}\n"
				      "  - {name: long, mx: [.l.google.com], domains: [x.b.example]}\n"
				      "  - {name: hop, mx: [127.0.0.1, \"::1\"]}\n");

	(void)state;
	assert_string_equal(host(s, "aspmx.google.com+4~9f3c"), "google");
	assert_string_equal(host(s, "MX7.l.google.com"), "one");
	assert_string_equal(host(s, "mx8.l.google.com+1~0000"), "long");
	assert_string_equal(host(s, "google.com"), "all");
	assert_string_equal(host(s, "127.0.0.1:2525"), "hop");
	assert_string_equal(host(s, "[::1]:2525"), "hop");
	assert_string_equal(domain(s, "a.example"), "one");
	assert_string_equal(domain(s, "y.b.example"), "one");
	assert_string_equal(domain(s, "x.b.example"), "long");
	assert_string_equal(domain(s, "b.example"), "");
	assert_string_equal(domain(s, "a.exampl"), "");
	assert_string_equal(domain(s, ""), "");
	shape_rules_unref(s);
}

static void what_a_rule_leaves_open_comes_from_the_one_for_all(void **state)
{
	static const struct shape_rule_limits defaults = {
	    .connections = 20, .start = 5, .messages = 1000, .recipients = 100, .idle = 10000000};
	struct shape_rules *s = parse("rules:\n"
				      "  - {name: all, mx: [\"*\"], connections: 8, rate: 10/s, tls: opportunistic}\n"
				      "  - {name: p, mx: [p.example], connections: 2, messages: 7, tls: encrypt}\n");
	struct shape_rule_limits l;

	(void)state;
	l = shape_rules_limits(s, shape_rules_host(s, SPAN_LIT("p.example")), &defaults);
	assert_int_equal(l.connections, 2);
	assert_int_equal(l.start, 2);
	assert_int_equal(l.messages, 7);
	assert_int_equal(l.recipients, 100);
	assert_int_equal(l.rate.count, 10);
	assert_int_equal(l.tls, 2);
	l = shape_rules_limits(s, NULL, &defaults);
	assert_int_equal(l.connections, 8);
	assert_int_equal(l.start, 5);
	assert_int_equal(l.messages, 1000);
	shape_rules_unref(s);
}

static void patterns_see_one_printable_line(void **state)
{
	char line[SHAPE_TEXT_MAX + 1];
	char many[2000];

	(void)state;
	shape_rule_text(line, 421, SPAN_LIT("4.7.0"), SPAN_LIT("a\nb\tc\xc3\xa4\x7f"));
	assert_string_equal(line, "421 4.7.0 a b c?? ");
	shape_rule_text(line, 550, SPAN_LIT(""), SPAN_LIT("no"));
	assert_string_equal(line, "550 no");
	memset(many, 'x', sizeof(many));
	assert_int_equal(shape_rule_text(line, 450, SPAN_LIT(""), span_of(many, sizeof(many))), SHAPE_TEXT_MAX);
}

static void patterns_of_the_rule_come_before_those_for_all(void **state)
{
	struct shape_rules *s =
	    parse("rules:\n"
		  "  - {name: all, mx: [\"*\"], patterns: [{name: q, reply: \"^4\", action: fewer}]}\n"
		  "  - {name: p, mx: [p], patterns: [{name: r, reply: \"SLOW down\", action: backoff}]}\n");
	const struct shape_pattern *found[SHAPE_MATCH_MAX];
	const struct shape_rule *p = shape_rules_host(s, SPAN_LIT("p")), *all = shape_rules_any(s);

	(void)state;
	assert_int_equal(shape_rules_match(s, p, "421 please Slow Down", found), 2);
	assert_string_equal(found[0]->name, "r");
	assert_string_equal(found[1]->name, "q");
	assert_int_equal(found[0]->duration, INT64_C(900) * 1000000);
	assert_int_equal(found[0]->longest, INT64_C(14400) * 1000000);
	assert_int_equal(shape_rules_match(s, p, "550 no", found), 0);
	assert_int_equal(shape_rules_match(s, all, "421 slow down", found), 1);
	assert_int_equal(shape_rules_match(s, NULL, "421 slow down", found), 1);
	shape_rules_unref(s);
}

static void put_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void a_later_file_replaces_a_rule_by_its_name(void **state)
{
	char dir[] = "/tmp/test_shape_rule.XXXXXX", one[] = "*.yaml", two[] = "none/*.yaml", three[] = "30.yaml",
	     err[CONF_ERR_MAX];
	char *names[] = {one, two};
	struct conf_list files = {names, 2};
	struct shape_rules *s;
	char path[512];

	(void)state;
	assert_non_null(mkdtemp(dir));
	put_file(dir, "10.yaml", "rules:\n  - {name: p, mx: [p], connections: 1}\n  - {name: q, mx: [q]}\n");
	put_file(dir, "20.yaml", "rules:\n  - {name: p, mx: [z], connections: 9}\n");
	s = shape_rules_load(&files, dir, err);
	assert_non_null(s);
	assert_int_equal(shape_rules_count(s), 2);
	assert_null(shape_rules_host(s, SPAN_LIT("p")));
	assert_int_equal(shape_rules_host(s, SPAN_LIT("z"))->limits.connections, 9);
	shape_rules_unref(s);
	names[1] = three;
	assert_null(shape_rules_load(&files, dir, err)); /* no pattern: a file that is not there */
	assert_non_null(strstr(err, "30.yaml: no such file"));
	put_file(dir, "30.yaml", "rules:\n  - {name: p, mx: [z], conections: 9}\n");
	assert_null(shape_rules_load(&files, dir, err));
	assert_non_null(strstr(err, "/30.yaml:2: rules[0].conections: unknown key; did you mean \"connections\"?"));
	for (int i = 1; i <= 3; i++) {
		snprintf(path, sizeof(path), "%s/%d0.yaml", dir, i);
		unlink(path);
	}
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_mistake_in_a_rule_names_file_line_and_key),
	    cmocka_unit_test(the_closest_name_decides),
	    cmocka_unit_test(what_a_rule_leaves_open_comes_from_the_one_for_all),
	    cmocka_unit_test(patterns_see_one_printable_line),
	    cmocka_unit_test(patterns_of_the_rule_come_before_those_for_all),
	    cmocka_unit_test(a_later_file_replaces_a_rule_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
