/* SPDX-License-Identifier: Apache-2.0 */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"

void buf_init(struct buf *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void buf_init_wiped(struct buf *b, size_t max)
{
	buf_init(b, max);
	b->wipe = 1;
}

static void release(struct buf *b)
{
	if (b->wipe && b->data)
		secret_wipe(b->data, b->cap);
	free(b->data);
	b->data = NULL;
	b->cap = 0;
}

void buf_clear(struct buf *b)
{
	release(b);
	b->off = b->len = 0;
	b->failed = 0;
}

static int fail(struct buf *b, int code)
{
	if (!b->failed)
		b->failed = code;
	return code;
}

static int grow(struct buf *b, size_t need)
{
	size_t used = b->len - b->off, cap = b->cap ? b->cap : 256;
	uint8_t *fresh;

	while (cap < need)
		cap *= 2;
	fresh = malloc(cap);
	if (!fresh)
		return fail(b, ERR_NOMEM);
	if (used)
		memcpy(fresh, b->data + b->off, used);
	release(b);
	b->data = fresh;
	b->cap = cap;
	b->off = 0;
	b->len = used;
	return 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	static uint8_t nothing[1];
	size_t used = b->len - b->off;

	if (n > b->max - used) {
		fail(b, ERR_LIMIT);
		return NULL;
	}
	if (b->len + n > b->cap) {
		if (used + n <= b->cap && used <= b->cap / 2) {
			memmove(b->data, b->data + b->off, used);
			b->off = 0;
			b->len = used;
		} else if (grow(b, used + n) < 0) {
			return NULL;
		}
	}
	return b->data ? b->data + b->len : nothing; /* n is 0: NULL would mean failure */
}

void buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
	uint8_t *dst;

	if (n == 0)
		return b->failed;
	dst = buf_reserve(b, n);
	if (!dst)
		return b->failed;
	memcpy(dst, p, n);
	b->len += n;
	return b->failed;
}

int buf_put_span(struct buf *b, struct span s)
{
	return buf_put(b, s.p, s.n);
}

int buf_put_str(struct buf *b, const char *s)
{
	return buf_put(b, s, strlen(s));
}

int buf_putf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	uint8_t *dst;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	dst = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
	if (dst) {
		vsnprintf((char *)dst, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return b->failed;
}

void buf_drain(struct buf *b, size_t n)
{
	b->off += n;
	if (b->off >= b->len)
		b->off = b->len = 0;
}

void buf_reset(struct buf *b)
{
	b->off = b->len = 0;
	b->failed = 0;
}

void buf_trim(struct buf *b)
{
	if (b->off == b->len) {
		release(b);
		b->off = b->len = 0;
	}
}
