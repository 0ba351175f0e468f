/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring.h"

#include <stdlib.h>

#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

static struct span customer_name(const void *arg, uint32_t number)
{
	return span_str(((const struct keyd_ring *)arg)->customers[number].name);
}

static struct span key_label(const void *arg, uint32_t number)
{
	return span_str(((const struct keyd_ring *)arg)->labels[number].name);
}

struct keyd_ring *keyd_ring_new(const uint8_t store[16], struct keyd_root_keys **keys)
{
	struct keyd_ring *r = calloc(1, sizeof(*r));

	if (r)
		r->cache = keyd_cache_new(KEYD_RING_CACHE);
	if (!r || !r->cache) {
		free(r);
		secret_free(*keys, sizeof(**keys));
		*keys = NULL;
		return NULL;
	}
	memcpy(r->store, store, sizeof(r->store));
	r->root = *keys;
	*keys = NULL;
	r->next_keyref = 1;
	keyd_names_init(&r->by_name, customer_name, r);
	keyd_names_init(&r->by_label, key_label, r);
	return r;
}

void keyd_ring_free(struct keyd_ring *r)
{
	if (!r)
		return;
	keyd_ring_kek_clear(r);
	keyd_ring_note_clear(r);
	keyd_ring_approver_clear(r);
	keyd_ring_key_clear(r);
	keyd_ring_dek_clear(r);
	keyd_ring_tomb_clear(r);
	keyd_ring_backup_clear(r);
	secret_free(r->next_kek, 32);
	keyd_names_clear(&r->by_name);
	keyd_names_clear(&r->by_label);
	keyd_cache_free(r->cache);
	secret_free(r->root, sizeof(*r->root));
	free(r);
}

void keyd_ring_counts(const struct keyd_ring *r, struct keyd_ring_counts *out)
{
	out->customers = r->customer_count - r->tomb_count;
	out->deks = r->dek_count;
	out->keks = r->kek_count;
	out->keys = r->key_count;
	out->destroyed = r->destroyed;
	out->cached = keyd_cache_count(r->cache);
}

uint64_t keyd_ring_sequence(const struct keyd_ring *r)
{
	return r->sequence;
}
