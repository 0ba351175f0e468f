/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyproto/keyproto_manifest.h"

#define REFUSED (5 * CLOCK_SEC) /* keyd is not asked again so soon for what it has not */

struct entry {
	struct track_keys *keys;
	char customer[KEYPROTO_NAME_MAX + 1];
	uint32_t epoch;
	int asking, have;
	int refused;   /* ERR_*, until then */
	int64_t until; /* mono */
	int64_t used;
	struct list waiting;
	uint8_t *key;
};

struct track_keys {
	struct keyproto_client_ev *keyd;
	struct entry entries[TRACK_KEYS_MAX];
	uint8_t *secret; /* TRACK_KEYS_MAX keys */
	int freed;
};

struct track_keys *track_keys_new(struct keyproto_client_ev *keyd)
{
	struct track_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->keyd = keyd;
	k->secret = secret_alloc(TRACK_KEYS_MAX * KEYPROTO_TRACK_SIZE);
	if (!k->secret) {
		free(k);
		return NULL;
	}
	for (unsigned i = 0; i < TRACK_KEYS_MAX; i++) {
		k->entries[i].keys = k;
		k->entries[i].key = k->secret + i * KEYPROTO_TRACK_SIZE;
		list_init(&k->entries[i].waiting);
	}
	return k;
}

static void forget(struct entry *e)
{
	secret_wipe(e->key, KEYPROTO_TRACK_SIZE);
	e->have = 0;
	e->refused = 0;
	e->until = 0;
}

void track_keys_free(struct track_keys *k)
{
	if (!k)
		return;
	for (unsigned i = 0; i < TRACK_KEYS_MAX; i++)
		while (!list_empty(&k->entries[i].waiting))
			list_pop_front(&k->entries[i].waiting);
	secret_free(k->secret, TRACK_KEYS_MAX * KEYPROTO_TRACK_SIZE);
	free(k);
}

void track_keys_state(struct track_keys *k, unsigned state)
{
	if (state != KEYPROTO_READY)
		for (unsigned i = 0; i < TRACK_KEYS_MAX; i++)
			forget(&k->entries[i]);
}

static void tell(struct entry *e, int err)
{
	struct list now;

	list_init(&now);
	while (!list_empty(&e->waiting))
		list_push_back(&now, list_pop_front(&e->waiting));
	while (!list_empty(&now)) {
		struct track_keys_wait *w = list_entry(list_pop_front(&now), struct track_keys_wait, link);
		w->fn(w, err, err < 0 ? NULL : e->key);
	}
}

static void answered(void *arg, int err, struct span reply)
{
	struct entry *e = arg;
	struct span key;

	e->asking = 0;
	if (err == 0)
		err = keyproto_bytes_get(reply, &key);
	if (err == 0 && key.n != KEYPROTO_TRACK_SIZE)
		err = ERR_FORMAT;
	if (err == 0) {
		memcpy(e->key, key.p, KEYPROTO_TRACK_SIZE);
		e->have = 1;
		e->until = clock_mono() + TRACK_KEYS_KEEP;
	} else if (err == ERR_NOTFOUND || err == ERR_GONE) {
		e->refused = err;
		e->until = clock_mono() + REFUSED;
	}
	tell(e, err);
}

static struct entry *find(struct track_keys *k, const char *customer, uint32_t epoch)
{
	struct entry *oldest = NULL;

	for (unsigned i = 0; i < TRACK_KEYS_MAX; i++) {
		struct entry *e = &k->entries[i];
		if (e->epoch == epoch && !strcmp(e->customer, customer))
			return e;
		if (!e->asking && (!oldest || e->used < oldest->used))
			oldest = e;
	}
	if (!oldest)
		return NULL;
	forget(oldest);
	snprintf(oldest->customer, sizeof(oldest->customer), "%s", customer);
	oldest->epoch = epoch;
	return oldest;
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_track_put(body, message);
}

int track_keys_get(struct track_keys *k, const char *customer, uint32_t epoch, struct track_keys_wait *w,
		   const uint8_t **key)
{
	struct entry *e = find(k, customer, epoch);
	const struct keyproto_track m = {span_str(customer), epoch};
	int64_t now = clock_mono();
	int err;

	if (!e)
		return ERR_BUSY;
	e->used = now;
	if (e->until <= now && !e->asking)
		forget(e);
	if (e->have) {
		*key = e->key;
		return 1;
	}
	if (e->refused)
		return e->refused;
	if (!e->asking) {
		err = keyproto_client_ev_call(k->keyd, KEYPROTO_TRACK_KEY, TRACK_KEYS_TIMEOUT, fill, &m, answered, e);
		if (err < 0)
			return err;
		e->asking = 1;
	}
	list_push_back(&e->waiting, &w->link);
	return 0;
}

void track_keys_cancel(struct track_keys_wait *w)
{
	if (list_linked(&w->link))
		list_remove(&w->link);
}
