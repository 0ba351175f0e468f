/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_root.h"

#include <argon2.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"
#include "sys/sys_file.h"
#include "wire/wire_put.h"

/* What new passphrase slots get, and what a stored slot may ask for at most. */
#define PASSES	      3
#define MEMORY_KIB    (64 * 1024)
#define LANES	      1
#define PASSES_MAX    10
#define MEMORY_MIN    (8 * 1024)
#define MEMORY_MAX    (256 * 1024)
#define LANES_MAX     4
#define DELAY_MAX     (300 * CLOCK_SEC)
#define DELAY_DOUBLES 9
#define AAD_MAX	      2048

/* --- what each method keeps in its slot, and how its secret becomes a key */

static void nothing_put(struct buf *b, const struct keyd_root_slot *s)
{
	(void)b;
	(void)s;
}

static int nothing_get(struct wire_get *g, struct keyd_root_slot *s)
{
	(void)g;
	(void)s;
	return 0;
}

static int always_fits(const struct keyd_root_slot *s)
{
	(void)s;
	return 1;
}

static void nothing_to_begin(struct keyd_root_slot *s)
{
	(void)s;
}

/* The secret is the key: of a file, of shares put together, from a token. */
static int is_the_key(const struct keyd_root_slot *s, struct span secret, uint8_t key[32])
{
	(void)s;
	if (secret.n != 32)
		return ERR_FORMAT;
	memcpy(key, secret.p, 32);
	return 0;
}

static int salt_get(struct wire_get *g, uint8_t salt[KEYD_ROOT_SALT])
{
	struct span raw = wire_get_raw(g, KEYD_ROOT_SALT);

	if (g->failed)
		return ERR_FORMAT;
	memcpy(salt, raw.p, KEYD_ROOT_SALT);
	return 0;
}

static void passphrase_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_u32(b, s->passphrase.passes);
	wire_put_u32(b, s->passphrase.memory_kib);
	wire_put_u32(b, s->passphrase.lanes);
	wire_put_raw(b, s->passphrase.salt, KEYD_ROOT_SALT);
}

static int passphrase_get(struct wire_get *g, struct keyd_root_slot *s)
{
	s->passphrase.passes = wire_get_u32(g);
	s->passphrase.memory_kib = wire_get_u32(g);
	s->passphrase.lanes = wire_get_u32(g);
	return salt_get(g, s->passphrase.salt);
}

static int passphrase_fits(const struct keyd_root_slot *s)
{
	const struct keyd_root_passphrase *p = &s->passphrase;

	return p->passes >= 1 && p->passes <= PASSES_MAX && p->memory_kib >= MEMORY_MIN &&
	       p->memory_kib <= MEMORY_MAX && p->lanes >= 1 && p->lanes <= LANES_MAX;
}

static void passphrase_begin(struct keyd_root_slot *s)
{
	s->passphrase.passes = PASSES;
	s->passphrase.memory_kib = MEMORY_KIB;
	s->passphrase.lanes = LANES;
	rand_bytes(s->passphrase.salt, KEYD_ROOT_SALT);
}

static int passphrase_stretch(const struct keyd_root_slot *s, struct span secret, uint8_t key[32])
{
	const struct keyd_root_passphrase *p = &s->passphrase;

	if (secret.n < KEYD_ROOT_PASSPHRASE_MIN || secret.n > KEYD_ROOT_SECRET_MAX)
		return ERR_FORMAT;
	switch (argon2id_hash_raw(p->passes, p->memory_kib, p->lanes, secret.p, secret.n, p->salt,
				  KEYD_ROOT_SALT, key, 32)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return ERR_NOMEM;
	default:
		return ERR_CRYPTO;
	}
}

static void credential_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_raw(b, s->credential.salt, KEYD_ROOT_SALT);
}

static int credential_get(struct wire_get *g, struct keyd_root_slot *s)
{
	return salt_get(g, s->credential.salt);
}

static void credential_begin(struct keyd_root_slot *s)
{
	rand_bytes(s->credential.salt, KEYD_ROOT_SALT);
}

static int credential_stretch(const struct keyd_root_slot *s, struct span secret, uint8_t key[32])
{
	const struct span parts[2] = {SPAN_LIT("sealpost-slot-credential-1"), secret};

	if (secret.n < 32 || secret.n > KEYD_ROOT_SECRET_MAX)
		return ERR_FORMAT;
	return seal_kdf_hmac(s->credential.salt, KEYD_ROOT_SALT, parts, 2, key);
}

static void shares_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_u8(b, s->shares.need);
	wire_put_u8(b, s->shares.of);
	wire_put_raw(b, s->shares.set, KEYD_SHARE_SET);
}

static int shares_get(struct wire_get *g, struct keyd_root_slot *s)
{
	struct span set;

	s->shares.need = wire_get_u8(g);
	s->shares.of = wire_get_u8(g);
	set = wire_get_raw(g, KEYD_SHARE_SET);
	if (g->failed)
		return ERR_FORMAT;
	memcpy(s->shares.set, set.p, KEYD_SHARE_SET);
	return 0;
}

static int shares_fit(const struct keyd_root_slot *s)
{
	return s->shares.need >= 2 && s->shares.need <= s->shares.of &&
	       s->shares.of <= KEYD_ROOT_SHARES_MAX;
}

static void token_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_bytes16(b, span_str(s->token.uri));
	wire_put_u8(b, s->token.blob.kind);
	wire_put_bytes16(b, span_of(s->token.blob.bytes, s->token.blob.size));
}

static int token_get(struct wire_get *g, struct keyd_root_slot *s)
{
	struct span uri = wire_get_bytes16(g), blob;

	s->token.blob.kind = wire_get_u8(g);
	blob = wire_get_bytes16(g);
	if (g->failed || span_copy_str(s->token.uri, sizeof(s->token.uri), uri) < 0 ||
	    blob.n > sizeof(s->token.blob.bytes))
		return ERR_FORMAT;
	s->token.blob.size = (uint16_t)blob.n;
	if (blob.n)
		memcpy(s->token.blob.bytes, blob.p, blob.n);
	return 0;
}

static int token_fits(const struct keyd_root_slot *s)
{
	return s->token.uri[0] && s->token.blob.size >= 1 &&
	       s->token.blob.size <= KEYD_TOKEN_BLOB_MAX &&
	       (s->token.blob.kind == KEYD_TOKEN_AES_GCM ||
		s->token.blob.kind == KEYD_TOKEN_RSA_OAEP);
}

static const struct keyd_root_method methods[] = {
    [KEYPROTO_SLOT_FILE] = {.name = "file",
			    .alone = 1,
			    .given = KEYD_ROOT_NEVER,
			    .put = nothing_put,
			    .get = nothing_get,
			    .fits = always_fits,
			    .begin = nothing_to_begin,
			    .stretch = is_the_key},
    [KEYPROTO_SLOT_PASSPHRASE] = {.name = "passphrase",
				  .safe = 1,
				  .offline = 1,
				  .given = KEYD_ROOT_ALWAYS,
				  .put = passphrase_put,
				  .get = passphrase_get,
				  .fits = passphrase_fits,
				  .begin = passphrase_begin,
				  .stretch = passphrase_stretch},
    [KEYPROTO_SLOT_CREDENTIAL] = {.name = "credential",
				  .safe = 1,
				  .alone = 1,
				  .given = KEYD_ROOT_NEVER,
				  .put = credential_put,
				  .get = credential_get,
				  .fits = always_fits,
				  .begin = credential_begin,
				  .stretch = credential_stretch},
    [KEYPROTO_SLOT_SHARES] = {.name = "shares",
			      .safe = 1,
			      .offline = 1,
			      .given = KEYD_ROOT_ALWAYS,
			      .put = shares_put,
			      .get = shares_get,
			      .fits = shares_fit,
			      .begin = nothing_to_begin,
			      .stretch = is_the_key},
    [KEYPROTO_SLOT_TOKEN] = {.name = "token",
			     .safe = 1,
			     .offline = 1,
			     .alone = 1,
			     .given = KEYD_ROOT_MAYBE,
			     .put = token_put,
			     .get = token_get,
			     .fits = token_fits,
			     .begin = nothing_to_begin,
			     .stretch = is_the_key},
};

const struct keyd_root_method *keyd_root_method(unsigned method)
{
	return method < sizeof(methods) / sizeof(methods[0]) && methods[method].name
		   ? &methods[method]
		   : NULL;
}

const char *keyd_root_method_name(unsigned method)
{
	const struct keyd_root_method *m = keyd_root_method(method);

	return m ? m->name : NULL;
}

int keyd_root_name_ok(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == '"' || name.p[i] == '\\')
			return 0;
	return name.n <= KEYD_ROOT_NAME_MAX;
}

/* --- slots */

/* All but the wrapped root: also the AAD of its wrap. */
static void slot_head_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_u32(b, s->id);
	wire_put_u8(b, s->method);
	wire_put_u64(b, (uint64_t)s->created);
	wire_put_bytes8(b, span_str(s->name));
	methods[s->method].put(b, s);
}

int keyd_root_slot_put(struct buf *b, const struct keyd_root_slot *s)
{
	slot_head_put(b, s);
	wire_put_raw(b, s->wrapped, sizeof(s->wrapped));
	return buf_failed(b);
}

int keyd_root_slot_get(struct span body, struct keyd_root_slot *s)
{
	const struct keyd_root_method *m;
	struct span name, wrapped;
	struct wire_get g;

	wire_get_init(&g, body);
	memset(s, 0, sizeof(*s));
	s->id = wire_get_u32(&g);
	s->method = wire_get_u8(&g);
	s->created = (int64_t)wire_get_u64(&g);
	name = wire_get_bytes8(&g);
	m = keyd_root_method(s->method);
	if (!m || s->id == 0 || !keyd_root_name_ok(name) ||
	    span_copy_str(s->name, sizeof(s->name), name) < 0 || m->get(&g, s) < 0)
		return ERR_FORMAT;
	wrapped = wire_get_raw(&g, sizeof(s->wrapped));
	if (wire_get_end(&g) < 0)
		return ERR_FORMAT;
	memcpy(s->wrapped, wrapped.p, sizeof(s->wrapped));
	return m->fits(s) ? 0 : ERR_LIMIT;
}

static int slot_aad(struct buf *b, const struct keyd_root_slot *s, const uint8_t store[16])
{
	wire_put_bytes16(b, SPAN_LIT("sealpost-keyd-1"));
	wire_put_bytes16(b, span_of(store, 16));
	wire_put_bytes16(b, SPAN_LIT("slot"));
	slot_head_put(b, s);
	return buf_failed(b);
}

/* The slot's key out of its secret, and the AAD that goes with it. */
static int key_and_aad(const struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
		       uint8_t key[32], struct buf *aad)
{
	const struct keyd_root_method *m = keyd_root_method(s->method);
	int rc;

	if (!m)
		return ERR_FORMAT;
	if (!m->fits(s))
		return ERR_LIMIT;
	rc = m->stretch(s, secret, key);
	return rc < 0 ? rc : slot_aad(aad, s, store);
}

int keyd_root_slot_make(struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			const uint8_t root[32])
{
	uint8_t *key = secret_alloc(32);
	struct buf aad;
	int rc;

	if (!key)
		return ERR_NOMEM;
	if (keyd_root_method(s->method))
		keyd_root_method(s->method)->begin(s);
	buf_init(&aad, AAD_MAX);
	rc = keyd_root_name_ok(span_str(s->name)) ? key_and_aad(s, store, secret, key, &aad)
						  : ERR_FORMAT;
	if (rc == 0)
		rc = keyd_wrap_seal(key, buf_span(&aad), root, 32, s->wrapped);
	buf_clear(&aad);
	secret_free(key, 32);
	return rc;
}

int keyd_root_slot_open(const struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			uint8_t root[32])
{
	uint8_t *key = secret_alloc(32);
	struct buf aad;
	int rc;

	if (!key)
		return ERR_NOMEM;
	buf_init(&aad, AAD_MAX);
	rc = key_and_aad(s, store, secret, key, &aad);
	if (rc == ERR_FORMAT) /* cannot be the right one */
		rc = ERR_AUTH;
	if (rc == 0)
		rc = keyd_wrap_open(key, buf_span(&aad), span_of(s->wrapped, sizeof(s->wrapped)),
				    root);
	buf_clear(&aad);
	secret_free(key, 32);
	return rc;
}

int keyd_root_file_read(const char *path, uint8_t key[32])
{
	struct buf b;
	int rc;

	buf_init_wiped(&b, 64);
	rc = sys_file_read(path, &b, 1);
	if (rc == 0 && buf_size(&b) != 32)
		rc = ERR_FORMAT;
	if (rc == 0)
		memcpy(key, buf_ptr(&b), 32);
	buf_clear(&b);
	return rc;
}

int keyd_root_file_make(const char *path)
{
	uint8_t *key = secret_alloc(32);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = keyd_root_file_read(path, key);
	if (rc == ERR_NOTFOUND) {
		rand_bytes(key, 32);
		rc = sys_file_replace(path, span_of(key, 32), 0600);
	}
	secret_free(key, 32);
	return rc;
}

int keyd_root_derive(const uint8_t root[32], struct keyd_root_keys *out)
{
	static const char *const infos[] = {
	    "sealpost-root-1 kek wrap", "sealpost-root-1 key wrap", "sealpost-root-1 snapshot mac",
	    "sealpost-root-1 journal mac", "sealpost-root-1 tombstone mac"};
	uint8_t *dst[] = {out->base, out->key, out->snapshot, out->journal, out->tombstone};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < sizeof(dst) / sizeof(dst[0]); i++)
		rc = seal_kdf_subkey(root, span_str(infos[i]), dst[i]);
	memcpy(out->kek, out->base, sizeof(out->kek));
	return rc;
}

int keyd_root_anchor(const struct keyd_root_keys *keys, const uint8_t anchor[32], uint8_t out[32])
{
	static const char label[] = "sealpost-anchor-1 kek wrap";
	uint8_t *info = secret_alloc(sizeof(label) - 1 + 32);
	int rc;

	if (!info)
		return ERR_NOMEM;
	memcpy(info, label, sizeof(label) - 1);
	memcpy(info + sizeof(label) - 1, anchor, 32);
	rc = seal_kdf_subkey(keys->base, span_of(info, sizeof(label) - 1 + 32), out);
	secret_free(info, sizeof(label) - 1 + 32);
	return rc;
}

int keyd_root_delay_check(const struct keyd_root_delay *d, int64_t now)
{
	return now < d->until ? ERR_BUSY : 0;
}

void keyd_root_delay_failed(struct keyd_root_delay *d, int64_t now)
{
	int64_t wait = CLOCK_SEC << (d->failures < DELAY_DOUBLES ? d->failures : DELAY_DOUBLES);

	d->failures++;
	d->until = now + (wait < DELAY_MAX ? wait : DELAY_MAX);
}

void keyd_root_delay_passed(struct keyd_root_delay *d)
{
	memset(d, 0, sizeof(*d));
}

void keyd_root_warnings(const struct keyd_root_slot *slots, unsigned count,
			void (*fn)(void *arg, const char *text), void *arg)
{
	unsigned kinds = 0, file = 0, offline = 0;

	for (unsigned i = 0; i < count; i++) {
		const struct keyd_root_method *m = keyd_root_method(slots[i].method);
		file |= slots[i].method == KEYPROTO_SLOT_FILE;
		kinds |= 1u << slots[i].method;
		offline |= m && m->offline;
	}
	if (file)
		fn(arg, "a file slot is unsafe: who copies the disk has the root key");
	if (__builtin_popcount(kinds) < 2)
		fn(arg, "fewer than two slots of different kind: losing one secret loses all mail");
	if (!offline)
		fn(arg, "no slot is offline: losing this machine loses all mail");
}
