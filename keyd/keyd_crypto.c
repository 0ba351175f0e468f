/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_crypto.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/secret.h"

/* An RSA key that has signed takes 8 KiB: room for KEYD_RING_LOADED and as many that jobs hold. */
#define SECURE_HEAP (4 * 1024 * 1024)
#define SECURE_MIN  64

struct keyd_crypto_key {
	atomic_uint refs;
	unsigned type;
	EVP_PKEY *pkey;
};

static atomic_uint live; /* keys that are in memory */

static const struct kind {
	unsigned type;
	const char *name; /* OpenSSL's */
	int bits;
	int slow;
} kinds[] = {
    {KEYPROTO_KEY_EC_P256, "EC", 256, 0},
    {KEYPROTO_KEY_RSA2048, "RSA", 2048, 1},
    {KEYPROTO_KEY_ED25519, "ED25519", 256, 0},
};

static const struct way {
	unsigned alg, type;
	const char *digest;
	int pss;
} ways[] = {
    {KEYPROTO_ALG_ES256, KEYPROTO_KEY_EC_P256, "SHA256", 0},
    {KEYPROTO_ALG_RS256, KEYPROTO_KEY_RSA2048, "SHA256", 0},
    {KEYPROTO_ALG_RS384, KEYPROTO_KEY_RSA2048, "SHA384", 0},
    {KEYPROTO_ALG_RS512, KEYPROTO_KEY_RSA2048, "SHA512", 0},
    {KEYPROTO_ALG_PS256, KEYPROTO_KEY_RSA2048, "SHA256", 1},
    {KEYPROTO_ALG_PS384, KEYPROTO_KEY_RSA2048, "SHA384", 1},
    {KEYPROTO_ALG_PS512, KEYPROTO_KEY_RSA2048, "SHA512", 1},
    {KEYPROTO_ALG_ED25519, KEYPROTO_KEY_ED25519, NULL, 0},
};

static const struct kind *kind_of(unsigned type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].type == type)
			return &kinds[i];
	return NULL;
}

static const struct way *way_of(unsigned alg)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (ways[i].alg == alg)
			return &ways[i];
	return NULL;
}

/* Encoders, Montgomery contexts and key schedules are private numbers too, and OpenSSL takes plain
 * memory for them. While a thread is in here (private_begin to private_end) all that it asks for
 * comes from the locked heap instead, and none if that is full. Every free wipes. */
static _Thread_local unsigned private_depth;
static _Thread_local int starved; /* the locked heap was full */

static void private_begin(void)
{
	private_depth++;
}

static void private_end(void)
{
	private_depth--;
}

static void *take(size_t n, const char *file, int line)
{
	void *p;

	if (n == 0 || !private_depth)
		return n ? malloc(n) : NULL;
	p = CRYPTO_secure_malloc(n, file, line);
	starved |= !p;
	return p;
}

static size_t room_of(void *p)
{
	return CRYPTO_secure_allocated(p) ? CRYPTO_secure_actual_size(p) : malloc_usable_size(p);
}

static void give(void *p, const char *file, int line)
{
	if (!p)
		return;
	if (CRYPTO_secure_allocated(p)) { /* which wipes by itself */
		CRYPTO_secure_free(p, file, line);
		return;
	}
	secret_wipe(p, malloc_usable_size(p));
	free(p);
}

/* What lay in the locked heap stays there. */
static void *move(void *p, size_t n, const char *file, int line)
{
	size_t old = p ? room_of(p) : 0;
	void *fresh;

	if (n == 0) {
		give(p, file, line);
		return NULL;
	}
	if (p && n <= old)
		return p;
	if (p && CRYPTO_secure_allocated(p))
		fresh = CRYPTO_secure_malloc(n, file, line);
	else
		fresh = take(n, file, line);
	if (fresh && p) {
		memcpy(fresh, p, old);
		give(p, file, line);
	}
	return fresh;
}

/* What a failure of OpenSSL was: ERR_NOMEM, or otherwise. */
static int failure(int otherwise)
{
	unsigned long e;

	while ((e = ERR_get_error()) != 0)
		starved |= ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE;
	if (starved)
		otherwise = ERR_NOMEM;
	starved = 0;
	return otherwise;
}

int keyd_crypto_init(void)
{
	static int done;

	if (done)
		return 0;
	if (!CRYPTO_set_mem_functions(take, move, give))
		return ERR_BADSTATE;
	/* openssl.cnf could name modules to load. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return ERR_CRYPTO;
	/* 2 would mean that it is there but not locked */
	if (CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_MIN) != 1)
		return ERR_NOMEM;
	done = 1;
	return 0;
}

static int is_of(unsigned type, const EVP_PKEY *pkey)
{
	const struct kind *kind = kind_of(type);

	return kind && EVP_PKEY_is_a(pkey, kind->name) && EVP_PKEY_get_bits(pkey) == kind->bits;
}

/* Takes pkey over. */
static int key_new(unsigned type, EVP_PKEY *pkey, struct keyd_crypto_key **out)
{
	struct keyd_crypto_key *k;

	if (!is_of(type, pkey)) {
		EVP_PKEY_free(pkey);
		return ERR_FORMAT;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		EVP_PKEY_free(pkey);
		return ERR_NOMEM;
	}
	atomic_init(&k->refs, 1);
	atomic_fetch_add(&live, 1);
	k->type = type;
	k->pkey = pkey;
	*out = k;
	return 0;
}

struct keyd_crypto_key *keyd_crypto_ref(struct keyd_crypto_key *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void keyd_crypto_free(struct keyd_crypto_key *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
	atomic_fetch_sub(&live, 1);
}

/* What is signed with the new key must verify with the public part alone. */
static int pairwise(const struct keyd_crypto_key *k)
{
	struct span text = SPAN_LIT("sealpost pairwise test");
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct buf spki;
	int n, rc;

	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	rc = keyd_crypto_public(k, &spki);
	for (size_t i = 0; rc == 0 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (ways[i].type != k->type)
			continue;
		n = keyd_crypto_sign(k, ways[i].alg, text, sig);
		rc = n < 0 ? n
			   : keyd_crypto_verify(buf_span(&spki), ways[i].alg, text,
						span_of(sig, (size_t)n));
	}
	buf_clear(&spki);
	return rc < 0 ? ERR_CRYPTO : 0;
}

static int generate(unsigned type, struct keyd_crypto_key **out)
{
	struct keyd_crypto_key *k;
	EVP_PKEY *pkey = NULL;
	int rc;

	if (type == KEYPROTO_KEY_EC_P256)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	else if (type == KEYPROTO_KEY_RSA2048)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	else if (type == KEYPROTO_KEY_ED25519)
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		return ERR_FORMAT;
	if (!pkey)
		return failure(ERR_CRYPTO);
	rc = key_new(type, pkey, &k);
	if (rc < 0)
		return rc;
	rc = pairwise(k);
	if (rc < 0) {
		keyd_crypto_free(k);
		return rc;
	}
	*out = k;
	return 0;
}

int keyd_crypto_generate(unsigned type, struct keyd_crypto_key **out)
{
	int rc;

	private_begin();
	rc = generate(type, out);
	private_end();
	return rc;
}

static int write_key(const struct keyd_crypto_key *k, uint8_t *der)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(k->pkey);
	uint8_t *at = der;
	int n = p8 ? i2d_PKCS8_PRIV_KEY_INFO(p8, NULL) : -1;

	if (n > 0 && n <= KEYD_CRYPTO_PKCS8_MAX)
		n = i2d_PKCS8_PRIV_KEY_INFO(p8, &at);
	else
		n = -1;
	PKCS8_PRIV_KEY_INFO_free(p8);
	return n > 0 ? n : failure(ERR_CRYPTO);
}

int keyd_crypto_export(const struct keyd_crypto_key *k, uint8_t *der)
{
	int n;

	private_begin();
	n = write_key(k, der);
	private_end();
	return n;
}

static int read_key(unsigned type, struct span der, struct keyd_crypto_key **out)
{
	const uint8_t *at = der.p;
	PKCS8_PRIV_KEY_INFO *p8 = der.n && der.n <= KEYD_CRYPTO_PKCS8_MAX
				      ? d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.n)
				      : NULL;
	EVP_PKEY *pkey = p8 && at == der.p + der.n ? EVP_PKCS82PKEY(p8) : NULL;

	PKCS8_PRIV_KEY_INFO_free(p8);
	if (!pkey)
		return failure(ERR_FORMAT);
	return key_new(type, pkey, out);
}

int keyd_crypto_import(unsigned type, struct span der, struct keyd_crypto_key **out)
{
	int rc;

	private_begin();
	rc = read_key(type, der, out);
	private_end();
	return rc;
}

int keyd_crypto_public(const struct keyd_crypto_key *k, struct buf *out)
{
	int n = i2d_PUBKEY(k->pkey, NULL);
	uint8_t *at = n > 0 ? buf_reserve(out, (size_t)n) : NULL;

	if (!at || i2d_PUBKEY(k->pkey, &at) != n)
		return at ? ERR_CRYPTO : buf_failed(out) ? buf_failed(out) : ERR_CRYPTO;
	buf_commit(out, (size_t)n);
	return 0;
}

static int assemble(unsigned type, const struct span *parts, unsigned count,
		    struct keyd_crypto_key **out)
{
	static const char *const rsa[] = {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E,
					  OSSL_PKEY_PARAM_RSA_D};
	const struct kind *kind = kind_of(type);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = kind ? EVP_PKEY_CTX_new_from_name(NULL, kind->name, NULL) : NULL;
	OSSL_PARAM *params = NULL;
	BIGNUM *numbers[3] = {NULL, NULL, NULL};
	EVP_PKEY *pkey = NULL;
	int ok = bld && ctx;

	if (type == KEYPROTO_KEY_RSA2048) {
		for (unsigned i = 0; ok && i < 3; i++) {
			numbers[i] =
			    i < count ? BN_bin2bn(parts[i].p, (int)parts[i].n, NULL) : NULL;
			ok = numbers[i] && OSSL_PARAM_BLD_push_BN(bld, rsa[i], numbers[i]);
		}
	} else if (type == KEYPROTO_KEY_EC_P256) {
		numbers[0] = count == 2 ? BN_bin2bn(parts[0].p, (int)parts[0].n, NULL) : NULL;
		ok = ok && numbers[0] &&
		     OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) &&
		     OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, numbers[0]) &&
		     OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, parts[1].p,
						      parts[1].n);
	} else {
		ok = ok && count == 1 &&
		     OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PRIV_KEY, parts[0].p,
						      parts[0].n);
	}
	params = ok ? OSSL_PARAM_BLD_to_param(bld) : NULL;
	if (!params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	for (unsigned i = 0; i < 3; i++)
		BN_clear_free(numbers[i]);
	return pkey ? key_new(type, pkey, out) : failure(ERR_CRYPTO);
}

int keyd_crypto_parts(unsigned type, const struct span *parts, unsigned count,
		      struct keyd_crypto_key **out)
{
	int rc;

	private_begin();
	rc = assemble(type, parts, count, out);
	private_end();
	return rc;
}

int keyd_crypto_may(unsigned type, unsigned alg)
{
	const struct way *w = way_of(alg);

	return w && w->type == type;
}

int keyd_crypto_slow(unsigned type)
{
	const struct kind *kind = kind_of(type);

	return kind && kind->slow;
}

static int set_padding(const struct way *w, EVP_PKEY_CTX *pctx)
{
	if (!w->pss)
		return 1;
	return EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

int keyd_crypto_sign(const struct keyd_crypto_key *k, unsigned alg, struct span data,
		     uint8_t sig[KEYD_CRYPTO_SIG_MAX])
{
	const struct way *w = way_of(alg);
	EVP_PKEY_CTX *pctx = NULL;
	size_t n = KEYD_CRYPTO_SIG_MAX;
	EVP_MD_CTX *ctx;
	int ok;

	if (!w || w->type != k->type)
		return ERR_DENIED;
	private_begin();
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestSignInit_ex(ctx, &pctx, w->digest, NULL, NULL, k->pkey, NULL) == 1 &&
	     set_padding(w, pctx) && EVP_DigestSign(ctx, sig, &n, data.p, data.n) == 1;
	EVP_MD_CTX_free(ctx);
	private_end();
	return ok ? (int)n : failure(ERR_CRYPTO);
}

int keyd_crypto_verify(struct span spki, unsigned alg, struct span data, struct span sig)
{
	const struct way *w = way_of(alg);
	const uint8_t *at = spki.p;
	EVP_PKEY *pkey = w ? d2i_PUBKEY(NULL, &at, (long)spki.n) : NULL;
	/* Of the algorithm's own type, or one signature would be good for two algorithms. */
	int whole = pkey && at == spki.p + spki.n && is_of(w->type, pkey);
	EVP_MD_CTX *ctx = whole ? EVP_MD_CTX_new() : NULL;
	EVP_PKEY_CTX *pctx = NULL;
	int ok = ctx &&
		 EVP_DigestVerifyInit_ex(ctx, &pctx, w->digest, NULL, NULL, pkey, NULL) == 1 &&
		 set_padding(w, pctx) && EVP_DigestVerify(ctx, sig.p, sig.n, data.p, data.n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (!ok)
		ERR_clear_error();
	return ok ? 0 : ERR_AUTH;
}

unsigned keyd_crypto_live(void)
{
	return atomic_load(&live);
}
