/* SPDX-License-Identifier: Apache-2.0 */
/* The ring and its records: taking them in, and giving them out again for a snapshot. */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

struct keyd_ring_kek *keyd_ring_find_kek(const struct keyd_ring *r, struct span customer,
					 uint32_t version)
{
	int shard = keyd_record_shard(customer);
	struct keyd_ring_kek *k = shard < 0 ? NULL : r->shards[shard];

	while (k && k->version != version)
		k = k->older;
	return k;
}

/* Room for one more item of an array that doubles. */
static int grow(void **items, uint32_t *room, uint32_t count, size_t size)
{
	uint32_t more = *room ? *room * 2 : 16;
	void *fresh;

	if (count < *room)
		return 0;
	fresh = more > *room ? reallocarray(*items, more, size) : NULL;
	if (!fresh)
		return ERR_NOMEM;
	memset((uint8_t *)fresh + *room * size, 0, (more - *room) * size);
	*items = fresh;
	*room = more;
	return 0;
}

static char *text_of(struct span s)
{
	char *t = malloc(s.n + 1);

	if (t) {
		memcpy(t, s.p, s.n);
		t[s.n] = '\0';
	}
	return t;
}

static uint8_t *copy_of(struct span s)
{
	uint8_t *p = malloc(s.n);

	if (p)
		memcpy(p, s.p, s.n);
	return p;
}

static int apply_counters(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_counters m;

	if (keyd_record_counters_get(body, &m) < 0 || fresh || r->kek_count || r->dek_count ||
	    r->key_count)
		return ERR_DAMAGED;
	r->next_keyref = m.next_keyref;
	r->root_wraps = m.root_wraps;
	r->key_wraps = m.key_wraps;
	return 0;
}

/* KEKs come oldest first and are opened at once: a wrap that does not verify is found at start. */
static int apply_kek(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_kek m;
	struct keyd_ring_kek *k;
	struct buf aad;
	int rc;

	if (keyd_record_kek_get(body, &m) < 0 ||
	    (r->shards[m.shard] && r->shards[m.shard]->version >= m.version))
		return ERR_DAMAGED;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->key = secret_alloc(32))) {
		free(k);
		return ERR_NOMEM;
	}
	buf_init(&aad, 512);
	rc = keyd_record_kek_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(r->root->kek, buf_span(&aad), span_of(m.wrapped, KEYD_WRAP_KEY),
				    k->key);
	buf_clear(&aad);
	if (rc < 0) {
		secret_free(k->key, 32);
		free(k);
		return rc == ERR_AUTH ? ERR_DAMAGED : rc;
	}
	k->version = m.version;
	k->generation = m.generation;
	k->uses = m.uses;
	memcpy(k->wrapped, m.wrapped, sizeof(k->wrapped));
	k->older = r->shards[m.shard];
	r->shards[m.shard] = k;
	r->kek_count++;
	r->root_wraps += (uint64_t)fresh;
	return 0;
}

/* Number of the customer, who is made if new. */
static int64_t take_customer(struct keyd_ring *r, struct span name)
{
	uint32_t at = keyd_names_find(&r->by_name, name);
	char *text;
	int rc;

	if (at != KEYD_NAMES_NONE)
		return at;
	rc = grow((void **)&r->customers, &r->customer_room, r->customer_count,
		  sizeof(r->customers[0]));
	if (rc == 0)
		rc = keyd_names_reserve(&r->by_name);
	if (rc < 0)
		return rc;
	text = text_of(name);
	if (!text)
		return ERR_NOMEM;
	r->customers[r->customer_count].name = text;
	r->customers[r->customer_count].newest = 0;
	keyd_names_add(&r->by_name, r->customer_count);
	return r->customer_count++;
}

const struct keyd_ring_dek *keyd_ring_find_dek(const struct keyd_ring *r, uint32_t keyref)
{
	uint32_t page = keyref / KEYD_RING_PAGE;
	const struct keyd_ring_dek *d;

	if (page >= r->page_room || !r->pages[page])
		return NULL;
	d = &r->pages[page][keyref % KEYD_RING_PAGE];
	return d->version ? d : NULL;
}

/* The place of a DEK, made if need be. */
static struct keyd_ring_dek *place_dek(struct keyd_ring *r, uint32_t keyref)
{
	uint32_t page = keyref / KEYD_RING_PAGE, room = r->page_room;
	void *fresh;

	if (page >= room) {
		while (page >= room)
			room = room ? room * 2 : 16;
		fresh = reallocarray(r->pages, room, sizeof(r->pages[0]));
		if (!fresh)
			return NULL;
		r->pages = fresh;
		memset(r->pages + r->page_room, 0, (room - r->page_room) * sizeof(r->pages[0]));
		r->page_room = room;
	}
	if (!r->pages[page])
		r->pages[page] = calloc(KEYD_RING_PAGE, sizeof(r->pages[page][0]));
	return r->pages[page] ? &r->pages[page][keyref % KEYD_RING_PAGE] : NULL;
}

static int apply_dek(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_dek m;
	struct keyd_ring_kek *kek;
	struct keyd_ring_dek *d;
	int64_t customer;

	if (keyd_record_dek_get(body, &m) < 0 || m.keyref >= KEYD_RING_KEYREFS ||
	    keyd_ring_find_dek(r, m.keyref) ||
	    !(kek = keyd_ring_find_kek(r, m.customer, m.kek_version)))
		return ERR_DAMAGED;
	customer = keyd_ring_customer(r, m.customer);
	if (customer >= 0) {
		uint32_t newest = r->customers[customer].newest;
		if (newest >= m.keyref || keyd_ring_find_dek(r, newest)->version >= m.version)
			return ERR_DAMAGED;
	}
	d = place_dek(r, m.keyref);
	if (!d)
		return ERR_NOMEM;
	customer = take_customer(r, m.customer);
	if (customer < 0)
		return (int)customer;
	d->customer = (uint32_t)customer;
	d->version = m.version;
	d->kek_version = m.kek_version;
	d->generation = m.generation;
	memcpy(d->wrapped, m.wrapped, sizeof(d->wrapped));
	r->customers[customer].newest = m.keyref;
	r->dek_count++;
	if (m.keyref >= r->next_keyref)
		r->next_keyref = m.keyref + 1;
	kek->uses += (uint64_t)fresh;
	return 0;
}

static int apply_key(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_key m;
	struct keyd_ring_key *k;
	int rc;

	if (keyd_record_key_get(body, &m) < 0 ||
	    keyd_names_find(&r->by_label, m.label) != KEYD_NAMES_NONE)
		return ERR_DAMAGED;
	rc = grow((void **)&r->keys, &r->key_room, r->key_count, sizeof(r->keys[0]));
	if (rc == 0)
		rc = keyd_names_reserve(&r->by_label);
	if (rc < 0)
		return rc;
	k = &r->keys[r->key_count];
	memset(k, 0, sizeof(*k));
	k->label = text_of(m.label);
	k->spki = copy_of(m.spki);
	k->wrapped = copy_of(m.wrapped);
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
	keyd_names_add(&r->by_label, r->key_count);
	r->key_count++;
	r->key_wraps += (uint64_t)fresh;
	return 0;
}

int keyd_ring_apply(struct keyd_ring *r, unsigned type, struct span body, int fresh)
{
	static int (*const by_type[])(struct keyd_ring * r, struct span body, int fresh) = {
	    [KEYD_RECORD_COUNTERS] = apply_counters,
	    [KEYD_RECORD_KEK] = apply_kek,
	    [KEYD_RECORD_DEK] = apply_dek,
	    [KEYD_RECORD_KEY] = apply_key,
	};

	if (type >= sizeof(by_type) / sizeof(by_type[0]) || !by_type[type])
		return ERR_DAMAGED;
	return by_type[type](r, body, fresh);
}

void keyd_ring_key_record(const struct keyd_ring_key *k, struct keyd_record_key *m)
{
	m->label = span_str(k->label);
	m->version = k->version;
	m->type = k->type;
	m->state = k->state;
	m->generation = k->generation;
	m->created = k->created;
	m->spki = span_of(k->spki, k->spki_size);
	m->wrapped = span_of(k->wrapped, k->wrapped_size);
}

/* One step of keyd_ring_each: hands on what the put wrote. */
struct walk {
	int (*fn)(void *arg, unsigned type, struct span body);
	void *arg;
	struct buf body;
};

static int hand(struct walk *w, unsigned type, int rc)
{
	if (rc == 0)
		rc = w->fn(w->arg, type, buf_span(&w->body));
	buf_reset(&w->body);
	return rc;
}

/* The older versions first. */
static int each_kek(struct walk *w, unsigned shard, const struct keyd_ring_kek *k)
{
	struct keyd_record_kek m;
	int rc = k->older ? each_kek(w, shard, k->older) : 0;

	if (rc)
		return rc;
	m.shard = (uint8_t)shard;
	m.version = k->version;
	m.generation = k->generation;
	m.uses = k->uses;
	m.wrapped = k->wrapped;
	return hand(w, KEYD_RECORD_KEK, keyd_record_kek_put(&w->body, &m));
}

static int each_dek(const struct keyd_ring *r, struct walk *w, uint32_t keyref)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);
	struct keyd_record_dek m;

	if (!d)
		return 0;
	m.keyref = keyref;
	m.customer = span_str(r->customers[d->customer].name);
	m.version = d->version;
	m.kek_version = d->kek_version;
	m.generation = d->generation;
	m.wrapped = d->wrapped;
	return hand(w, KEYD_RECORD_DEK, keyd_record_dek_put(&w->body, &m));
}

int keyd_ring_each(const struct keyd_ring *r, int (*fn)(void *arg, unsigned type, struct span body),
		   void *arg)
{
	struct keyd_record_counters counters = {r->next_keyref, r->root_wraps, r->key_wraps};
	struct keyd_record_key key;
	struct walk w = {.fn = fn, .arg = arg};
	int rc;

	buf_init(&w.body, KEYD_RECORD_BODY_MAX);
	rc = hand(&w, KEYD_RECORD_COUNTERS, keyd_record_counters_put(&w.body, &counters));
	for (unsigned i = 0; rc == 0 && i < KEYD_RING_SHARDS; i++)
		if (r->shards[i])
			rc = each_kek(&w, i, r->shards[i]);
	for (uint32_t page = 0; rc == 0 && page < r->page_room; page++)
		for (uint32_t i = 0; rc == 0 && r->pages[page] && i < KEYD_RING_PAGE; i++)
			rc = each_dek(r, &w, page * KEYD_RING_PAGE + i);
	for (uint32_t i = 0; rc == 0 && i < r->key_count; i++) {
		keyd_ring_key_record(&r->keys[i], &key);
		rc = hand(&w, KEYD_RECORD_KEY, keyd_record_key_put(&w.body, &key));
	}
	buf_clear(&w.body);
	return rc;
}
