/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_tls.h"

#include <openssl/err.h>

/* TLS 1.2: AEAD with forward secrecy only; 1.3 has nothing else. */
#define CIPHERS_12    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
#define GROUPS_SERVER "X25519:P-256"
#define GROUPS_CLIENT "X25519:P-256:P-384"

static const uint64_t OPTIONS = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;

/* OpenSSL's reason for what failed last, else what. */
static void explain(const char **why, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	*why = reason ? reason : what;
	ERR_clear_error();
}

static SSL_CTX *make(const SSL_METHOD *method, const char *groups, const char **why)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	ctx = SSL_CTX_new(method);
	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_12) == 1 &&
	    SSL_CTX_set1_groups_list(ctx, groups) == 1) {
		SSL_CTX_set_options(ctx, OPTIONS);
		/* Tickets carry the sessions; what a client keeps, its owner keeps. */
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		return ctx;
	}
	explain(why, "cannot make a TLS context");
	SSL_CTX_free(ctx);
	return NULL;
}

SSL_CTX *evt_tls_server(const char *chain_pem, EVP_PKEY *key, const char **why)
{
	static const unsigned char id[] = "sealpost";
	SSL_CTX *ctx = make(TLS_server_method(), GROUPS_SERVER, why);

	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_num_tickets(ctx, 1);
	if (SSL_CTX_use_certificate_chain_file(ctx, chain_pem) != 1)
		explain(why, "cannot read the certificate chain");
	else if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1 ||
		 SSL_CTX_use_PrivateKey(ctx, key) != 1)
		explain(why, "key and certificate do not belong together");
	else
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

SSL_CTX *evt_tls_client(const char *ca_pem, int verify, const char **why)
{
	SSL_CTX *ctx = make(TLS_client_method(), GROUPS_CLIENT, why);
	int loaded = 1;

	if (!ctx)
		return NULL;
	if (SSL_CTX_dane_enable(ctx) != 1) { /* costs nothing where a connection does not ask for it */
		explain(why, "cannot make a TLS context");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (ca_pem)
		loaded = SSL_CTX_load_verify_locations(ctx, ca_pem, NULL);
	else if (verify)
		loaded = SSL_CTX_set_default_verify_paths(ctx);
	if (loaded == 1)
		return ctx;
	explain(why, "cannot read the trusted certificates");
	SSL_CTX_free(ctx);
	return NULL;
}
