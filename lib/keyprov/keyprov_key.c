/* SPDX-License-Identifier: Apache-2.0 */
#include "keyprov/keyprov_key.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"EC", "RSA", "ED25519"};

const char *keyprov_key_name(enum keyprov_key_type type)
{
	return names[type];
}

int keyprov_key_type_of(EVP_PKEY *public)
{
	char group[64];
	size_t n;

	if (EVP_PKEY_is_a(public, "ED25519"))
		return KEYPROV_KEY_ED25519;
	if (EVP_PKEY_is_a(public, "RSA"))
		return EVP_PKEY_get_bits(public) >= KEYPROV_KEY_RSA_BITS_MIN ? KEYPROV_KEY_RSA : -1;
	if (EVP_PKEY_is_a(public, "EC") &&
	    EVP_PKEY_get_group_name(public, group, sizeof(group), &n) &&
	    !strcmp(group, "prime256v1"))
		return KEYPROV_KEY_EC;
	return -1;
}

static void *new_of(enum keyprov_key_type type)
{
	struct keyprov_key *k = calloc(1, sizeof(*k));

	if (k)
		k->type = type;
	return k;
}

static void *new_ec(void *provctx)
{
	(void)provctx;
	return new_of(KEYPROV_KEY_EC);
}

static void *new_rsa(void *provctx)
{
	(void)provctx;
	return new_of(KEYPROV_KEY_RSA);
}

static void *new_ed25519(void *provctx)
{
	(void)provctx;
	return new_of(KEYPROV_KEY_ED25519);
}

static void free_key(void *keydata)
{
	struct keyprov_key *k = keydata;

	if (k) {
		EVP_PKEY_free(k->public);
		free(k->spki);
	}
	free(k);
}

static int has(const void *keydata, int selection)
{
	const struct keyprov_key *k = keydata;

	return k && k->public &&
	       (!(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) || k->label[0] != '\0');
}

static int match(const void *a, const void *b, int selection)
{
	const struct keyprov_key *x = a, *y = b;

	if (!x->public || !y->public)
		return 0;
	if (selection & OSSL_KEYMGMT_SELECT_KEYPAIR)
		return EVP_PKEY_eq(x->public, y->public) == 1;
	return EVP_PKEY_parameters_eq(x->public, y->public) == 1;
}

/* One of our keys: label and SubjectPublicKeyInfo. */
static int import_ours(struct keyprov_key *k, const OSSL_PARAM *label, const OSSL_PARAM *spki)
{
	const uint8_t *at;

	if (!spki || spki->data_type != OSSL_PARAM_OCTET_STRING ||
	    label->data_type != OSSL_PARAM_UTF8_STRING || label->data_size == 0 ||
	    label->data_size >= sizeof(k->label))
		return 0;
	at = spki->data;
	k->public = d2i_PUBKEY_ex(NULL, &at, (long)spki->data_size, NULL, "provider=default");
	k->spki = malloc(spki->data_size);
	if (!k->public || !k->spki || keyprov_key_type_of(k->public) != (int)k->type)
		return 0;
	memcpy(k->spki, spki->data, spki->data_size);
	k->spki_size = spki->data_size;
	memcpy(k->label, label->data, label->data_size);
	k->label[label->data_size] = '\0';
	return 1;
}

static int import(void *keydata, int selection, const OSSL_PARAM params[])
{
	struct keyprov_key *k = keydata;
	const OSSL_PARAM *label = OSSL_PARAM_locate_const(params, KEYPROV_KEY_LABEL);
	EVP_PKEY_CTX *ctx;
	int ok;

	(void)selection;
	if (k->public)
		return 0;
	if (label)
		return import_ours(k, label, OSSL_PARAM_locate_const(params, KEYPROV_KEY_SPKI));
	/* Another provider's key, to be compared: of it, the public part and no more. */
	ctx = EVP_PKEY_CTX_new_from_name(NULL, names[k->type], "provider=default");
	ok = ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
	     EVP_PKEY_fromdata(ctx, &k->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* Were private parts not refused, OpenSSL would take the public half to the default provider and
 * try to sign there. */
static int export(void *keydata, int selection, OSSL_CALLBACK *cb, void *arg)
{
	struct keyprov_key *k = keydata;

	if (!k->public || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
		return 0;
	return EVP_PKEY_export(k->public, selection, cb, arg);
}

static const OSSL_PARAM *transfer_types(int selection)
{
	static const OSSL_PARAM types[] = {
	    OSSL_PARAM_utf8_string(KEYPROV_KEY_LABEL, NULL, 0),
	    OSSL_PARAM_octet_string(KEYPROV_KEY_SPKI, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	    OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY ? types : NULL;
}

static int get_params(void *keydata, OSSL_PARAM params[])
{
	struct keyprov_key *k = keydata;

	return k->public && EVP_PKEY_get_params(k->public, params);
}

static const OSSL_PARAM *gettable_params(void *provctx)
{
	static const OSSL_PARAM gettable[] = {
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
	    OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
	    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
	    OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
	    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
	    OSSL_PARAM_END,
	};

	(void)provctx;
	return gettable;
}

static const char *query_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

typedef void (*fn)(void);
#define COMMON                                                                            \
	{OSSL_FUNC_KEYMGMT_FREE, (fn)free_key}, {OSSL_FUNC_KEYMGMT_HAS, (fn)has},         \
	    {OSSL_FUNC_KEYMGMT_MATCH, (fn)match}, {OSSL_FUNC_KEYMGMT_IMPORT, (fn)import}, \
	    {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (fn)transfer_types},                         \
	    {OSSL_FUNC_KEYMGMT_EXPORT, (fn) export},                                      \
	    {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (fn)transfer_types},                         \
	    {OSSL_FUNC_KEYMGMT_GET_PARAMS, (fn)get_params},                               \
	    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (fn)gettable_params},                     \
	{                                                                                 \
		0, NULL                                                                   \
	}

static const OSSL_DISPATCH ec[] = {
    {OSSL_FUNC_KEYMGMT_NEW, (fn)new_ec},
    {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (fn)query_ec},
    COMMON,
};
static const OSSL_DISPATCH rsa[] = {{OSSL_FUNC_KEYMGMT_NEW, (fn)new_rsa}, COMMON};
static const OSSL_DISPATCH ed25519[] = {{OSSL_FUNC_KEYMGMT_NEW, (fn)new_ed25519}, COMMON};

const OSSL_ALGORITHM keyprov_key_algorithms[] = {
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=sealpost", ec, "P-256 keys in keyd"},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=sealpost", rsa, "RSA keys in keyd"},
    {"ED25519:1.3.101.112", "provider=sealpost", ed25519, "Ed25519 keys in keyd"},
    {NULL, NULL, NULL, NULL},
};
