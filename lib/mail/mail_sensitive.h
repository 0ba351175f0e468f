/* SPDX-License-Identifier: Apache-2.0 */
/* mail_sensitive - looks for card numbers, and for what an administrator's patterns describe, in text.
 *
 * Story:     a set is compiled once from rules, and shared. A scanner takes the texts of a message one after the
 *            other: begin, feed (pieces of any size), end; found[i] then counts what rule i has found in all of them.
 *            What was found is nowhere kept or told: only how often.
 * Cards:     13 to 19 digits, alone or in groups with one blank, no-break blank (also "&nbsp;") or hyphen between,
 *            with a right check digit (Luhn) and the first digits and length of an issuer. In the groups in which
 *            cards print them they count by themselves. All others, such as an order number that happens to have a
 *            right check digit, count only if a word like "card" or "cvv" is within 64 octets, and no nearer word
 *            before the number says that it is something else ("order", "IBAN", "phone").
 * Patterns:  '#' is a digit, '@' a letter (ASCII), '\' makes the next character mean itself, letters are of either
 *            case. 2 to 64 characters. A pattern that begins or ends with a letter or digit finds no part of a longer
 *            word or number. All are looked for at once, an octet at a time, without going back (bit-parallel).
 * Limits:    MAIL_SENSITIVE_RULES rules. Markup is text to the scanner: see mail_sensitive_html. A line's end parts two numbers.
 * Memory:    a set: 2 KiB for each 64 characters of patterns; a scanner: sizeof(struct mail_sensitive), which holds some
 *            of the text: wipe it (mail_sensitive_clear).
 * Ownership: a scanner borrows its set.
 * Thread:    pure; a set any, a scanner one at a time. */
#ifndef MAIL_MAIL_SENSITIVE_H
#define MAIL_MAIL_SENSITIVE_H

#include "core/span.h"

#define MAIL_SENSITIVE_RULES   32
#define MAIL_SENSITIVE_PATTERN 64 /* characters */
#define MAIL_SENSITIVE_NEAR    64 /* octets */

struct mail_sensitive_set;

/* One rule; pattern NULL: card numbers. */
struct mail_sensitive_rule {
	const char *pattern;
};

/* NULL, or what is wrong with a pattern: static text. */
const char *mail_sensitive_check(const char *pattern);
/* NULL: out of memory, too many rules, or a pattern that mail_sensitive_check refuses. */
struct mail_sensitive_set *mail_sensitive_set_new(const struct mail_sensitive_rule *rules, unsigned count);
void mail_sensitive_set_free(struct mail_sensitive_set *set);

struct mail_sensitive {
	const struct mail_sensitive_set *set;
	unsigned found[MAIL_SENSITIVE_RULES]; /* by rule */
	/* below: its own */
	unsigned cards; /* in this text */
	uint64_t state[MAIL_SENSITIVE_RULES];
	int last; /* octet before this one, -1: none */
	uint8_t digits[40], groups[16];
	unsigned n_digits, n_groups, over, sep, entity;
	int active, before; /* in a number; octet before it, -1: none */
	uint8_t tail[MAIL_SENSITIVE_NEAR], near[MAIL_SENSITIVE_NEAR];
	unsigned tail_n, near_n;
	unsigned waiting, after, after_n; /* candidates that a word behind may confirm */
	uint8_t behind[MAIL_SENSITIVE_NEAR];
};

void mail_sensitive_init(struct mail_sensitive *s, const struct mail_sensitive_set *set);
/* Of a new text: nothing goes on from the one before. */
void mail_sensitive_begin(struct mail_sensitive *s);
void mail_sensitive_feed(struct mail_sensitive *s, struct span text);
void mail_sensitive_end(struct mail_sensitive *s);
/* Wipes. */
void mail_sensitive_clear(struct mail_sensitive *s);

#endif
