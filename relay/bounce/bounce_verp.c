/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_verp.h"

#include <openssl/sha.h>
#include <stdio.h>

#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"

enum { PREFIX = sizeof(BOUNCE_VERP_PREFIX) - 1, RAW = BOUNCE_VERP_TAG + 8 + BOUNCE_VERP_MAC };

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static void tag_of(uint8_t tag[BOUNCE_VERP_TAG], const char *customer)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const uint8_t *)customer, strlen(customer), digest);
	memcpy(tag, digest, BOUNCE_VERP_TAG);
}

size_t bounce_verp_value(uint8_t dst[BOUNCE_VERP_VALUE], uint64_t id, struct span address)
{
	size_t n = address.n < SMTP_ADDR_MAX ? address.n : SMTP_ADDR_MAX;

	num_put_u64(dst, id);
	for (size_t i = 0; i < n; i++)
		dst[8 + i] = lower(address.p[i]);
	return 8 + n;
}

void bounce_verp_make(struct bounce_verp *v, const char *customer, uint64_t id,
		      const uint8_t index[BOUNCE_VERP_INDEX])
{
	tag_of(v->tag, customer);
	v->id = id;
	memcpy(v->mac, index, BOUNCE_VERP_MAC);
}

int bounce_verp_sender(char dst[SMTP_ADDR_MAX], const struct bounce_verp *v, const char *domain)
{
	uint8_t raw[RAW + 1] = {0};
	char token[BOUNCE_VERP_LOCAL - PREFIX + 1];
	int n;

	memcpy(raw, v->tag, BOUNCE_VERP_TAG);
	num_put_u64(raw + BOUNCE_VERP_TAG, v->id);
	memcpy(raw + BOUNCE_VERP_TAG + 8, v->mac, BOUNCE_VERP_MAC);
	for (size_t i = 0; i < sizeof(token) - 1; i++) {
		size_t bit = i * 5;
		unsigned two = (unsigned)raw[bit / 8] << 8 | raw[bit / 8 + 1];
		token[i] = digits[two >> (11 - bit % 8) & 31];
	}
	token[sizeof(token) - 1] = '\0';
	n = snprintf(dst, SMTP_ADDR_MAX, "%s%s@%s", BOUNCE_VERP_PREFIX, token, domain);
	return n < SMTP_ADDR_MAX ? 0 : ERR_LIMIT;
}

static int digit(uint8_t c)
{
	const char *at = c ? strchr(digits, lower(c)) : NULL;

	return at ? (int)(at - digits) : -1;
}

int bounce_verp_parse(struct span local, struct bounce_verp *v)
{
	uint8_t raw[RAW + 2] = {0};
	struct span token = span_sub(local, PREFIX, local.n);

	if (local.n != BOUNCE_VERP_LOCAL ||
	    !span_equal_nocase(span_sub(local, 0, PREFIX), SPAN_LIT(BOUNCE_VERP_PREFIX)))
		return ERR_FORMAT;
	for (size_t i = 0; i < token.n; i++) {
		size_t bit = i * 5;
		int d = digit(token.p[i]);
		unsigned two;
		if (d < 0)
			return ERR_FORMAT;
		two = (unsigned)d << (11 - bit % 8);
		raw[bit / 8] |= (uint8_t)(two >> 8);
		raw[bit / 8 + 1] |= (uint8_t)two;
	}
	if (raw[RAW]) /* bits that stand for nothing: one token has one spelling, but for its case */
		return ERR_FORMAT;
	memcpy(v->tag, raw, BOUNCE_VERP_TAG);
	v->id = num_get_u64(raw + BOUNCE_VERP_TAG);
	memcpy(v->mac, raw + BOUNCE_VERP_TAG + 8, BOUNCE_VERP_MAC);
	return 0;
}

int bounce_verp_matches(const struct bounce_verp *v, const uint8_t index[BOUNCE_VERP_INDEX])
{
	return secret_equal(v->mac, index, BOUNCE_VERP_MAC);
}

int bounce_verp_is_of(const struct bounce_verp *v, const char *customer)
{
	uint8_t tag[BOUNCE_VERP_TAG];

	tag_of(tag, customer);
	return !memcmp(tag, v->tag, sizeof(tag));
}
