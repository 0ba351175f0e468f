/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of the provider in OpenSSL's hands. keyd is played by `keeper`: real private keys of the
 * default provider, found by label. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/async.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/err.h"
#include "keyproto/keyproto_msg.h"
#include "keyprov/keyprov.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN
#endif
#endif

static struct keeper {
	const char *label;
	EVP_PKEY *private;
} keeper[] = {{"tls/ec", NULL}, {"tls/rsa", NULL}, {"tls/ed25519", NULL}};
enum { EC, RSA_KEY, ED25519, KEYS };

static atomic_uint asked, paused;
static atomic_uint last_alg;
static int pause_in_jobs, answer; /* answer: instead of a signature, if not 0 */

static int private_sign(EVP_PKEY *key, unsigned alg, struct span message, uint8_t *sig, size_t room)
{
	static const char *const digests[] = {
	    [KEYPROTO_ALG_ES256] = "SHA256", [KEYPROTO_ALG_RS256] = "SHA256",
	    [KEYPROTO_ALG_RS384] = "SHA384", [KEYPROTO_ALG_RS512] = "SHA512",
	    [KEYPROTO_ALG_PS256] = "SHA256", [KEYPROTO_ALG_PS384] = "SHA384",
	    [KEYPROTO_ALG_PS512] = "SHA512", [KEYPROTO_ALG_ED25519] = NULL};
	int pss = alg >= KEYPROTO_ALG_PS256 && alg <= KEYPROTO_ALG_PS512;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	int ok;

	ok = EVP_DigestSignInit_ex(ctx, &pctx, digests[alg], NULL, NULL, key, NULL) == 1;
	if (ok && pss)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0;
	ok = ok && EVP_DigestSign(ctx, sig, &room, message.p, message.n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? (int)room : ERR_CRYPTO;
}

static int sign(void *arg, const char *label, struct span spki, unsigned alg, struct span message,
		uint8_t *sig, size_t room)
{
	const uint8_t *at = spki.p;
	EVP_PKEY *public = d2i_PUBKEY(NULL, &at, (long)spki.n);

	asked++;
	last_alg = alg;
	if (arg != keeper || answer) {
		EVP_PKEY_free(public);
		return arg != keeper ? ERR_NOTFOUND : answer;
	}
	if (pause_in_jobs && ASYNC_get_current_job()) {
		paused++;
		ASYNC_pause_job();
	}
	for (int i = 0; i < KEYS; i++)
		if (!strcmp(label, keeper[i].label)) {
			assert_int_equal(EVP_PKEY_eq(public, keeper[i].private), 1);
			EVP_PKEY_free(public);
			return private_sign(keeper[i].private, alg, message, sig, room);
		}
	EVP_PKEY_free(public);
	return ERR_NOTFOUND;
}

static EVP_PKEY *ours(int which)
{
	uint8_t *spki = NULL;
	int n = i2d_PUBKEY(keeper[which].private, &spki);
	EVP_PKEY *key = keyprov_key(keeper[which].label, span_of(spki, (size_t)n));

	OPENSSL_free(spki);
	assert_non_null(key);
	return key;
}

/* A certificate for a key, signed by the same key through keyprov. */
static X509 *self_signed(EVP_PKEY *key, const EVP_MD *md)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	uint8_t *der = NULL;
	const uint8_t *at;
	int n;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"relay.example.test",
				   -1, -1, 0);
	X509_set_issuer_name(x, name);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_true(X509_sign(x, key, md) > 0);
	assert_int_equal(X509_verify(x, key), 1);
	/* As from a file: its public key is then the default provider's. */
	n = i2d_X509(x, &der);
	at = der;
	X509_free(x);
	x = d2i_X509(NULL, &at, n);
	assert_non_null(x);
	OPENSSL_free(der);
	return x;
}

static void certificates_sign_themselves_and_verify(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY *key = ours(i), *public;
		X509 *x = self_signed(key, i == ED25519 ? NULL : EVP_sha256());

		public = X509_get_pubkey(x);
		assert_int_equal(X509_verify(x, public), 1);
		assert_int_equal(X509_verify(x, keeper[i].private), 1);
		assert_int_equal(X509_check_private_key(x, key), 1);
		EVP_PKEY_free(public);
		X509_free(x);
		EVP_PKEY_free(key);
	}
}

static void a_certificate_request_of_a_pss_signature_verifies(void **state)
{
	static const struct {
		const char *digest;
		unsigned alg;
	} rows[] = {{"SHA256", KEYPROTO_ALG_PS256},
		    {"SHA384", KEYPROTO_ALG_PS384},
		    {"SHA512", KEYPROTO_ALG_PS512}};
	EVP_PKEY *key = ours(RSA_KEY);

	(void)state;
	for (int i = 0; i < 3; i++) {
		X509_REQ *req = X509_REQ_new();
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pctx;

		assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
		assert_int_equal(
		    EVP_DigestSignInit_ex(ctx, &pctx, rows[i].digest, NULL, NULL, key, NULL), 1);
		assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0);
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0);
		assert_true(X509_REQ_sign_ctx(req, ctx) > 0);
		assert_int_equal(last_alg, rows[i].alg);
		/* The AlgorithmIdentifier must say what was signed, or this fails. */
		assert_int_equal(X509_REQ_verify(req, keeper[RSA_KEY].private), 1);
		EVP_MD_CTX_free(ctx);
		X509_REQ_free(req);
	}
	EVP_PKEY_free(key);
}

/* --- TLS: a server with one of our keys, a client that trusts only its certificate. */

struct handshake {
	EVP_PKEY *key;
	X509 *cert;
	SSL_CTX *server_ctx, *client_ctx;
	SSL *server, *client;
	int waits; /* how often the server stood still for keyd */
};

static void handshake_begin(struct handshake *h, int which, int version, long mode)
{
	BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());

	memset(h, 0, sizeof(*h));
	h->key = ours(which);
	h->cert = self_signed(h->key, which == ED25519 ? NULL : EVP_sha256());
	h->server_ctx = SSL_CTX_new(TLS_server_method());
	h->client_ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_set_min_proto_version(h->client_ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(h->client_ctx, version), 1);
	assert_int_equal(SSL_CTX_use_certificate(h->server_ctx, h->cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(h->server_ctx, h->key), 1);
	assert_int_equal(SSL_CTX_check_private_key(h->server_ctx), 1);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(h->server_ctx, KEYPROV_SIGALGS), 1);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(h->client_ctx), h->cert), 1);
	SSL_CTX_set_verify(h->client_ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(h->server_ctx, mode);
	h->server = SSL_new(h->server_ctx);
	h->client = SSL_new(h->client_ctx);
	BIO_set_mem_eof_return(up, -1);
	BIO_set_mem_eof_return(down, -1);
	BIO_up_ref(up);
	BIO_up_ref(down);
	SSL_set_bio(h->server, up, down);
	SSL_set_bio(h->client, down, up);
	SSL_set_accept_state(h->server);
	SSL_set_connect_state(h->client);
}

/* 1: both sides are through; 0: one failed. */
static int handshake_run(struct handshake *h)
{
	for (int turn = 0; turn < 50; turn++) {
		/* The reason at once: the two share their BIOs, where it is kept. */
		int c = SSL_do_handshake(h->client), ce = SSL_get_error(h->client, c);
		int s = SSL_do_handshake(h->server), se = SSL_get_error(h->server, s);

		if (c == 1 && s == 1)
			return 1;
		if (s != 1 && se == SSL_ERROR_WANT_ASYNC)
			h->waits++;
		else if (s != 1 && se != SSL_ERROR_WANT_READ)
			return 0;
		if (c != 1 && ce != SSL_ERROR_WANT_READ)
			return 0;
	}
	return 0;
}

static void handshake_end(struct handshake *h)
{
	SSL_free(h->server);
	SSL_free(h->client);
	SSL_CTX_free(h->server_ctx);
	SSL_CTX_free(h->client_ctx);
	X509_free(h->cert);
	EVP_PKEY_free(h->key);
}

static const struct tls_row {
	int key, version;
	unsigned alg;
} tls_rows[] = {{EC, TLS1_3_VERSION, KEYPROTO_ALG_ES256},
		{EC, TLS1_2_VERSION, KEYPROTO_ALG_ES256},
		{RSA_KEY, TLS1_3_VERSION, KEYPROTO_ALG_PS256},
		{RSA_KEY, TLS1_2_VERSION, KEYPROTO_ALG_PS256},
		{ED25519, TLS1_3_VERSION, KEYPROTO_ALG_ED25519},
		{ED25519, TLS1_2_VERSION, KEYPROTO_ALG_ED25519}};

static void tls_servers_of_each_key_and_version_shake_hands(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tls_rows) / sizeof(tls_rows[0]); i++) {
		struct handshake h;
		unsigned before;

		handshake_begin(&h, tls_rows[i].key, tls_rows[i].version, 0);
		before = asked;
		assert_int_equal(handshake_run(&h), 1);
		assert_int_equal(asked - before, 1);
		assert_int_equal(last_alg, tls_rows[i].alg);
		assert_int_equal(SSL_version(h.client), tls_rows[i].version);
		assert_int_equal(SSL_get_verify_result(h.client), X509_V_OK);
		handshake_end(&h);
	}
}

static void a_client_of_1_2_that_wants_pkcs1_gets_it(void **state)
{
	static const struct {
		const char *sigalgs;
		unsigned alg;
	} rows[] = {{"RSA+SHA256", KEYPROTO_ALG_RS256},
		    {"RSA+SHA384", KEYPROTO_ALG_RS384},
		    {"RSA+SHA512:rsa_pss_rsae_sha256", KEYPROTO_ALG_RS512},
		    {"rsa_pss_rsae_sha384", KEYPROTO_ALG_PS384},
		    {"rsa_pss_rsae_sha512", KEYPROTO_ALG_PS512}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct handshake h;

		handshake_begin(&h, RSA_KEY, TLS1_2_VERSION, 0);
		/* The certificate itself is signed with RSA+SHA256: the client must take that too. */
		SSL_CTX_set_verify(h.client_ctx, SSL_VERIFY_NONE, NULL);
		assert_int_equal(SSL_set1_sigalgs_list(h.client, rows[i].sigalgs), 1);
		assert_int_equal(handshake_run(&h), 1);
		assert_int_equal(last_alg, rows[i].alg);
		handshake_end(&h);
	}
}

static void a_handshake_waits_in_an_async_job_and_goes_on(void **state)
{
	(void)state;
#ifdef UNDER_TSAN
	skip(); /* ThreadSanitizer does not follow a change of stacks */
#endif
	pause_in_jobs = 1;
	for (size_t i = 0; i < sizeof(tls_rows) / sizeof(tls_rows[0]); i++) {
		unsigned before = paused;
		struct handshake h;

		handshake_begin(&h, tls_rows[i].key, tls_rows[i].version, SSL_MODE_ASYNC);
		assert_int_equal(handshake_run(&h), 1);
		assert_int_equal(h.waits, 1);
		assert_int_equal(paused - before, 1);
		assert_int_equal(SSL_get_verify_result(h.client), X509_V_OK);
		handshake_end(&h);
	}
	pause_in_jobs = 0;
	ASYNC_cleanup_thread();
}

static void a_keyd_that_is_away_fails_the_handshake_and_says_why(void **state)
{
	const char *data, *reason;
	struct handshake h;
	unsigned long e;
	int found = 0;

	(void)state;
	handshake_begin(&h, EC, TLS1_3_VERSION, 0);
	answer = ERR_AWAY;
	assert_int_equal(handshake_run(&h), 0);
	answer = 0;
	while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, NULL)) != 0) {
		reason = ERR_reason_error_string(e);
		if (reason && !strcmp(reason, "keyd did not sign")) {
			assert_string_equal(data, err_text(ERR_AWAY));
			found = 1;
		}
	}
	assert_int_equal(found, 1);
	handshake_end(&h);
}

static void an_answer_of_impossible_size_is_no_signature(void **state)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = ours(EC);
	uint8_t sig[2000];
	size_t n = sizeof(sig);

	(void)state;
	assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL), 1);
	answer = 1000;
	assert_int_not_equal(EVP_DigestSign(ctx, sig, &n, (const uint8_t *)"x", 1), 1);
	answer = 0;
	ERR_clear_error();
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void one_shot_and_piecewise_signing_verify(void **state)
{
	static const uint8_t message[] = "a message, not a digest";

	(void)state;
	for (int i = 0; i < KEYS; i++) {
		const char *digest = i == ED25519 ? NULL : "SHA256";
		EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new(), *check;
		EVP_PKEY *key = ours(i);
		uint8_t sig[512];
		size_t n = 0;

		assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL),
				 1);
		assert_int_equal(EVP_DigestSign(ctx, NULL, &n, message, sizeof(message)), 1);
		assert_true(n >= 64 && n <= sizeof(sig));
		assert_int_equal(EVP_DigestSign(ctx, sig, &n, message, sizeof(message)), 1);
		check = EVP_MD_CTX_new();
		assert_int_equal(EVP_DigestVerifyInit_ex(check, NULL, digest, NULL, NULL,
							 keeper[i].private, NULL),
				 1);
		assert_int_equal(EVP_DigestVerify(check, sig, n, message, sizeof(message)), 1);
		assert_int_not_equal(EVP_DigestVerify(check, sig, n, message, 3), 1);
		ERR_clear_error();
		EVP_MD_CTX_free(check);
		EVP_MD_CTX_free(ctx);

		ctx = EVP_MD_CTX_new();
		n = sizeof(sig);
		assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL),
				 1);
		assert_int_equal(EVP_DigestSignUpdate(ctx, message, 5), 1);
		assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
		assert_int_equal(EVP_DigestSignUpdate(copy, message + 5, sizeof(message) - 5), 1);
		assert_int_equal(EVP_DigestSignFinal(copy, sig, &n), 1);
		check = EVP_MD_CTX_new();
		assert_int_equal(EVP_DigestVerifyInit_ex(check, NULL, digest, NULL, NULL,
							 keeper[i].private, NULL),
				 1);
		assert_int_equal(EVP_DigestVerify(check, sig, n, message, sizeof(message)), 1);
		EVP_MD_CTX_free(check);
		EVP_MD_CTX_free(copy);
		EVP_MD_CTX_free(ctx);
		EVP_PKEY_free(key);
	}
}

static void what_keyd_does_not_sign_is_refused_here(void **state)
{
	static const struct {
		int key;
		const char *digest;
		int padding, salt;
	} rows[] = {{EC, "SHA384", 0, 0},
		    {EC, "SHA1", 0, 0},
		    {RSA_KEY, "SHA1", 0, 0},
		    {RSA_KEY, "MD5", 0, 0},
		    {RSA_KEY, "SHA256", RSA_NO_PADDING, 0},
		    {RSA_KEY, "SHA256", RSA_PKCS1_PSS_PADDING, 20},
		    {RSA_KEY, "SHA256", RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_MAX}};
	unsigned before = asked;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY *key = ours(rows[i].key);
		EVP_PKEY_CTX *pctx;
		uint8_t sig[512];
		size_t n = sizeof(sig);
		int ok;

		ok = EVP_DigestSignInit_ex(ctx, &pctx, rows[i].digest, NULL, NULL, key, NULL) == 1;
		if (ok && rows[i].padding)
			ok = EVP_PKEY_CTX_set_rsa_padding(pctx, rows[i].padding) > 0;
		if (ok && rows[i].salt)
			ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, rows[i].salt) > 0;
		ok = ok && EVP_DigestSign(ctx, sig, &n, (const uint8_t *)"x", 1) == 1;
		assert_false(ok);
		EVP_MD_CTX_free(ctx);
		EVP_PKEY_free(key);
	}
	assert_int_equal(asked, before);
	ERR_clear_error();
}

static void there_is_no_private_half_to_take(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++) {
		EVP_PKEY *key = ours(i);
		EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
		BIO *out = BIO_new(BIO_s_mem());
		OSSL_PARAM *params = NULL;
		uint8_t raw[64], *der = NULL, *spki = NULL, *want = NULL;
		size_t n = sizeof(raw);
		BIGNUM *bn = NULL;

		assert_int_not_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL),
				     1);
		assert_int_equal(BIO_pending(out), 0);
		assert_true(i2d_PrivateKey(key, &der) <= 0);
		assert_int_not_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 1);
		assert_int_not_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &bn), 1);
		assert_int_not_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &bn), 1);
		assert_int_not_equal(EVP_PKEY_get_raw_private_key(key, raw, &n), 1);
		assert_true(EVP_PKEY_decrypt_init(ctx) <= 0);
		assert_true(EVP_PKEY_sign_init(ctx) <= 0); /* a bare digest */
		assert_true(EVP_PKEY_derive_init(ctx) <= 0);
		/* The public half is as it came. */
		assert_int_equal(i2d_PUBKEY(key, &spki), i2d_PUBKEY(keeper[i].private, &want));
		assert_memory_equal(spki, want, (size_t)i2d_PUBKEY(key, NULL));
		assert_int_equal(EVP_PKEY_eq(key, keeper[i].private), 1);
		assert_int_not_equal(EVP_PKEY_eq(key, keeper[(i + 1) % KEYS].private), 1);
		OPENSSL_free(spki);
		OPENSSL_free(want);
		BIO_free(out);
		EVP_PKEY_CTX_free(ctx);
		EVP_PKEY_free(key);
	}
	ERR_clear_error();
}

static void keys_that_keyd_cannot_have_are_not_taken(void **state)
{
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY *const keys[] = {p384, small, x25519};
	uint8_t *spki = NULL;
	char label[KEYPROTO_KEYNAME_MAX + 2];
	size_t n;

	(void)state;
	for (int i = 0; i < 3; i++) {
		spki = NULL;
		n = (size_t)i2d_PUBKEY(keys[i], &spki);
		assert_null(keyprov_key("tls/x", span_of(spki, n)));
		OPENSSL_free(spki);
		EVP_PKEY_free(keys[i]);
	}
	spki = NULL;
	n = (size_t)i2d_PUBKEY(keeper[EC].private, &spki);
	memset(label, 'a', sizeof(label));
	label[KEYPROTO_KEYNAME_MAX + 1] = '\0';
	assert_null(keyprov_key(label, span_of(spki, n)));
	assert_null(keyprov_key("", span_of(spki, n)));
	assert_null(keyprov_key("tls/ec", span_of(spki, n - 1)));
	spki[n - 1] ^= 1; /* not on the curve */
	assert_null(keyprov_key("tls/ec", span_of(spki, n)));
	OPENSSL_free(spki);
	assert_int_equal(ERR_peek_error(), 0);
}

static void everybody_else_stays_with_the_default_provider(void **state)
{
	static const char *const names[] = {"EC", "RSA", "ED25519"};

	(void)state;
	for (int i = 0; i < 3; i++) {
		EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(NULL, names[i], NULL);

		assert_non_null(k);
		assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KEYMGMT_get0_provider(k)),
				    "default");
		EVP_KEYMGMT_free(k);
	}
	assert_int_equal(keyprov_load(sign, keeper), ERR_BADSTATE);
}

static void *sign_often(void *arg)
{
	EVP_PKEY *key = arg;
	int ok = 1;

	for (int i = 0; ok && i < 50; i++) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		uint8_t sig[512];
		size_t n = sizeof(sig);

		ok = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1 &&
		     EVP_DigestSign(ctx, sig, &n, (const uint8_t *)"x", 1) == 1;
		EVP_MD_CTX_free(ctx);
	}
	return ok ? arg : NULL;
}

static void threads_share_a_key(void **state)
{
	EVP_PKEY *key = ours(EC);
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, sign_often, key), 0);
	for (int i = 0; i < 4; i++) {
		void *result;
		assert_int_equal(pthread_join(t[i], &result), 0);
		assert_ptr_equal(result, key);
	}
	EVP_PKEY_free(key);
}

static int set_up(void **state)
{
	(void)state;
	if (keyprov_load(sign, keeper) != 0)
		return -1;
	keeper[EC].private = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	keeper[RSA_KEY].private = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	keeper[ED25519].private = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return keeper[EC].private && keeper[RSA_KEY].private && keeper[ED25519].private ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(keeper[i].private);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everybody_else_stays_with_the_default_provider),
	    cmocka_unit_test(certificates_sign_themselves_and_verify),
	    cmocka_unit_test(a_certificate_request_of_a_pss_signature_verifies),
	    cmocka_unit_test(tls_servers_of_each_key_and_version_shake_hands),
	    cmocka_unit_test(a_client_of_1_2_that_wants_pkcs1_gets_it),
	    cmocka_unit_test(a_handshake_waits_in_an_async_job_and_goes_on),
	    cmocka_unit_test(a_keyd_that_is_away_fails_the_handshake_and_says_why),
	    cmocka_unit_test(an_answer_of_impossible_size_is_no_signature),
	    cmocka_unit_test(one_shot_and_piecewise_signing_verify),
	    cmocka_unit_test(what_keyd_does_not_sign_is_refused_here),
	    cmocka_unit_test(there_is_no_private_half_to_take),
	    cmocka_unit_test(keys_that_keyd_cannot_have_are_not_taken),
	    cmocka_unit_test(threads_share_a_key),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
