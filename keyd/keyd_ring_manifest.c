/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"
#include "keyproto/keyproto_manifest.h"
#include "seal/seal_kdf.h"

/* --- Approvers: a list in order of enrolment. */

/* Where that one hangs, or would. */
static struct keyd_ring_approver **find(struct keyd_ring_approver **at, struct span name,
					unsigned *count)
{
	for (*count = 0; *at && !keyproto_manifest_same_person(span_str((*at)->name), name);
	     at = &(*at)->next)
		++*count;
	return at;
}

static void approver_free(struct keyd_ring_approver *a)
{
	free(a->name);
	free(a->customer);
	free(a->spki);
	free(a);
}

static struct keyd_ring_approver *approver_new(const struct keyd_record_approver *m)
{
	struct keyd_ring_approver *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->name = keyd_ring_text(m->name);
	a->customer = keyd_ring_text(m->customer);
	a->spki = keyd_ring_copy(m->spki);
	a->size = m->spki.n;
	a->added = m->added;
	if (a->name && a->customer && a->spki)
		return a;
	approver_free(a);
	return NULL;
}

int keyd_ring_approver_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_ring_approver **at, *old, *a = NULL;
	struct keyd_record_approver m;
	unsigned count;

	(void)fresh;
	if (keyd_record_approver_get(body, &m) < 0)
		return ERR_DAMAGED;
	at = find(&r->approvers, m.name, &count);
	old = *at;
	if (!old && count >= KEYPROTO_APPROVERS_MAX)
		return ERR_DAMAGED;
	if (m.spki.n && !(a = approver_new(&m)))
		return ERR_NOMEM;
	if (old) {
		*at = old->next;
		approver_free(old);
	}
	if (a) {
		while (*at)
			at = &(*at)->next;
		*at = a;
	}
	return 0;
}

static void tell(const struct keyd_ring_approver *a, struct keyd_record_approver *out)
{
	out->name = span_str(a->name);
	out->customer = span_str(a->customer);
	out->added = a->added;
	out->spki = span_of(a->spki, a->size);
}

int keyd_ring_approver(const struct keyd_ring *r, struct span name,
		       struct keyd_record_approver *out)
{
	for (const struct keyd_ring_approver *a = r->approvers; a; a = a->next)
		if (keyproto_manifest_same_person(span_str(a->name), name)) {
			tell(a, out);
			return 0;
		}
	return ERR_NOTFOUND;
}

int keyd_ring_approver_at(const struct keyd_ring *r, unsigned i, struct keyd_record_approver *out)
{
	const struct keyd_ring_approver *a = r->approvers;

	for (; a && i; i--)
		a = a->next;
	if (!a)
		return ERR_NOTFOUND;
	tell(a, out);
	return 0;
}

int keyd_ring_make_approver(const struct keyd_ring *r, const struct keyd_record_approver *m,
			    struct buf *out)
{
	struct keyd_record_approver old;
	unsigned count = 0;

	if (keyd_ring_approver(r, m->name, &old) == 0) {
		if (m->spki.n)
			return ERR_EXISTS;
	} else {
		if (!m->spki.n)
			return ERR_NOTFOUND;
		while (keyd_ring_approver_at(r, count, &old) == 0)
			count++;
		if (count >= KEYPROTO_APPROVERS_MAX)
			return ERR_LIMIT;
	}
	return keyd_record_approver_put(out, m);
}

int keyd_ring_approver_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	struct keyd_record_approver m;
	int rc = 0;

	for (const struct keyd_ring_approver *a = r->approvers; rc == 0 && a; a = a->next) {
		tell(a, &m);
		rc = keyd_ring_walk(w, KEYD_RECORD_APPROVER, keyd_record_approver_put(&w->body, &m));
	}
	return rc;
}

void keyd_ring_approver_clear(struct keyd_ring *r)
{
	for (struct keyd_ring_approver *a = r->approvers, *next; a; a = next) {
		next = a->next;
		approver_free(a);
	}
}

/* --- Tracking keys: one hangs at its customer. */

/* Wraps key under the customer's newest DEK. */
static int wrap(struct keyd_ring *r, uint32_t customer, int64_t created, const uint8_t key[32],
		struct buf *out)
{
	uint8_t wrapped[KEYD_WRAP_KEY];
	struct keyd_record_track m = {.customer = span_str(r->customers[customer].name),
				      .keyref = r->customers[customer].newest,
				      .created = created,
				      .wrapped = wrapped};
	const uint8_t *under;
	struct buf aad;
	int rc = keyd_ring_subkey(r, customer, m.keyref, KEYPROTO_FOR_TRACK, &under);

	if (rc < 0)
		return rc;
	buf_init(&aad, 512);
	rc = keyd_record_track_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_seal(under, buf_span(&aad), key, 32, wrapped);
	if (rc == 0)
		rc = keyd_record_track_put(out, &m);
	buf_clear(&aad);
	return rc;
}

static int unwrap(struct keyd_ring *r, uint32_t customer, uint8_t key[32])
{
	const struct keyd_ring_track *t = r->customers[customer].track;
	struct keyd_record_track m;
	const uint8_t *under;
	struct buf aad;
	int rc;

	if (!t)
		return ERR_NOTFOUND;
	m = (struct keyd_record_track){span_str(r->customers[customer].name), t->keyref, t->created,
				       t->wrapped};
	rc = keyd_ring_subkey(r, customer, t->keyref, KEYPROTO_FOR_TRACK, &under);
	if (rc < 0)
		return rc == ERR_NOTFOUND ? ERR_DAMAGED : rc;
	buf_init(&aad, 512);
	rc = keyd_record_track_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(under, buf_span(&aad), span_of(t->wrapped, KEYD_WRAP_KEY), key);
	buf_clear(&aad);
	return rc == ERR_AUTH ? ERR_DAMAGED : rc;
}

int keyd_ring_make_track(struct keyd_ring *r, uint32_t customer, int64_t now, struct buf *out)
{
	uint8_t *key;
	int rc;

	if (r->customers[customer].track)
		return ERR_EXISTS;
	key = secret_alloc(32);
	if (!key)
		return ERR_NOMEM;
	rand_bytes(key, 32);
	rc = wrap(r, customer, now, key, out);
	secret_free(key, 32);
	return rc;
}

int keyd_ring_track_under(const struct keyd_ring *r, uint32_t customer, uint32_t keyref)
{
	const struct keyd_ring_track *t = r->customers[customer].track;

	return t && t->keyref == keyref;
}

int keyd_ring_track_move(struct keyd_ring *r, uint32_t customer, struct buf *out)
{
	uint8_t *key = secret_alloc(32);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = unwrap(r, customer, key);
	if (rc == 0)
		rc = wrap(r, customer, r->customers[customer].track->created, key, out);
	secret_free(key, 32);
	return rc;
}

static int derive(struct keyd_ring *r, uint32_t customer, const char *info, uint8_t out[32])
{
	uint8_t *key = secret_alloc(32);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = unwrap(r, customer, key);
	if (rc == 0)
		rc = seal_kdf_subkey(key, span_str(info), out);
	secret_free(key, 32);
	return rc;
}

int keyd_ring_track_key(struct keyd_ring *r, uint32_t customer, uint32_t epoch, uint8_t out[32])
{
	char info[40];

	snprintf(info, sizeof(info), "sealpost-track-1 %" PRIu32, epoch);
	return derive(r, customer, info, out);
}

int keyd_ring_audience_key(struct keyd_ring *r, uint32_t customer, uint8_t out[32])
{
	return derive(r, customer, "sealpost-audience-1", out);
}

int keyd_ring_track_apply(struct keyd_ring *r, struct span body, int fresh)
{
	const struct keyd_ring_dek *d;
	struct keyd_record_track m;
	struct keyd_ring_track *t;
	int64_t customer;

	(void)fresh;
	if (keyd_record_track_get(body, &m) < 0)
		return ERR_DAMAGED;
	customer = keyd_ring_customer(r, m.customer);
	if (customer == ERR_GONE) /* as his DEKs */
		return 0;
	d = keyd_ring_find_dek(r, m.keyref);
	if (customer < 0 || !d || d->customer != (uint32_t)customer)
		return ERR_DAMAGED;
	t = r->customers[customer].track;
	if (!t)
		t = r->customers[customer].track = calloc(1, sizeof(*t));
	if (!t)
		return ERR_NOMEM;
	t->keyref = m.keyref;
	t->created = m.created;
	memcpy(t->wrapped, m.wrapped, sizeof(t->wrapped));
	return 0;
}

int keyd_ring_track_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->customer_count; i++) {
		const struct keyd_ring_track *t = r->customers[i].track;
		struct keyd_record_track m;
		if (!t)
			continue;
		m = (struct keyd_record_track){span_str(r->customers[i].name), t->keyref,
					       t->created, t->wrapped};
		rc = keyd_ring_walk(w, KEYD_RECORD_TRACK, keyd_record_track_put(&w->body, &m));
	}
	return rc;
}

void keyd_ring_track_drop(struct keyd_ring *r, uint32_t customer)
{
	struct keyd_ring_track *t = r->customers[customer].track;

	if (t)
		secret_wipe(t, sizeof(*t));
	free(t);
	r->customers[customer].track = NULL;
}
