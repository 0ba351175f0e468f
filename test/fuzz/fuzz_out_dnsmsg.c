/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: byte 0 says which type was asked for. What comes out is bounded, and names are host
 * names. MX hosts are then arranged: sorted, no doubles, never ourselves. */
#include <stdlib.h>
#include <string.h>

#include "relay/out/out_dnsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void check_name(const char *name)
{
	size_t n = strnlen(name, OUT_MX_NAME);

	must(n < OUT_MX_NAME);
	for (size_t i = 0; i < n; i++)
		must(name[i] && strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", name[i]));
}

static void check_mx(struct out_dnsmsg *m)
{
	size_t count = m->count;

	for (unsigned i = 0; i < m->count; i++)
		check_name(m->mx[i].name);
	if (out_mx_choose(m->mx, &count, "relay.test") != OUT_MX_OK)
		return;
	must(count > 0 && count <= OUT_MX_HOSTS);
	for (size_t i = 0; i < count; i++) {
		must(m->mx[i].name[0] && strcmp(m->mx[i].name, "relay.test"));
		for (size_t j = 0; j < i; j++)
			must(m->mx[j].preference <= m->mx[i].preference &&
			     strcmp(m->mx[i].name, m->mx[j].name));
	}
}

static void check_large(const struct out_dnsmsg *m, int type)
{
	must(m->count <= OUT_DNSMSG_TXTS);
	for (unsigned i = 0; i < m->count; i++)
		if (type == OUT_DNSMSG_TXT)
			must(m->txt[i].len < sizeof(m->txt[i].text) && !m->txt[i].text[m->txt[i].len]);
		else
			must(m->tlsa[i].len > 0 && m->tlsa[i].len <= sizeof(m->tlsa[i].data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = {OUT_DNSMSG_MX,  OUT_DNSMSG_A,     OUT_DNSMSG_AAAA,
				    OUT_DNSMSG_TXT, OUT_DNSMSG_TLSA,  OUT_DNSMSG_CNAME,
				    OUT_DNSMSG_SOA};
	static struct out_dnsmsg m;
	int type;

	if (!size)
		return 0;
	type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
	if (out_dnsmsg_parse(span_of(data + 1, size - 1), type, &m) < 0)
		return 0;
	must(m.count <= OUT_DNSMSG_RECORDS && m.rcode >= 0 && m.rcode < 16);
	check_name(m.canonical);
	if (type == OUT_DNSMSG_MX)
		check_mx(&m);
	else if (type == OUT_DNSMSG_TXT || type == OUT_DNSMSG_TLSA)
		check_large(&m, type);
	return 0;
}
