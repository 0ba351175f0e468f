/* SPDX-License-Identifier: Apache-2.0 */
/* A message as the MTA tells it: line 1 the sender, line 2 the client's address, then recipients
 * ("<...") and headers ("name:value"). Nothing may be noted beyond its limits, and a message that
 * is judged good has one campaign, one recipient and eight lines to verify. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/clock.h"
#include "milter/milter_campaign.h"
#include "milter/milter_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct milter_rule rules[] = {
    {.auth = (char *)"login", .customer = (char *)"one"},
    {.client = (char *)"10.0.0.0/9", .customer = (char *)"two"},
    {.client = (char *)"2001:db8::/33", .customer = (char *)"three"},
    {.sender = (char *)".example", .customer = (char *)"four"},
    {.sender = (char *)"a.test", .customer = (char *)"five"},
};
static struct milter_stream streams[] = {{.name = (char *)"news", .policy = MILTER_POLICY_ENFORCE}};
static struct milter_conf conf = {.customer = (char *)"default",
				  .stream = (char *)"news",
				  .streams = {streams, 1},
				  .customers = {rules, sizeof(rules) / sizeof(rules[0])}};

/* Up to a NUL: libmilter hands over C strings. */
static struct span line(struct span *rest)
{
	ptrdiff_t at = span_find(*rest, '\n'), nul;
	struct span s = span_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);

	*rest = span_sub(*rest, s.n + 1, rest->n);
	nul = span_find(s, '\0');
	return nul < 0 ? s : span_sub(s, 0, (size_t)nul);
}

static void address(struct milter_rule_who *who, struct span text)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	char copy[64];

	if (span_copy_str(copy, sizeof(copy), text) == 0 &&
	    inet_pton(AF_INET6, copy, &in6.sin6_addr) == 1)
		milter_rule_from(who, (struct sockaddr *)&in6);
	else
		milter_rule_from(who, NULL);
}

static void judge(const struct milter_msg *m)
{
	struct mail_campaign c;
	struct buf input;
	unsigned lines = 1;

	buf_init(&input, MAIL_CAMPAIGN_INPUT_MAX);
	if (m->campaigns && milter_campaign_judge(m, INT64_C(1767225600) * CLOCK_SEC, &c, &input) ==
				MILTER_CAMPAIGN_GOOD) {
		for (size_t i = 0; i < buf_size(&input); i++)
			lines += buf_ptr(&input)[i] == '\n';
		if (lines != 8 || m->campaigns != 1 || m->recipients != 1 || m->message_ids != 1)
			abort();
	}
	buf_clear(&input);
}

static void check_forged(const struct milter_msg *m)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < m->forged_names; i++) {
		if (m->forged[i].name >= buf_size(&m->names) && !m->flood)
			abort();
		sum += m->forged[i].count;
	}
	if (sum != m->forged_count + m->own_count || sum > MILTER_MSG_FORGED_MAX)
		abort();
}

/* Each header that was told is kept as it was, until there is no more room. */
static void check_fields(const struct milter_msg *m)
{
	struct span name, value;
	unsigned count = 0;
	size_t at = 0;

	while (milter_msg_field(m, &at, &name, &value))
		count++;
	if (count > m->field_count || (count != m->field_count && !m->fields_cut))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size);
	struct milter_rule_who who = {.sender = line(&rest)};
	struct milter_msg m;

	if (rules[1].bits == 0) {
		atomic_init(&conf.refs, 1);
		for (size_t i = 0; i < conf.customers.count; i++)
			if (milter_rule_finish(&rules[i]))
				abort();
	}
	address(&who, line(&rest));
	milter_msg_init(&m);
	milter_msg_begin(&m, milter_conf_ref(&conf), &who);
	while (rest.n) {
		struct span s = line(&rest);
		ptrdiff_t colon = span_find(s, ':');
		if (s.n && s.p[0] == '<')
			milter_msg_recipient(&m, s);
		else if (colon >= 0)
			milter_msg_header(&m, span_sub(s, 0, (size_t)colon),
					  span_sub(s, (size_t)colon + 1, s.n));
	}
	check_fields(&m);
	check_forged(&m);
	judge(&m);
	milter_msg_clear(&m);
	return 0;
}
