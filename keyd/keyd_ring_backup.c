/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_backup.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

uint32_t keyd_ring_backup_count(const struct keyd_ring *r)
{
	return r->backup_count;
}

void keyd_ring_backup_at(const struct keyd_ring *r, uint32_t i, struct keyd_ring_backup *out)
{
	const struct keyd_ring_backup_key *k = &r->backups[i];

	out->id = k->id;
	out->state = k->state;
	out->created = k->created;
	out->changed = k->changed;
	out->used = k->used;
}

uint32_t keyd_ring_backup_newest(const struct keyd_ring *r)
{
	return r->backup_count ? r->backups[r->backup_count - 1].id : 0;
}

int64_t keyd_ring_backup_current(const struct keyd_ring *r)
{
	for (uint32_t i = 0; i < r->backup_count; i++)
		if (r->backups[i].key)
			return i;
	return -1;
}

const uint8_t *keyd_ring_backup_secret(const struct keyd_ring *r, uint32_t i)
{
	return r->backups[i].key;
}

static void record_of(const struct keyd_ring_backup_key *k, struct keyd_record_backup *m)
{
	m->id = k->id;
	m->state = k->state;
	m->created = k->created;
	m->changed = k->changed;
	m->used = k->used;
	m->generation = k->generation;
	m->wrapped = span_of(k->wrapped, k->key ? sizeof(k->wrapped) : 0);
}

/* Wraps secret, or with wrapped given opens it. */
static int wrap(const struct keyd_ring *r, const uint8_t key[32],
		const struct keyd_record_backup *m, const uint8_t *secret, uint8_t *out)
{
	struct buf aad;
	int rc;

	buf_init(&aad, 256);
	rc = keyd_record_backup_aad(&aad, r->store, m);
	if (rc == 0)
		rc = secret ? keyd_wrap_seal(key, buf_span(&aad), secret, 32, out)
			    : keyd_wrap_open(key, buf_span(&aad), m->wrapped, out);
	buf_clear(&aad);
	return rc;
}

int keyd_ring_backup_make(const struct keyd_ring *r, uint64_t generation, int64_t now,
			  struct buf *out)
{
	uint8_t wrapped[KEYD_WRAP_KEY], *secret = secret_alloc(32);
	struct keyd_record_backup m = {.id = keyd_ring_backup_newest(r) + 1,
				       .state = KEYD_RECORD_BACKUP_CURRENT,
				       .created = now,
				       .changed = now,
				       .generation = generation,
				       .wrapped = span_of(wrapped, sizeof(wrapped))};
	int rc;

	if (!secret)
		return ERR_NOMEM;
	rand_bytes(secret, 32);
	rc = r->root_wraps < KEYD_WRAP_USES_MAX && m.id ? wrap(r, r->root->kek, &m, secret, wrapped)
							: ERR_LIMIT;
	if (rc == 0)
		rc = keyd_record_backup_put(out, &m);
	secret_free(secret, 32);
	return rc;
}

int keyd_ring_backup_step(const struct keyd_ring *r, uint32_t i, unsigned state, int made,
			  int64_t now, struct buf *out)
{
	struct keyd_record_backup m;

	record_of(&r->backups[i], &m);
	if (made)
		m.used = now;
	if (state != m.state)
		m.changed = now;
	m.state = (uint8_t)state;
	if (state != KEYD_RECORD_BACKUP_CURRENT)
		m.wrapped.n = 0;
	return keyd_record_backup_put(out, &m);
}

/* Room for the record's key: the one that is there, or one more. */
static struct keyd_ring_backup_key *place(struct keyd_ring *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->backup_count; i++)
		if (r->backups[i].id == id)
			return &r->backups[i];
	if (keyd_ring_grow((void **)&r->backups, &r->backup_room, r->backup_count,
			   sizeof(r->backups[0])) < 0)
		return NULL;
	memset(&r->backups[r->backup_count], 0, sizeof(r->backups[0]));
	return &r->backups[r->backup_count++];
}

/* The secret of a current key, out of its wrap. */
static int secret_of(const struct keyd_ring *r, const struct keyd_record_backup *m, uint8_t **out)
{
	int rc;

	*out = NULL;
	if (m->state != KEYD_RECORD_BACKUP_CURRENT)
		return 0;
	*out = secret_alloc(32);
	rc = *out ? wrap(r, r->root->kek, m, NULL, *out) : ERR_NOMEM;
	if (rc < 0) {
		secret_free(*out, 32);
		*out = NULL;
	}
	return rc == ERR_AUTH ? ERR_DAMAGED : rc;
}

/* A state never goes back, and only the newest key is current. */
static int follows(const struct keyd_ring *r, const struct keyd_record_backup *m)
{
	uint32_t newest = keyd_ring_backup_newest(r);

	for (uint32_t i = 0; i < r->backup_count; i++)
		if (r->backups[i].id == m->id)
			return m->state >= r->backups[i].state;
	return m->id > newest &&
	       (m->state != KEYD_RECORD_BACKUP_CURRENT || keyd_ring_backup_current(r) < 0);
}

int keyd_ring_backup_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_ring_backup_key *k;
	struct keyd_record_backup m;
	uint8_t *secret;
	int rc;

	if (keyd_record_backup_get(body, &m) < 0 || !follows(r, &m))
		return ERR_DAMAGED;
	rc = secret_of(r, &m, &secret);
	if (rc < 0)
		return rc;
	k = place(r, m.id);
	if (!k) {
		secret_free(secret, 32);
		return ERR_NOMEM;
	}
	/* A backup wraps all KEKs anew. */
	if (fresh)
		r->root_wraps += 1 + (m.used > k->used ? r->kek_count : 0);
	secret_free(k->key, 32);
	k->key = secret;
	k->id = m.id;
	k->state = m.state;
	k->created = m.created;
	k->changed = m.changed;
	k->used = m.used;
	k->generation = m.generation;
	memset(k->wrapped, 0, sizeof(k->wrapped));
	if (secret)
		memcpy(k->wrapped, m.wrapped.p, sizeof(k->wrapped));
	return 0;
}

int keyd_ring_backup_rewrap(struct keyd_ring *r, const uint8_t key[32])
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->backup_count; i++) {
		struct keyd_record_backup m;
		record_of(&r->backups[i], &m);
		if (r->backups[i].key)
			rc = wrap(r, key, &m, r->backups[i].key, r->backups[i].next);
	}
	return rc;
}

int keyd_ring_backup_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->backup_count; i++) {
		const struct keyd_ring_backup_key *k = &r->backups[i];
		struct keyd_record_backup m;
		record_of(k, &m);
		if (k->key && w->under == KEYD_RING_UNDER_NEXT)
			m.wrapped.p = k->next;
		if (k->key && w->under == KEYD_RING_UNDER_BASE) {
			m.state = KEYD_RECORD_BACKUP_REPLACED;
			m.wrapped.n = 0;
		}
		rc = keyd_ring_walk(w, KEYD_RECORD_BACKUP, keyd_record_backup_put(&w->body, &m));
	}
	return rc;
}

void keyd_ring_backup_clear(struct keyd_ring *r)
{
	for (uint32_t i = 0; i < r->backup_count; i++)
		secret_free(r->backups[i].key, 32);
	free(r->backups);
}
