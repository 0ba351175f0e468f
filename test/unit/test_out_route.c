/* SPDX-License-Identifier: Apache-2.0 */
/* Where mail goes, and where it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/out/out_addr.h"
#include "relay/out/out_mx.h"
#include "relay/out/out_route.h"
#include "relay/out/out_tls.h"

static struct relay_conf *conf_of(const char *text)
{
	static const char head[] =
	    "hostname: relay.test\nstate: /nonexistent\nkeyd: /nonexistent/keyd.sock\n"
	    "listen: [{address: \"127.0.0.1:2525\", mode: smarthost, customer: default}]\n"
	    "outbound: {port: 2500, private_ok: [\"127.0.0.0/8\", \"fd00::/8\"]}\n";
	char path[] = "/tmp/test_out_route.XXXXXX", err[CONF_ERR_MAX] = "";
	int fd = mkstemp(path);
	struct relay_conf *c;
	FILE *f = fdopen(fd, "w");

	fputs(head, f);
	fputs(text, f);
	fclose(f);
	c = relay_conf_load(path, err);
	unlink(path);
	if (!c)
		fail_msg("%s", err);
	return c;
}

static void the_first_matching_route_decides(void **state)
{
	static const struct {
		const char *destination, *key;
		int err;
	} rows[] = {
	    {"here.test", "to:127.0.0.1:2600:0", 0},
	    {"a.there.test", "to:mail.there.test:465:3", 0},
	    {"there.test", "mx:there.test:2500:1", 0},
	    {"six.test", "to:2001:db8::1:26:2", 0},
	    {"other.test", "mx:other.test:2500:1", 0},
	    {"[192.0.2.1]", "ip:192.0.2.1:2500:1", 0},
	    {"[IPv6:2001:db8::5]", "ip:2001:db8::5:2500:1", 0},
	    {"b\xc3\xbc"
	     "cher.test",
	     "mx:xn--bcher-kva.test:2500:1", 0},
	    {"stra\xc3\x9f"
	     "e.test",
	     "mx:xn--strae-oqa.test:2500:1", 0},
	    {"b\xcc\x88\xff.test", NULL, ERR_FORMAT},
	    {"[192.0.2.1", NULL, ERR_FORMAT},
	    {"[192.0.2.300]", NULL, ERR_FORMAT},
	    {"[mail.test]", NULL, ERR_FORMAT},
	    {"[]", NULL, ERR_FORMAT},
	    {"[", NULL, ERR_FORMAT},
	    {"", NULL, ERR_FORMAT},
	};
	struct relay_conf *c =
	    conf_of("routes:\n"
		    "  - {domain: here.test, to: \"127.0.0.1:2600\", tls: none}\n"
		    "  - {domain: .there.test, to: \"mail.there.test:465\", tls: verify}\n"
		    "  - {domain: six.test, to: \"[2001:db8::1]:26\", tls: encrypt}\n"
		    "  - {domain: \"*\", to: mx, tls: opportunistic}\n");
	struct out_route r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(out_route_find(c, "default", rows[i].destination, "", &r), rows[i].err);
		if (!rows[i].err)
			assert_string_equal(r.key, rows[i].key);
	}
	relay_conf_unref(c);
}

static void without_routes_mail_goes_to_the_mx_with_opportunistic_tls(void **state)
{
	struct relay_conf *c = conf_of("");
	struct out_route r;

	(void)state;
	assert_int_equal(out_route_find(c, "default", "a.test", "", &r), 0);
	assert_string_equal(r.key, "mx:a.test:2500:1");
	assert_int_equal(r.named, 0);
	relay_conf_unref(c);
}

static void another_way_has_its_own_login(void **state)
{
	struct relay_conf *c = conf_of(
	    "pools:\n"
	    "  - {name: slow, sources: [\"a\"]}\n"
	    "sources:\n"
	    "  - {name: a, address: \"127.0.0.2\"}\n"
	    "routes:\n"
	    "  - {customer: acme, domain: here.test, to: \"hop.test:587\", tls: verify, pool: slow,\n"
	    "     credential: mine}\n"
	    "  - {customer: acme, domain: x.test, to: \"other.test:587\", tls: verify, credential: theirs}\n"
	    "  - {domain: \"*\", to: mx, tls: opportunistic}\n");
	struct out_route r;

	(void)state;
	assert_int_equal(out_route_find(c, "acme", "here.test", "", &r), 0);
	assert_string_equal(r.credential, "mine");
	assert_string_equal(r.pool, "slow");
	assert_int_equal(out_route_find(c, "acme", "here.test", "other.test:587", &r), 0);
	assert_string_equal(r.key, "to:other.test:587:3");
	assert_string_equal(r.credential, "theirs");
	assert_string_equal(r.pool, "slow");
	assert_int_equal(out_route_find(c, "acme", "here.test", "third.test:25", &r), 0);
	assert_string_equal(r.credential, "");
	assert_int_equal(out_route_find(c, "acme", "here.test", "mx", &r), 0);
	assert_string_equal(r.key, "mx:here.test:2500:3");
	assert_string_equal(r.credential, "");
	assert_int_equal(out_route_find(c, "else", "here.test", "other.test:587", &r), 0);
	assert_string_equal(r.credential, "");
	assert_int_equal(out_route_find(c, "acme", "here.test", "nonsense", &r), ERR_FORMAT);
	relay_conf_unref(c);
}

static void special_addresses_are_known(void **state)
{
	static const struct {
		const char *address, *what;
	} rows[] = {
	    {"192.0.2.1", NULL},
	    {"8.8.8.8", NULL},
	    {"2001:db8::1", NULL},
	    {"2a00:1450::1", NULL},
	    {"0.0.0.0", "unspecified"},
	    {"0.1.2.3", "unspecified"},
	    {"127.0.0.1", "loopback"},
	    {"127.255.255.255", "loopback"},
	    {"126.255.255.255", NULL},
	    {"128.0.0.1", NULL},
	    {"10.0.0.1", "private"},
	    {"11.0.0.0", NULL},
	    {"172.15.255.255", NULL},
	    {"172.16.0.0", "private"},
	    {"172.31.255.255", "private"},
	    {"172.32.0.0", NULL},
	    {"192.168.7.7", "private"},
	    {"192.169.0.0", NULL},
	    {"169.254.169.254", "link-local"},
	    {"100.64.0.1", "private"},
	    {"100.128.0.1", NULL},
	    {"198.19.0.1", "private"},
	    {"192.0.0.8", "reserved"},
	    {"224.0.0.1", "multicast"},
	    {"255.255.255.255", "reserved"},
	    {"::", "unspecified"},
	    {"::1", "loopback"},
	    {"::2", "unspecified"},
	    {"fe80::1", "link-local"},
	    {"febf::1", "link-local"},
	    {"fec0::1", "private"},
	    {"fc00::1", "private"},
	    {"fdff::1", "private"},
	    {"ff02::1", "multicast"},
	    {"::ffff:127.0.0.1", "loopback"},
	    {"::ffff:192.0.2.1", NULL},
	    {"64:ff9b::10.0.0.1", "private"},
	    {"64:ff9b::192.0.2.1", NULL},
	    {"64:ff9b:1::192.0.2.1", "private"},
	    {"2002:7f00:1::1", "loopback"},
	    {"2002:c000:201::1", NULL},
	    {"100::1", "reserved"},
	};
	struct sockaddr_storage a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *what;
		assert_int_equal(out_addr_parse(&a, rows[i].address, 25), 0);
		what = out_addr_special(&a);
		if ((what == NULL) != (rows[i].what == NULL) ||
		    (what && strcmp(what, rows[i].what)))
			fail_msg("%s is %s, expected %s", rows[i].address, what ? what : "ordinary",
				 rows[i].what ? rows[i].what : "ordinary");
	}
	assert_int_equal(out_addr_parse(&a, "localhost", 25), ERR_FORMAT);
}

static void private_ok_allows_what_it_covers_and_nothing_else(void **state)
{
	struct relay_conf *c = conf_of("");
	struct sockaddr_storage a;

	(void)state;
	out_addr_parse(&a, "127.0.0.1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 1);
	out_addr_parse(&a, "::ffff:127.0.0.1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 1);
	out_addr_parse(&a, "fd12::1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 1);
	out_addr_parse(&a, "10.0.0.1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 0);
	out_addr_parse(&a, "::1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 0);
	out_addr_parse(&a, "198.51.100.1", 25);
	assert_int_equal(out_addr_allowed(c, &a), 1);
	relay_conf_unref(c);
}

/* "10 a, 20 b" -> hosts; the names chosen, joined by spaces. */
static const char *chosen(const char *records, enum out_mx_result want)
{
	static char names[512];
	struct out_mx_host hosts[32];
	size_t count = 0;
	int used;

	memset(hosts, 0xee, sizeof(hosts));
	while (*records) {
		unsigned preference;
		char name[64] = "";
		sscanf(records, "%u %63[^,]%n", &preference, name, &used);
		hosts[count].preference = (uint16_t)preference;
		strcpy(hosts[count++].name, strcmp(name, ".") ? name : "");
		records += used;
		records += strspn(records, ", ");
	}
	assert_int_equal(out_mx_choose(hosts, &count, "relay.test"), want);
	names[0] = '\0';
	for (size_t i = 0; i < count; i++)
		strcat(strcat(names, i ? " " : ""), hosts[i].name);
	return names;
}

static void mx_hosts_are_sorted_and_doubles_dropped(void **state)
{
	(void)state;
	assert_string_equal(chosen("20 b, 10 a, 30 c, 40 a", OUT_MX_OK), "a b c");
	assert_string_equal(chosen("20 b, 10 B", OUT_MX_OK), "B");
	assert_string_equal(chosen("", OUT_MX_NONE), "");
}

static void a_null_mx_takes_no_mail_unless_it_is_not_alone(void **state)
{
	(void)state;
	assert_string_equal(chosen("0 .", OUT_MX_NULL), "");
	assert_string_equal(chosen("0 ., 10 a", OUT_MX_OK), "a");
}

static void ourselves_and_all_that_is_not_better_are_dropped(void **state)
{
	(void)state;
	assert_string_equal(chosen("10 a, 20 relay.test, 30 c", OUT_MX_OK), "a");
	assert_string_equal(chosen("10 a, 20 RELAY.test, 20 b, 20 z", OUT_MX_OK), "a");
	assert_string_equal(chosen("10 relay.test, 20 b", OUT_MX_LOOP), "");
	assert_string_equal(chosen("10 a, 10 relay.test", OUT_MX_LOOP), "");
}

static void at_most_ten_hosts_are_asked(void **state)
{
	(void)state;
	assert_string_equal(
	    chosen("1 a, 2 b, 3 c, 4 d, 5 e, 6 f, 7 g, 8 h, 9 i, 10 j, 11 k, 12 l", OUT_MX_OK),
	    "a b c d e f g h i j");
}

static void equals_are_shuffled_and_others_keep_their_order(void **state)
{
	/* host 0 has two addresses, hosts 0 and 1 are equals, host 2 is worse. */
	static const struct out_mx_rank ranks[] = {{.preference = 10, .host = 0, .family = 1},
						   {.preference = 10, .host = 0, .family = 0},
						   {.preference = 10, .host = 1, .family = 0},
						   {.preference = 20, .host = 2, .family = 0}};
	unsigned first[2] = {0, 0};
	uint64_t seed = 1;
	uint8_t order[4];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		out_mx_order(ranks, 4, &seed, order);
		assert_int_equal(order[3], 3);
		first[ranks[order[0]].host]++;
		if (ranks[order[0]].host == 0) {
			assert_int_equal(order[0], 1); /* IPv4 before IPv6 of one host */
			assert_int_equal(order[1], 0);
		} else {
			assert_int_equal(order[1], 1);
			assert_int_equal(order[2], 0);
		}
	}
	assert_in_range(first[0], 400, 600);
}

static void a_target_that_failed_comes_last(void **state)
{
	static const struct out_mx_rank ranks[] = {{.preference = 10, .host = 0, .bad = 1},
						   {.preference = 20, .host = 1},
						   {.preference = 30, .host = 2}};
	uint64_t seed = 1;
	uint8_t order[3];

	(void)state;
	out_mx_order(ranks, 3, &seed, order);
	assert_int_equal(order[0], 1);
	assert_int_equal(order[1], 2);
	assert_int_equal(order[2], 0);
}

static void policy_decides_what_follows_a_broken_handshake(void **state)
{
	(void)state;
	assert_int_equal(out_tls_next(RELAY_TLS_OPPORTUNISTIC, OUT_TLS_FULL, 1), OUT_TLS_12);
	assert_int_equal(out_tls_next(RELAY_TLS_OPPORTUNISTIC, OUT_TLS_12, 1), OUT_TLS_CLEAR);
	assert_int_equal(out_tls_next(RELAY_TLS_OPPORTUNISTIC, OUT_TLS_CLEAR, 0), -1);
	assert_int_equal(out_tls_next(RELAY_TLS_ENCRYPT, OUT_TLS_FULL, 1), OUT_TLS_12);
	assert_int_equal(out_tls_next(RELAY_TLS_ENCRYPT, OUT_TLS_12, 0), -1);
	assert_int_equal(out_tls_next(RELAY_TLS_VERIFY, OUT_TLS_FULL, 0), OUT_TLS_12);
	assert_int_equal(out_tls_next(RELAY_TLS_VERIFY, OUT_TLS_FULL, 1), -1);
	assert_int_equal(out_tls_next(RELAY_TLS_VERIFY, OUT_TLS_12, 0), -1);
	assert_int_equal(out_tls_next(RELAY_TLS_NONE, OUT_TLS_FULL, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_matching_route_decides),
	    cmocka_unit_test(without_routes_mail_goes_to_the_mx_with_opportunistic_tls),
	    cmocka_unit_test(another_way_has_its_own_login),
	    cmocka_unit_test(special_addresses_are_known),
	    cmocka_unit_test(private_ok_allows_what_it_covers_and_nothing_else),
	    cmocka_unit_test(mx_hosts_are_sorted_and_doubles_dropped),
	    cmocka_unit_test(a_null_mx_takes_no_mail_unless_it_is_not_alone),
	    cmocka_unit_test(ourselves_and_all_that_is_not_better_are_dropped),
	    cmocka_unit_test(at_most_ten_hosts_are_asked),
	    cmocka_unit_test(equals_are_shuffled_and_others_keep_their_order),
	    cmocka_unit_test(a_target_that_failed_comes_last),
	    cmocka_unit_test(policy_decides_what_follows_a_broken_handshake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
