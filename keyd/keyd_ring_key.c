/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys of the ring. */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

static void record_of(const struct keyd_ring_key *k, struct keyd_record_key *m)
{
	m->label = span_str(k->label);
	m->version = k->version;
	m->type = k->type;
	m->state = k->state;
	m->generation = k->generation;
	m->created = k->created;
	m->changed = k->changed;
	m->spki = span_of(k->spki, k->spki_size);
	m->wrapped = span_of(k->wrapped, k->wrapped_size);
}

/* Wraps der (PKCS#8) into m, and m into out. */
static int put_key(struct keyd_ring *r, struct keyd_record_key *m, const uint8_t *der, size_t n,
		   struct buf *out)
{
	uint8_t wrapped[KEYD_CRYPTO_PKCS8_MAX + KEYD_WRAP_OVERHEAD];
	struct buf aad;
	int rc;

	buf_init(&aad, KEYD_CRYPTO_PKCS8_MAX + 512);
	rc = keyd_record_key_aad(&aad, r->store, m);
	if (rc == 0)
		rc = keyd_wrap_seal(r->root->key, buf_span(&aad), der, n, wrapped);
	m->wrapped = span_of(wrapped, n + KEYD_WRAP_OVERHEAD);
	if (rc == 0)
		rc = keyd_record_key_put(out, m);
	buf_clear(&aad);
	return rc;
}

int keyd_ring_make_key(struct keyd_ring *r, struct span label, unsigned type,
		       const struct keyd_crypto_key *key, uint64_t generation, int64_t created,
		       struct buf *out)
{
	struct keyd_record_key m = {.label = label,
				    .version = 1,
				    .type = (uint8_t)type,
				    .state = KEYD_RECORD_ACTIVE,
				    .generation = generation,
				    .created = created,
				    .changed = created};
	struct buf spki;
	uint8_t *der;
	int n, rc;

	if (!keyproto_name_ok(label))
		return ERR_FORMAT;
	if (keyd_names_find(&r->by_label, label) != KEYD_NAMES_NONE)
		return ERR_EXISTS;
	if (r->key_wraps >= KEYD_WRAP_USES_MAX)
		return ERR_LIMIT;
	der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX);
	if (!der)
		return ERR_NOMEM;
	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	n = keyd_crypto_export(key, der);
	rc = n < 0 ? n : keyd_crypto_public(key, &spki);
	if (rc == 0) {
		m.spki = buf_span(&spki);
		rc = put_key(r, &m, der, (size_t)n, out);
	}
	buf_clear(&spki);
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
	return rc;
}

int keyd_ring_key_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_key m;
	struct keyd_ring_key *k;
	int rc;

	if (keyd_record_key_get(body, &m) < 0 ||
	    keyd_names_find(&r->by_label, m.label) != KEYD_NAMES_NONE)
		return ERR_DAMAGED;
	rc = keyd_ring_grow((void **)&r->keys, &r->key_room, r->key_count, sizeof(r->keys[0]));
	if (rc == 0)
		rc = keyd_names_reserve(&r->by_label);
	if (rc < 0)
		return rc;
	k = &r->keys[r->key_count];
	memset(k, 0, sizeof(*k));
	k->label = keyd_ring_text(m.label);
	k->spki = keyd_ring_copy(m.spki);
	k->wrapped = keyd_ring_copy(m.wrapped);
	if (!k->label || !k->spki || !k->wrapped) {
		free(k->label);
		free(k->spki);
		free(k->wrapped);
		return ERR_NOMEM;
	}
	k->spki_size = m.spki.n;
	k->wrapped_size = m.wrapped.n;
	k->version = m.version;
	k->type = m.type;
	k->state = m.state;
	k->generation = m.generation;
	k->created = m.created;
	k->changed = m.changed;
	keyd_names_add(&r->by_label, r->key_count);
	r->key_count++;
	r->key_wraps += (uint64_t)fresh;
	return 0;
}

static void info_of(const struct keyd_ring_key *k, struct keyd_ring_info *out)
{
	out->label = span_str(k->label);
	out->type = k->type;
	out->state = k->state;
	out->spki = span_of(k->spki, k->spki_size);
}

int keyd_ring_key(const struct keyd_ring *r, struct span label, struct keyd_ring_info *out)
{
	uint32_t at = keyd_names_find(&r->by_label, label);

	if (at == KEYD_NAMES_NONE)
		return ERR_NOTFOUND;
	info_of(&r->keys[at], out);
	return 0;
}

/* Makes room among the loaded keys: the one unused for longest goes. */
static void unload_oldest(struct keyd_ring *r)
{
	struct keyd_ring_key *oldest = NULL;

	if (r->loaded < KEYD_RING_LOADED)
		return;
	for (uint32_t i = 0; i < r->key_count; i++)
		if (r->keys[i].loaded && (!oldest || r->keys[i].used < oldest->used))
			oldest = &r->keys[i];
	keyd_crypto_free(oldest->loaded);
	oldest->loaded = NULL;
	r->loaded--;
}

static int load_key(struct keyd_ring *r, struct keyd_ring_key *k)
{
	struct keyd_record_key m;
	struct buf aad;
	uint8_t *der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX);
	int rc;

	if (!der)
		return ERR_NOMEM;
	record_of(k, &m);
	buf_init(&aad, KEYD_CRYPTO_PKCS8_MAX + 512);
	rc = keyd_record_key_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(r->root->key, buf_span(&aad), m.wrapped, der);
	if (rc == 0) {
		unload_oldest(r);
		rc = keyd_crypto_import(k->type, span_of(der, m.wrapped.n - KEYD_WRAP_OVERHEAD),
					&k->loaded);
		r->loaded += rc == 0;
	}
	buf_clear(&aad);
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
	return rc == ERR_AUTH || rc == ERR_FORMAT ? ERR_DAMAGED : rc;
}

int keyd_ring_private(struct keyd_ring *r, struct span label, struct keyd_crypto_key **out)
{
	uint32_t at = keyd_names_find(&r->by_label, label);
	struct keyd_ring_key *k;
	int rc = 0;

	if (at == KEYD_NAMES_NONE)
		return ERR_NOTFOUND;
	k = &r->keys[at];
	if (!k->loaded)
		rc = load_key(r, k);
	if (rc < 0)
		return rc;
	k->used = ++r->ticks;
	*out = keyd_crypto_ref(k->loaded);
	return 0;
}

void keyd_ring_keys(const struct keyd_ring *r,
		    int (*fn)(void *arg, const struct keyd_ring_info *info), void *arg)
{
	struct keyd_ring_info info;

	for (uint32_t i = 0; i < r->key_count; i++) {
		info_of(&r->keys[i], &info);
		if (fn(arg, &info))
			return;
	}
}

int keyd_ring_key_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	struct keyd_record_key key;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->key_count; i++) {
		record_of(&r->keys[i], &key);
		rc = keyd_ring_walk(w, KEYD_RECORD_KEY, keyd_record_key_put(&w->body, &key));
	}
	return rc;
}

void keyd_ring_key_clear(struct keyd_ring *r)
{
	for (uint32_t i = 0; i < r->key_count; i++) {
		keyd_crypto_free(r->keys[i].loaded);
		free(r->keys[i].label);
		free(r->keys[i].spki);
		free(r->keys[i].wrapped);
	}
	free(r->keys);
}
