/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_backup - the keys of backups that the ring knows.
 *
 * Story:     as with all of the ring: _make and _step write the body of a BACKUP record, which is
 *            journalled and then taken in by keyd_ring_apply. There is at most one current key,
 *            and its secret alone is held.
 * Errors:    ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO.
 * Thread:    the ring's. */
#ifndef KEYD_KEYD_RING_BACKUP_H
#define KEYD_KEYD_RING_BACKUP_H

#include "keyd/keyd_record_backup.h"
#include "keyd/keyd_ring.h"

struct keyd_ring_backup {
	uint32_t id;
	unsigned state; /* enum keyd_record_backup_state */
	int64_t created, changed, used;
};

uint32_t keyd_ring_backup_count(const struct keyd_ring *r);
/* i < count: in order of creation. */
void keyd_ring_backup_at(const struct keyd_ring *r, uint32_t i, struct keyd_ring_backup *out);
/* Id of the newest key, or 0. */
uint32_t keyd_ring_backup_newest(const struct keyd_ring *r);
/* Place of the current key, or -1. */
int64_t keyd_ring_backup_current(const struct keyd_ring *r);
/* 32 bytes; NULL unless key i is current. */
const uint8_t *keyd_ring_backup_secret(const struct keyd_ring *r, uint32_t i);

/* A new key, current. One that is current must be replaced first, by a record before this one. */
int keyd_ring_backup_make(const struct keyd_ring *r, uint64_t generation, int64_t now,
			  struct buf *out);
/* Key i as it is, or in a later state; used is set to now if made (a backup is made under it). */
int keyd_ring_backup_step(const struct keyd_ring *r, uint32_t i, unsigned state, int made,
			  int64_t now, struct buf *out);

#endif
