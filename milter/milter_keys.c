/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_keys.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/secret.h"

#define KEYS 64

_Static_assert(MILTER_KEYD_TRACK == MILTER_KEYS_SIZE && MILTER_KEYD_AUDIENCE == MILTER_KEYS_SIZE, "keys of one size");

struct key {
	enum milter_keys_kind kind;
	char customer[65];
	uint32_t epoch;
	int64_t since; /* monotonic; 0: free */
	uint8_t *bytes;
};

struct milter_keys {
	struct milter_keyd *keyd;
	pthread_mutex_t lock;
	struct key keys[KEYS];
};

struct milter_keys *milter_keys_new(struct milter_keyd *keyd)
{
	struct milter_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->keyd = keyd;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void drop(struct key *k)
{
	secret_free(k->bytes, MILTER_KEYS_SIZE);
	memset(k, 0, sizeof(*k));
}

void milter_keys_free(struct milter_keys *k)
{
	if (!k)
		return;
	for (int i = 0; i < KEYS; i++)
		drop(&k->keys[i]);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

/* The kept one, copied; or 0. Those that are too old go. */
static int find(struct milter_keys *k, enum milter_keys_kind kind, const char *customer, uint32_t epoch, uint8_t *out)
{
	int64_t now = clock_mono();
	int found = 0;

	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < KEYS; i++) {
		struct key *e = &k->keys[i];
		if (e->bytes && now - e->since > MILTER_KEYS_KEEP)
			drop(e);
		if (e->bytes && e->kind == kind && e->epoch == epoch && !strcmp(e->customer, customer)) {
			memcpy(out, e->bytes, MILTER_KEYS_SIZE);
			found = 1;
		}
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

static void keep(struct milter_keys *k, enum milter_keys_kind kind, const char *customer, uint32_t epoch,
		 const uint8_t *key)
{
	struct key *oldest = &k->keys[0];

	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < KEYS; i++)
		if (!k->keys[i].bytes || k->keys[i].since < oldest->since)
			oldest = &k->keys[i];
	drop(oldest);
	oldest->bytes = secret_alloc(MILTER_KEYS_SIZE);
	if (oldest->bytes && span_copy_str(oldest->customer, sizeof(oldest->customer), span_str(customer)) == 0) {
		memcpy(oldest->bytes, key, MILTER_KEYS_SIZE);
		oldest->kind = kind;
		oldest->epoch = epoch;
		oldest->since = clock_mono();
	} else {
		drop(oldest);
	}
	pthread_mutex_unlock(&k->lock);
}

int milter_keys_get(struct milter_keys *k, enum milter_keys_kind kind, const char *customer, uint32_t epoch,
		    uint8_t out[MILTER_KEYS_SIZE])
{
	int err;

	if (find(k, kind, customer, epoch, out))
		return 0;
	err = kind == MILTER_KEYS_AUDIENCE ? milter_keyd_audience(k->keyd, customer, out)
					   : milter_keyd_track(k->keyd, customer, epoch, out);
	if (err == 0)
		keep(k, kind, customer, epoch, out);
	return err;
}
