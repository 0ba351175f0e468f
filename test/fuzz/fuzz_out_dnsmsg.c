/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: byte 0 says which type was asked for. What comes out is bounded, and names are host
 * names. Then the MX hosts are arranged: sorted, no doubles, never ourselves. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int types[] = {OUT_DNSMSG_MX, OUT_DNSMSG_A, OUT_DNSMSG_AAAA};
	struct out_dnsmsg m;
	size_t count;

	if (!size || out_dnsmsg_parse(span_of(data + 1, size - 1), types[data[0] % 3], &m) < 0)
		return 0;
	must(m.count <= OUT_DNSMSG_RECORDS && m.rcode >= 0 && m.rcode < 16);
	if (data[0] % 3)
		return 0;
	for (unsigned i = 0; i < m.count; i++)
		check_name(m.mx[i].name);
	count = m.count;
	if (out_mx_choose(m.mx, &count, "relay.test") != OUT_MX_OK)
		return 0;
	must(count > 0 && count <= OUT_MX_HOSTS);
	for (size_t i = 0; i < count; i++) {
		must(m.mx[i].name[0] && strcmp(m.mx[i].name, "relay.test"));
		for (size_t j = 0; j < i; j++)
			must(m.mx[j].preference <= m.mx[i].preference &&
			     strcmp(m.mx[i].name, m.mx[j].name));
	}
	return 0;
}
