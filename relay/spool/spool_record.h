/* SPDX-License-Identifier: Apache-2.0 */
/* spool_record - the bytes of segments: their head page, the heads of records, states and places.
 *
 *   0      8     16     24       28     32     36     37  38      40         44         48
 *   | mark | id  | time | stable | meta | data | kind | 0 | count | data sum | head sum | meta | data | pad
 *     u64    u64   i64    u32      u32    u32    u8    u8   u16     u32        u32        n      n      0..15
 *
 * Story:  a record is whole when its head sum is right (over where it lies, its head and its meta) and
 *         its data sum is (over its data). The head sum begins with mark, number of the segment and
 *         offset, so a record is good only in the place and in the life of the file for which it was
 *         written: what a recycled file held before never passes. meta is the spool's own and plain;
 *         data belongs to those above, and is sealed.
 * Limits: below. Records begin at multiples of SPOOL_ALIGN; big-endian integers.
 * Thread: pure; any.
 * Source: sealpost-spool(7). */
#ifndef RELAY_SPOOL_SPOOL_RECORD_H
#define RELAY_SPOOL_SPOOL_RECORD_H

#include "core/span.h"
#include "relay/spool/spool_log.h"

#define SPOOL_ALIGN	 16u
#define SPOOL_PAGE	 4096u
#define SPOOL_FIRST	 SPOOL_PAGE /* offset of a segment's first record */
#define SPOOL_HEAD	 48u
#define SPOOL_META_MAX	 (256u << 10)
#define SPOOL_DATA_MAX	 (4u << 20)
#define SPOOL_PARTS_MAX	 16384
#define SPOOL_RECORD_MAX (SPOOL_HEAD + SPOOL_META_MAX + SPOOL_DATA_MAX + SPOOL_ALIGN)

/* Kinds beside those of enum spool_kind: the spool's own. */
enum {
	SPOOL_CLOSE = 5, /* where an earlier segment ends, and the last checkpoint */
	SPOOL_CHECK = 6, /* checkpoint: messages that live */
	SPOOL_END = 7,	 /* a checkpoint is complete */
	SPOOL_COPY = 8	 /* a COMMIT said again: the message lies here now, and where its places say */
};

struct spool_mark { /* one life of a segment file */
	uint64_t nonce;
	uint32_t number; /* from 1 */
};

struct spool_record {
	uint8_t kind;
	uint16_t count; /* COMMIT, COPY: recipients; STATE: states; CHECK: messages */
	uint64_t id;	/* PART, COMMIT, COPY, STATE: message; CHECK: its checkpoint's start, packed */
	int64_t time;	/* wall usec */
	uint32_t stable; /* all before was on stable storage when this was written */
	uint32_t meta, data; /* bytes */
	uint32_t data_sum;
};

static inline uint32_t spool_record_round(uint32_t n)
{
	return (n + SPOOL_ALIGN - 1) & ~(SPOOL_ALIGN - 1);
}
/* Whether a record of this kind says where a message lies. */
static inline int spool_record_is_message(uint8_t kind)
{
	return kind == SPOOL_COMMIT || kind == SPOOL_COPY;
}
/* Whether it belongs to one message, and its data to those above. */
static inline int spool_record_is_mail(uint8_t kind)
{
	return kind <= SPOOL_STATE || kind == SPOOL_COPY;
}
/* Bytes a record takes in the segment. */
static inline uint32_t spool_record_size(const struct spool_record *r)
{
	return spool_record_round(SPOOL_HEAD + r->meta + r->data);
}

/* Whether kind, count, id and lengths agree with each other. */
int spool_record_legal(const struct spool_record *r);
/* Sum of data that comes in two pieces. */
uint32_t spool_record_sum(struct span a, struct span b);
/* Writes the head to head[0..SPOOL_HEAD); the meta must stand behind it already. */
void spool_record_put(uint8_t *head, const struct spool_mark *m, uint32_t offset,
		      const struct spool_record *r);
/* Reads head and meta at offset of a segment of size bytes. >0: bytes of head and meta; 0: b is
 * shorter than that (if it has SPOOL_HEAD bytes, r is filled, but not yet to be trusted);
 * ERR_FORMAT: no record begins here. */
int spool_record_get(struct spool_record *r, const struct spool_mark *m, uint32_t offset,
		     uint32_t size, struct span b);
/* 0, or ERR_DAMAGED. */
int spool_record_check(const struct spool_record *r, struct span data);

/* --- pieces of meta: each of fixed size. get refuses values that mean nothing with ERR_FORMAT. */
#define SPOOL_PLACE_SIZE 12u
void spool_record_put_place(uint8_t *p, const struct spool_place *at);
int spool_record_get_place(const uint8_t *p, struct spool_place *at);

#define SPOOL_STATE_SIZE 16u
void spool_record_put_state(uint8_t *p, const struct spool_state *st);
int spool_record_get_state(const uint8_t *p, struct spool_state *st);

struct spool_point { /* a place in the log; segments are numbered in its order */
	uint32_t segment, offset;
};
static inline int spool_point_before(struct spool_point a, struct spool_point b)
{
	return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}

static inline uint64_t spool_point_pack(struct spool_point p)
{
	return (uint64_t)p.segment << 32 | p.offset;
}

struct spool_close { /* meta of CLOSE */
	struct spool_mark mark;
	uint32_t end;		  /* the closed segment holds nothing from here on */
	struct spool_point check; /* start of the last complete checkpoint; segment 0: none */
	uint32_t check_records;
	uint32_t stable; /* before it all was whole; from here to end a power cut may have left holes */
};
#define SPOOL_CLOSE_SIZE 32u
void spool_record_put_close(uint8_t *p, const struct spool_close *c);
int spool_record_get_close(const uint8_t *p, struct spool_close *c);

struct spool_end { /* meta of END */
	struct spool_point start;
	uint32_t records; /* CHECK records from start to here */
	uint32_t messages;
};
#define SPOOL_END_SIZE 16u
void spool_record_put_end(uint8_t *p, const struct spool_end *e);
int spool_record_get_end(const uint8_t *p, struct spool_end *e);

/* --- the head page of a segment: two copies of 64 bytes, one per half, so that one bad sector
 * harms nothing. */
struct spool_title {
	struct spool_mark mark;
	uint32_t size;
	int64_t created;
};
void spool_record_put_title(uint8_t page[SPOOL_PAGE], const struct spool_title *t);
/* 0; ERR_NOTFOUND: the copies disagree, so the file was just being prepared; ERR_DAMAGED: neither
 * is good. */
int spool_record_get_title(const uint8_t page[SPOOL_PAGE], struct spool_title *t);

#endif
