/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void need(int ok)
{
	if (!ok)
		abort();
}

static EVP_PKEY *make_key(const char *type)
{
	EVP_PKEY *key = strcmp(type, "EC") ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
					   : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");

	need(key != NULL);
	return key;
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	need(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial = 1;
	X509 *x = X509_new();
	X509_NAME *n = X509_get_subject_name(x);
	char san[128];

	need(X509_set_version(x, 2));
	need(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++));
	need(X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL);
	need(X509_gmtime_adj(X509_getm_notAfter(x), 86400) != NULL);
	need(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
					0));
	need(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : n));
	need(X509_set_pubkey(x, key));
	extend(x, issuer ? issuer : x, NID_basic_constraints,
	       issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (issuer) {
		snprintf(san, sizeof(san), "DNS:%s,IP:127.0.0.1", name);
		extend(x, issuer, NID_subject_alt_name, san);
	}
	need(X509_sign(x, issuer_key ? issuer_key : key, EVP_sha256()) > 0);
	return x;
}

void pki_make(struct pki *p, const char *type, const char *name)
{
	p->ca_key = make_key("EC");
	p->ca = make_cert(p->ca_key, "Test Authority", NULL, NULL);
	p->key = make_key(type);
	p->leaf = make_cert(p->key, name, p->ca, p->ca_key);
}

void pki_clear(struct pki *p)
{
	EVP_PKEY_free(p->ca_key);
	EVP_PKEY_free(p->key);
	X509_free(p->ca);
	X509_free(p->leaf);
	memset(p, 0, sizeof(*p));
}

void pki_write_leaf(const struct pki *p, const char *path, int chain)
{
	FILE *f = fopen(path, "w");

	need(f && PEM_write_X509(f, p->leaf));
	if (chain)
		need(PEM_write_X509(f, p->ca));
	fclose(f);
}

void pki_write_ca(const struct pki *p, const char *path)
{
	FILE *f = fopen(path, "w");

	need(f && PEM_write_X509(f, p->ca));
	fclose(f);
}
