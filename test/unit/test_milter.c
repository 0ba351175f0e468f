/* SPDX-License-Identifier: Apache-2.0 */
/* The milter's judgement, without libmilter and keyd: rules, what is kept of a message, campaigns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "milter/milter_campaign.h"
#include "milter/milter_conf.h"
#include "milter/milter_msg.h"

#define NOW  (INT64_C(1767225600) * CLOCK_SEC)
#define MAC  "mac=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define GOOD " v=1; id=cmp_01; ver=3; t=1767225600; n=abcdefgh12; kid=1; " MAC

static struct milter_conf *load(const char *text)
{
	char path[] = "/tmp/test_milter.XXXXXX", err[CONF_ERR_MAX];
	int fd = mkstemp(path);
	struct milter_conf *c;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	c = milter_conf_load(path, err);
	unlink(path);
	if (!c)
		fail_msg("%s", err);
	return c;
}

/* --- rules */

static struct milter_rule_who from(const char *login, const char *sender, const char *address)
{
	struct milter_rule_who who = {.login = span_str(login), .sender = span_str(sender)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		milter_rule_from(&who, (struct sockaddr *)&in);
	else if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
		milter_rule_from(&who, (struct sockaddr *)&in6);
	else
		milter_rule_from(&who, NULL);
	return who;
}

static void the_first_rule_that_holds_names_the_customer(void **state)
{
	static const struct {
		const char *login, *sender, *address, *customer; /* NULL: no rule holds */
	} rows[] = {
	    {"app1", "<x@y>", "192.0.2.1", "acme"},
	    {"App1", "<x@y>", "192.0.2.1", NULL},
	    {"app", "<x@y>", "192.0.2.1", NULL},
	    {"", "<x@y>", "192.0.2.1", NULL},
	    {"app1", "<x@shop.example>", "10.0.0.1", "acme"},
	    {"", "<x@shop.example>", "10.0.0.1", "inside"},
	    {"", "<x@y>", "10.255.255.255", "inside"},
	    {"", "<x@y>", "11.0.0.0", NULL},
	    {"", "<x@y>", "::ffff:10.1.1.1", "inside"},
	    {"", "<x@y>", "192.0.2.128", "half"},
	    {"", "<x@y>", "192.0.2.127", NULL},
	    {"", "<x@y>", "2001:db8::1", "six"},
	    {"", "<x@y>", "2001:db9::1", NULL},
	    {"", "<x@y>", "::7", "one"},
	    {"", "<x@y>", "::8", NULL},
	    {"", "<x@SHOP.example>", "?", "shop"},
	    {"", "x@shop.example", "?", "shop"},
	    {"", "<\"a@b\"@shop.example>", "?", "shop"},
	    {"", "<x@a.shop.example>", "?", "below"},
	    {"", "<x@.shop.example>", "?", NULL},
	    {"", "<x@ashop.example>", "?", NULL},
	    {"", "<shop.example>", "?", NULL},
	    {"", "<x@>", "?", NULL},
	    {"", "<>", "?", NULL},
	    {"", "", "?", NULL},
	};
	struct milter_conf *c = load("customers:\n"
				     "  - {auth: app1, customer: acme}\n"
				     "  - {client: 10.0.0.0/8, customer: inside}\n"
				     "  - {client: 192.0.2.128/25, customer: half}\n"
				     "  - {client: \"2001:db8::/32\", customer: six}\n"
				     "  - {client: \"::7\", customer: one}\n"
				     "  - {sender: shop.example, customer: shop}\n"
				     "  - {sender: .shop.example, customer: below}\n");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_rule_who who = from(rows[i].login, rows[i].sender, rows[i].address);
		const struct milter_rule *r =
		    milter_rule_find(c->customers.items, c->customers.count, &who);
		if (!!r != !!rows[i].customer || (r && strcmp(r->customer, rows[i].customer)))
			fail_msg("row %zu: %s", i, r ? r->customer : "none");
	}
	milter_conf_unref(c);
}

static void a_network_of_length_zero_holds_every_address_of_its_family(void **state)
{
	struct milter_conf *c = load("customers: [{client: 0.0.0.0/0, customer: four}]\n");
	struct milter_rule_who four = from("", "", "203.0.113.9"),
			       six = from("", "", "2001:db8::1");
	struct milter_rule_who none = from("", "", "?");

	(void)state;
	assert_non_null(milter_rule_find(c->customers.items, 1, &four));
	assert_null(milter_rule_find(c->customers.items, 1, &six));
	assert_null(milter_rule_find(c->customers.items, 1, &none));
	milter_conf_unref(c);
}

/* --- configuration */

static void an_empty_configuration_has_the_defaults(void **state)
{
	struct milter_conf *c = load("{}\n");

	(void)state;
	assert_string_equal(c->listen, "inet:8891@127.0.0.1");
	assert_null(milter_conf_socket(c));
	assert_int_equal(c->mode, 0660);
	assert_string_equal(c->user, "sealpost-milter");
	assert_string_equal(c->keyd, "/run/sealpost/keyd.sock");
	assert_string_equal(c->api, "/run/sealpost/api.sock");
	assert_string_equal(c->customer, "default");
	assert_int_equal(c->keyd_timeout, 5 * CLOCK_SEC);
	assert_int_equal(c->customers.count, 0);
	milter_conf_unref(c);
}

static void mistakes_name_line_and_key(void **state)
{
	static const struct {
		const char *text, *err;
	} rows[] = {
	    {"listen: 8891\n", "1: listen: must be inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH"},
	    {"listen: tcp:8891@x\n",
	     "1: listen: must be inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH"},
	    {"listen: inet:x@127.0.0.1\n",
	     "1: listen: must have a port from 1 to 65535 behind inet:"},
	    {"listen: inet:0@127.0.0.1\n",
	     "1: listen: must have a port from 1 to 65535 behind inet:"},
	    {"listen: inet:65536@::1\n",
	     "1: listen: must have a port from 1 to 65535 behind inet:"},
	    {"listen: inet:8891\n", "1: listen: needs a host: inet:PORT@HOST"},
	    {"listen: inet6:8891@\n", "1: listen: needs a host: inet:PORT@HOST"},
	    {"listen: unix:x.sock\n", "1: listen: needs an absolute path behind unix:"},
	    {"socket_mode: \"06600\"\n", "1: socket_mode: must be an octal mode such as \"0660\""},
	    {"socket_mode: \"0668\"\n", "1: socket_mode: must be an octal mode such as \"0660\""},
	    {"socket_mode: \"0066\"\n", "1: socket_mode: must be an octal mode such as \"0660\""},
	    {"keyd_timeout: 2m\n", "1: keyd_timeout: must lie between 1s and 1m"},
	    {"customer: a b\n", "1: customer: must be 1 to 64 of a-z 0-9 . _ / -"},
	    {"customers:\n  - {customer: x, auth: y}\n  - customer: x\n",
	     "3: customers[1]: needs exactly one of auth, client and sender"},
	    {"customers:\n  - {customer: x, auth: y, sender: z}\n",
	     "2: customers[0]: needs exactly one of auth, client and sender"},
	    {"customers: [{customer: x, client: host.example}]\n",
	     "1: customers[0].client: must be an address or a network such as 192.0.2.0/24 or "
	     "2001:db8::/32"},
	    {"customers: [{customer: x, client: \"::1/129\"}]\n",
	     "1: customers[0].client: must be an address or a network such as 192.0.2.0/24 or "
	     "2001:db8::/32"},
	    {"customers: [{customer: x, sender: a@b.example}]\n",
	     "1: customers[0].sender: must be a domain, or .domain for what is below it"},
	    {"streams: [{name: x, policy: observe}]\n",
	     "1: streams[0]: policy observe needs until, the day on which it ends"},
	    {"streams: [{name: x, policy: observe, until: 2026-02-30}]\n",
	     "1: streams[0].until: must be a date such as 2026-12-31"},
	    {"streams: [{name: x, policy: enforce, until: 2026-02-28}]\n",
	     "1: streams[0]: until is for policy observe alone"},
	    {"streams: [{name: x, policy: enforce, hosts: [a.example]}]\n",
	     "1: streams[0]: hosts and attachments are for policy links-only alone"},
	    {"streams: [{name: x, policy: open}, {name: x, policy: open}]\n",
	     "1: streams[1].name: another stream is named \"x\""},
	    {"stream: y\n", "1: stream: no stream is named \"y\""},
	    {"customers: [{customer: x, auth: a, stream: y}]\n",
	     "1: customers[0].stream: no stream is named \"y\""},
	    {"sensitive: [{name: x, kind: card, pattern: y, action: verify}]\n",
	     "1: sensitive[0]: pattern is for kind pattern alone"},
	    {"sensitive: [{name: x, kind: pattern, action: verify}]\n",
	     "1: sensitive[0]: kind pattern needs pattern"},
	    {"feed_every: 2m\n", "1: feed_every: must lie between 1s and 1m"},
	};
	char path[] = "/tmp/test_milter.XXXXXX", err[CONF_ERR_MAX], want[CONF_ERR_MAX];
	int fd = mkstemp(path);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_true(pwrite(fd, rows[i].text, strlen(rows[i].text), 0) > 0);
		assert_null(milter_conf_load(path, err));
		snprintf(want, sizeof(want), "%s:%s", path, rows[i].err);
		assert_string_equal(err, want);
	}
	close(fd);
	unlink(path);
}

static void a_change_that_needs_a_restart_is_named(void **state)
{
	static const struct {
		const char *text, *key;
	} rows[] = {
	    {"{}\n", NULL},
	    {"customer: x\ncustomers: [{auth: a, customer: b}]\n", NULL},
	    {"listen: inet:1@127.0.0.1\n", "listen"},
	    {"socket_mode: \"0600\"\n", "socket_mode"},
	    {"user: x\n", "user"},
	    {"keyd: /x\n", "keyd"},
	    {"api: /x\n", "api"},
	    {"state: /x\n", "state"},
	    {"keyd_timeout: 6s\n", "keyd_timeout"},
	};
	struct milter_conf *base = load("{}\n");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_conf *c = load(rows[i].text);
		const char *key = milter_conf_fixed(base, c);
		assert_int_equal(!!key, !!rows[i].key);
		if (key)
			assert_string_equal(key, rows[i].key);
		milter_conf_unref(c);
	}
	milter_conf_unref(base);
}

/* --- a message */

struct fixture {
	struct milter_conf *conf;
	struct milter_msg m;
};

static void begin(struct fixture *f)
{
	struct milter_rule_who who = {.sender = SPAN_LIT("<a@shop.example>")};

	milter_msg_begin(&f->m, milter_conf_ref(f->conf), &who);
	milter_msg_recipient(&f->m, SPAN_LIT("<b@example.test>"));
}

static void header(struct fixture *f, const char *name, const char *value)
{
	milter_msg_header(&f->m, span_str(name), span_str(value));
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->conf = load("customers: [{sender: shop.example, customer: shop}]\n");
	milter_msg_init(&f->m);
	begin(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	milter_msg_clear(&f->m);
	assert_int_equal(atomic_load(&f->conf->refs), 1);
	milter_conf_unref(f->conf);
	free(f);
	return 0;
}

static void a_message_has_an_id_and_a_customer(void **state)
{
	struct fixture *f = *state;
	uint64_t id, first = f->m.id;

	assert_int_equal(id_parse(span_str(f->m.id_text), &id), 0);
	assert_true(id == first);
	assert_string_equal(f->m.customer, "shop");
	assert_string_equal(f->m.by, "sender");
	assert_null(f->m.stream);
	begin(f);
	assert_true(f->m.id != first);
}

static void forged_headers_are_counted_by_name_whatever_their_case(void **state)
{
	struct fixture *f = *state;

	header(f, "X-Sealpost-Trace", "1");
	header(f, "x-sealpost-verdict", "2");
	header(f, "X-SEALPOST-TRACE", "3");
	header(f, "X-Sealposter", "not ours");
	header(f, "Subject", "x");
	assert_int_equal(f->m.forged_count, 3);
	assert_int_equal(f->m.forged_names, 2);
	assert_string_equal((const char *)buf_ptr(&f->m.names) + f->m.forged[0].name,
			    "X-Sealpost-Trace");
	assert_int_equal(f->m.forged[0].count, 2);
	assert_int_equal(f->m.forged[1].count, 1);
	assert_int_equal(f->m.odd, 0);
}

static void more_than_a_hundred_forged_headers_or_too_long_ones_are_a_flood(void **state)
{
	struct fixture *f = *state;
	char name[1100] = "X-Sealpost-";

	for (unsigned i = 0; i < MILTER_MSG_FORGED_MAX; i++) {
		snprintf(name, sizeof(name), "X-Sealpost-%u", i);
		header(f, name, "x");
	}
	assert_int_equal(f->m.flood, 0);
	header(f, "X-Sealpost-1", "x");
	assert_int_equal(f->m.flood, 1);
	begin(f);
	assert_int_equal(f->m.flood, 0);
	memset(name + 11, 'x', sizeof(name) - 12);
	for (unsigned i = 0; i < 9; i++) {
		name[11] = (char)('a' + i);
		header(f, name, "x");
	}
	assert_int_equal(f->m.flood, 1);
	assert_int_equal(f->m.no_memory, 0);
}

static void a_message_remembers_nothing_of_the_one_before(void **state)
{
	struct fixture *f = *state;

	header(f, "X-Sealpost-Trace", "1");
	header(f, "X-DoPosta-Campaign ", "x");
	header(f, "Message-ID", "<1@x>");
	milter_msg_end(&f->m);
	milter_msg_end(&f->m);
	begin(f);
	assert_int_equal(f->m.forged_count + f->m.forged_names + f->m.campaigns + f->m.message_ids,
			 0);
	assert_int_equal(f->m.odd, 0);
	assert_int_equal(f->m.recipients, 1);
	assert_int_equal(buf_size(&f->m.campaign) + buf_size(&f->m.message_id), 0);
}

static void headers_of_the_application_go_as_well(void **state)
{
	struct fixture *f = *state;

	header(f, "X-DoPosta-Consent", " opens");
	header(f, "x-doposta-part", "x");
	header(f, "X-DoPosta-Part", "y");
	header(f, "X-DoPostal", "no");
	assert_int_equal(f->m.forged_count, 0);
	assert_int_equal(f->m.own_count, 3);
	assert_int_equal(f->m.forged_names, 2);
	assert_int_equal(f->m.forged[1].count, 2);
	assert_int_equal(f->m.consents, 1);
	assert_true(span_equal(buf_span(&f->m.consent), SPAN_LIT(" opens")));
}

#define DAY (INT64_C(86400) * CLOCK_SEC)

static void a_rule_names_the_stream_and_its_policy_holds_until_its_day(void **state)
{
	struct milter_conf *c = load("stream: rest\n"
				     "streams:\n"
				     "  - {name: news, policy: enforce}\n"
				     "  - {name: trial, policy: observe, until: 2026-01-01}\n"
				     "  - {name: rest, policy: links-only, hosts: [a.example], attachments: [image/*]}\n"
				     "customers:\n"
				     "  - {sender: shop.example, customer: shop, stream: trial}\n"
				     "  - {sender: open.example, customer: shop}\n");
	static const struct {
		const char *sender, *stream;
		int64_t now;
		enum milter_policy policy;
	} rows[] = {
	    {"<a@shop.example>", "trial", NOW, MILTER_POLICY_OBSERVE}, /* NOW is the first moment of that day */
	    {"<a@shop.example>", "trial", NOW + DAY - 1, MILTER_POLICY_OBSERVE},
	    {"<a@shop.example>", "trial", NOW + DAY, MILTER_POLICY_ENFORCE},
	    {"<a@open.example>", NULL, NOW, MILTER_POLICY_OPEN},
	    {"<a@b.example>", "rest", NOW, MILTER_POLICY_LINKS},
	};
	struct milter_msg m;

	(void)state;
	milter_msg_init(&m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_rule_who who = {.sender = span_str(rows[i].sender)};
		milter_msg_begin(&m, milter_conf_ref(c), &who);
		assert_int_equal(!!m.stream, !!rows[i].stream);
		if (m.stream)
			assert_string_equal(m.stream->name, rows[i].stream);
		assert_int_equal(milter_stream_policy(m.stream, rows[i].now), rows[i].policy);
		assert_int_equal(milter_stream_single(m.stream, rows[i].now), rows[i].policy == MILTER_POLICY_ENFORCE);
	}
	milter_msg_clear(&m);
	milter_conf_unref(c);
}

static void fields_are_kept_only_where_messages_are_looked_at_whole(void **state)
{
	struct milter_conf *open = load("{}\n"), *whole = load("streams: [{name: x, policy: enforce}]\n");
	struct milter_rule_who who = {.sender = SPAN_LIT("<>")};
	struct span name, value;
	char longest[1000];
	struct milter_msg m;
	size_t at = 0;

	(void)state;
	milter_msg_init(&m);
	milter_msg_begin(&m, open, &who);
	milter_msg_header(&m, SPAN_LIT("Subject"), SPAN_LIT(" x"));
	assert_int_equal(milter_msg_field(&m, &at, &name, &value), 0);
	milter_msg_begin(&m, whole, &who);
	milter_msg_header(&m, SPAN_LIT("Subject"), SPAN_LIT("  two blanks\n folded"));
	milter_msg_header(&m, SPAN_LIT("X-Empty"), SPAN_LIT(""));
	milter_msg_header(&m, SPAN_LIT("subject"), SPAN_LIT("none"));
	assert_int_equal(milter_msg_field(&m, &at, &name, &value), 1);
	assert_true(span_equal(name, SPAN_LIT("Subject")) && span_equal(value, SPAN_LIT(" two blanks\n folded")));
	assert_int_equal(milter_msg_field(&m, &at, &name, &value), 1);
	assert_int_equal(value.n, 0);
	assert_int_equal(milter_msg_field(&m, &at, &name, &value), 1);
	assert_true(span_equal(value, SPAN_LIT("none")));
	assert_int_equal(milter_msg_field(&m, &at, &name, &value), 0);
	assert_int_equal(milter_msg_count(&m, "SUBJECT"), 2);
	memset(longest, 'x', sizeof(longest));
	for (int i = 0; i < 100; i++)
		milter_msg_header(&m, SPAN_LIT("X"), span_of(longest, sizeof(longest)));
	assert_true(m.fields_cut && !m.no_memory);
	milter_msg_begin(&m, milter_conf_ref(m.conf), &who);
	assert_true(!m.fields_cut && milter_msg_count(&m, "X") == 0);
	milter_msg_clear(&m);
}

/* --- campaigns */

static enum milter_campaign_verdict judge(struct fixture *f, int64_t now, char *input, size_t size)
{
	enum milter_campaign_verdict v;
	struct mail_campaign c;
	struct buf b;

	buf_init(&b, MAIL_CAMPAIGN_INPUT_MAX);
	v = milter_campaign_judge(&f->m, now, &c, &b);
	if (input)
		span_copy_str(input, size, buf_span(&b));
	buf_clear(&b);
	return v;
}

static void a_good_campaign_leaves_only_the_mac_to_verify(void **state)
{
	struct fixture *f = *state;
	char input[512];

	header(f, "message-id", " <1@shop.example>");
	header(f, "x-doposta-campaign", GOOD);
	assert_int_equal(judge(f, NOW, input, sizeof(input)), MILTER_CAMPAIGN_GOOD);
	assert_string_equal(input, "dp-camp-1\ncmp_01\n3\n1767225600\nabcdefgh12\na@shop.example\n"
				   "b@example.test\n<1@shop.example>");
	assert_int_equal(judge(f, NOW + 900 * CLOCK_SEC, NULL, 0), MILTER_CAMPAIGN_GOOD);
	assert_int_equal(judge(f, NOW - 901 * CLOCK_SEC, NULL, 0), MILTER_CAMPAIGN_EXPIRED);
	assert_int_equal(judge(f, NOW + 901 * CLOCK_SEC, NULL, 0), MILTER_CAMPAIGN_EXPIRED);
}

static void each_fault_has_its_verdict(void **state)
{
	struct fixture *f = *state;
	char longest[1100];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	header(f, "X-DoPosta-Campaign", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MESSAGE_ID); /* none */
	header(f, "Message-ID", longest);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MESSAGE_ID); /* too long */
	header(f, "Message-ID", "<1@x>");
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MESSAGE_ID); /* two */

	begin(f);
	header(f, "Message-ID", "<1@x>\n <2@x>");
	header(f, "X-DoPosta-Campaign", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0),
			 MILTER_CAMPAIGN_MESSAGE_ID); /* a line end inside */

	begin(f);
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign", GOOD);
	milter_msg_recipient(&f->m, SPAN_LIT("<b@example.test>"));
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_RECIPIENTS);
	header(f, "X-DoPosta-Campaign", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_SEVERAL);

	begin(f);
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign\t", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0),
			 MILTER_CAMPAIGN_MALFORMED); /* cannot be taken out */
	begin(f);
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign", longest);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MALFORMED);
	begin(f);
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign", "");
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MALFORMED);
}

static void an_address_too_long_to_keep_is_never_verified_as_a_short_one(void **state)
{
	struct milter_rule_who who = {.sender = SPAN_LIT("<a@shop.example>")};
	struct fixture *f = *state;
	char longest[MILTER_MSG_PATH_MAX + 2];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	milter_msg_begin(&f->m, milter_conf_ref(f->conf), &who);
	milter_msg_recipient(&f->m, span_str(longest));
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MALFORMED);
	who.sender = span_str(longest);
	milter_msg_begin(&f->m, milter_conf_ref(f->conf), &who);
	milter_msg_recipient(&f->m, SPAN_LIT("<b@example.test>"));
	header(f, "Message-ID", "<1@x>");
	header(f, "X-DoPosta-Campaign", GOOD);
	assert_int_equal(judge(f, NOW, NULL, 0), MILTER_CAMPAIGN_MALFORMED);
}

#define WITH_MESSAGE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_first_rule_that_holds_names_the_customer),
	    cmocka_unit_test(a_network_of_length_zero_holds_every_address_of_its_family),
	    cmocka_unit_test(an_empty_configuration_has_the_defaults),
	    cmocka_unit_test(mistakes_name_line_and_key),
	    cmocka_unit_test(a_change_that_needs_a_restart_is_named),
	    WITH_MESSAGE(a_message_has_an_id_and_a_customer),
	    cmocka_unit_test(a_rule_names_the_stream_and_its_policy_holds_until_its_day),
	    cmocka_unit_test(fields_are_kept_only_where_messages_are_looked_at_whole),
	    WITH_MESSAGE(headers_of_the_application_go_as_well),
	    WITH_MESSAGE(forged_headers_are_counted_by_name_whatever_their_case),
	    WITH_MESSAGE(more_than_a_hundred_forged_headers_or_too_long_ones_are_a_flood),
	    WITH_MESSAGE(a_message_remembers_nothing_of_the_one_before),
	    WITH_MESSAGE(a_good_campaign_leaves_only_the_mac_to_verify),
	    WITH_MESSAGE(each_fault_has_its_verdict),
	    WITH_MESSAGE(an_address_too_long_to_keep_is_never_verified_as_a_short_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
