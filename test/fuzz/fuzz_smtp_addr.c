/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: whatever is accepted lies inside the input, keeps its limits and reads the same again
 * when written out. The first byte gives the flags. */
#include <stdio.h>
#include <stdlib.h>

#include "smtp/smtp_addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void inside(struct span part, struct span whole)
{
	must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check(struct span in, int flags, const struct smtp_addr *a)
{
	char text[SMTP_ADDR_MAX], again[SMTP_ADDR_MAX], path[SMTP_ADDR_MAX + 2];
	struct smtp_addr b;

	inside(a->local, in);
	inside(a->domain, in);
	must(a->local.n <= 64 && a->domain.n <= 255);
	must(!a->utf8 || (flags & SMTP_ADDR_UTF8_OK));
	must(smtp_addr_format(text, a) == 0);
	must(strlen(text) == a->local.n + a->domain.n + (a->domain.n != 0));
	must(smtp_addr_parse(span_str(text), flags, &b) == (int)strlen(text));
	must(smtp_addr_format(again, &b) == 0 && !strcmp(text, again));
	snprintf(path, sizeof(path), "<%s>", text);
	must(smtp_addr_parse_path(span_str(path), flags, &b) == (int)strlen(path));
	if (a->domain.n)
		must(smtp_addr_domain_ok(a->domain, flags & SMTP_ADDR_UTF8_OK));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_addr a;
	struct span in;
	int flags, n;

	if (!size)
		return 0;
	flags = data[0] & 7;
	in = span_of(data + 1, size - 1);
	n = smtp_addr_parse_path(in, flags, &a);
	if (n >= 0) {
		must(n >= 2 && (size_t)n <= in.n && n <= 256);
		check(in, flags, &a);
	}
	n = smtp_addr_parse(in, flags, &a);
	if (n >= 0) {
		must((size_t)n == in.n);
		check(in, flags, &a);
	}
	smtp_addr_domain_ok(in, flags & SMTP_ADDR_UTF8_OK);
	return 0;
}
