/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_snapshot - the whole store as one run of bytes.
 *
 *   head     magic 16, format u32, store 16, generation u64, made at u64, restored u8, anchor's
 *            id 16, anchored since u64, id of the next slot u32, slots (count u8; each: length u16, keyd_root_slot)
 *   records  each: type u8 (never 0), length u32, body; a zero byte ends them
 *   tag      32
 *
 * Story:  the tag is an HMAC-SHA-256 over all that lies before it, checked before any record is
 *         looked at. The head alone is read before that, since the key that verifies comes out of
 *         its slots.
 * Errors: ERR_DAMAGED, ERR_LIMIT, ERR_NOMEM, and what the caller's function returns.
 * Source: sealpost-keyd-store(7).
 * Thread: pure; any. */
#ifndef KEYD_KEYD_SNAPSHOT_H
#define KEYD_KEYD_SNAPSHOT_H

#include "keyd/keyd_ring.h"
#include "keyd/keyd_root.h"

#define KEYD_SNAPSHOT_SIZE_MAX (1024u * 1024 * 1024)

struct keyd_snapshot_head {
	uint8_t id[16];
	uint64_t generation; /* goes up with each snapshot */
	int64_t made;	     /* clock_wall */
	uint8_t restored;    /* 1: came out of a backup, and nobody has accepted it yet */
	uint8_t anchor[16];  /* id of the anchor that KEKs are wrapped with; zeros: none */
	int64_t anchored;    /* since when files are of no use without an anchor; 0: they are */
	uint32_t next_slot;  /* id that the next new slot gets */
	unsigned slot_count;
	struct keyd_root_slot slots[KEYD_ROOT_SLOTS_MAX];
};

/* Returns the head's length, or ERR_DAMAGED, or ERR_UNSUPPORTED (another format). Nothing in it may
 * be believed yet. */
int64_t keyd_snapshot_head_parse(struct span file, struct keyd_snapshot_head *head);
/* Verifies all, then calls fn for each record. tag: the file's last 32 bytes, for the journal. */
int keyd_snapshot_parse(struct span file, const uint8_t key[32],
			int (*fn)(void *arg, unsigned type, struct span body), void *arg,
			const uint8_t **tag);
/* Appends head and all records of the ring to out. ERR_LOCKED once *cancel (atomic; may be NULL) is
 * not 0. */
int keyd_snapshot_format(const struct keyd_snapshot_head *head, const struct keyd_ring *ring,
			 const uint8_t key[32], const int *cancel, struct buf *out);
/* The same for a backup: head says restored and no anchor, and needs none. */
int keyd_snapshot_format_bare(const struct keyd_snapshot_head *head, const struct keyd_ring *ring,
			      const uint8_t key[32], const int *cancel, struct buf *out);

#endif
