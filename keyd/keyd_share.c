/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_share.h"

#include <stdio.h>

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"

#define CHECK	5
#define PAYLOAD (KEYD_SHARE_SET + KEYD_SHAMIR_KEY + CHECK) /* 45 bytes: 72 letters, no padding */
#define LETTERS (PAYLOAD * 8 / 5)
#define GROUP	6

static const char prefix[] = "sealpost-share-1-";

/* A share in bytes, with what its check value covers; in secret memory. */
struct packed {
	uint8_t payload[PAYLOAD];
	uint8_t digest[32];
};

/* The first bytes of an HMAC whose key is no secret: a checksum that no typo passes. */
static int check_value(const struct keyd_share *s, struct packed *p)
{
	const uint8_t numbers[2] = {s->k, s->point.x};
	const struct span parts[] = {span_of(s->set, sizeof(s->set)), span_of(numbers, 2),
				     span_of(s->point.y, sizeof(s->point.y))};

	return seal_kdf_hmac((const uint8_t *)prefix, sizeof(prefix) - 1, parts, 3, p->digest);
}

/* Letter for 0..31 without a table: 'a'..'z', then '2'..'7'. */
static char letter(unsigned v)
{
	unsigned digit = 0u - ((25u - v) >> 31); /* all ones if v > 25 */

	return (char)(v + ((~digit & 'a') | (digit & ('2' - 26u))));
}

/* 0..31, or at least 32. */
static unsigned value(unsigned char c)
{
	unsigned low = c | 0x20u, alpha = low - 'a', digit = (unsigned)c - '2';
	unsigned is_alpha = 0u - ((alpha - 26u) >> 31), is_digit = 0u - ((digit - 6u) >> 31);

	/* a difference below zero is huge, and has its top bit set: mask those first */
	is_alpha &= ~(0u - (alpha >> 31));
	is_digit &= ~(0u - (digit >> 31));
	return (is_alpha & alpha) | (is_digit & (digit + 26u)) | (~(is_alpha | is_digit) & 32u);
}

static unsigned bits_at(const uint8_t *p, unsigned bit)
{
	unsigned both = (unsigned)p[bit / 8] << 8;

	if (bit / 8 + 1 < PAYLOAD)
		both |= p[bit / 8 + 1];
	return both >> (11 - bit % 8) & 31u;
}

int keyd_share_format(const struct keyd_share *s, char text[KEYD_SHARE_TEXT])
{
	struct packed *p;
	int n, rc;

	if (s->k < 2 || s->point.x == 0)
		return ERR_FORMAT;
	p = secret_alloc(sizeof(*p));
	if (!p)
		return ERR_NOMEM;
	rc = check_value(s, p);
	memcpy(p->payload, s->set, KEYD_SHARE_SET);
	memcpy(p->payload + KEYD_SHARE_SET, s->point.y, KEYD_SHAMIR_KEY);
	memcpy(p->payload + PAYLOAD - CHECK, p->digest, CHECK);
	n = snprintf(text, KEYD_SHARE_TEXT, "%s%u-%u", prefix, s->k, s->point.x);
	for (unsigned i = 0; rc == 0 && i < LETTERS; i++) {
		if (i % GROUP == 0)
			text[n++] = '-';
		text[n++] = letter(bits_at(p->payload, i * 5));
	}
	text[n] = '\0';
	secret_free(p, sizeof(*p));
	return rc < 0 ? rc : n;
}

/* Takes a number of 1..255 and the hyphen behind it; 0 if there is none. */
static unsigned take_number(struct span *text)
{
	unsigned n = 0, digits = 0;

	while (digits < text->n && text->p[digits] >= '0' && text->p[digits] <= '9' && digits < 4)
		n = n * 10 + (unsigned)(text->p[digits++] - '0');
	if (digits == 0 || digits > 3 || n > 255 || digits == text->n || text->p[digits] != '-' ||
	    text->p[0] == '0')
		return 0;
	*text = span_sub(*text, digits + 1, text->n);
	return n;
}

static int is_space(uint8_t c)
{
	return c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int take_letters(struct span text, uint8_t payload[PAYLOAD])
{
	unsigned n = 0, pending = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned v;
		if (is_space(text.p[i]))
			continue;
		v = value(text.p[i]);
		if (v > 31 || n == LETTERS)
			return ERR_FORMAT;
		pending = (pending << 5 | v) & 0xfffu;
		n++;
		if (n * 5 % 8 < 5) /* a byte has become whole */
			payload[n * 5 / 8 - 1] = (uint8_t)(pending >> (n * 5 % 8));
	}
	return n == LETTERS ? 0 : ERR_FORMAT;
}

static int parse(struct span text, struct keyd_share *s, struct packed *p)
{
	while (text.n && is_space(text.p[0]) && text.p[0] != '-')
		text = span_sub(text, 1, text.n);
	if (!span_equal_nocase(span_sub(text, 0, sizeof(prefix) - 1), span_str(prefix)))
		return ERR_FORMAT;
	text = span_sub(text, sizeof(prefix) - 1, text.n);
	s->k = (uint8_t)take_number(&text);
	s->point.x = (uint8_t)take_number(&text);
	if (s->k < 2 || s->point.x == 0 || take_letters(text, p->payload) < 0)
		return ERR_FORMAT;
	memcpy(s->set, p->payload, KEYD_SHARE_SET);
	memcpy(s->point.y, p->payload + KEYD_SHARE_SET, KEYD_SHAMIR_KEY);
	if (check_value(s, p) < 0)
		return ERR_CRYPTO;
	return secret_equal(p->payload + PAYLOAD - CHECK, p->digest, CHECK) ? 0 : ERR_FORMAT;
}

int keyd_share_parse(struct span text, struct keyd_share *s)
{
	struct packed *p = secret_alloc(sizeof(*p));
	int rc = p ? parse(text, s, p) : ERR_NOMEM;

	secret_free(p, sizeof(*p));
	if (rc < 0)
		secret_wipe(s, sizeof(*s));
	return rc;
}
