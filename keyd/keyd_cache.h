/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_cache - sub-keys of the customers that were used last, unwrapped, in secret memory.
 *
 * Story:     keyd_ring asks by key reference; on a miss it unwraps the DEK, derives the sub-keys
 *            into the room that put gives, and wipes the DEK. When the cache is full, or secret
 *            memory is, the entry unused for longest is wiped and its room reused.
 * Ownership: pointers stay valid until the next put.
 * Limits:    fixed at new; KEYD_CACHE_KEYS bytes of secret memory an entry.
 * Thread:    one. */
#ifndef KEYD_KEYD_CACHE_H
#define KEYD_KEYD_CACHE_H

#include <stdint.h>

#define KEYD_CACHE_PURPOSES 8 /* enum keyproto_purpose 1..8, in that order */
#define KEYD_CACHE_KEYS	    (KEYD_CACHE_PURPOSES * 32)

struct keyd_cache;

/* At most max entries. NULL: out of memory. */
struct keyd_cache *keyd_cache_new(unsigned max);
/* Wipes all. */
void keyd_cache_free(struct keyd_cache *c);
/* KEYD_CACHE_KEYS bytes, or NULL: not there. Marks it used. */
const uint8_t *keyd_cache_get(struct keyd_cache *c, uint32_t keyref);
/* Room for an entry that is not there yet; NULL: no secret memory at all. */
uint8_t *keyd_cache_put(struct keyd_cache *c, uint32_t keyref);
/* Wipes one entry, if there. */
void keyd_cache_drop(struct keyd_cache *c, uint32_t keyref);
unsigned keyd_cache_count(const struct keyd_cache *c);

#endif
