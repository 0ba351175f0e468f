/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages as bytes, and what out_hosts makes of answers (the resolver is a fake here). */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/out/out_dnsmsg.h"
#include "relay/out/out_hosts.h"
#include "relay/out/out_verdict.h"

/* --- messages */

struct packet {
	uint8_t p[8192];
	size_t n;
	unsigned answers;
};

static void put(struct packet *k, const void *p, size_t n)
{
	memcpy(k->p + k->n, p, n);
	k->n += n;
}
static void put16(struct packet *k, unsigned v)
{
	uint8_t b[2];
	num_put_u16(b, (uint16_t)v);
	put(k, b, 2);
}
static void put_name(struct packet *k, const char *name)
{
	while (*name) {
		uint8_t n = (uint8_t)strcspn(name, ".");
		put(k, &n, 1);
		put(k, name, n);
		name += n + (name[n] == '.');
	}
	put(k, "", 1);
}
/* Header and question; the name asked for stands at offset 12. */
static void begin(struct packet *k, int rcode, const char *name, int type)
{
	memset(k, 0, sizeof(*k));
	put16(k, 1);
	put16(k, 0x8180u | (unsigned)rcode);
	put(k, "\0\1\0\0\0\0\0\0", 8);
	put_name(k, name);
	put16(k, (unsigned)type);
	put16(k, 1);
}
static void record(struct packet *k, int type, unsigned ttl, const void *data, size_t n)
{
	put(k, "\xc0\x0c", 2);
	put16(k, (unsigned)type);
	put16(k, 1);
	put16(k, ttl >> 16);
	put16(k, ttl & 0xffff);
	put16(k, (unsigned)n);
	put(k, data, n);
	num_put_u16(k->p + 6, (uint16_t)++k->answers);
}
static void mx(struct packet *k, unsigned preference, const char *name)
{
	struct packet data = {.n = 0};
	put16(&data, preference);
	put_name(&data, name);
	record(k, OUT_DNSMSG_MX, 300, data.p, data.n);
}
static int parse(const struct packet *k, int type, struct out_dnsmsg *m)
{
	return out_dnsmsg_parse(span_of(k->p, k->n), type, m);
}

static void mx_records_are_read_and_folded(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_MX);
	mx(&k, 20, "B.there.test");
	record(&k, OUT_DNSMSG_MX, 60, "\0\5\4mail\xc0\x0c", 9); /* compressed */
	assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), 0);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.ttl, 60);
	assert_string_equal(m.mx[0].name, "b.there.test");
	assert_int_equal(m.mx[0].preference, 20);
	assert_string_equal(m.mx[1].name, "mail.there.test");
}

static void a_null_mx_is_an_empty_name(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_MX);
	mx(&k, 0, "");
	assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), 0);
	assert_int_equal(m.count, 1);
	assert_string_equal(m.mx[0].name, "");
}

static void addresses_behind_a_cname_are_taken_with_the_smaller_ttl(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "mail.there.test", OUT_DNSMSG_A);
	record(&k, 5, 30, "\1x\xc0\x0c", 4);
	record(&k, OUT_DNSMSG_A, 600, "\xc0\0\2\1", 4);
	record(&k, 46, 1, "signature", 9); /* RRSIG: not ours */
	assert_int_equal(parse(&k, OUT_DNSMSG_A, &m), 0);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.ttl, 30);
	assert_memory_equal(m.addresses[0], "\xc0\0\2\1", 4);
}

static void a_name_no_host_has_makes_its_record_void(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_MX);
	record(&k, OUT_DNSMSG_MX, 60, "\0\5\4a\nb \0", 8);
	mx(&k, 10, "good");
	assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), 0);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.void_records, 1);
	assert_string_equal(m.mx[0].name, "good");
}

static void pointers_may_not_circle_or_look_forward(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t n;
	} bad[] = {
	    {{0, 5, 0xc0, 0x2a}, 4},	     /* to itself: 12 + 16 + 12 + 2 = 42 = 0x2a */
	    {{0, 5, 0xc0, 0xff}, 4},	     /* forward, outside */
	    {{0, 5, 1, 'a', 0xc0, 0x2a}, 6}, /* back to its own start, for ever */
	    {{0, 5, 0x40, 'a', 0}, 5},	     /* reserved label type */
	    {{0, 5, 9, 'a', 0}, 5},	     /* label past the end */
	    {{0, 5}, 2},		     /* no name */
	};
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin(&k, 0, "there.test", OUT_DNSMSG_MX);
		record(&k, OUT_DNSMSG_MX, 60, bad[i].bytes, bad[i].n);
		assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), ERR_FORMAT);
	}
}

static void a_pointer_to_a_name_further_on_is_refused(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_MX);
	record(&k, OUT_DNSMSG_MX, 60, "\0\5\xc0\x3a", 4); /* 58: the name in the next record */
	mx(&k, 10, "mail.there.test");
	assert_memory_equal(k.p + 0x3a, "\4mail", 5);
	assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), ERR_FORMAT);
}

static void a_cut_message_is_malformed_at_every_length(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_MX);
	mx(&k, 10, "mail.there.test");
	for (size_t n = 0; n < k.n; n++)
		assert_int_equal(out_dnsmsg_parse(span_of(k.p, n), OUT_DNSMSG_MX, &m), ERR_FORMAT);
	assert_int_equal(parse(&k, OUT_DNSMSG_MX, &m), 0);
}

static void more_records_than_fit_are_left_out(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_A);
	for (int i = 0; i < OUT_DNSMSG_RECORDS + 5; i++)
		record(&k, OUT_DNSMSG_A, 60, "\xc0\0\2\1", 4);
	assert_int_equal(parse(&k, OUT_DNSMSG_A, &m), 0);
	assert_int_equal(m.count, OUT_DNSMSG_RECORDS);
}

/* A record owned by another name than the one asked for. */
static void record_of(struct packet *k, const char *owner, int type, unsigned ttl, const void *data,
		      size_t n)
{
	put_name(k, owner);
	put16(k, (unsigned)type);
	put16(k, 1);
	put16(k, ttl >> 16);
	put16(k, ttl & 0xffff);
	put16(k, (unsigned)n);
	put(k, data, n);
	num_put_u16(k->p + 6, (uint16_t)++k->answers);
}
static void cname(struct packet *k, const char *owner, const char *target)
{
	struct packet data = {.n = 0};
	put_name(&data, target);
	record_of(k, owner, OUT_DNSMSG_CNAME, 300, data.p, data.n);
}

static void the_end_of_a_chain_of_aliases_is_the_canonical_name(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "Mail.there.test", OUT_DNSMSG_A);
	cname(&k, "mail.there.test", "x.there.test");
	cname(&k, "elsewhere.test", "trap.test"); /* of no name in the chain */
	cname(&k, "X.there.test", "y.Other.test");
	record_of(&k, "y.other.test", OUT_DNSMSG_A, 60, "\xc0\0\2\1", 4);
	assert_int_equal(parse(&k, OUT_DNSMSG_A, &m), 0);
	assert_int_equal(m.count, 1);
	assert_string_equal(m.canonical, "y.other.test");
	begin(&k, 0, "mail.there.test", OUT_DNSMSG_A);
	record(&k, OUT_DNSMSG_A, 60, "\xc0\0\2\1", 4);
	assert_int_equal(parse(&k, OUT_DNSMSG_A, &m), 0);
	assert_string_equal(m.canonical, "");
	begin(&k, 0, "mail.there.test", OUT_DNSMSG_TLSA); /* leads nowhere */
	cname(&k, "mail.there.test", "gone.test");
	assert_int_equal(parse(&k, OUT_DNSMSG_TLSA, &m), 0);
	assert_int_equal(m.count, 0);
	assert_string_equal(m.canonical, "gone.test");
}

static void an_alias_that_is_no_host_name_is_void_and_ends_the_chain(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "mail.there.test", OUT_DNSMSG_A);
	cname(&k, "mail.there.test", "a b.test");
	cname(&k, "a b.test", "y.test");
	assert_int_equal(parse(&k, OUT_DNSMSG_A, &m), 0);
	assert_int_equal(m.void_records, 1);
	assert_string_equal(m.canonical, "");
}

static void asked_for_the_alias_itself_there_is_one_record(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "mail.there.test", OUT_DNSMSG_CNAME);
	cname(&k, "mail.there.test", "x.there.test");
	assert_int_equal(parse(&k, OUT_DNSMSG_CNAME, &m), 0);
	assert_int_equal(m.count, 1);
	assert_string_equal(m.canonical, "x.there.test");
}

static void strings_of_a_text_are_joined(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "_mta-sts.there.test", OUT_DNSMSG_TXT);
	record(&k, OUT_DNSMSG_TXT, 60, "\6v=STSv\0\7" "1; id=1", 16);
	record(&k, OUT_DNSMSG_TXT, 60, "\0", 1);
	record(&k, OUT_DNSMSG_TXT, 60, "\3a\0b", 4);
	assert_int_equal(parse(&k, OUT_DNSMSG_TXT, &m), 0);
	assert_int_equal(m.count, 3);
	assert_string_equal(m.txt[0].text, "v=STSv1; id=1");
	assert_int_equal(m.txt[0].len, 13);
	assert_int_equal(m.txt[1].len, 0);
	assert_int_equal(m.txt[2].len, 3);
	assert_memory_equal(m.txt[2].text, "a\0b", 4);
}

static void a_text_that_does_not_add_up_is_void(void **state)
{
	uint8_t large[5 * 256];
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	for (int i = 0; i < 5; i++) {
		memset(large + (size_t)i * 256, 'x', 256);
		large[i * 256] = 255;
	}
	begin(&k, 0, "there.test", OUT_DNSMSG_TXT);
	record(&k, OUT_DNSMSG_TXT, 60, "\5four", 5);
	record(&k, OUT_DNSMSG_TXT, 60, "", 0);
	record(&k, OUT_DNSMSG_TXT, 60, large, sizeof(large));
	large[4 * 256] = 4; /* 1024 octets: as many as fit */
	record(&k, OUT_DNSMSG_TXT, 60, large, 4 * 256 + 5);
	assert_int_equal(parse(&k, OUT_DNSMSG_TXT, &m), 0);
	assert_int_equal(m.void_records, 3);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.txt[0].len, 1024);
}

static void tlsa_records_are_read_and_malformed_ones_are_void(void **state)
{
	uint8_t large[3 + 2049] = {2, 0, 0};
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "_25._tcp.mx.there.test", OUT_DNSMSG_TLSA);
	record(&k, OUT_DNSMSG_TLSA, 60, "\3\1\1digest", 9);
	record(&k, OUT_DNSMSG_TLSA, 60, "\3\1\1", 3);
	record(&k, OUT_DNSMSG_TLSA, 60, "\3", 1);
	record(&k, OUT_DNSMSG_TLSA, 60, "", 0);
	record(&k, OUT_DNSMSG_TLSA, 60, "\377\0\376x", 4); /* unusable is not malformed */
	assert_int_equal(parse(&k, OUT_DNSMSG_TLSA, &m), 0);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.void_records, 3);
	assert_int_equal(m.tlsa[0].usage, 3);
	assert_int_equal(m.tlsa[0].selector, 1);
	assert_int_equal(m.tlsa[0].match, 1);
	assert_int_equal(m.tlsa[0].len, 6);
	assert_memory_equal(m.tlsa[0].data, "digest", 6);
	assert_int_equal(m.tlsa[1].usage, 255);
	assert_int_equal(m.tlsa[1].match, 254);
	begin(&k, 0, "_25._tcp.mx.there.test", OUT_DNSMSG_TLSA);
	record(&k, OUT_DNSMSG_TLSA, 60, large, sizeof(large));
	record(&k, OUT_DNSMSG_TLSA, 60, large, sizeof(large) - 1);
	assert_int_equal(parse(&k, OUT_DNSMSG_TLSA, &m), 0);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.void_records, 1);
	assert_int_equal(m.tlsa[0].len, 2048);
}

static void of_other_types_records_are_counted(void **state)
{
	struct out_dnsmsg m;
	struct packet k;

	(void)state;
	begin(&k, 0, "there.test", OUT_DNSMSG_DNSKEY);
	record(&k, OUT_DNSMSG_DNSKEY, 60, "\1\1\3\15key", 7);
	record(&k, OUT_DNSMSG_DNSKEY, 60, "\1\0\3\15key", 7);
	assert_int_equal(parse(&k, OUT_DNSMSG_DNSKEY, &m), 0);
	assert_int_equal(m.count, 2);
}

/* --- hosts, with a resolver that says what the test wrote down */

struct line {
	const char *name;
	int type;
	int result;
	const char *data; /* "10 a,20 b" or addresses, separated by commas */
};
struct out_dns {
	const struct line *lines;
	int silent; /* never answers */
	unsigned asked, cancelled;
};
struct out_dns_query {
	struct out_dns *dns;
};

static void fill(struct out_dnsmsg *m, int type, const char *data)
{
	while (data && *data) {
		char item[128];
		unsigned preference;
		size_t n = strcspn(data, ",");
		snprintf(item, sizeof(item), "%.*s", (int)n, data);
		if (type == OUT_DNSMSG_MX) {
			m->mx[m->count].name[0] = '\0';
			sscanf(item, "%u %100s", &preference, m->mx[m->count].name);
			m->mx[m->count].preference = (uint16_t)preference;
			if (!strcmp(m->mx[m->count].name, "."))
				m->mx[m->count].name[0] = '\0';
		} else {
			assert_int_equal(inet_pton(type == OUT_DNSMSG_A ? AF_INET : AF_INET6, item,
						   m->addresses[m->count]),
					 1);
		}
		m->count++;
		data += n + (data[n] == ',');
	}
	m->ttl = m->count ? 120 : 0;
}

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	struct out_dnsmsg m = {.rcode = 0};
	const struct line *l = d->lines;

	d->asked++;
	if (d->silent) {
		struct out_dns_query *q = calloc(1, sizeof(*q));
		q->dns = d;
		return q;
	}
	while (l->name && (strcmp(l->name, name) || l->type != type))
		l++;
	if (l->name)
		fill(&m, type, l->data);
	fn(arg, l->name ? l->result : 0, &m, 0);
	return NULL;
}
void out_dns_cancel(struct out_dns_query *q)
{
	if (!q)
		return;
	q->dns->cancelled++;
	free(q);
}

struct heard {
	int calls;
	struct out_hosts hosts;
	struct queue_result failure;
};
static void hear(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	struct heard *e = arg;

	e->calls++;
	if (failure)
		e->failure = *failure;
	else
		e->hosts = *h;
}

static char own_name[] = "relay.test";
static struct relay_net loopback_only[] = {{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104}};
static struct relay_conf conf = {.hostname = own_name};
enum { MX = OUT_DNSMSG_MX, A = OUT_DNSMSG_A, AAAA = OUT_DNSMSG_AAAA };

static struct heard look_up(struct out_route route, const struct line *lines)
{
	struct out_dns dns = {.lines = lines};
	struct evt_loop *l = evt_loop_new();
	struct heard e = {.calls = 0};

	route.port = 25;
	assert_null(out_hosts_find(l, &dns, &conf, &route, 0, hear, &e));
	assert_int_equal(e.calls, 1);
	evt_loop_free(l);
	return e;
}

#define TO_MX	((struct out_route){.mx = 1, .host = "there.test"})
#define TO_NAME ((struct out_route){.named = 1, .host = "mail.there.test"})

static void the_order_of_families_is_the_administrators(void **state)
{
	static const struct line lines[] = {{"there.test", MX, 0, .data = "10 a.test"},
					    {"a.test", A, 0, .data = "192.0.2.1"},
					    {"a.test", AAAA, 0, "2001:db8::1"},
					    {0}};
	struct heard e;

	(void)state;
	conf.outbound.ipv6 = RELAY_IPV6_AFTER;
	e = look_up(TO_MX, lines);
	assert_int_equal(e.hosts.count, 2);
	assert_int_equal(e.hosts.targets[0].rank.family, 0);
	assert_int_equal(e.hosts.targets[1].rank.family, 1);
	conf.outbound.ipv6 = RELAY_IPV6_NO;
	e = look_up(TO_MX, lines);
	assert_int_equal(e.hosts.count, 1);
	assert_int_equal(e.hosts.targets[0].address.ss_family, AF_INET);
	conf.outbound.ipv6 = RELAY_IPV6_PREFER;
}

static void mx_hosts_become_targets_with_their_addresses(void **state)
{
	static const struct line lines[] = {{"there.test", MX, 0, .data = "20 b.test,10 a.test"},
					    {"a.test", A, 0, .data = "192.0.2.1,192.0.2.2"},
					    {"a.test", AAAA, 0, "2001:db8::1"},
					    {"b.test", A, 0, .data = "192.0.2.3"},
					    {0}};
	struct heard e = look_up(TO_MX, lines);

	(void)state;
	assert_int_equal(e.hosts.count, 4);
	assert_int_equal(e.hosts.ttl, 120 * CLOCK_SEC);
	assert_string_equal(e.hosts.names[0], "a.test");
	assert_int_equal(e.hosts.targets[0].rank.preference, 10);
	assert_int_equal(e.hosts.targets[0].rank.family, 1);
	assert_int_equal(e.hosts.targets[2].rank.family, 0); /* IPv6 first */
	assert_int_equal(strncmp(e.hosts.site, "a.test+1~", 9), 0);
	assert_string_equal(e.hosts.names[e.hosts.targets[3].rank.host], "b.test");
	assert_int_equal(((struct sockaddr_in *)&e.hosts.targets[3].address)->sin_port, htons(25));
}

static void without_mx_the_domain_is_its_own_host(void **state)
{
	static const struct line lines[] = {{"there.test", A, 0, .data = "192.0.2.9"}, {0}};
	struct heard e = look_up(TO_MX, lines);

	(void)state;
	assert_int_equal(e.hosts.count, 1);
	assert_string_equal(e.hosts.names[0], "there.test");
}

static void one_host_that_cannot_be_looked_up_does_not_stop_the_others(void **state)
{
	static const struct line lines[] = {{"there.test", MX, 0, .data = "10 a.test,20 b.test"},
					    {"a.test", A, ERR_AWAY, .data = NULL},
					    {"b.test", A, 0, .data = "192.0.2.3"},
					    {0}};

	(void)state;
	assert_int_equal(look_up(TO_MX, lines).hosts.count, 1);
}

static void verdicts_follow_the_kind_of_failure(void **state)
{
	static const struct {
		struct out_route route;
		struct line lines[4];
		int outcome, reason;
		const char *status;
	} rows[] = {
	    {TO_MX, {{"there.test", MX, ERR_NOTFOUND, .data = NULL}}, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2"},
	    {TO_MX, {{"there.test", MX, ERR_AWAY, .data = NULL}}, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3"},
	    {TO_MX, {{"there.test", MX, ERR_AUTH, .data = NULL}}, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3"},
	    {TO_MX, {{"there.test", MX, 0, .data = "0 ."}}, SPOOL_BOUNCED, QUEUE_DNS, "5.1.10"},
	    {TO_MX, {{"there.test", MX, 0, .data = "10 relay.test"}}, SPOOL_BOUNCED, QUEUE_DNS, "5.4.6"},
	    {TO_MX, {{"there.test", MX, 0, .data = "10 a.test"}}, SPOOL_BOUNCED, QUEUE_DNS, "5.4.4"},
	    {TO_MX,
	     {{"there.test", MX, 0, .data = "10 a.test"}, {"a.test", AAAA, ERR_AWAY, NULL}},
	     SPOOL_DEFERRED,
	     QUEUE_DNS,
	     "4.4.3"},
	    {TO_MX,
	     {{"there.test", MX, 0, .data = "10 a.test"}, {"a.test", A, 0, .data = "10.0.0.1,169.254.1.1"}},
	     SPOOL_BOUNCED,
	     QUEUE_POLICY,
	     "5.4.4"},
	    {TO_MX, {{0}}, SPOOL_BOUNCED, QUEUE_DNS, "5.4.4"},
	    {TO_NAME,
	     {{"mail.there.test", A, ERR_NOTFOUND, .data = NULL},
	      {"mail.there.test", AAAA, ERR_NOTFOUND, NULL}},
	     SPOOL_DEFERRED,
	     QUEUE_DNS,
	     "4.4.4"},
	    {{.literal = 1, .host = "192.168.1.1"}, {{0}}, SPOOL_BOUNCED, QUEUE_POLICY, "5.4.4"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heard e = look_up(rows[i].route, rows[i].lines);
		char status[OUT_VERDICT_STATUS];
		out_verdict_status(&e.failure, status);
		assert_int_equal(e.failure.outcome, rows[i].outcome);
		assert_int_equal(e.failure.reason, rows[i].reason);
		assert_string_equal(status, rows[i].status);
		assert_int_equal(e.failure.code, 0);
	}
}

static void refused_addresses_are_left_out_and_allowed_ones_stay(void **state)
{
	static const struct line lines[] = {{"there.test", MX, 0, .data = "10 a.test"},
					    {"a.test", A, 0, .data = "10.0.0.1,127.0.0.1,192.0.2.1"},
					    {"a.test", AAAA, 0, "::1,2001:db8::1"},
					    {0}};

	(void)state;
	conf.outbound.private_nets = loopback_only;
	conf.outbound.private_count = 1;
	assert_int_equal(look_up(TO_MX, lines).hosts.count,
			 3); /* 127.0.0.1, 192.0.2.1, 2001:db8::1 */
	conf.outbound.private_count = 0;
	assert_int_equal(look_up(TO_MX, lines).hosts.count, 2);
}

static void a_host_the_administrator_named_may_have_any_address(void **state)
{
	static const struct line lines[] = {{"mail.there.test", A, 0, .data = "10.0.0.1"}, {0}};

	(void)state;
	assert_int_equal(look_up(TO_NAME, lines).hosts.count, 1);
	assert_int_equal(
	    look_up((struct out_route){.named = 1, .literal = 1, .host = "::1"}, lines).hosts.count,
	    1);
}

static void a_resolver_that_says_nothing_is_given_up(void **state)
{
	static const struct line lines[] = {{0}};
	struct out_dns dns = {.lines = lines, .silent = 1};
	struct evt_loop *l = evt_loop_new();
	struct heard e = {.calls = 0};
	struct out_route route = TO_MX;

	(void)state;
	clock_set(1000 * CLOCK_SEC, 1000 * CLOCK_SEC);
	evt_loop_turn(l, 0);
	assert_non_null(out_hosts_find(l, &dns, &conf, &route, 0, hear, &e));
	clock_advance(29 * CLOCK_SEC);
	evt_loop_turn(l, 0);
	assert_int_equal(e.calls, 0);
	clock_advance(2 * CLOCK_SEC);
	evt_loop_turn(l, 0);
	assert_int_equal(e.calls, 1);
	assert_int_equal(e.failure.outcome, SPOOL_DEFERRED);
	assert_int_equal(dns.cancelled, 1);
	clock_restore();
	evt_loop_free(l);
}

static void what_was_learned_of_an_address_outlives_its_answer(void **state)
{
	struct out_hosts *old = calloc(1, sizeof(*old)), *fresh = calloc(1, sizeof(*fresh));

	(void)state;
	old->count = fresh->count = 2;
	for (unsigned i = 0; i < 2; i++) {
		old->targets[i].address.ss_family = (sa_family_t)(10 + i);
		fresh->targets[i].address.ss_family = (sa_family_t)(11 + i);
		old->targets[i].memory.bad_until = 100 + i;
	}
	out_hosts_take(old, fresh);
	assert_int_equal(old->targets[0].address.ss_family, 11);
	assert_int_equal(old->targets[0].memory.bad_until, 101);
	assert_int_equal(old->targets[1].memory.bad_until, 0);
	free(old);
	free(fresh);
}

static void swallow(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mx_records_are_read_and_folded),
	    cmocka_unit_test(a_null_mx_is_an_empty_name),
	    cmocka_unit_test(addresses_behind_a_cname_are_taken_with_the_smaller_ttl),
	    cmocka_unit_test(a_name_no_host_has_makes_its_record_void),
	    cmocka_unit_test(pointers_may_not_circle_or_look_forward),
	    cmocka_unit_test(a_pointer_to_a_name_further_on_is_refused),
	    cmocka_unit_test(a_cut_message_is_malformed_at_every_length),
	    cmocka_unit_test(more_records_than_fit_are_left_out),
	    cmocka_unit_test(the_end_of_a_chain_of_aliases_is_the_canonical_name),
	    cmocka_unit_test(an_alias_that_is_no_host_name_is_void_and_ends_the_chain),
	    cmocka_unit_test(asked_for_the_alias_itself_there_is_one_record),
	    cmocka_unit_test(strings_of_a_text_are_joined),
	    cmocka_unit_test(a_text_that_does_not_add_up_is_void),
	    cmocka_unit_test(tlsa_records_are_read_and_malformed_ones_are_void),
	    cmocka_unit_test(of_other_types_records_are_counted),
	    cmocka_unit_test(the_order_of_families_is_the_administrators),
	    cmocka_unit_test(mx_hosts_become_targets_with_their_addresses),
	    cmocka_unit_test(without_mx_the_domain_is_its_own_host),
	    cmocka_unit_test(one_host_that_cannot_be_looked_up_does_not_stop_the_others),
	    cmocka_unit_test(verdicts_follow_the_kind_of_failure),
	    cmocka_unit_test(refused_addresses_are_left_out_and_allowed_ones_stay),
	    cmocka_unit_test(a_host_the_administrator_named_may_have_any_address),
	    cmocka_unit_test(a_resolver_that_says_nothing_is_given_up),
	    cmocka_unit_test(what_was_learned_of_an_address_outlives_its_answer),
	};

	log_capture(swallow, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
