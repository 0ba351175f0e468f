/* SPDX-License-Identifier: Apache-2.0 */
/* The ring and its records: taking them in, and giving them out again for a snapshot. */
#include <stdlib.h>

#include "core/err.h"
#include "keyd/keyd_ring_in.h"

int keyd_ring_grow(void **items, uint32_t *room, uint32_t count, size_t size)
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

char *keyd_ring_text(struct span s)
{
	char *t = malloc(s.n + 1);

	if (t) {
		memcpy(t, s.p, s.n);
		t[s.n] = '\0';
	}
	return t;
}

uint8_t *keyd_ring_copy(struct span s)
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
	r->sequence = m.sequence;
	return 0;
}

int keyd_ring_apply(struct keyd_ring *r, unsigned type, struct span body, int fresh)
{
	static int (*const by_type[KEYD_RECORD_END])(struct keyd_ring * r, struct span body,
						     int fresh) = {
	    [KEYD_RECORD_COUNTERS] = apply_counters,
	    [KEYD_RECORD_KEK] = keyd_ring_kek_apply,
	    [KEYD_RECORD_DEK] = keyd_ring_dek_apply,
	    [KEYD_RECORD_KEY] = keyd_ring_key_apply,
	    [KEYD_RECORD_START] = keyd_ring_start_apply,
	    [KEYD_RECORD_TOMBSTONE] = keyd_ring_tomb_apply,
	    [KEYD_RECORD_BACKUP] = keyd_ring_backup_apply,
	    [KEYD_RECORD_REWRAP] = keyd_ring_rewrap_apply,
	    [KEYD_RECORD_KEK_STATE] = keyd_ring_kek_state_apply,
	    [KEYD_RECORD_NOTE] = keyd_ring_note_apply,
	    [KEYD_RECORD_DEK_STATE] = keyd_ring_dek_state_apply,
	    [KEYD_RECORD_KEY_STATE] = keyd_ring_key_state_apply,
	    [KEYD_RECORD_APPROVER] = keyd_ring_approver_apply,
	    [KEYD_RECORD_TRACK] = keyd_ring_track_apply,
	};
	int rc =
	    type < KEYD_RECORD_END && by_type[type] ? by_type[type](r, body, fresh) : ERR_DAMAGED;

	if (rc == 0)
		r->sequence += (uint64_t)fresh;
	return rc;
}

int keyd_ring_walk(struct keyd_ring_walk *w, unsigned type, int rc)
{
	if (rc == 0)
		rc = w->fn(w->arg, type, buf_span(&w->body));
	buf_reset(&w->body);
	return rc;
}

/* Tombstones come before DEKs, and KEKs before all that they open. */
int keyd_ring_walk_all(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	static int (*const each[])(const struct keyd_ring *r, struct keyd_ring_walk *w) = {
	    keyd_ring_kek_each, keyd_ring_tomb_each,   keyd_ring_dek_each,
	    keyd_ring_key_each, keyd_ring_backup_each, keyd_ring_start_each, keyd_ring_note_each,
	    keyd_ring_track_each, keyd_ring_approver_each};
	struct keyd_record_counters counters = {r->next_keyref, r->root_wraps, r->key_wraps,
						r->sequence};
	int rc;

	buf_init(&w->body, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_walk(w, KEYD_RECORD_COUNTERS, keyd_record_counters_put(&w->body, &counters));
	for (size_t i = 0; rc == 0 && i < sizeof(each) / sizeof(each[0]); i++)
		rc = each[i](r, w);
	buf_clear(&w->body);
	return rc;
}

int keyd_ring_each(const struct keyd_ring *r, int (*fn)(void *arg, unsigned type, struct span body),
		   void *arg)
{
	struct keyd_ring_walk w = {.fn = fn,
				   .arg = arg,
				   .under =
				       r->next_kek ? KEYD_RING_UNDER_NEXT : KEYD_RING_UNDER_OWN};

	return keyd_ring_walk_all(r, &w);
}
