/* SPDX-License-Identifier: Apache-2.0 */
#include "keyprov/keyprov_sign.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/err.h"
#include "keyprov/keyprov_key.h"

static keyprov_sign_fn ask;
static void *ask_arg;

void keyprov_sign_set(keyprov_sign_fn sign, void *arg)
{
	ask = sign;
	ask_arg = arg;
}

struct keyprov_sign {
	const struct keyprov_key *key;
	int hash; /* bits; 0: none was named */
	int pss;
	int salt;	    /* bytes; -1: as long as the digest */
	int mgf1;	    /* bits of its digest; 0: as hash */
	struct buf message; /* of update and final */
};

/* DER of the AlgorithmIdentifiers that X.509 puts beside a signature. */
#define RSA_OID(last)	     "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01" last "\x05\x00"
#define PSS_HASH(last)	     "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02" last "\x05\x00"
#define PSS_MGF1	     "\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
#define PSS_HEAD	     "\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f"
#define PSS_BODY(hash, salt) PSS_HEAD hash PSS_MGF1 hash "\xa2\x03\x02\x01" salt
#define PSS_OID(last, salt)  PSS_BODY(PSS_HASH(last), salt)
#define DER(text)	     text, sizeof(text) - 1

/* What keyd signs: one row for each choice that OpenSSL can make. */
static const struct row {
	enum keyprov_key_type type;
	int pss, hash;
	const char *digest;
	unsigned alg;
	const char *der;
	size_t der_size;
} rows[] = {
    {KEYPROV_KEY_EC, 0, 256, "SHA256", KEYPROTO_ALG_ES256,
     DER("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")},
    {KEYPROV_KEY_RSA, 0, 256, "SHA256", KEYPROTO_ALG_RS256, DER(RSA_OID("\x0b"))},
    {KEYPROV_KEY_RSA, 0, 384, "SHA384", KEYPROTO_ALG_RS384, DER(RSA_OID("\x0c"))},
    {KEYPROV_KEY_RSA, 0, 512, "SHA512", KEYPROTO_ALG_RS512, DER(RSA_OID("\x0d"))},
    {KEYPROV_KEY_RSA, 1, 256, "SHA256", KEYPROTO_ALG_PS256, DER(PSS_OID("\x01", "\x20"))},
    {KEYPROV_KEY_RSA, 1, 384, "SHA384", KEYPROTO_ALG_PS384, DER(PSS_OID("\x02", "\x30"))},
    {KEYPROV_KEY_RSA, 1, 512, "SHA512", KEYPROTO_ALG_PS512, DER(PSS_OID("\x03", "\x40"))},
    {KEYPROV_KEY_ED25519, 0, 0, NULL, KEYPROTO_ALG_ED25519, DER("\x30\x05\x06\x03\x2b\x65\x70")},
};

static const struct row *row_of(const struct keyprov_sign *s)
{
	if (!s->key || (s->pss && s->salt != -1 && s->salt != s->hash / 8) ||
	    (s->mgf1 && s->mgf1 != s->hash))
		return NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].type == s->key->type && rows[i].pss == s->pss &&
		    rows[i].hash == s->hash)
			return &rows[i];
	return NULL;
}

/* Bits of a digest's name; 0 for none at all, -1 for one that keyd does not do. */
static int hash_of(const char *name)
{
	static const struct {
		const char *name;
		int bits;
	} known[] = {{"SHA256", 256}, {"SHA2-256", 256}, {"SHA-256", 256},
		     {"SHA384", 384}, {"SHA2-384", 384}, {"SHA-384", 384},
		     {"SHA512", 512}, {"SHA2-512", 512}, {"SHA-512", 512}};

	if (!name || !*name)
		return 0;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcasecmp(name, known[i].name))
			return known[i].bits;
	return -1;
}

static void *newctx(void *provctx, const char *propq)
{
	struct keyprov_sign *s = calloc(1, sizeof(*s));

	(void)provctx;
	(void)propq;
	if (s) {
		s->salt = -1;
		buf_init(&s->message, KEYPROTO_DATA_MAX);
	}
	return s;
}

static void freectx(void *ctx)
{
	struct keyprov_sign *s = ctx;

	if (s)
		buf_clear(&s->message);
	free(s);
}

static void *dupctx(void *ctx)
{
	const struct keyprov_sign *from = ctx;
	struct keyprov_sign *s = newctx(NULL, NULL);

	if (!s)
		return NULL;
	s->key = from->key;
	s->hash = from->hash;
	s->pss = from->pss;
	s->salt = from->salt;
	s->mgf1 = from->mgf1;
	if (buf_put_span(&s->message, buf_span(&from->message)) < 0) {
		freectx(s);
		return NULL;
	}
	return s;
}

/* A parameter that comes as text; NULL if it is none. */
static const char *text(const OSSL_PARAM *p)
{
	const char *s = NULL;

	return p && p->data_type == OSSL_PARAM_UTF8_STRING && OSSL_PARAM_get_utf8_string_ptr(p, &s)
		   ? s
		   : NULL;
}

/* Padding, as OpenSSL's number or name. */
static int set_padding(struct keyprov_sign *s, const OSSL_PARAM *p)
{
	const char *name = text(p);
	int mode = 0;

	if (name)
		mode = !strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS)       ? RSA_PKCS1_PSS_PADDING
		       : !strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) ? RSA_PKCS1_PADDING
								       : 0;
	else if (!OSSL_PARAM_get_int(p, &mode))
		return 0;
	s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return s->pss || mode == RSA_PKCS1_PADDING;
}

/* Salt length: "digest" from libssl, a number from others. What neither is as long as the digest
 * nor says so would be signed otherwise than asked for: refused. */
static int set_salt(struct keyprov_sign *s, const OSSL_PARAM *p)
{
	const char *name = text(p);

	if (!name)
		return OSSL_PARAM_get_int(p, &s->salt) && s->salt >= RSA_PSS_SALTLEN_DIGEST;
	s->salt = !strcmp(name, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) ? -1 : atoi(name);
	return s->salt == -1 || s->salt > 0;
}

static int set_ctx_params(void *ctx, const OSSL_PARAM params[])
{
	struct keyprov_sign *s = ctx;
	const OSSL_PARAM *p;

	if (!params)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST);
	if (p && (s->hash = hash_of(text(p))) < 0)
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	if (p && (s->mgf1 = hash_of(text(p))) < 0)
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return !p || set_salt(s, p);
}

static const OSSL_PARAM *settable_ctx_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM settable[] = {
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)ctx;
	(void)provctx;
	return settable;
}

static int get_ctx_params(void *ctx, OSSL_PARAM params[])
{
	const struct row *row = row_of(ctx);
	OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID);

	return !p || (row && OSSL_PARAM_set_octet_string(p, row->der, row->der_size));
}

static const OSSL_PARAM *gettable_ctx_params(void *ctx, void *provctx)
{
	static const OSSL_PARAM gettable[] = {
	    OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)ctx;
	(void)provctx;
	return gettable;
}

static int verify_init(void *ctx, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct keyprov_sign *s = ctx;

	if (key)
		s->key = key;
	buf_reset(&s->message);
	s->hash = hash_of(digest);
	/* Padding and salt may still come: whether all of it has a row shows at the end. */
	return s->key && s->hash >= 0 && set_ctx_params(s, params);
}

static int sign_init(void *ctx, const char *digest, void *key, const OSSL_PARAM params[])
{
	const struct keyprov_sign *s = ctx;

	return verify_init(ctx, digest, key, params) && s->key->label[0];
}

static int sign(void *ctx, uint8_t *sig, size_t *size, size_t room, const uint8_t *message,
		size_t n)
{
	const struct keyprov_sign *s = ctx;
	const struct row *row = row_of(s);
	int max = s->key ? EVP_PKEY_get_size(s->key->public) : 0, rc;

	if (!row || max <= 0)
		rc = ERR_UNSUPPORTED;
	else if (!sig)
		rc = max;
	else if (room < (size_t)max)
		rc = ERR_LIMIT;
	else
		rc = ask(ask_arg, s->key->label, span_of(s->key->spki, s->key->spki_size), row->alg,
			 span_of(message, n), sig, room);
	if (rc > 0 && rc <= max) {
		*size = (size_t)rc;
		return 1;
	}
	ERR_raise_data(ERR_LIB_USER, 1, "%s", rc < 0 ? err_text(rc) : "impossible size");
	return 0;
}

static int update(void *ctx, const uint8_t *data, size_t n)
{
	struct keyprov_sign *s = ctx;

	return buf_put(&s->message, data, n) == 0;
}

static int sign_final(void *ctx, uint8_t *sig, size_t *size, size_t room)
{
	struct keyprov_sign *s = ctx;
	struct span message = buf_span(&s->message);

	return buf_failed(&s->message) == 0 && sign(s, sig, size, room, message.p, message.n);
}

/* Verifying needs no keyd: the default provider does it with the public key. */
static int verify(void *ctx, const uint8_t *sig, size_t n, const uint8_t *message, size_t size)
{
	const struct keyprov_sign *s = ctx;
	const struct row *row = row_of(s);
	EVP_MD_CTX *md = row ? EVP_MD_CTX_new() : NULL;
	EVP_PKEY_CTX *pctx;
	int ok;

	ok = md &&
	     EVP_DigestVerifyInit_ex(md, &pctx, row->digest, NULL, NULL, s->key->public, NULL) == 1;
	if (ok && row->pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	ok = ok && EVP_DigestVerify(md, sig, n, message, size) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static int verify_final(void *ctx, const uint8_t *sig, size_t n)
{
	struct keyprov_sign *s = ctx;
	struct span message = buf_span(&s->message);

	return buf_failed(&s->message) == 0 && verify(s, sig, n, message.p, message.n);
}

typedef void (*fn)(void);
static const OSSL_DISPATCH functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, (fn)newctx},
    {OSSL_FUNC_SIGNATURE_FREECTX, (fn)freectx},
    {OSSL_FUNC_SIGNATURE_DUPCTX, (fn)dupctx},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (fn)sign_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (fn)sign},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (fn)update},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (fn)sign_final},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (fn)verify_init},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (fn)verify},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_UPDATE, (fn)update},
    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_FINAL, (fn)verify_final},
    {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (fn)set_ctx_params},
    {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (fn)settable_ctx_params},
    {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (fn)get_ctx_params},
    {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (fn)gettable_ctx_params},
    {0, NULL},
};

const OSSL_ALGORITHM keyprov_sign_algorithms[] = {
    {"ECDSA", "provider=sealpost", functions, "ES256 by keyd"},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=sealpost", functions, "RSA by keyd"},
    {"ED25519:1.3.101.112", "provider=sealpost", functions, "Ed25519 by keyd"},
    {NULL, NULL, NULL, NULL},
};
