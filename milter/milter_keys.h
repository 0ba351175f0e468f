/* SPDX-License-Identifier: Apache-2.0 */
/* milter_keys - keys of customers that keyd gave: of tracking tokens, and of audiences.
 *
 * Story:     get has it at hand or asks keyd. They lie in locked memory, for MILTER_KEYS_KEEP at most: a customer whose keys
 *            were destroyed has none after that. Whether keyd is open is asked for each message anyway (milter_keyd_check).
 * Errors:    what milter_keyd says. Without room in locked memory a key is not kept, and asked for again.
 * Thread:    any. */
#ifndef MILTER_MILTER_KEYS_H
#define MILTER_MILTER_KEYS_H

#include "core/clock.h"
#include "milter/milter_keyd.h"

#define MILTER_KEYS_KEEP (600 * CLOCK_SEC)
#define MILTER_KEYS_SIZE 32

enum milter_keys_kind { MILTER_KEYS_TRACK, MILTER_KEYS_AUDIENCE };

struct milter_keys;
/* NULL: out of memory. */
struct milter_keys *milter_keys_new(struct milter_keyd *keyd);
/* Wipes them. */
void milter_keys_free(struct milter_keys *k);
/* epoch: of a token's key; 0 for an audience's. out: locked memory, the caller's to wipe. */
int milter_keys_get(struct milter_keys *k, enum milter_keys_kind kind, const char *customer, uint32_t epoch,
		    uint8_t out[MILTER_KEYS_SIZE]);

#endif
