/* SPDX-License-Identifier: Apache-2.0 */
#include "core/span.h"

#include "core/err.h"

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

int span_equal_nocase(struct span a, struct span b)
{
	if (a.n != b.n)
		return 0;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return 0;
	return 1;
}

int span_copy_str(char *dst, size_t size, struct span s)
{
	if (size)
		dst[0] = '\0';
	if (s.n >= size)
		return ERR_LIMIT;
	if (span_find(s, 0) >= 0)
		return ERR_FORMAT;
	if (s.n)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	return 0;
}
