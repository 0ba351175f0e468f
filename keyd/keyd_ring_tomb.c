/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_tomb.h"

#include <stdlib.h>

#include "core/err.h"
#include "keyd/keyd_ring_in.h"

uint32_t keyd_ring_tomb_count(const struct keyd_ring *r)
{
	return r->tomb_count;
}

static int token_of(const struct keyd_ring *r, const struct keyd_ring_grave *t, struct buf *out)
{
	return keyd_record_tomb_token_make(out, r->root->tombstone, r->store,
					   span_str(r->customers[t->customer].name), t->ordered);
}

void keyd_ring_tomb_at(const struct keyd_ring *r, uint32_t i, struct keyd_ring_tomb *out)
{
	const struct keyd_ring_grave *t = &r->tombs[i];

	out->customer = span_str(r->customers[t->customer].name);
	out->shard = t->shard;
	out->state = t->state;
	out->ordered = t->ordered;
	out->dead = t->dead;
	out->changed = t->changed;
	out->since = t->since;
	out->kek = t->kek;
	out->backup = t->backup;
}

int keyd_ring_tomb_get(const struct keyd_ring *r, uint32_t i, struct buf *token)
{
	return token_of(r, &r->tombs[i], token);
}

/* When the first DEK of a customer was made; 0 if that one is destroyed: copies may hold it. */
static int64_t oldest(const struct keyd_ring *r, uint32_t customer)
{
	const struct keyd_ring_dek *first = NULL;

	for (uint32_t at = r->customers[customer].newest; at; at = first->older)
		first = keyd_ring_find_dek(r, at);
	return first && first->version == 1 ? first->created : 0;
}

static int put(struct buf *out, struct keyd_record_tomb *m, const struct buf *token)
{
	int rc = buf_failed(token);

	m->token = buf_span(token);
	return rc < 0 ? rc : keyd_record_tomb_put(out, m);
}

static uint32_t newest_kek(const struct keyd_ring *r, unsigned shard)
{
	return r->shards[shard] ? r->shards[shard]->version : 0;
}

int keyd_ring_tomb_make(const struct keyd_ring *r, struct span customer, unsigned state,
			int64_t now, struct buf *out)
{
	struct keyd_record_tomb m = {.state = (uint8_t)state, .changed = now};
	int64_t number = keyd_ring_customer(r, customer);
	struct buf token;
	int rc;

	if (number < 0)
		return (int)number;
	m.since = oldest(r, (uint32_t)number);
	if (state >= KEYD_RECORD_TOMB_DEAD) {
		int shard = keyd_record_shard(customer);
		if (shard < 0)
			return shard;
		m.dead = now;
		m.kek = newest_kek(r, (unsigned)shard);
	}
	buf_init(&token, KEYD_RECORD_TOMB_TOKEN_MAX);
	rc = keyd_record_tomb_token_make(&token, r->root->tombstone, r->store, customer, now);
	if (rc == 0)
		rc = put(out, &m, &token);
	buf_clear(&token);
	return rc;
}

/* Backups of the one that is current were made when all was over. */
static uint32_t newest_replaced(const struct keyd_ring *r)
{
	uint32_t id = 0;

	for (uint32_t i = 0; i < r->backup_count; i++)
		if (!r->backups[i].key)
			id = r->backups[i].id;
	return id;
}

int keyd_ring_tomb_step(const struct keyd_ring *r, uint32_t i, unsigned state, int64_t now,
			struct buf *out)
{
	const struct keyd_ring_grave *t = &r->tombs[i];
	struct keyd_record_tomb m = {.state = (uint8_t)state,
				     .dead = t->dead,
				     .changed = now,
				     .since = t->since,
				     .kek = t->kek,
				     .backup = t->backup};
	struct buf token;
	int rc;

	if (state >= KEYD_RECORD_TOMB_DEAD && t->state < KEYD_RECORD_TOMB_DEAD) {
		m.dead = now;
		m.kek = newest_kek(r, t->shard);
	}
	if (state >= KEYD_RECORD_TOMB_BACKUPS && t->state < KEYD_RECORD_TOMB_BACKUPS)
		m.backup = newest_replaced(r);
	buf_init(&token, KEYD_RECORD_TOMB_TOKEN_MAX);
	rc = token_of(r, t, &token);
	if (rc == 0)
		rc = put(out, &m, &token);
	buf_clear(&token);
	return rc;
}

int keyd_ring_tomb_merge(const struct keyd_ring *r, struct span token, int64_t now, struct buf *out)
{
	struct keyd_record_tomb m = {
	    .token = token, .state = KEYD_RECORD_TOMB_DEAD, .dead = now, .changed = now};
	struct keyd_record_tomb_token t;
	int64_t customer;
	int shard, rc = keyd_record_tomb_token_get(token, &t);

	if (rc == 0)
		rc = keyd_record_tomb_token_check(&t, r->root->tombstone, r->store);
	if (rc < 0)
		return rc;
	customer = keyd_ring_customer(r, t.customer);
	if (customer == ERR_GONE)
		return 0;
	shard = keyd_record_shard(t.customer);
	if (shard < 0)
		return shard;
	if (customer >= 0)
		m.since = oldest(r, (uint32_t)customer);
	m.kek = newest_kek(r, (unsigned)shard);
	rc = keyd_record_tomb_put(out, &m);
	return rc < 0 ? rc : 1;
}

/* The tombstone of a customer, made if new. */
static struct keyd_ring_grave *grave_of(struct keyd_ring *r, struct span name, int64_t ordered)
{
	int shard = keyd_record_shard(name);
	struct keyd_ring_grave *t;
	int64_t customer;

	if (shard < 0 ||
	    keyd_ring_grow((void **)&r->tombs, &r->tomb_room, r->tomb_count, sizeof(*t)) < 0)
		return NULL;
	customer = keyd_ring_take_customer(r, name);
	if (customer < 0)
		return NULL;
	if (r->customers[customer].tomb)
		return &r->tombs[r->customers[customer].tomb - 1];
	t = &r->tombs[r->tomb_count++];
	memset(t, 0, sizeof(*t));
	t->customer = (uint32_t)customer;
	t->shard = (uint8_t)shard;
	t->ordered = ordered;
	r->customers[customer].tomb = r->tomb_count;
	return t;
}

int keyd_ring_tomb_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_tomb_token token;
	struct keyd_ring_grave *t;
	struct keyd_record_tomb m;

	(void)fresh;
	if (keyd_record_tomb_get(body, &m) < 0 || keyd_record_tomb_token_get(m.token, &token) < 0 ||
	    keyd_record_tomb_token_check(&token, r->root->tombstone, r->store) < 0)
		return ERR_DAMAGED;
	t = grave_of(r, token.customer, token.ordered);
	if (!t)
		return ERR_NOMEM;
	if (t->ordered != token.ordered || m.state < t->state)
		return ERR_DAMAGED;
	t->state = m.state;
	t->dead = m.dead;
	t->changed = m.changed;
	t->since = m.since;
	t->kek = m.kek;
	t->backup = m.backup;
	if (m.state >= KEYD_RECORD_TOMB_DEAD) {
		keyd_ring_dek_drop(r, t->customer);
		keyd_ring_key_end(r, token.customer, m.dead);
	}
	return 0;
}

int keyd_ring_tomb_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	struct buf token;
	int rc = 0;

	buf_init(&token, KEYD_RECORD_TOMB_TOKEN_MAX);
	for (uint32_t i = 0; rc == 0 && i < r->tomb_count; i++) {
		const struct keyd_ring_grave *t = &r->tombs[i];
		struct keyd_record_tomb m = {.state = t->state,
					     .dead = t->dead,
					     .changed = t->changed,
					     .since = t->since,
					     .kek = t->kek,
					     .backup = t->backup};
		buf_reset(&token);
		rc = token_of(r, t, &token);
		if (rc == 0)
			rc = keyd_ring_walk(w, KEYD_RECORD_TOMBSTONE, put(&w->body, &m, &token));
	}
	buf_clear(&token);
	return rc;
}

void keyd_ring_tomb_clear(struct keyd_ring *r)
{
	free(r->tombs);
}
