/* SPDX-License-Identifier: Apache-2.0 */
/* audit_line - one line of keyd's audit log: written, read, and chained to the line before.
 *
 *   {"seq":7,"time":"2026-11-22T06:16:18.000001Z","event":"state",...,"hash":"<64 digits>"}\n
 *
 * Story:     a line is made in two steps, since the one who knows what happened (keyd's loop) does
 *            not know its number: audit_line_body writes time, event and fields; audit_line_close
 *            puts number and hash around it. hash is SHA-256 over the hash of the line before (32
 *            bytes; zeros before the very first) and this line up to the comma before "hash".
 *            There is one way to write a line: no space, no other order of seq, time, event and
 *            hash, no field twice, no number with a leading zero. audit_line_parse takes nothing
 *            else, so a line cannot be altered without a change of its hash.
 * Ownership: _parse leaves spans into the line.
 * Errors:    ERR_DENIED (the table of audit_event.h does not allow it), ERR_FORMAT, ERR_CRYPTO, or
 *            the buf's.
 * Source:    sealpost-keyd-audit(7).
 * Thread:    pure; any. */
#ifndef AUDIT_AUDIT_LINE_H
#define AUDIT_AUDIT_LINE_H

#include "audit/audit_event.h"
#include "core/buf.h"

#define AUDIT_LINE_MAX	  4096 /* longest line with its newline */
#define AUDIT_LINE_FIELDS 20   /* most fields of one line */
#define AUDIT_HASH	  32

/* One field of a line. Lists of them end with field AUDIT_F_NONE. */
struct audit_value {
	unsigned field;	  /* enum audit_field */
	uint64_t num;	  /* AUDIT_KIND_NUM */
	struct span text; /* the others; after _parse as it stands in the line, escapes and all */
};
#define AUDIT_NUM(name, value)                                    \
	{                                                         \
		.field = AUDIT_F_##name, .num = (uint64_t)(value) \
	}
#define AUDIT_SPAN(name, value)                          \
	{                                                \
		.field = AUDIT_F_##name, .text = (value) \
	}
#define AUDIT_STR(name, value)                                   \
	{                                                        \
		.field = AUDIT_F_##name, .text = span_str(value) \
	}

/* Appends time, event and fields. A list that breaks a rule changes nothing. */
int audit_line_body(struct buf *out, int64_t wall, unsigned event,
		    const struct audit_value *values);
/* Appends the whole line, newline included; chain is the hash of the line before and becomes this
 * line's. */
int audit_line_close(struct buf *out, uint64_t seq, struct span body, uint8_t chain[AUDIT_HASH]);

struct audit_line {
	uint64_t seq;
	struct span time; /* 27 characters */
	unsigned event;
	unsigned count;
	struct audit_value values[AUDIT_LINE_FIELDS + 1];
	uint8_t hash[AUDIT_HASH];
	struct span hashed; /* what the hash covers */
};
/* line: without its newline. ERR_FORMAT: it is not exactly such a line. */
int audit_line_parse(struct span line, struct audit_line *out);
/* 1 if the hash is right behind chain, which then becomes this line's. */
int audit_line_follows(const struct audit_line *line, uint8_t chain[AUDIT_HASH]);
/* A field of a parsed line, or NULL. */
const struct audit_value *audit_line_value(const struct audit_line *line, unsigned field);

#endif
