/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_root.h"

#include <stdio.h>
#include <stdlib.h>

#include <argon2.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"
#include "sys/sys_file.h"
#include "wire/wire_get.h"
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

const char *keyd_root_method_name(unsigned method)
{
	static const char *const names[] = {[KEYPROTO_SLOT_FILE] = "file",
					    [KEYPROTO_SLOT_PASSPHRASE] = "passphrase",
					    [KEYPROTO_SLOT_CREDENTIAL] = "credential"};

	return method < sizeof(names) / sizeof(names[0]) ? names[method] : NULL;
}

int keyd_root_method_safe(unsigned method)
{
	return method != KEYPROTO_SLOT_FILE;
}

/* All but the wrapped root: also the AAD of its wrap. */
static void slot_head_put(struct buf *b, const struct keyd_root_slot *s)
{
	wire_put_u8(b, s->method);
	wire_put_bytes8(b, span_str(s->name));
	wire_put_u32(b, s->passes);
	wire_put_u32(b, s->memory_kib);
	wire_put_u32(b, s->lanes);
	wire_put_raw(b, s->salt, sizeof(s->salt));
}

int keyd_root_slot_put(struct buf *b, const struct keyd_root_slot *s)
{
	slot_head_put(b, s);
	wire_put_raw(b, s->wrapped, sizeof(s->wrapped));
	return buf_failed(b);
}

static int caps_ok(const struct keyd_root_slot *s)
{
	if (s->method != KEYPROTO_SLOT_PASSPHRASE)
		return s->passes == 0 && s->memory_kib == 0 && s->lanes == 0;
	return s->passes >= 1 && s->passes <= PASSES_MAX && s->memory_kib >= MEMORY_MIN &&
	       s->memory_kib <= MEMORY_MAX && s->lanes >= 1 && s->lanes <= LANES_MAX;
}

int keyd_root_slot_get(struct span body, struct keyd_root_slot *s)
{
	struct wire_get g;
	struct span name, salt, wrapped;

	wire_get_init(&g, body);
	memset(s, 0, sizeof(*s));
	s->method = wire_get_u8(&g);
	name = wire_get_bytes8(&g);
	s->passes = wire_get_u32(&g);
	s->memory_kib = wire_get_u32(&g);
	s->lanes = wire_get_u32(&g);
	salt = wire_get_raw(&g, sizeof(s->salt));
	wrapped = wire_get_raw(&g, sizeof(s->wrapped));
	if (wire_get_end(&g) < 0 || !keyd_root_method_name(s->method) ||
	    span_copy_str(s->name, sizeof(s->name), name) < 0)
		return ERR_FORMAT;
	memcpy(s->salt, salt.p, sizeof(s->salt));
	memcpy(s->wrapped, wrapped.p, sizeof(s->wrapped));
	return caps_ok(s) ? 0 : ERR_LIMIT;
}

/* The slot's secret as a key. */
static int stretch(const struct keyd_root_slot *s, struct span secret, uint8_t key[32])
{
	struct span parts[2] = {SPAN_LIT("sealpost-slot-credential-1"), secret};

	if (s->method == KEYPROTO_SLOT_FILE) {
		if (secret.n != 32)
			return ERR_FORMAT;
		memcpy(key, secret.p, 32);
		return 0;
	}
	if (s->method == KEYPROTO_SLOT_CREDENTIAL) {
		if (secret.n < 32 || secret.n > KEYD_ROOT_SECRET_MAX)
			return ERR_FORMAT;
		return seal_kdf_hmac(s->salt, sizeof(s->salt), parts, 2, key);
	}
	if (secret.n < KEYD_ROOT_PASSPHRASE_MIN || secret.n > KEYD_ROOT_SECRET_MAX)
		return ERR_FORMAT;
	if (!caps_ok(s))
		return ERR_LIMIT;
	switch (argon2id_hash_raw(s->passes, s->memory_kib, s->lanes, secret.p, secret.n, s->salt,
				  sizeof(s->salt), key, 32)) {
	case ARGON2_OK:
		return 0;
	case ARGON2_MEMORY_ALLOCATION_ERROR:
		return ERR_NOMEM;
	default:
		return ERR_CRYPTO;
	}
}

static int slot_aad(struct buf *b, const struct keyd_root_slot *s, const uint8_t store[16])
{
	wire_put_bytes16(b, SPAN_LIT("sealpost-keyd-1"));
	wire_put_bytes16(b, span_of(store, 16));
	wire_put_bytes16(b, SPAN_LIT("slot"));
	slot_head_put(b, s);
	return buf_failed(b);
}

int keyd_root_slot_make(struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			const uint8_t root[32])
{
	uint8_t *key = secret_alloc(32);
	struct buf aad;
	int rc;

	if (!key)
		return ERR_NOMEM;
	if (s->method == KEYPROTO_SLOT_PASSPHRASE) {
		s->passes = PASSES;
		s->memory_kib = MEMORY_KIB;
		s->lanes = LANES;
	}
	rand_bytes(s->salt, sizeof(s->salt));
	buf_init(&aad, 1024);
	rc = stretch(s, secret, key);
	if (rc == 0)
		rc = slot_aad(&aad, s, store);
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
	buf_init(&aad, 1024);
	rc = stretch(s, secret, key);
	if (rc == ERR_FORMAT) /* cannot be the right one */
		rc = ERR_AUTH;
	if (rc == 0)
		rc = slot_aad(&aad, s, store);
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

int keyd_root_credential_read(const char *name, struct buf *out)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[4096];
	int rc;

	if (!dir || !*name || strchr(name, '/'))
		return ERR_NOTFOUND;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return ERR_LIMIT;
	rc = sys_file_read(path, out, 1);
	return rc == 0 && buf_size(out) < 32 ? ERR_FORMAT : rc;
}

int keyd_root_derive(const uint8_t root[32], struct keyd_root_keys *out)
{
	static const char *const infos[] = {"sealpost-root-1 kek wrap", "sealpost-root-1 key wrap",
					    "sealpost-root-1 snapshot mac",
					    "sealpost-root-1 journal mac"};
	uint8_t *dst[] = {out->kek, out->key, out->snapshot, out->journal};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < 4; i++)
		rc = seal_kdf_subkey(root, span_str(infos[i]), dst[i]);
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
	unsigned kinds = 0, file = 0;

	for (unsigned i = 0; i < count; i++) {
		file |= slots[i].method == KEYPROTO_SLOT_FILE;
		kinds |= 1u << slots[i].method;
	}
	if (file)
		fn(arg, "a file slot is unsafe: who copies the disk has the root key");
	if (__builtin_popcount(kinds) < 2)
		fn(arg, "fewer than two slots of different kind: losing one secret loses all mail");
}
