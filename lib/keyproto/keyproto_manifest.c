/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_manifest.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/hex.h"
#include "keyproto/keyproto_codec.h"

#define HASH KEYPROTO_MANIFEST_HASH
#define SIG  KEYPROTO_MANIFEST_SIG

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static int word_ok(struct span s, const char *signs)
{
	if (s.n < 1 || s.n > KEYPROTO_NAME_MAX)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = lower(s.p[i]);
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    !(c && strchr(signs, c)))
			return 0;
	}
	return 1;
}

int keyproto_manifest_campaign_ok(struct span s)
{
	return word_ok(s, "._-");
}

int keyproto_manifest_person_ok(struct span s)
{
	return word_ok(s, "._-@+");
}

int keyproto_manifest_same_person(struct span a, struct span b)
{
	return span_equal_nocase(a, b);
}

static int manifest_ok(const struct keyproto_manifest *m)
{
	return keyproto_name_ok(m->customer) && keyproto_manifest_campaign_ok(m->campaign) &&
	       m->version && m->hash && keyproto_manifest_person_ok(m->author) &&
	       keyproto_manifest_person_ok(m->approver);
}

static int put_text(struct buf *out, const char *head, const struct keyproto_manifest *m)
{
	char hash[HEX_SIZE(HASH)];

	if (!manifest_ok(m))
		return ERR_FORMAT;
	hex_encode(hash, m->hash, HASH);
	buf_putf(out,
		 "%s\ncustomer %.*s\ncampaign %.*s\nversion %" PRIu32
		 "\nhash %s\nauthor %.*s\napprover %.*s\n",
		 head, (int)m->customer.n, (const char *)m->customer.p, (int)m->campaign.n,
		 (const char *)m->campaign.p, m->version, hash, (int)m->author.n,
		 (const char *)m->author.p, (int)m->approver.n, (const char *)m->approver.p);
	return buf_failed(out);
}

int keyproto_manifest_approver_text(struct buf *out, const struct keyproto_manifest *m)
{
	return put_text(out, "sealpost-approve-1", m);
}

int keyproto_manifest_text(struct buf *out, const struct keyproto_manifest *m)
{
	return put_text(out, "sealpost-manifest-1", m);
}

static int sign_ok(const struct keyproto_manifest_sign *m)
{
	return manifest_ok(&m->manifest) && m->signature.n >= 1 &&
	       m->signature.n <= KEYPROTO_MANIFEST_SIG_MAX;
}

int keyproto_manifest_sign_put(struct buf *b, const struct keyproto_manifest_sign *m)
{
	if (!sign_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->manifest.customer);
	wire_put_bytes8(b, m->manifest.campaign);
	wire_put_u32(b, m->manifest.version);
	wire_put_raw(b, m->manifest.hash, HASH);
	wire_put_bytes8(b, m->manifest.author);
	wire_put_bytes8(b, m->manifest.approver);
	wire_put_bytes8(b, m->signature);
	return buf_failed(b);
}

int keyproto_manifest_sign_get(struct span body, struct keyproto_manifest_sign *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->manifest.customer = wire_get_bytes8(&g);
	m->manifest.campaign = wire_get_bytes8(&g);
	m->manifest.version = wire_get_u32(&g);
	m->manifest.hash = wire_get_raw(&g, HASH).p;
	m->manifest.author = wire_get_bytes8(&g);
	m->manifest.approver = wire_get_bytes8(&g);
	m->signature = wire_get_bytes8(&g);
	return wire_get_end(&g) == 0 && sign_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_manifest_signed_put(struct buf *b, const struct keyproto_manifest_signed *m)
{
	if (!m->version)
		return keyproto_codec_refuse(b);
	wire_put_u32(b, m->version);
	wire_put_raw(b, m->signature, SIG);
	return buf_failed(b);
}

int keyproto_manifest_signed_get(struct span body, struct keyproto_manifest_signed *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->version = wire_get_u32(&g);
	m->signature = wire_get_raw(&g, SIG).p;
	return wire_get_end(&g) == 0 && m->version ? 0 : ERR_FORMAT;
}

static int add_ok(const struct keyproto_approver_add *m)
{
	return keyproto_manifest_person_ok(m->name) &&
	       (keyproto_name_ok(m->customer) ||
		span_equal(m->customer, SPAN_LIT(KEYPROTO_ANY_CUSTOMER))) &&
	       m->spki.n >= 1 && m->spki.n <= KEYPROTO_APPROVER_SPKI_MAX;
}

int keyproto_approver_add_put(struct buf *b, const struct keyproto_approver_add *m)
{
	if (!add_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->name);
	wire_put_bytes8(b, m->customer);
	wire_put_bytes16(b, m->spki);
	return buf_failed(b);
}

int keyproto_approver_add_get(struct span body, struct keyproto_approver_add *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->name = wire_get_bytes8(&g);
	m->customer = wire_get_bytes8(&g);
	m->spki = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && add_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_approvers_put(struct buf *b, uint32_t from)
{
	wire_put_u32(b, from);
	return buf_failed(b);
}

int keyproto_approvers_get(struct span body, uint32_t *from)
{
	struct wire_get g;

	*from = 0;
	if (!body.n)
		return 0;
	wire_get_init(&g, body);
	*from = wire_get_u32(&g);
	return wire_get_end(&g) == 0 ? 0 : ERR_FORMAT;
}

int keyproto_track_put(struct buf *b, const struct keyproto_track *m)
{
	if (!keyproto_name_ok(m->customer))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->customer);
	wire_put_u32(b, m->epoch);
	return buf_failed(b);
}

int keyproto_track_get(struct span body, struct keyproto_track *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->epoch = wire_get_u32(&g);
	return wire_get_end(&g) == 0 && keyproto_name_ok(m->customer) ? 0 : ERR_FORMAT;
}

int keyproto_audience_put(struct buf *b, struct span customer)
{
	wire_put_bytes8(b, customer);
	return buf_failed(b);
}

int keyproto_audience_get(struct span body, struct span *customer)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*customer = wire_get_bytes8(&g);
	return wire_get_end(&g) == 0 && keyproto_name_ok(*customer) ? 0 : ERR_FORMAT;
}

unsigned keyproto_approver_keytype(struct span spki)
{
	const uint8_t *at = spki.p;
	EVP_PKEY *key = spki.n && spki.n <= KEYPROTO_APPROVER_SPKI_MAX
			    ? d2i_PUBKEY(NULL, &at, (long)spki.n)
			    : NULL;
	char group[32] = "";
	unsigned type = 0;

	if (key && at == spki.p + spki.n) {
		if (EVP_PKEY_is_a(key, "ED25519"))
			type = KEYPROTO_KEY_ED25519;
		else if (EVP_PKEY_is_a(key, "EC") &&
			 EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
			 !strcmp(group, "prime256v1"))
			type = KEYPROTO_KEY_EC_P256;
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
	return type;
}

static int verify(struct span spki, unsigned type, struct span text, struct span sig)
{
	const uint8_t *at = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)spki.n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	/* Ed25519 hashes by itself. */
	const char *digest = type == KEYPROTO_KEY_ED25519 ? NULL : "SHA256";
	int rc = ERR_CRYPTO;

	if (key && ctx && EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1)
		rc = EVP_DigestVerify(ctx, sig.p, sig.n, text.p, text.n) == 1 ? 0 : ERR_AUTH;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return rc;
}

static int verify_text(const char *head, const struct keyproto_manifest *m, struct span spki,
		       unsigned type, struct span signature)
{
	struct buf text;
	int rc;

	if (!type)
		return ERR_FORMAT;
	if (signature.n < 1 || signature.n > KEYPROTO_MANIFEST_SIG_MAX)
		return ERR_AUTH;
	buf_init(&text, KEYPROTO_MANIFEST_TEXT);
	rc = put_text(&text, head, m);
	if (rc == 0)
		rc = verify(spki, type, buf_span(&text), signature);
	buf_clear(&text);
	return rc;
}

int keyproto_manifest_verify(const struct keyproto_manifest *m, struct span spki,
			     struct span signature)
{
	unsigned type = keyproto_approver_keytype(spki);

	return verify_text("sealpost-manifest-1", m, spki,
			   type == KEYPROTO_KEY_ED25519 ? type : 0, signature);
}

int keyproto_manifest_approver_verify(const struct keyproto_manifest *m, struct span spki,
				      struct span signature)
{
	return verify_text("sealpost-approve-1", m, spki, keyproto_approver_keytype(spki),
			   signature);
}
