/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "core/err.h"
#include "core/num.h"

#define DOMAIN_MAX 255

static int parse_net(const char *text, uint8_t net[16], unsigned *bits)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	uint64_t length;
	int v4;

	if (span_copy_str(address, sizeof(address), span_of(text, n)) != 0)
		return ERR_FORMAT;
	memset(net, 0, 16);
	v4 = inet_pton(AF_INET, address, net + 12) == 1;
	if (v4)
		net[10] = net[11] = 0xff;
	else if (inet_pton(AF_INET6, address, net) != 1)
		return ERR_FORMAT;
	*bits = 128;
	if (!slash)
		return 0;
	if (num_parse_u64(span_str(slash + 1), &length) != 0 || length > (v4 ? 32 : 128))
		return ERR_FORMAT;
	*bits = (unsigned)length + (v4 ? 96 : 0);
	return 0;
}

static int in_net(const uint8_t address[16], const uint8_t net[16], unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	return memcmp(address, net, bytes) == 0 &&
	       (rest == 0 || ((address[bytes] ^ net[bytes]) >> (8 - rest)) == 0);
}

const char *milter_rule_check_client(const char *v)
{
	uint8_t net[16];
	unsigned bits;

	return parse_net(v, net, &bits) == 0
		   ? NULL
		   : "must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32";
}

const char *milter_rule_check_sender(const char *v)
{
	size_t n = strlen(v);

	if (n == 0 || n > DOMAIN_MAX || !strcmp(v, ".") || strpbrk(v, "@<> \t"))
		return "must be a domain, or .domain for what is below it";
	return NULL;
}

const char *milter_rule_finish(struct milter_rule *r)
{
	if (!!r->auth + !!r->client + !!r->sender != 1)
		return "needs exactly one of auth, client and sender";
	if (r->client && parse_net(r->client, r->net, &r->bits) != 0)
		return "client: not a network";
	return NULL;
}

void milter_rule_from(struct milter_rule_who *who, const struct sockaddr *a)
{
	const struct sockaddr_in6 *in6 = (const void *)a;
	const struct sockaddr_in *in = (const void *)a;

	memset(who->address, 0, sizeof(who->address));
	who->has_address = 1;
	if (a && a->sa_family == AF_INET) {
		who->address[10] = who->address[11] = 0xff;
		memcpy(who->address + 12, &in->sin_addr, 4);
	} else if (a && a->sa_family == AF_INET6) {
		memcpy(who->address, &in6->sin6_addr, 16);
	} else {
		who->has_address = 0;
	}
}

/* What stands behind the last @; empty for the null sender and for a local part alone. */
static struct span domain_of(struct span sender)
{
	size_t i;

	if (sender.n && sender.p[sender.n - 1] == '>')
		sender.n--;
	for (i = sender.n; i > 0 && sender.p[i - 1] != '@'; i--)
		;
	return i ? span_sub(sender, i, sender.n) : span_of(NULL, 0);
}

static int domain_holds(const char *rule, struct span domain)
{
	struct span want = span_str(rule);

	if (want.p[0] == '.') /* below: at least one label and the dot more */
		domain = domain.n > want.n ? span_sub(domain, domain.n - want.n, want.n)
					   : span_of(NULL, 0);
	return span_equal_nocase(domain, want);
}

const struct milter_rule *milter_rule_find(const struct milter_rule *rules, size_t count,
					   const struct milter_rule_who *who)
{
	struct span domain = domain_of(who->sender);

	for (size_t i = 0; i < count; i++) {
		const struct milter_rule *r = &rules[i];
		if (r->auth && who->login.n && span_equal(who->login, span_str(r->auth)))
			return r;
		if (r->client && who->has_address && in_net(who->address, r->net, r->bits))
			return r;
		if (r->sender && domain_holds(r->sender, domain))
			return r;
	}
	return NULL;
}

const char *milter_rule_kind(const struct milter_rule *r)
{
	return r->auth ? "auth" : r->client ? "client" : "sender";
}
