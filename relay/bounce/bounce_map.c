/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_map.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "core/rand.h"
#include "core/secret.h"

enum { ROOM_FIRST = 1024, TEXT_ROOM = 16 + 65 + 1 + 512 };

void bounce_map_init(struct bounce_map *m)
{
	memset(m, 0, sizeof(*m));
	rand_bytes(m->secret, sizeof(m->secret));
}

void bounce_map_clear(struct bounce_map *m)
{
	free(m->slots);
	secret_wipe(m, sizeof(*m));
}

uint64_t bounce_map_hash(const struct bounce_map *m, const char *customer, struct span address)
{
	uint8_t text[TEXT_ROOM], digest[SHA256_DIGEST_LENGTH];
	size_t n = sizeof(m->secret), c = strnlen(customer, 65);
	uint64_t hash;

	memcpy(text, m->secret, n);
	memcpy(text + n, customer, c);
	n += c;
	text[n++] = '\0';
	for (size_t i = 0; i < address.n && n < sizeof(text); i++) {
		uint8_t b = address.p[i];
		text[n++] = b >= 'A' && b <= 'Z' ? b | 0x20 : b;
	}
	SHA256(text, n, digest);
	secret_wipe(text, n);
	hash = num_get_u64(digest);
	return hash ? hash : 1;
}

static size_t home(const struct bounce_map *m, uint64_t hash)
{
	return (size_t)hash & (m->room - 1);
}

struct bounce_map_entry *bounce_map_find(const struct bounce_map *m, uint64_t hash)
{
	if (!m->room)
		return NULL;
	for (size_t i = home(m, hash); m->slots[i].hash; i = (i + 1) & (m->room - 1))
		if (m->slots[i].hash == hash)
			return &m->slots[i];
	return NULL;
}

static void place(struct bounce_map *m, const struct bounce_map_entry *e)
{
	size_t i = home(m, e->hash);

	while (m->slots[i].hash)
		i = (i + 1) & (m->room - 1);
	m->slots[i] = *e;
	m->count++;
}

static int grow(struct bounce_map *m)
{
	struct bounce_map bigger = *m;

	bigger.room = m->room ? m->room * 2 : ROOM_FIRST;
	bigger.count = 0;
	bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].hash)
			place(&bigger, &m->slots[i]);
	free(m->slots);
	*m = bigger;
	return 0;
}

int bounce_map_put(struct bounce_map *m, const struct bounce_map_entry *e)
{
	struct bounce_map_entry *there = bounce_map_find(m, e->hash);
	int err = 0;

	if (there) {
		*there = *e;
		return 0;
	}
	if (m->count >= m->room / 4 * 3)
		err = grow(m);
	if (err == 0)
		place(m, e);
	return err;
}

/* Moves what was pushed on by the one that goes back to its place. */
void bounce_map_remove(struct bounce_map *m, uint64_t hash)
{
	struct bounce_map_entry *e = bounce_map_find(m, hash);
	size_t gap, mask = m->room - 1;

	if (!e)
		return;
	gap = (size_t)(e - m->slots);
	for (size_t i = (gap + 1) & mask; m->slots[i].hash; i = (i + 1) & mask) {
		size_t from = home(m, m->slots[i].hash);
		if (((i - from) & mask) < ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap].hash = 0;
	m->count--;
}

size_t bounce_map_expire(struct bounce_map *m, uint32_t now)
{
	size_t gone = 0;

	for (size_t i = 0; i < m->room;) {
		if (m->slots[i].hash && m->slots[i].expires && m->slots[i].expires <= now) {
			bounce_map_remove(m, m->slots[i].hash); /* another may move to i */
			gone++;
		} else {
			i++;
		}
	}
	return gone;
}
