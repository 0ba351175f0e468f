/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys of the ring: labels, and the versions of each.
 *
 *   NEXT --promoted--> ACTIVE --another promoted--> RETIRED --> DESTROYED (public part stays)
 *     +---------------------------------------------------------^
 *
 * A label has at most one NEXT, and one ACTIVE from its first version on. */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

static void record_of(const struct keyd_ring *r, const struct keyd_ring_key *k,
		      struct keyd_record_key *m)
{
	m->label = span_str(r->labels[k->label].name);
	m->version = k->version;
	m->type = k->type;
	m->state = k->state;
	m->generation = k->generation;
	m->created = k->created;
	m->changed = k->changed;
	m->spki = span_of(k->spki, k->spki_size);
	m->wrapped = span_of(k->wrapped, k->wrapped_size);
}

/* The newest version of a label in that state (0: in any), or NULL. */
static struct keyd_ring_key *find(const struct keyd_ring *r, struct span label, unsigned state)
{
	uint32_t at = keyd_names_find(&r->by_label, label);

	if (at == KEYD_NAMES_NONE)
		return NULL;
	for (at = r->labels[at].newest; at != KEYD_NAMES_NONE; at = r->keys[at].older)
		if (state == 0 || r->keys[at].state == state)
			return &r->keys[at];
	return NULL;
}

static struct keyd_ring_key *find_version(const struct keyd_ring *r, struct span label,
					  uint32_t version)
{
	struct keyd_ring_key *k = find(r, label, 0);

	while (k && k->version != version)
		k = k->older == KEYD_NAMES_NONE ? NULL : &r->keys[k->older];
	return k;
}

/* What "label" or "label#N" means. */
static struct keyd_ring_key *find_name(const struct keyd_ring *r, struct span name)
{
	struct span label;
	uint32_t version;

	if (!keyproto_keyname_ok(name, &label, &version))
		return NULL;
	return version ? find_version(r, label, version) : find(r, label, KEYD_RECORD_ACTIVE);
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

/* The record of a new version; all of m but the key itself is filled in. */
static int make(struct keyd_ring *r, struct keyd_record_key *m, const struct keyd_crypto_key *key,
		struct buf *out)
{
	struct buf spki;
	uint8_t *der;
	int n, rc;

	if (r->key_wraps >= KEYD_WRAP_USES_MAX)
		return ERR_LIMIT;
	der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX);
	if (!der)
		return ERR_NOMEM;
	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	n = keyd_crypto_export(key, der);
	rc = n < 0 ? n : keyd_crypto_public(key, &spki);
	if (rc == 0) {
		m->spki = buf_span(&spki);
		rc = put_key(r, m, der, (size_t)n, out);
	}
	buf_clear(&spki);
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
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

	if (!keyproto_name_ok(label))
		return ERR_FORMAT;
	if (find(r, label, 0))
		return ERR_EXISTS;
	return make(r, &m, key, out);
}

int keyd_ring_make_next(struct keyd_ring *r, struct span label, const struct keyd_crypto_key *key,
			uint64_t generation, int64_t created, struct buf *out)
{
	const struct keyd_ring_key *newest = find(r, label, 0);
	struct keyd_record_key m = {.label = label,
				    .state = KEYD_RECORD_NEXT,
				    .generation = generation,
				    .created = created,
				    .changed = created};

	if (!newest)
		return ERR_NOTFOUND;
	if (find(r, label, KEYD_RECORD_NEXT))
		return ERR_EXISTS;
	if (newest->version == UINT32_MAX)
		return ERR_LIMIT;
	m.version = newest->version + 1;
	m.type = newest->type;
	return make(r, &m, key, out);
}

/* 1 if a version may come into a state by itself: the drawing above. */
static int may_become(unsigned from, unsigned to)
{
	if (to == KEYD_RECORD_ACTIVE)
		return from == KEYD_RECORD_NEXT;
	return to == KEYD_RECORD_DESTROYED &&
	       (from == KEYD_RECORD_NEXT || from == KEYD_RECORD_RETIRED);
}

int keyd_ring_make_key_state(const struct keyd_ring *r, struct span label, uint32_t version,
			     unsigned state, int64_t now, struct buf *out)
{
	const struct keyd_ring_key *k = find_version(r, label, version);
	struct keyd_record_key_state m = {label, version, (uint8_t)state, now};

	if (!k)
		return ERR_NOTFOUND;
	return may_become(k->state, state) ? keyd_record_key_state_put(out, &m) : ERR_BADSTATE;
}

/* Number of the label, which is made if new. */
static int64_t take_label(struct keyd_ring *r, struct span label)
{
	uint32_t at = keyd_names_find(&r->by_label, label);
	char *text;
	int rc;

	if (at != KEYD_NAMES_NONE)
		return at;
	rc = keyd_ring_grow((void **)&r->labels, &r->label_room, r->label_count,
			    sizeof(r->labels[0]));
	if (rc == 0)
		rc = keyd_names_reserve(&r->by_label);
	if (rc < 0)
		return rc;
	text = keyd_ring_text(label);
	if (!text)
		return ERR_NOMEM;
	r->labels[r->label_count].name = text;
	r->labels[r->label_count].newest = KEYD_NAMES_NONE;
	keyd_names_add(&r->by_label, r->label_count);
	return r->label_count++;
}

/* What a record says of a version that is to follow those that are there. */
static int fits(const struct keyd_ring *r, const struct keyd_record_key *m)
{
	const struct keyd_ring_key *newest = find(r, m->label, 0);

	if (newest && newest->version >= m->version)
		return 0;
	return (m->state != KEYD_RECORD_NEXT && m->state != KEYD_RECORD_ACTIVE) ||
	       !find(r, m->label, m->state);
}

#define MANIFEST "manifest/"

/* 1 if it is manifest/CUSTOMER of a customer who is gone. */
static int is_over(const struct keyd_ring *r, struct span label)
{
	size_t n = sizeof(MANIFEST) - 1;

	return span_equal(span_sub(label, 0, n), SPAN_LIT(MANIFEST)) &&
	       keyd_ring_customer(r, span_sub(label, n, label.n)) == ERR_GONE;
}

int keyd_ring_key_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_key m;
	struct keyd_ring_key *k;
	int64_t label;
	int rc;

	if (keyd_record_key_get(body, &m) < 0 || !fits(r, &m))
		return ERR_DAMAGED;
	if (is_over(r, m.label)) { /* its public part alone is taken in */
		m.state = KEYD_RECORD_DESTROYED;
		m.wrapped.n = 0;
	}
	rc = keyd_ring_grow((void **)&r->keys, &r->key_room, r->key_count, sizeof(r->keys[0]));
	if (rc < 0)
		return rc;
	k = &r->keys[r->key_count];
	memset(k, 0, sizeof(*k));
	k->spki = keyd_ring_copy(m.spki);
	k->wrapped = m.wrapped.n ? keyd_ring_copy(m.wrapped) : NULL;
	label = take_label(r, m.label);
	if (!k->spki || (m.wrapped.n && !k->wrapped) || label < 0) {
		free(k->spki);
		free(k->wrapped);
		return ERR_NOMEM;
	}
	k->label = (uint32_t)label;
	k->older = r->labels[label].newest;
	r->labels[label].newest = r->key_count++;
	k->spki_size = m.spki.n;
	k->wrapped_size = m.wrapped.n;
	k->version = m.version;
	k->type = m.type;
	k->state = m.state;
	k->generation = m.generation;
	k->created = m.created;
	k->changed = m.changed;
	r->key_wraps += (uint64_t)fresh;
	return 0;
}

static void forget_private(struct keyd_ring *r, struct keyd_ring_key *k)
{
	if (k->loaded)
		r->loaded--;
	keyd_crypto_free(k->loaded);
	k->loaded = NULL;
	if (k->wrapped)
		secret_wipe(k->wrapped, k->wrapped_size);
	free(k->wrapped);
	k->wrapped = NULL;
	k->wrapped_size = 0;
}

int keyd_ring_key_state_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_key_state m;
	struct keyd_ring_key *k, *active;

	(void)fresh;
	if (keyd_record_key_state_get(body, &m) < 0)
		return ERR_DAMAGED;
	k = find_version(r, m.label, m.version);
	if (!k || !may_become(k->state, m.state))
		return ERR_DAMAGED;
	active = find(r, m.label, KEYD_RECORD_ACTIVE);
	if (m.state == KEYD_RECORD_ACTIVE && active) {
		active->state = KEYD_RECORD_RETIRED;
		active->changed = m.time;
	}
	if (m.state == KEYD_RECORD_DESTROYED) {
		forget_private(r, k);
		r->destroyed++;
	}
	k->state = m.state;
	k->changed = m.time;
	return 0;
}

void keyd_ring_key_end(struct keyd_ring *r, struct span customer, int64_t when)
{
	char label[KEYPROTO_NAME_MAX + sizeof(MANIFEST)];
	struct keyd_ring_key *k;
	uint32_t at;

	snprintf(label, sizeof(label), MANIFEST "%.*s", (int)customer.n, (const char *)customer.p);
	at = keyd_names_find(&r->by_label, span_str(label));
	if (at == KEYD_NAMES_NONE)
		return;
	for (at = r->labels[at].newest; at != KEYD_NAMES_NONE; at = k->older) {
		k = &r->keys[at];
		if (k->state == KEYD_RECORD_DESTROYED)
			continue;
		forget_private(r, k);
		k->state = KEYD_RECORD_DESTROYED;
		k->changed = when;
		r->destroyed++;
	}
}

static void info_of(const struct keyd_ring *r, const struct keyd_ring_key *k,
		    struct keyd_ring_info *out)
{
	out->label = span_str(r->labels[k->label].name);
	out->version = k->version;
	out->type = k->type;
	out->state = k->state;
	out->created = k->created;
	out->changed = k->changed;
	out->spki = span_of(k->spki, k->spki_size);
}

int keyd_ring_key(const struct keyd_ring *r, struct span name, struct keyd_ring_info *out)
{
	const struct keyd_ring_key *k = find_name(r, name);

	if (!k)
		return ERR_NOTFOUND;
	info_of(r, k, out);
	return 0;
}

int keyd_ring_key_in(const struct keyd_ring *r, struct span label, unsigned state,
		     struct keyd_ring_info *out)
{
	const struct keyd_ring_key *k = find(r, label, state);

	if (!k)
		return ERR_NOTFOUND;
	info_of(r, k, out);
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
	record_of(r, k, &m);
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

int keyd_ring_private(struct keyd_ring *r, struct span name, struct keyd_crypto_key **out)
{
	struct keyd_ring_key *k = find_name(r, name);
	int rc = 0;

	if (!k || !k->wrapped)
		return ERR_NOTFOUND;
	if (!k->loaded)
		rc = load_key(r, k);
	if (rc < 0)
		return rc;
	k->used = ++r->ticks;
	*out = keyd_crypto_ref(k->loaded);
	return 0;
}

uint32_t keyd_ring_keys(const struct keyd_ring *r, uint32_t from,
			int (*fn)(void *arg, const struct keyd_ring_info *info), void *arg)
{
	struct keyd_ring_info info;
	uint32_t i;

	for (i = from; i < r->key_count; i++) {
		info_of(r, &r->keys[i], &info);
		if (fn(arg, &info))
			break;
	}
	return i;
}

int keyd_ring_key_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	struct keyd_record_key key;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->key_count; i++) {
		record_of(r, &r->keys[i], &key);
		rc = keyd_ring_walk(w, KEYD_RECORD_KEY, keyd_record_key_put(&w->body, &key));
	}
	return rc;
}

void keyd_ring_key_clear(struct keyd_ring *r)
{
	for (uint32_t i = 0; i < r->key_count; i++) {
		keyd_crypto_free(r->keys[i].loaded);
		free(r->keys[i].spki);
		free(r->keys[i].wrapped);
	}
	for (uint32_t i = 0; i < r->label_count; i++)
		free(r->labels[i].name);
	free(r->keys);
	free(r->labels);
}
