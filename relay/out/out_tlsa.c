/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_tlsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/hex.h"

enum { TRUST_ANCHOR = 2, END_ENTITY = 3, CERTIFICATE = 0, PUBLIC_KEY = 1, WHOLE = 0, SHA_256 = 1, SHA_512 = 2 };

/* --- one record */

/* A certificate whose key can be used, and nothing behind it. */
static int whole_certificate(const uint8_t *p, size_t n)
{
	const uint8_t *at = p;
	X509 *x = d2i_X509(NULL, &at, (long)n);
	int good = x && at == p + n && X509_get0_pubkey(x);

	X509_free(x);
	ERR_clear_error();
	return good;
}

static int whole_key(const uint8_t *p, size_t n)
{
	const uint8_t *at = p;
	EVP_PKEY *k = d2i_PUBKEY(NULL, &at, (long)n);
	int good = k && at == p + n;

	EVP_PKEY_free(k);
	ERR_clear_error();
	return good;
}

static int well_formed(const struct out_dnsmsg_tlsa *r)
{
	switch (r->match) {
	case SHA_256:
		return r->len == 32;
	case SHA_512:
		return r->len == 64;
	}
	return r->selector == CERTIFICATE ? whole_certificate(r->data, r->len)
					  : whole_key(r->data, r->len);
}

enum out_tlsa_kind out_tlsa_kind(const struct out_dnsmsg_tlsa *r)
{
	if ((r->usage != TRUST_ANCHOR && r->usage != END_ENTITY) || r->selector > PUBLIC_KEY ||
	    r->match > SHA_512)
		return OUT_TLSA_KIND_UNUSABLE;
	return well_formed(r) ? OUT_TLSA_KIND_USABLE : OUT_TLSA_KIND_MALFORMED;
}

/* --- a host's */

static int compare(const void *a, const void *b)
{
	const struct evt_conn_tlsa *x = a, *y = b;
	int keys = (x->usage << 16 | x->selector << 8 | x->match) -
		   (y->usage << 16 | y->selector << 8 | y->match);

	if (keys)
		return keys;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->data, y->data, x->len);
}

static int digest(struct out_tlsa *t)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sum[EVP_MAX_MD_SIZE];
	int good;

	qsort(t->records, t->usable, sizeof(t->records[0]), compare);
	good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
	       EVP_DigestUpdate(ctx, t->base, strlen(t->base) + 1);
	for (unsigned i = 0; good && i < t->usable; i++) {
		const struct evt_conn_tlsa *r = &t->records[i];
		uint8_t head[5] = {r->usage, r->selector, r->match, (uint8_t)(r->len >> 8),
				   (uint8_t)r->len};
		good = EVP_DigestUpdate(ctx, head, sizeof(head)) &&
		       EVP_DigestUpdate(ctx, r->data, r->len);
	}
	good = good && EVP_DigestFinal_ex(ctx, sum, NULL);
	EVP_MD_CTX_free(ctx);
	if (good)
		hex_encode(t->digest, sum, (OUT_TLSA_DIGEST - 1) / 2);
	return good ? 0 : ERR_NOMEM;
}

struct out_tlsa *out_tlsa_make(const char *base, const struct out_dnsmsg *m)
{
	enum out_tlsa_kind kinds[OUT_DNSMSG_TLSAS];
	struct out_tlsa *t;
	uint8_t *data;
	size_t room = 0;

	for (unsigned i = 0; i < m->count; i++) {
		kinds[i] = out_tlsa_kind(&m->tlsa[i]);
		room += kinds[i] == OUT_TLSA_KIND_USABLE ? m->tlsa[i].len : 0;
	}
	t = calloc(1, sizeof(*t) + room);
	if (!t)
		return NULL;
	data = (uint8_t *)(t + 1);
	t->refs = 1;
	t->malformed = m->void_records;
	snprintf(t->base, sizeof(t->base), "%s", base);
	for (unsigned i = 0; i < m->count; i++) {
		const struct out_dnsmsg_tlsa *r = &m->tlsa[i];
		t->unusable += kinds[i] == OUT_TLSA_KIND_UNUSABLE;
		t->malformed += kinds[i] == OUT_TLSA_KIND_MALFORMED;
		if (kinds[i] != OUT_TLSA_KIND_USABLE)
			continue;
		memcpy(data, r->data, r->len);
		t->records[t->usable++] = (struct evt_conn_tlsa){.usage = r->usage,
								 .selector = r->selector,
								 .match = r->match,
								 .len = r->len,
								 .data = data};
		data += r->len;
	}
	if (digest(t) == 0)
		return t;
	free(t);
	return NULL;
}

struct out_tlsa *out_tlsa_ref(struct out_tlsa *t)
{
	t->refs++;
	return t;
}

void out_tlsa_unref(struct out_tlsa *t)
{
	if (t && --t->refs == 0)
		free(t);
}

/* --- texts */

int out_tlsa_name(char dst[OUT_TLSA_NAME], unsigned port, const char *base)
{
	int n = snprintf(dst, OUT_TLSA_NAME, "_%u._tcp.%s", port, base);

	return n > 0 && n < OUT_MX_NAME - 1 ? 0 : ERR_LIMIT; /* RFC 1035 2.3.4 */
}

size_t out_tlsa_text(char *dst, size_t size, const struct evt_conn_tlsa *r)
{
	int n = snprintf(dst, size, "%u %u %u ", r->usage, r->selector, r->match);
	size_t at = n > 0 && (size_t)n < size ? (size_t)n : 0;

	for (size_t i = 0; i < r->len && at + 3 <= size; i++, at += 2)
		hex_encode(dst + at, r->data + i, 1);
	return at;
}
