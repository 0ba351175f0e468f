/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_cert.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "core/rand.h"
#include "keyprov/keyprov.h"
#include "sys/sys_file.h"

#define LIFE_SECONDS (2L * 365 * 86400)

static int sign(void *arg, const char *label, struct span spki, unsigned alg, struct span message,
		uint8_t *sig, size_t room)
{
	struct keyproto_sign m = {.label = span_str(label), .alg = (uint8_t)alg, .data = message};
	struct keyproto_client_sync *k = arg;
	struct span reply, bytes;
	int rc = keyproto_sign_put(keyproto_client_sync_begin(k), &m);

	(void)spki;
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_SIGN, &reply);
	if (rc == 0)
		rc = keyproto_bytes_get(reply, &bytes);
	if (rc < 0 || bytes.n > room)
		return rc < 0 ? rc : ERR_LIMIT;
	memcpy(sig, bytes.p, bytes.n);
	return (int)bytes.n;
}

static EVP_PKEY *fetch_key(struct keyproto_client_sync *k, const char *label)
{
	struct keyproto_public pub;
	struct span reply;

	if (keyproto_bytes_put(keyproto_client_sync_begin(k), span_str(label)) < 0 ||
	    keyproto_client_sync_call(k, KEYPROTO_PUBLIC_KEY, &reply) < 0 ||
	    keyproto_public_get(reply, &pub) < 0)
		return NULL;
	return keyprov_key(label, pub.spki);
}

/* Ed25519 hashes by itself. */
static const EVP_MD *digest_of(EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
}

static int extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	int good = e && X509_add_ext(x, e, -1);

	X509_EXTENSION_free(e);
	return good;
}

static int fill(X509 *x, EVP_PKEY *key, const char *hostname)
{
	X509_NAME *name = X509_get_subject_name(x);
	const unsigned char *cn = (const unsigned char *)hostname;
	char san[300];

	snprintf(san, sizeof(san), "DNS:%s", hostname);
	return X509_set_version(x, X509_VERSION_3) &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), rand_u64() >> 1) &&
	       X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(x), LIFE_SECONDS) && X509_set_pubkey(x, key) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, cn, -1, -1, 0) &&
	       X509_set_issuer_name(x, name) && extend(x, NID_subject_alt_name, san) &&
	       extend(x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
}

static int write_file(BIO *b, const char *path)
{
	char *text;
	long n = BIO_get_mem_data(b, &text);

	return sys_file_replace(path, span_of(text, (size_t)n), 0644);
}

int cli_cert_self_signed(struct keyproto_client_sync *k, const char *label, const char *hostname,
			 const char *path)
{
	EVP_PKEY *key = keyprov_load(sign, k) == 0 ? fetch_key(k, label) : NULL;
	X509 *x = key ? X509_new() : NULL;
	BIO *b = BIO_new(BIO_s_mem());
	int rc = ERR_CRYPTO;

	if (x && b && fill(x, key, hostname) && X509_sign(x, key, digest_of(key)) > 0 &&
	    PEM_write_bio_X509(b, x))
		rc = write_file(b, path);
	BIO_free(b);
	X509_free(x);
	EVP_PKEY_free(key);
	return rc;
}

static int fill_request(X509_REQ *r, EVP_PKEY *key, const char *hostname)
{
	const unsigned char *cn = (const unsigned char *)hostname;
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *names;
	char san[300];
	int good;

	snprintf(san, sizeof(san), "DNS:%s", hostname);
	names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	good = list && names && sk_X509_EXTENSION_push(list, names) > 0;
	if (!good)
		X509_EXTENSION_free(names);
	good = good && X509_REQ_set_version(r, X509_REQ_VERSION_1) && X509_REQ_set_pubkey(r, key) &&
	       X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r), "CN", MBSTRING_ASC, cn, -1, -1,
					  0) &&
	       X509_REQ_add_extensions(r, list);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return good;
}

int cli_cert_request(struct keyproto_client_sync *k, const char *label, const char *hostname,
		     const char *path)
{
	EVP_PKEY *key = keyprov_load(sign, k) == 0 ? fetch_key(k, label) : NULL;
	X509_REQ *r = key ? X509_REQ_new() : NULL;
	BIO *b = BIO_new(BIO_s_mem());
	int rc = ERR_CRYPTO;

	if (r && b && fill_request(r, key, hostname) && X509_REQ_sign(r, key, digest_of(key)) > 0 &&
	    PEM_write_bio_X509_REQ(b, r))
		rc = write_file(b, path);
	BIO_free(b);
	X509_REQ_free(r);
	EVP_PKEY_free(key);
	return rc;
}
