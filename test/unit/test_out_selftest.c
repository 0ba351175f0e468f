/* SPDX-License-Identifier: Apache-2.0 */
/* Whether DNSSEC validates, and why not: with a resolver that is played. And what an anchor file is about. */
#include "relay/out/out_selftest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_anchor.h"
#include "relay/out/out_dns.h"

/* --- anchors */

static const char *zones(const char *text)
{
	static char all[1024];
	struct out_anchor a;

	all[0] = '\0';
	out_anchor_zones(span_str(text), &a);
	for (unsigned i = 0; i < a.count; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? " " : "", a.zones[i]);
	return all;
}

static void the_zones_of_an_anchor_are_the_owners_of_its_keys(void **state)
{
	(void)state;
	assert_string_equal(zones(". IN DNSKEY 257 3 8 AwEA== ; keytag 1\n. IN DNSKEY 257 3 8 AwEB==\n"), ".");
	assert_string_equal(zones("; c\n\nExample.ORG. 3600 IN DS 1 13 2 ab\nb.test DS 1 13 2 cd"),
			    "example.org b.test");
	assert_string_equal(zones("a.test. IN DNSKEY (\n 257 3\n 8 ; DS\n AwEA== )\nc.test. DS 1 8 2 ab"),
			    "a.test c.test");
	assert_string_equal(zones("a.test. IN SOA ns h 1 2 3 4 5\n\tIN DNSKEY 257 3 13 x\n"), "a.test");
	assert_string_equal(zones("a.test. IN TXT DS\n"), "a.test"); /* reads no types but where they stand */
	assert_string_equal(zones("a.test. 1 IN TXT x DNSKEY\n"), "");
	assert_string_equal(zones("$ORIGIN test.\n@ IN DS 1 2 3 4\n"), "");
	assert_string_equal(zones("no keys in here\n"), "");
	assert_string_equal(zones(""), "");
	assert_string_equal(zones("("), "");
	assert_string_equal(zones("1 DS\n2 DS\n3 DS\n4 DS\n5 DS\n6 DS\n7 DS\n8 DS\n9 DS\n1 DS\n"),
			    "1 2 3 4 5 6 7 8");
}

/* --- the resolver of the play */

struct line {
	const char *name;
	int type, result, secure;
	unsigned signatures;
};
static const struct line nothing[] = {{0}};
static const struct line *validated, *plain;
static unsigned asked, made, silent_from; /* from that question on there is no answer */

struct out_dns {
	const struct line *lines;
};
struct out_dns_query {
	int unused;
};

struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why)
{
	struct out_dns *d = calloc(1, sizeof(*d));

	(void)l;
	(void)c;
	*why = "";
	d->lines = validated;
	made++;
	return d;
}
struct out_dns *out_dns_new_unvalidated(struct evt_loop *l, const struct relay_conf *c)
{
	const char *why;
	struct out_dns *d = out_dns_new(l, c, &why);

	d->lines = plain;
	return d;
}
void out_dns_free(struct out_dns *d)
{
	if (d)
		made--;
	free(d);
}
void out_dns_quiet(struct out_dns *d)
{
	(void)d;
}
static struct out_dns_query open_query;
struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn, void *arg)
{
	static struct out_dnsmsg m;
	const struct line *l = d->lines;

	if (++asked >= silent_from)
		return &open_query;
	while (l->name && (strcmp(l->name, name) || l->type != type))
		l++;
	m.signatures = l->signatures;
	m.count = l->name && l->result == 0 ? 2 : 0;
	fn(arg, l->name ? l->result : ERR_AWAY, &m, l->secure);
	return NULL;
}
void out_dns_cancel(struct out_dns_query *q)
{
	(void)q;
}

static char anchor_file[64], log_text[8192], to[32];
static struct relay relay;
static struct relay_conf conf;
static struct relay_route route;
static struct out_selftest *test;
static char any[] = "*";

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void write_anchor(const char *text)
{
	FILE *f = fopen(anchor_file, "w");

	fputs(text, f);
	fclose(f);
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	strcpy(anchor_file, "/tmp/test_out_selftest.XXXXXX");
	fd = mkstemp(anchor_file);
	close(fd);
	write_anchor("a.test. DS 1 13 2 ab\nb.test. DS 1 13 2 ab\n");
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	memset(&relay, 0, sizeof(relay));
	memset(&conf, 0, sizeof(conf));
	strcpy(to, "mx");
	route = (struct relay_route){.domain = any, .to = to};
	conf.routes.items = &route;
	conf.routes.count = 1;
	conf.dns.trust_anchor = anchor_file;
	relay.conf = &conf;
	relay.loop = evt_loop_new();
	log_text[0] = '\0';
	log_capture(capture, NULL);
	asked = made = 0;
	silent_from = 1000;
	validated = plain = nothing;
	test = out_selftest_new(&relay, relay.loop, &conf);
	return test ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	out_selftest_free(test);
	assert_int_equal(made, 0);
	evt_loop_free(relay.loop);
	log_capture(NULL, NULL);
	clock_restore();
	return unlink(anchor_file);
}

static int after(int64_t usec)
{
	clock_advance(usec);
	for (int i = 0; i < 20; i++)
		evt_loop_turn(relay.loop, 0);
	return atomic_load(&relay.dns.selftest);
}

enum { DNSKEY = OUT_DNSMSG_DNSKEY, SOA = OUT_DNSMSG_SOA };
static const struct line good[] = {{"a.test", DNSKEY, 0, 1, 1}, {"b.test", DNSKEY, 0, 1, 1}, {0}};

static void all_zones_of_the_anchor_must_be_secure(void **state)
{
	(void)state;
	validated = good;
	assert_int_equal(atomic_load(&relay.dns.selftest), OUT_SELFTEST_NONE); /* nobody waited */
	assert_int_equal(after(1), OUT_SELFTEST_VALIDATES);
	assert_int_equal(asked, 2);
	assert_int_equal(atomic_load(&relay.dns.tested), clock_wall());
	assert_non_null(strstr(log_text, "info - event=dns-selftest result=validates zone=- "));
	log_text[0] = '\0';
	assert_int_equal(after(299 * CLOCK_SEC), OUT_SELFTEST_VALIDATES);
	assert_int_equal(asked, 2);
	after(CLOCK_SEC);
	assert_int_equal(asked, 4);
	assert_string_equal(log_text, ""); /* no news */
}

static void signatures_that_do_not_come_were_stripped(void **state)
{
	static const struct line bad[] = {{"a.test", DNSKEY, 0, 1, 1}, {"b.test", DNSKEY, ERR_AUTH, 0, 0}, {0}};
	static const struct line bare[] = {{"b.test", DNSKEY, 0, 0, 0}, {0}};

	(void)state;
	validated = bad;
	plain = bare;
	assert_int_equal(after(1), OUT_SELFTEST_STRIPPED);
	assert_non_null(strstr(log_text, "error - event=dns-selftest result=stripped zone=b.test what=\"the resolver strips"));
	log_text[0] = '\0';
	for (int i = 1; i < 60; i++) {
		after(60 * CLOCK_SEC);
		assert_string_equal(log_text, "");
	}
	after(60 * CLOCK_SEC); /* an hour: once more */
	assert_non_null(strstr(log_text, "result=stripped"));
	validated = good;
	assert_int_equal(after(60 * CLOCK_SEC), OUT_SELFTEST_VALIDATES);
	assert_non_null(strstr(log_text, "result=validates"));
}

static void signatures_that_come_and_do_not_fit_are_bogus(void **state)
{
	static const struct line bad[] = {{"a.test", DNSKEY, ERR_AUTH, 0, 0}, {0}};
	static const struct line full[] = {{"a.test", DNSKEY, 0, 0, 1}, {0}};

	(void)state;
	validated = bad;
	plain = full;
	assert_int_equal(after(1), OUT_SELFTEST_BOGUS);
}

static void an_insecure_answer_under_an_anchor_is_no_good(void **state)
{
	static const struct line bad[] = {{"a.test", DNSKEY, 0, 0, 0}, {0}};

	(void)state;
	validated = bad;
	plain = bad;
	assert_int_equal(after(1), OUT_SELFTEST_STRIPPED);
}

static void a_resolver_that_answers_old_types_only_strips(void **state)
{
	static const struct line old[] = {{"a.test", DNSKEY, ERR_AWAY, 0, 0}, {"a.test", SOA, 0, 0, 0}, {0}};

	(void)state;
	plain = old;
	assert_int_equal(after(1), OUT_SELFTEST_STRIPPED);
}

static void a_resolver_that_says_nothing_is_unreachable(void **state)
{
	(void)state;
	silent_from = 1;
	assert_int_equal(after(1), OUT_SELFTEST_NONE);
	assert_int_equal(after(8 * CLOCK_SEC), OUT_SELFTEST_NONE);
	assert_int_equal(after(5 * CLOCK_SEC), OUT_SELFTEST_NONE);
	assert_int_equal(after(5 * CLOCK_SEC), OUT_SELFTEST_UNREACHABLE);
	assert_non_null(strstr(log_text, "warning - event=dns-selftest result=unreachable zone=a.test"));
	silent_from = 1000;
	validated = good;
	assert_int_equal(after(60 * CLOCK_SEC), OUT_SELFTEST_VALIDATES);
}

static void without_a_usable_anchor_nothing_is_asked(void **state)
{
	(void)state;
	write_anchor("; nothing\n");
	assert_int_equal(after(1), OUT_SELFTEST_NO_ANCHOR);
	assert_int_equal(asked, 0);
}

static void next_hops_that_are_addresses_need_no_dns(void **state)
{
	(void)state;
	strcpy(to, "192.0.2.1:25");
	assert_int_equal(after(1), OUT_SELFTEST_UNNEEDED);
	assert_int_equal(asked, 0);
	strcpy(to, "mx.test:25"); /* a reload */
	validated = good;
	assert_int_equal(after(300 * CLOCK_SEC), OUT_SELFTEST_VALIDATES);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_zones_of_an_anchor_are_the_owners_of_its_keys),
	    ROW(all_zones_of_the_anchor_must_be_secure),
	    ROW(signatures_that_do_not_come_were_stripped),
	    ROW(signatures_that_come_and_do_not_fit_are_bogus),
	    ROW(an_insecure_answer_under_an_anchor_is_no_good),
	    ROW(a_resolver_that_answers_old_types_only_strips),
	    ROW(a_resolver_that_says_nothing_is_unreachable),
	    ROW(without_a_usable_anchor_nothing_is_asked),
	    ROW(next_hops_that_are_addresses_need_no_dns),
	};

	return cmocka_run_group_tests_name("out_selftest", tests, NULL, NULL);
}
