/* SPDX-License-Identifier: Apache-2.0 */
/* Older DEKs of the ring: looked at, retired, destroyed.
 *
 *   ACTIVE --a newer one made--> ACTIVE, old --nothing is under it--> RETIRED --> (destroyed) */
#include "core/err.h"
#include "keyd/keyd_ring_in.h"
#include "keyd/keyd_ring_manifest.h"

int keyd_ring_dek(const struct keyd_ring *r, uint32_t keyref, struct keyd_ring_dek_info *out)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);

	if (!d)
		return ERR_NOTFOUND;
	out->customer = span_str(r->customers[d->customer].name);
	out->keyref = keyref;
	out->version = d->version;
	out->older = d->older;
	out->state = d->state;
	out->created = d->created;
	out->changed = d->changed;
	return 0;
}

uint32_t keyd_ring_old_dek(const struct keyd_ring *r, uint32_t i)
{
	return i < r->old_count ? r->old_deks[i] : 0;
}

/* 0 if the DEK may come into that state. */
static int check(const struct keyd_ring *r, uint32_t keyref, unsigned state)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);

	if (!d)
		return ERR_NOTFOUND;
	if (r->customers[d->customer].newest == keyref)
		return ERR_BADSTATE;
	return d->state == (state == KEYD_RECORD_RETIRED ? KEYD_RECORD_ACTIVE : KEYD_RECORD_RETIRED)
		   ? 0
		   : ERR_BADSTATE;
}

int keyd_ring_make_dek_state(const struct keyd_ring *r, uint32_t keyref, unsigned state,
			     int64_t now, struct buf *out)
{
	struct keyd_record_dek_state m = {keyref, (uint8_t)state, now};
	int rc = check(r, keyref, state);

	if (rc == 0 && state == KEYD_RECORD_DESTROYED &&
	    keyd_ring_track_under(r, keyd_ring_find_dek(r, keyref)->customer, keyref))
		return ERR_BADSTATE;
	return rc < 0 ? rc : keyd_record_dek_state_put(out, &m);
}

int keyd_ring_dek_state_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_dek_state m;
	struct keyd_ring_dek *d;

	(void)fresh;
	if (keyd_record_dek_state_get(body, &m) < 0)
		return ERR_DAMAGED;
	if (r->tomb_count && m.keyref < r->next_keyref && !keyd_ring_find_dek(r, m.keyref))
		return 0; /* of a customer who is gone, as his DEK itself was passed over */
	if (check(r, m.keyref, m.state) < 0)
		return ERR_DAMAGED;
	if (m.state == KEYD_RECORD_DESTROYED) {
		keyd_ring_dek_drop_one(r, m.keyref);
		r->destroyed++;
		return 0;
	}
	d = keyd_ring_find_dek(r, m.keyref);
	d->state = m.state;
	d->changed = m.time;
	return 0;
}
