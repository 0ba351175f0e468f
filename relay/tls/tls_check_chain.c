/* SPDX-License-Identifier: Apache-2.0 */
/* tls_check's word on certificates. */
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/hex.h"
#include "relay/tls/tls_check_own.h"

#define CHAIN_MAX 10
#define NAMES_MAX 50

static json_t *text_of(BIO *b)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);
	json_t *s = json_stringn(n > 0 ? p : "", n > 0 ? (size_t)n : 0);

	BIO_free(b);
	return s ? s : json_string("?");
}

static json_t *name_text(const X509_NAME *name)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (!b)
		return json_string("?");
	X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253); /* all but printable ASCII is escaped */
	return text_of(b);
}

/* A terminal is shown printable ASCII alone: whoever made the certificate chose the octets. */
static json_t *printable(const uint8_t *p, size_t n)
{
	char text[256];

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = p[i] > ' ' && p[i] <= '~' ? (char)p[i] : '?';
	return json_stringn(text, n);
}

static json_t *dns_names(X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	json_t *names = json_array();

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && i < NAMES_MAX; i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
		if (n->type == GEN_DNS)
			json_array_append_new(names, printable(ASN1_STRING_get0_data(n->d.dNSName),
							       (size_t)ASN1_STRING_length(n->d.dNSName)));
	}
	GENERAL_NAMES_free(all);
	return names;
}

static json_t *key_text(X509 *x)
{
	EVP_PKEY *k = X509_get0_pubkey(x);
	const char *nist;
	char group[64];

	if (!k)
		return json_string("?");
	if (EVP_PKEY_base_id(k) == EVP_PKEY_EC && EVP_PKEY_get_group_name(k, group, sizeof(group), NULL)) {
		nist = EC_curve_nid2nist(OBJ_sn2nid(group));
		return json_sprintf("EC %s", nist ? nist : group);
	}
	if (EVP_PKEY_base_id(k) == EVP_PKEY_RSA)
		return json_sprintf("RSA %d", EVP_PKEY_bits(k));
	return json_string(EVP_PKEY_get0_type_name(k) ? EVP_PKEY_get0_type_name(k) : "?");
}

static void digest_hex(char dst[65], const uint8_t *der, int n)
{
	uint8_t sum[32] = {0};

	if (n > 0)
		EVP_Digest(der, (size_t)n, sum, NULL, EVP_sha256(), NULL);
	hex_encode(dst, sum, sizeof(sum));
}

/* SHA-256 of the certificate and of its public key, as TLSA records have them. */
static void digests(X509 *x, char whole[65], char spki[65])
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);

	digest_hex(whole, der, n);
	OPENSSL_free(der);
	der = NULL;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	digest_hex(spki, der, n);
	OPENSSL_free(der);
}

/* Wall usec; 0 if it cannot be read. */
static json_int_t time_of(const ASN1_TIME *t)
{
	struct tm tm;

	return t && ASN1_TIME_to_tm(t, &tm) ? (json_int_t)timegm(&tm) * CLOCK_SEC : 0;
}

static json_t *certificate(X509 *x, int first)
{
	char whole[65], spki[65];

	digests(x, whole, spki);
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:o, s:s, s:s, s:o}", "subject",
			 name_text(X509_get_subject_name(x)), "issuer",
			 name_text(X509_get_issuer_name(x)), "names", dns_names(x), "since",
			 time_of(X509_get0_notBefore(x)), "until", time_of(X509_get0_notAfter(x)), "key",
			 key_text(x), "sha256", whole, "spki_sha256", spki, "tlsa",
			 json_sprintf("%d 1 1 %s", first ? 3 : 2, spki));
}

json_t *tls_check_chain(SSL *ssl)
{
	STACK_OF(X509) *chain = ssl ? SSL_get_peer_cert_chain(ssl) : NULL;
	json_t *out;

	if (!chain)
		return NULL;
	out = json_array();
	for (int i = 0; i < sk_X509_num(chain) && i < CHAIN_MAX; i++)
		json_array_append_new(out, certificate(sk_X509_value(chain, i), i == 0));
	return out;
}
