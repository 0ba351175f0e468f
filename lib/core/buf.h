/* SPDX-License-Identifier: Apache-2.0 */
/* buf - a growing byte buffer that says no.
 *
 * Story:     Everything that comes from outside lives in a buf with a stated maximum. Bytes are added
 *            at the end and taken from the front. A failed append changes nothing and leaves a mark:
 *            after a series of appends one look at buf_failed() is enough.
 * Ownership: owns its memory; buf_clear frees it. Embedded in other structs, or on the stack.
 * Limits:    max is fixed by buf_init; memory grows by doubling up to it and is only taken when used.
 * Thread:    one at a time. */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/span.h"

struct buf {
	uint8_t *data;
	size_t off;  /* first byte not yet taken */
	size_t len;  /* end of the bytes present */
	size_t cap;  /* allocated */
	size_t max;  /* never more than this between off and len */
	int failed;  /* 0 or the first error of an append */
	int wipe;    /* clear memory before freeing it: for plaintext of mail */
};

void buf_init(struct buf *b, size_t max);
/* As buf_init, for plaintext: memory is wiped when it is freed or moved. */
void buf_init_wiped(struct buf *b, size_t max);
void buf_clear(struct buf *b);

static inline size_t buf_size(const struct buf *b)
{
	return b->len - b->off;
}
static inline const uint8_t *buf_ptr(const struct buf *b)
{
	return b->data ? b->data + b->off : NULL;
}
static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->data ? b->data + b->off : NULL, b->len - b->off);
}
static inline int buf_failed(const struct buf *b)
{
	return b->failed;
}

/* Room for n bytes at the end: a pointer to write at, or NULL (ERR_LIMIT or ERR_NOMEM marked).
 * Follow with buf_commit(n) for what was really written. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Bytes that still fit under max. */
static inline size_t buf_room(const struct buf *b)
{
	return b->max - (b->len - b->off);
}

int buf_put(struct buf *b, const void *p, size_t n);
int buf_put_span(struct buf *b, struct span s);
int buf_put_str(struct buf *b, const char *s);
int buf_putf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Takes n bytes from the front (n <= buf_size). When all is taken the storage is reused. */
void buf_drain(struct buf *b, size_t n);
/* Empties it and clears the failure mark; keeps the memory. */
void buf_reset(struct buf *b);
/* Gives the memory back if empty: idle sessions hold none. */
void buf_trim(struct buf *b);

#endif
