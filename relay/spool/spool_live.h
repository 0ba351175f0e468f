/* SPDX-License-Identifier: Apache-2.0 */
/* spool_live - the messages that live, in memory: where each lies, what is known of its recipients.
 *
 * Story:     recovery fills it, the spool thread keeps it. An entry begins with the first PART or with
 *            the COMMIT (at is then still empty: an open transaction), lives when at says where its
 *            COMMIT lies, and goes when the last recipient is final. Checkpoints are written from it.
 * Memory:    64 bytes per message and 4 to 8 for finding it; 16 per recipient of messages with more
 *            than one; 8 per segment that holds PARTs. Entries never move.
 * Errors:    ERR_NOMEM only where said; what can fail comes before what cannot.
 * Thread:    one at a time. Where a lock is held around add, remove, commit and move, others may call find
 *            with it, and read id and at of what that gives. */
#ifndef RELAY_SPOOL_SPOOL_LIVE_H
#define RELAY_SPOOL_SPOOL_LIVE_H

#include "relay/spool/spool_log.h"

struct spool_hold { /* PARTs of a message in one segment */
	uint32_t segment, bytes;
};

struct spool_entry {
	uint64_t id; /* 0: a free slot */
	int64_t created;
	struct spool_place at; /* COMMIT; segment 0: open transaction */
	uint32_t next;	       /* slot + 1 in the same bucket, or among the free ones */
	uint16_t recipients, remaining;
	uint16_t parts : 15;
	uint16_t quarantined : 1;
	uint16_t hold_count : 15;
	uint16_t copied : 1;	  /* at is a COPY's */
	struct spool_hold *holds; /* segments that hold PARTs, each once */
	union {
		struct spool_state one;	  /* recipients == 1 */
		struct spool_state *many; /* else; outcome 0: nothing known */
	};
};

struct spool_live {
	struct spool_entry **chunks;
	uint32_t chunk_count, chunk_room;
	uint32_t slots;	    /* ever used: all entries lie below */
	uint32_t free;	    /* slot + 1 of the first free one */
	uint32_t count;	    /* entries, open ones included */
	uint64_t committed; /* of them, with a COMMIT */
	uint64_t listed;    /* recipients of messages with more than one, and segments with PARTs */
	/* linear hashing: one bucket is split per entry */
	uint32_t *buckets;
	uint32_t bucket_count, bucket_room, split, base;
};

int spool_live_init(struct spool_live *l);
void spool_live_clear(struct spool_live *l);

struct spool_entry *spool_live_find(const struct spool_live *l, uint64_t id);
/* Someone will look for it soon: have it fetched from memory meanwhile. Worth it for many in a row. */
void spool_live_soon(const struct spool_live *l, uint64_t id);
/* A new open entry; id must not be there. NULL: no memory. */
struct spool_entry *spool_live_add(struct spool_live *l, uint64_t id);
void spool_live_remove(struct spool_live *l, struct spool_entry *e);
/* By slot, for walks over all (0 .. slots-1): NULL where none is. Entries keep their slot. */
struct spool_entry *spool_live_slot(const struct spool_live *l, uint32_t slot);
uint32_t spool_live_index(const struct spool_live *l, const struct spool_entry *e);

/* Sets how many recipients there are, all unknown. ERR_NOMEM. */
int spool_live_expect(struct spool_live *l, struct spool_entry *e, uint16_t recipients);
/* Notes that a segment holds so many bytes of PARTs: 1 if it is new, 0 if known. ERR_NOMEM. */
int spool_live_hold(struct spool_live *l, struct spool_entry *e, uint32_t segment, uint32_t bytes);
/* The same for a list that no entry has yet. */
int spool_live_hold_in(struct spool_hold **holds, unsigned *count, uint32_t segment,
		       uint32_t bytes);
/* The message lies elsewhere now: its COPY at, its PARTs as in holds, which are taken over. */
void spool_live_move(struct spool_live *l, struct spool_entry *e, struct spool_place at,
		     struct spool_hold *holds, unsigned hold_count);
/* Says where the COMMIT lies: the message lives. */
void spool_live_commit(struct spool_live *l, struct spool_entry *e, struct spool_place at,
		       int64_t created);
/* Takes in what became of a recipient; a final outcome stays. 1: all are final now. */
int spool_live_apply(struct spool_entry *e, const struct spool_state *st);

/* Whether its states put it into quarantine; notes it in the entry. */
int spool_live_quarantine(struct spool_entry *e);

static inline const struct spool_state *spool_live_states(const struct spool_entry *e)
{
	return e->recipients == 1 ? &e->one : e->many;
}

#endif
