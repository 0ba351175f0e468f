/* SPDX-License-Identifier: Apache-2.0 */
/* keyd's own cryptography (wraps, signatures) against public vectors: those in test/vectors/keyd
 * always, Wycheproof's where $SEALPOST_VECTORS names a folder that has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/hex.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_wrap.h"
#include "test/unit/vectors.h"

static unsigned alg_of(struct span name)
{
	for (unsigned alg = 1; keyproto_alg_name(alg); alg++)
		if (span_equal(name, span_str(keyproto_alg_name(alg))))
			return alg;
	return 0;
}

static unsigned type_of(unsigned alg)
{
	for (unsigned type = 1; keyproto_keytype_name(type); type++)
		if (keyd_crypto_may(type, alg))
			return type;
	return 0;
}

/* --- AES-256-GCM, as wraps have it: nonce, ciphertext, tag. */

static void check_wrap(struct span key, struct span aad, struct span plain, struct span sealed,
		       int valid)
{
	uint8_t out[4096], tag[16];

	assert_int_equal(key.n, 32);
	assert_true(sealed.n <= sizeof(out));
	memset(out, 0, sizeof(out));
	if (!valid) {
		assert_int_equal(keyd_wrap_open(key.p, aad, sealed, out), ERR_AUTH);
		for (size_t i = 0; i < sizeof(out); i++)
			assert_int_equal(out[i], 0);
		return;
	}
	assert_int_equal(sealed.n, plain.n + KEYD_WRAP_OVERHEAD);
	assert_int_equal(keyd_wrap_open(key.p, aad, sealed, out), 0);
	assert_true(span_equal(span_of(out, plain.n), plain));
	assert_int_equal(keyd_wrap_raw(key.p, sealed.p, aad, plain.p, plain.n, out, tag), 0);
	assert_true(span_equal(span_of(out, plain.n), span_sub(sealed, 12, plain.n)));
	assert_memory_equal(tag, sealed.p + 12 + plain.n, 16);
}

static void wraps_are_aes_256_gcm_as_specified(void **state)
{
	unsigned count = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "keyd/gcm.txt");
	for (; vectors_next(&v); count++)
		check_wrap(vectors_get(&v, "key"), vectors_get(&v, "aad"), vectors_get(&v, "plain"),
			   vectors_get(&v, "sealed"), 1);
	assert_int_equal(count, 4);
}

/* Wraps have one key size and one nonce size: the groups of the others are not asked for. */
static void check_gcm(struct vectors_case *c, void *arg)
{
	unsigned *asked = arg;
	struct buf sealed;

	if (vectors_group_number(c, "keySize") != 256 || vectors_group_number(c, "ivSize") != 96)
		return;
	assert_int_equal(vectors_group_number(c, "tagSize"), 128);
	buf_init(&sealed, 4096);
	buf_put_span(&sealed, vectors_case_get(c, "iv"));
	buf_put_span(&sealed, vectors_case_get(c, "ct"));
	buf_put_span(&sealed, vectors_case_get(c, "tag"));
	check_wrap(vectors_case_get(c, "key"), vectors_case_get(c, "aad"),
		   vectors_case_get(c, "msg"), buf_span(&sealed), c->valid);
	buf_clear(&sealed);
	++*asked;
}

static void wraps_pass_wycheproof(void **state)
{
	unsigned asked = 0;

	(void)state;
	if (!vectors_each("aes_gcm_test.json", check_gcm, &asked))
		skip();
	assert_int_equal(asked, 66);
}

/* --- signatures */

/* A private key signs the text again: with one right answer, that must come out. */
static void sign_again(unsigned alg, struct span pkcs8, struct span text, struct span want)
{
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct keyd_crypto_key *key;
	int n;

	assert_int_equal(keyd_crypto_import(type_of(alg), pkcs8, &key), 0);
	n = keyd_crypto_sign(key, alg, text, sig);
	assert_true(n > 0 && span_equal(span_of(sig, (size_t)n), want));
	keyd_crypto_free(key);
}

static void signatures_of_the_rfcs_pass(void **state)
{
	unsigned algs = 0, count = 0;
	struct vectors v;
	uint8_t bad[KEYD_CRYPTO_SIG_MAX];

	(void)state;
	vectors_open(&v, "keyd/signatures.txt");
	for (; vectors_next(&v); count++) {
		unsigned alg = alg_of(vectors_get(&v, "alg"));
		struct span spki = vectors_get(&v, "spki"), text = vectors_get(&v, "data");
		struct span sig = vectors_get(&v, "sig");

		assert_true(alg > 0);
		algs |= 1u << alg;
		assert_int_equal(keyd_crypto_verify(spki, alg, text, sig), 0);
		if (vectors_has(&v, "pkcs8"))
			sign_again(alg, vectors_get(&v, "pkcs8"), text, sig);
		memcpy(bad, sig.p, sig.n);
		bad[sig.n - 1] ^= 1;
		assert_int_equal(keyd_crypto_verify(spki, alg, text, span_of(bad, sig.n)),
				 ERR_AUTH);
		for (unsigned other = 1; keyproto_alg_name(other); other++)
			if (other != alg)
				assert_int_equal(keyd_crypto_verify(spki, other, text, sig),
						 ERR_AUTH);
	}
	assert_int_equal(count, 10);
	assert_int_equal(algs, 1u << KEYPROTO_ALG_ES256 | 1u << KEYPROTO_ALG_ED25519 |
				   1u << KEYPROTO_ALG_RS256 | 1u << KEYPROTO_ALG_PS384);
}

/* How one file of signatures is read. */
struct reading {
	unsigned alg;
	int raw; /* ECDSA as two numbers of 32 bytes (IEEE P1363) */
	unsigned taken;
};

/* r and s as DER; 0 if raw cannot be such a signature. */
static size_t der_of(struct span raw, uint8_t *der)
{
	ECDSA_SIG *sig;
	int n;

	if (raw.n != 64)
		return 0;
	sig = ECDSA_SIG_new();
	ECDSA_SIG_set0(sig, BN_bin2bn(raw.p, 32, NULL), BN_bin2bn(raw.p + 32, 32, NULL));
	n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

static void check_signature(struct vectors_case *c, void *arg)
{
	struct reading *r = arg;
	struct span spki = vectors_group_get(c, "publicKeyDer"), sig = vectors_case_get(c, "sig");
	uint8_t der[100];
	int rc;

	if (r->raw)
		sig = span_of(der, der_of(sig, der));
	rc = keyd_crypto_verify(spki, r->alg, vectors_case_get(c, "msg"), sig);
	assert_true(rc == 0 || rc == ERR_AUTH);
	if (!c->acceptable)
		assert_int_equal(rc == 0, c->valid);
	r->taken += rc == 0;
}

static void signatures_of_wycheproof_pass(void **state)
{
	static const struct {
		const char *file;
		unsigned alg, raw, valid;
	} rows[] = {
	    {"ecdsa_secp256r1_sha256_test.json", KEYPROTO_ALG_ES256, 0, 174},
	    {"ecdsa_secp256r1_sha256_p1363_test.json", KEYPROTO_ALG_ES256, 1, 173},
	    {"ed25519_test.json", KEYPROTO_ALG_ED25519, 0, 88},
	    {"rsa_signature_2048_sha256_test.json", KEYPROTO_ALG_RS256, 0, 9},
	    {"rsa_pss_2048_sha256_mgf1_32_test.json", KEYPROTO_ALG_PS256, 0, 63},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reading r = {rows[i].alg, (int)rows[i].raw, 0};

		if (!vectors_each(rows[i].file, check_signature, &r))
			skip();
		assert_true(r.taken >= rows[i].valid);
	}
}

/* Keys sign here what Wycheproof says they must; digests that we do not have are left out. */
static void check_generated(struct vectors_case *c, void *arg)
{
	static const struct {
		const char *sha;
		unsigned alg;
	} rows[] = {{"SHA-256", KEYPROTO_ALG_RS256},
		    {"SHA-384", KEYPROTO_ALG_RS384},
		    {"SHA-512", KEYPROTO_ALG_RS512}};
	unsigned *asked = arg;

	for (size_t i = 0; i < 3; i++) {
		if (strcmp(vectors_group_text(c, "sha"), rows[i].sha))
			continue;
		sign_again(rows[i].alg, vectors_group_get(c, "privateKeyPkcs8"),
			   vectors_case_get(c, "msg"), vectors_case_get(c, "sig"));
		++*asked;
	}
}

static void rsa_signatures_are_those_of_wycheproof(void **state)
{
	unsigned asked = 0;

	(void)state;
	if (!vectors_each("rsa_pkcs1_2048_sig_gen_test.json", check_generated, &asked))
		skip();
	assert_int_equal(asked, 27);
}

/* --- JSON web signatures: their cryptographic part. */

static size_t b64(const json_t *jwk, const char *name, uint8_t *out, size_t room)
{
	const char *text = json_string_value(json_object_get(jwk, name));
	int n = text ? hex_b64url_decode(out, room, span_str(text)) : -1;

	return n < 0 ? 0 : (size_t)n;
}

/* SubjectPublicKeyInfo of a JWK into der; 0 if it is none of ours. */
static size_t spki_of(const json_t *jwk, uint8_t *der)
{
	const char *kty = json_string_value(json_object_get(jwk, "kty"));
	const char *crv = json_string_value(json_object_get(jwk, "crv"));
	int rsa = kty && !strcmp(kty, "RSA"), n = 0;
	uint8_t a[512], b[512], point[65] = {4};
	size_t an = b64(jwk, rsa ? "n" : "x", a, sizeof(a)),
	       bn = b64(jwk, rsa ? "e" : "y", b, sizeof(b));
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *na = BN_bin2bn(a, (int)an, NULL), *nb = BN_bin2bn(b, (int)bn, NULL);
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *pkey = NULL;
	OSSL_PARAM *params;

	if (rsa) {
		OSSL_PARAM_BLD_push_BN(bld, "n", na);
		OSSL_PARAM_BLD_push_BN(bld, "e", nb);
	} else if (crv && !strcmp(crv, "P-256") && an <= 32 && bn <= 32) {
		memcpy(point + 33 - an, a, an);
		memcpy(point + 65 - bn, b, bn);
		OSSL_PARAM_BLD_push_utf8_string(bld, "group", "P-256", 0);
		OSSL_PARAM_BLD_push_octet_string(bld, "pub", point, sizeof(point));
	}
	params = OSSL_PARAM_BLD_to_param(bld);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, rsa ? "RSA" : "EC", NULL);
	if (EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) == 1)
		n = i2d_PUBKEY(pkey, &der);
	EVP_PKEY_free(pkey);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(na);
	BN_free(nb);
	return n > 0 ? (size_t)n : 0;
}

/* Algorithm that the head of a compact JWS names, if it belongs to the group's key. */
static unsigned jws_alg(const struct vectors_case *c, struct span head)
{
	const json_t *jwk = json_object_get(c->group, "public");
	const char *key_alg = json_string_value(json_object_get(jwk, "alg"));
	const char *group = vectors_group_text(c, "comment");
	uint8_t text[4096];
	int n = hex_b64url_decode(text, sizeof(text), head);
	json_t *json = n < 0 ? NULL : json_loadb((char *)text, (size_t)n, 0, NULL);
	const char *name = json_string_value(json_object_get(json, "alg"));
	unsigned alg = name ? alg_of(span_str(name)) : 0;

	/* The groups of RFC 7520 name another algorithm of the same family. */
	if (alg && strncmp(group, "rfc7520", 7) && (!key_alg || strcmp(name, key_alg)))
		alg = 0;
	json_decref(json);
	return alg;
}

/* A JWS is taken apart here, in the test: relay's reader has vectors of its own. */
static void check_jws(struct vectors_case *c, void *arg)
{
	const json_t *jwk = json_object_get(c->group, "public");
	const char *text = json_string_value(json_object_get(c->test, "jws"));
	const char *dot = text ? strchr(text, '.') : NULL, *last = text ? strrchr(text, '.') : NULL;
	uint8_t spki[1024], sig[1024], der[100];
	size_t spki_size = jwk ? spki_of(jwk, spki) : 0;
	struct span head, body, given;
	unsigned alg, *asked = arg;
	int n;

	if (!spki_size || !dot || dot == last)
		return;
	head = span_of(text, (size_t)(dot - text));
	body = span_of(text, (size_t)(last - text));
	alg = jws_alg(c, head);
	n = hex_b64url_decode(sig, sizeof(sig), span_str(last + 1));
	if (!alg || n < 0)
		return;
	given = span_of(sig, (size_t)n);
	if (alg == KEYPROTO_ALG_ES256)
		given = span_of(der, der_of(given, der));
	assert_int_equal(keyd_crypto_verify(span_of(spki, spki_size), alg, body, given),
			 c->valid ? 0 : ERR_AUTH);
	++*asked;
}

static void json_web_signatures_of_wycheproof_pass(void **state)
{
	unsigned asked = 0;

	(void)state;
	if (!vectors_each("json_web_signature_test.json", check_jws, &asked))
		skip();
	assert_int_equal(asked, 331);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wraps_are_aes_256_gcm_as_specified),
	    cmocka_unit_test(wraps_pass_wycheproof),
	    cmocka_unit_test(signatures_of_the_rfcs_pass),
	    cmocka_unit_test(signatures_of_wycheproof_pass),
	    cmocka_unit_test(rsa_signatures_are_those_of_wycheproof),
	    cmocka_unit_test(json_web_signatures_of_wycheproof_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
