/* SPDX-License-Identifier: Apache-2.0 */
/* span - a view of bytes that somebody else owns.
 *
 * Story: parsers take and return spans, so nothing is copied and no length is lost. Pure; any thread.
 * Ownership: borrows; valid only as long as the bytes behind it. */
#ifndef CORE_SPAN_H
#define CORE_SPAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *p; /* may be NULL if n is 0 */
	size_t n;	  /* bytes */
};

#define SPAN_LIT(s) ((struct span){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct span span_of(const void *p, size_t n)
{
	return (struct span){(const uint8_t *)p, n};
}

static inline struct span span_str(const char *s)
{
	return (struct span){(const uint8_t *)s, s ? strlen(s) : 0};
}

/* Byte-wise equality. Not constant time: never for secrets (see secret_equal). */
static inline int span_equal(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equality with ASCII letters folded (SMTP verbs, domains). */
int span_equal_nocase(struct span a, struct span b);

/* First index of byte c, or -1. */
static inline ptrdiff_t span_find(struct span s, uint8_t c)
{
	const uint8_t *q = s.n ? memchr(s.p, c, s.n) : NULL;
	return q ? q - s.p : -1;
}

/* The part from index from on, at most n bytes; clamped to what is there. */
static inline struct span span_sub(struct span s, size_t from, size_t n)
{
	if (from > s.n)
		from = s.n;
	if (n > s.n - from)
		n = s.n - from;
	return span_of(s.p ? s.p + from : NULL, n);
}

/* Copies into a C string of size bytes; ERR_LIMIT if it does not fit, ERR_FORMAT if it holds a NUL.
 * dst is always terminated. */
int span_copy_str(char *dst, size_t size, struct span s);

#endif
