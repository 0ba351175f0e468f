/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/token_key.h"

#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"

#define IV	    12
#define TAG	    16
#define ROWS	    20	/* of a template */
#define MODULUS_MIN 256 /* bytes: 2048 bits */

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

struct template
{
	CK_ATTRIBUTE rows[ROWS];
	CK_ULONG n;
};

static void add(struct template *t, CK_ATTRIBUTE_TYPE type, void *value, CK_ULONG n)
{
	if (t->n < ROWS)
		t->rows[t->n++] = (CK_ATTRIBUTE){type, value, n};
}

/* What the URI says about the key: label and id. */
static void add_names(struct template *t, P11KitUri *uri)
{
	static const CK_ATTRIBUTE_TYPE names[] = {CKA_LABEL, CKA_ID};
	CK_ATTRIBUTE *a;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		a = p11_kit_uri_get_attribute(uri, names[i]);
		if (a)
			add(t, a->type, a->pValue, a->ulValueLen);
	}
}

/* Whether type= of the URI leaves room for an object of this class. */
static int class_wanted(P11KitUri *uri, CK_OBJECT_CLASS class)
{
	const CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(uri, CKA_CLASS);
	CK_OBJECT_CLASS want;

	if (!a || a->ulValueLen != sizeof(want))
		return 1;
	memcpy(&want, a->pValue, sizeof(want));
	if (want == CKO_PUBLIC_KEY) /* of a pair the other half is meant too */
		want = CKO_PRIVATE_KEY;
	return want == class;
}

static int can(const struct token_open *t, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	CK_MECHANISM_INFO info;

	return t->f->C_GetMechanismInfo(t->slot, type, &info) == CKR_OK &&
	       (info.flags & flags) == flags;
}

/* The one key of this class and type that the URI names. */
static unsigned find_one(const struct token_open *t, CK_OBJECT_CLASS class, CK_KEY_TYPE type,
			 CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_HANDLE found[2];
	struct template tpl = {.n = 0};
	CK_ULONG n = 0;
	CK_RV rv;

	add(&tpl, CKA_CLASS, &class, sizeof(class));
	add(&tpl, CKA_KEY_TYPE, &type, sizeof(type));
	add(&tpl, CKA_TOKEN, &yes, sizeof(yes));
	add_names(&tpl, t->uri);
	rv = t->f->C_FindObjectsInit(t->session, tpl.rows, tpl.n);
	if (rv != CKR_OK)
		return token_open_why("C_FindObjectsInit", rv);
	rv = t->f->C_FindObjects(t->session, found, 2, &n);
	t->f->C_FindObjectsFinal(t->session);
	if (rv != CKR_OK)
		return token_open_why("C_FindObjects", rv);
	if (n > 1)
		return KEYD_TOKEN_MANY_KEYS;
	*out = found[0];
	return n ? KEYD_TOKEN_OK : KEYD_TOKEN_NO_KEY;
}

/* The value would come out of the token: then the slot is no better than a file. */
static int readable(const struct token_open *t, CK_OBJECT_HANDLE key)
{
	CK_BBOOL sensitive = CK_FALSE;
	CK_ATTRIBUTE a = {CKA_SENSITIVE, &sensitive, sizeof(sensitive)};

	return t->f->C_GetAttributeValue(t->session, key, &a, 1) != CKR_OK || !sensitive;
}

static unsigned find_aes(const struct token_open *t, struct token_key *k)
{
	CK_ULONG size = 0;
	CK_ATTRIBUTE a = {CKA_VALUE_LEN, &size, sizeof(size)};
	unsigned why = find_one(t, CKO_SECRET_KEY, CKK_AES, &k->seals);

	if (why != KEYD_TOKEN_OK)
		return why;
	k->kind = KEYD_TOKEN_AES_GCM;
	k->opens = k->seals;
	if (readable(t, k->seals) ||
	    t->f->C_GetAttributeValue(t->session, k->seals, &a, 1) != CKR_OK || size != 32)
		return KEYD_TOKEN_WEAK_KEY;
	return KEYD_TOKEN_OK;
}

static unsigned find_rsa(const struct token_open *t, struct token_key *k)
{
	CK_ATTRIBUTE a = {CKA_MODULUS, NULL, 0};
	unsigned why = find_one(t, CKO_PRIVATE_KEY, CKK_RSA, &k->opens);

	if (why == KEYD_TOKEN_OK)
		why = find_one(t, CKO_PUBLIC_KEY, CKK_RSA, &k->seals);
	if (why != KEYD_TOKEN_OK)
		return why;
	k->kind = KEYD_TOKEN_RSA_OAEP;
	if (readable(t, k->opens) ||
	    t->f->C_GetAttributeValue(t->session, k->seals, &a, 1) != CKR_OK ||
	    a.ulValueLen < MODULUS_MIN || a.ulValueLen > KEYD_TOKEN_BLOB_MAX)
		return KEYD_TOKEN_WEAK_KEY;
	return KEYD_TOKEN_OK;
}

unsigned token_key_find(const struct token_open *t, unsigned kind, struct token_key *k)
{
	unsigned why = KEYD_TOKEN_NO_KEY;
	int aes = can(t, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT);
	int rsa = can(t, CKM_RSA_PKCS_OAEP, CKF_ENCRYPT | CKF_DECRYPT);

	memset(k, 0, sizeof(*k));
	if ((!aes || kind == KEYD_TOKEN_RSA_OAEP) && (!rsa || kind == KEYD_TOKEN_AES_GCM))
		return KEYD_TOKEN_NO_MECHANISM;
	if (aes && kind != KEYD_TOKEN_RSA_OAEP && class_wanted(t->uri, CKO_SECRET_KEY))
		why = find_aes(t, k);
	if (why == KEYD_TOKEN_NO_KEY && rsa && kind != KEYD_TOKEN_AES_GCM &&
	    class_wanted(t->uri, CKO_PRIVATE_KEY))
		why = find_rsa(t, k);
	return why;
}

unsigned token_key_make(const struct token_open *t, struct token_key *k)
{
	/* Tokens have defaults of their own for what is not said. */
	static const CK_ATTRIBUTE_TYPE denied[] = {CKA_EXTRACTABLE, CKA_SIGN,	CKA_VERIFY,
						   CKA_WRAP,	    CKA_UNWRAP, CKA_DERIVE};
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ULONG size = 32;
	CK_MECHANISM m = {CKM_AES_KEY_GEN, NULL, 0};
	CK_SESSION_HANDLE writes;
	struct template tpl = {.n = 0};
	CK_RV rv;

	if (!class_wanted(t->uri, class) || !can(t, CKM_AES_KEY_GEN, CKF_GENERATE) ||
	    !can(t, CKM_AES_GCM, CKF_ENCRYPT | CKF_DECRYPT))
		return KEYD_TOKEN_NO_KEY;
	add(&tpl, CKA_CLASS, &class, sizeof(class));
	add(&tpl, CKA_KEY_TYPE, &type, sizeof(type));
	add(&tpl, CKA_VALUE_LEN, &size, sizeof(size));
	add(&tpl, CKA_TOKEN, &yes, sizeof(yes));
	add(&tpl, CKA_PRIVATE, &yes, sizeof(yes));
	add(&tpl, CKA_SENSITIVE, &yes, sizeof(yes));
	add(&tpl, CKA_ENCRYPT, &yes, sizeof(yes));
	add(&tpl, CKA_DECRYPT, &yes, sizeof(yes));
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		add(&tpl, denied[i], &no, sizeof(no));
	add_names(&tpl, t->uri);
	/* The login counts for all sessions on the token. */
	rv = t->f->C_OpenSession(t->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &writes);
	if (rv != CKR_OK)
		return token_open_why("C_OpenSession", rv);
	rv = t->f->C_GenerateKey(writes, &m, tpl.rows, tpl.n, &k->seals);
	t->f->C_CloseSession(writes);
	if (rv != CKR_OK)
		return token_open_why("C_GenerateKey", rv);
	log_event(LOG_LEVEL_INFO, NULL, "token-key-made", "slot=%lu", (unsigned long)t->slot);
	return find_aes(t, k); /* and is it what was asked for? */
}

/* Parameters of one operation, with what they point to. */
struct operation {
	CK_MECHANISM m;
	CK_GCM_PARAMS gcm;
	CK_RSA_PKCS_OAEP_PARAMS oaep;
};

static void prepare(struct operation *o, unsigned kind, uint8_t *iv, struct span context)
{
	if (kind == KEYD_TOKEN_AES_GCM) {
		o->gcm =
		    (CK_GCM_PARAMS){iv, IV, IV * 8, (unsigned char *)context.p, context.n, TAG * 8};
		o->m = (CK_MECHANISM){CKM_AES_GCM, &o->gcm, sizeof(o->gcm)};
		return;
	}
	o->oaep = (CK_RSA_PKCS_OAEP_PARAMS){CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
	o->m = (CK_MECHANISM){CKM_RSA_PKCS_OAEP, &o->oaep, sizeof(o->oaep)};
}

unsigned token_key_wrap(const struct token_open *t, const struct token_key *k, struct span context,
			const uint8_t key[KEYD_TOKEN_KEY], struct keyd_token_blob *out)
{
	size_t head = k->kind == KEYD_TOKEN_AES_GCM ? IV : 0;
	CK_ULONG n = KEYD_TOKEN_BLOB_MAX - head;
	struct operation o;
	CK_RV rv;

	rand_bytes(out->bytes, head);
	prepare(&o, k->kind, out->bytes, context);
	rv = t->f->C_EncryptInit(t->session, &o.m, k->seals);
	if (rv != CKR_OK)
		return token_open_why("C_EncryptInit", rv);
	rv = t->f->C_Encrypt(t->session, (unsigned char *)key, KEYD_TOKEN_KEY, out->bytes + head,
			     &n);
	if (rv != CKR_OK)
		return token_open_why("C_Encrypt", rv);
	out->kind = (uint8_t)k->kind;
	out->size = (uint16_t)(head + n);
	return KEYD_TOKEN_OK;
}

/* Tokens differ in what they say when a seal does not fit. */
static unsigned opened_why(CK_RV rv)
{
	unsigned why = token_open_why("C_Decrypt", rv);

	if (rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv == CKR_DATA_INVALID ||
	    rv == CKR_ARGUMENTS_BAD)
		return KEYD_TOKEN_WRONG_KEY;
	return why;
}

unsigned token_key_unwrap(const struct token_open *t, const struct token_key *k,
			  struct span context, const struct keyd_token_blob *blob,
			  uint8_t key[KEYD_TOKEN_KEY])
{
	size_t head = k->kind == KEYD_TOKEN_AES_GCM ? IV : 0;
	uint8_t *plain = secret_alloc(KEYD_TOKEN_BLOB_MAX);
	CK_ULONG n = KEYD_TOKEN_BLOB_MAX;
	struct operation o;
	unsigned why = KEYD_TOKEN_OK;
	CK_RV rv;

	if (!plain)
		return KEYD_TOKEN_NO_MEMORY;
	prepare(&o, k->kind, (uint8_t *)blob->bytes, context);
	rv = t->f->C_DecryptInit(t->session, &o.m, k->opens);
	if (rv != CKR_OK) {
		why = token_open_why("C_DecryptInit", rv);
	} else {
		rv = t->f->C_Decrypt(t->session, (unsigned char *)blob->bytes + head,
				     blob->size - head, plain, &n);
		if (rv != CKR_OK)
			why = opened_why(rv);
		else if (n != KEYD_TOKEN_KEY)
			why = KEYD_TOKEN_WRONG_KEY;
	}
	if (why == KEYD_TOKEN_OK)
		memcpy(key, plain, KEYD_TOKEN_KEY);
	secret_free(plain, KEYD_TOKEN_BLOB_MAX);
	return why;
}
