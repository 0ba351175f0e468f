/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_map - which (customer, address) are suppressed: a hash table of hashes.
 *
 * Story:     holds no address: a key is 64 bits of SHA-256 over random bytes of this process, customer and address
 *            (ASCII letters in lower case). So two of a million collide with a chance of 1 to 30 million, and the table
 *            says nothing to who reads memory. Each has the id of its row and a time when it ends.
 * Errors:    ERR_NOMEM: nothing changed.
 * Limits:    16 bytes an entry, at most 3/4 full.
 * Thread:    whoever holds the owner's lock. */
#ifndef RELAY_BOUNCE_BOUNCE_MAP_H
#define RELAY_BOUNCE_BOUNCE_MAP_H

#include "core/span.h"

struct bounce_map_entry {
	uint64_t hash;	  /* 0: free */
	uint32_t row;	  /* id in the store */
	uint32_t expires; /* seconds since 1970; 0: never */
};
struct bounce_map {
	struct bounce_map_entry *slots;
	size_t room, count; /* room: a power of two, or 0 */
	uint8_t secret[16];
};

void bounce_map_init(struct bounce_map *m);
void bounce_map_clear(struct bounce_map *m);

/* Never 0. */
uint64_t bounce_map_hash(const struct bounce_map *m, const char *customer, struct span address);
/* NULL: not there. Valid until the next change. */
struct bounce_map_entry *bounce_map_find(const struct bounce_map *m, uint64_t hash);
/* Puts it in, or in place of the one with that hash. */
int bounce_map_put(struct bounce_map *m, const struct bounce_map_entry *e);
void bounce_map_remove(struct bounce_map *m, uint64_t hash);
/* Takes out what has expired by now (seconds since 1970): how many. */
size_t bounce_map_expire(struct bounce_map *m, uint32_t now);

#endif
