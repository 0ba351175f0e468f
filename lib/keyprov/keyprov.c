/* SPDX-License-Identifier: Apache-2.0 */
#include "keyprov/keyprov.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "keyprov/keyprov_key.h"
#include "keyprov/keyprov_sign.h"

#define NAME "sealpost"

static const OSSL_ALGORITHM *query(void *provctx, int operation, int *no_cache)
{
	(void)provctx;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keyprov_key_algorithms;
	if (operation == OSSL_OP_SIGNATURE)
		return keyprov_sign_algorithms;
	return NULL;
}

typedef void (*fn)(void);
static const OSSL_DISPATCH functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (fn)query},
    {0, NULL},
};

static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
		void **provctx)
{
	(void)in;
	*out = functions;
	*provctx = (void *)handle; /* no state of its own; it must not be NULL */
	return 1;
}

static OSSL_PROVIDER *ours, *theirs; /* for the life of the process */

/* When OpenSSL cleans up behind main: it counts a provider as in use until this. */
static void unload(void)
{
	OSSL_PROVIDER_unload(ours);
	OSSL_PROVIDER_unload(theirs);
}

int keyprov_load(keyprov_sign_fn sign, void *arg)
{
	static ERR_STRING_DATA reasons[] = {{ERR_PACK(0, 0, 1), "keyd did not sign"}, {0, NULL}};

	if (ours)
		return ERR_BADSTATE;
	keyprov_sign_set(sign, arg);
	ERR_load_strings(ERR_LIB_USER, reasons);
	/* Loading one by hand ends the default provider's being there by itself. Both have algorithms
	 * named "RSA", "EC" and so on: whoever does not say which gets the default one. */
	if (!OSSL_PROVIDER_add_builtin(NULL, NAME, init) ||
	    !(theirs = OSSL_PROVIDER_load(NULL, "default")) ||
	    !(ours = OSSL_PROVIDER_load(NULL, NAME)) || !OPENSSL_atexit(unload) ||
	    !EVP_set_default_properties(NULL, "?provider=default"))
		return ERR_CRYPTO;
	return 0;
}

EVP_PKEY *keyprov_key(const char *label, struct span spki)
{
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(KEYPROV_KEY_LABEL, (char *)label, 0),
	    OSSL_PARAM_construct_octet_string(KEYPROV_KEY_SPKI, (void *)spki.p, spki.n),
	    OSSL_PARAM_construct_end(),
	};
	const uint8_t *at = spki.p;
	EVP_PKEY *public, *key = NULL;
	EVP_PKEY_CTX *ctx = NULL;
	int type;

	ERR_set_mark(); /* what the decoders try in vain is of no use to anybody */
	public = d2i_PUBKEY_ex(NULL, &at, (long)spki.n, NULL, "provider=default");
	type = public && at == spki.p + spki.n ? keyprov_key_type_of(public) : -1;
	if (type >= 0)
		ctx = EVP_PKEY_CTX_new_from_name(NULL, keyprov_key_name(type), "provider=" NAME);
	if (ctx && EVP_PKEY_fromdata_init(ctx) > 0)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	ERR_pop_to_mark();
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(public);
	return key;
}
