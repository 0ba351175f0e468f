/* SPDX-License-Identifier: Apache-2.0 */
/* camp_field_own - the tables a matcher scans a field with.
 *
 * Story: a field is of one of three kinds. SHAPE: positions of patterns, bit by bit; an octet moves all at
 *        once: s = (((s & ~ends) << 1) | (s & loop)) & octet[c], which is one look-up and one mask for a
 *        class and the same for a date. WORDS: sorted texts, narrowed by each octet. RCPT: compared with
 *        the envelope's recipient, escapes undone. */
#ifndef CAMPAIGN_CAMP_FIELD_OWN_H
#define CAMPAIGN_CAMP_FIELD_OWN_H

#include "campaign/camp_field.h"

enum camp_field_scan { CAMP_SCAN_SHAPE, CAMP_SCAN_WORDS, CAMP_SCAN_RCPT };

struct camp_field_word {
	char *text; /* as written */
	uint16_t n, value;
};

struct camp_field_table {
	const struct camp_field *f;
	enum camp_text_kind kind;
	enum camp_field_scan scan;
	uint64_t octet[256], start, loop, accept, ends;
	struct camp_field_word *words; /* sorted */
	unsigned n_words;
	uint64_t first[4],
	    follow[4]; /* octets that begin a value; that may go on after a whole one */
};

static inline int camp_bit(const uint64_t set[4], uint8_t c)
{
	return set[c >> 6] >> (c & 63) & 1;
}
static inline void camp_bit_set(uint64_t set[4], uint8_t c)
{
	set[c >> 6] |= 1ULL << (c & 63);
}

/* 0; ERR_FORMAT: values that cannot be written in that context; ERR_NOMEM. */
int camp_field_table_init(struct camp_field_table *t, const struct camp_field *f,
			  enum camp_text_kind kind);
void camp_field_table_clear(struct camp_field_table *t);

static inline uint64_t camp_field_step(const struct camp_field_table *t, uint64_t s, uint8_t c)
{
	return (((s & ~t->ends) << 1) | (s & t->loop)) & t->octet[c];
}

/* A value whose octets went through the table. */
enum camp_verdict camp_field_value(const struct camp_field *f, enum camp_text_kind kind,
				   struct span raw);

/* One step of the comparison with rcpt. at: octets of rcpt done; escape: room for CAMP_ESCAPE octets of an
 * open escape, *n of them there. 1: goes on; 0: does not match. */
#define CAMP_ESCAPE 12
int camp_field_rcpt(const struct camp_field *f, enum camp_text_kind kind, struct span rcpt,
		    uint32_t *at, uint8_t *escape, unsigned *n, uint8_t c);

/* The character that a reference ("&amp;", "&#x27;") means: >0, or ERR_FORMAT. */
int32_t camp_field_reference(struct span text);
/* Next character of UTF-8 text from *at on; ERR_FORMAT. */
int32_t camp_field_char(struct span text, size_t *at);
size_t camp_field_put_char(uint8_t dst[4], uint32_t c);

#endif
