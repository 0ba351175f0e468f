/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_anchor.h"

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

int keyd_ring_anchor_use(struct keyd_ring *r, const uint8_t anchor[32])
{
	return keyd_root_anchor(r->root, anchor, r->root->kek);
}

void keyd_ring_anchor_missing(struct keyd_ring *r)
{
	r->no_anchor = 1;
}

int keyd_ring_anchor_begin(struct keyd_ring *r, const uint8_t anchor[32])
{
	int rc;

	if (r->next_kek)
		return ERR_BADSTATE;
	r->next_kek = secret_alloc(32);
	if (!r->next_kek)
		return ERR_NOMEM;
	rc = keyd_root_anchor(r->root, anchor, r->next_kek);
	for (unsigned i = 0; rc == 0 && i < KEYD_RING_SHARDS; i++)
		for (struct keyd_ring_kek *k = r->shards[i]; rc == 0 && k; k = k->older)
			rc = keyd_ring_kek_wrap(r, i, k, r->next_kek, k->next);
	if (rc == 0)
		rc = keyd_ring_backup_rewrap(r, r->next_kek);
	if (rc < 0)
		keyd_ring_anchor_cancel(r);
	return rc;
}

void keyd_ring_anchor_commit(struct keyd_ring *r)
{
	if (!r->next_kek)
		return;
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
		for (struct keyd_ring_kek *k = r->shards[i]; k; k = k->older)
			memcpy(k->wrapped, k->next, sizeof(k->wrapped));
	for (uint32_t i = 0; i < r->backup_count; i++)
		if (r->backups[i].key)
			memcpy(r->backups[i].wrapped, r->backups[i].next,
			       sizeof(r->backups[i].wrapped));
	/* A new key, whose only wraps these are. */
	r->root_wraps = r->kek_count + r->backup_count;
	memcpy(r->root->kek, r->next_kek, 32);
	keyd_ring_anchor_cancel(r);
}

void keyd_ring_anchor_cancel(struct keyd_ring *r)
{
	secret_free(r->next_kek, 32);
	r->next_kek = NULL;
}

int keyd_ring_anchor_each_bare(const struct keyd_ring *r,
			       int (*fn)(void *arg, unsigned type, struct span body), void *arg)
{
	struct keyd_ring_walk w = {.fn = fn, .arg = arg, .under = KEYD_RING_UNDER_BASE};

	return keyd_ring_walk_all(r, &w);
}
