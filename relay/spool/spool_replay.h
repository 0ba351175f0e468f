/* SPDX-License-Identifier: Apache-2.0 */
/* spool_replay - from records, in order of the log, to the messages that live.
 *
 * Story:     recovery walks the segments and gives every record here. COMMIT adds a message, STATE says
 *            what became of its recipients and takes it away when all are final, CHECK says the same of
 *            many at once, COPY that it lies elsewhere now, and a complete END takes away those that it would have named.
 *            A checkpoint with a CHECK missing takes nothing away: rather deliver twice than not at all.
 * Ownership: fills the caller's table.
 * Thread:    pure; one at a time. */
#ifndef RELAY_SPOOL_SPOOL_REPLAY_H
#define RELAY_SPOOL_SPOOL_REPLAY_H

#include "relay/spool/spool_live.h"
#include "relay/spool/spool_record.h"

struct spool_replay {
	struct spool_live *live;
	uint64_t *stamps; /* by slot: the checkpoint that named it last */
	uint32_t stamp_room;
	uint64_t run; /* the checkpoint whose CHECKs came last, packed */
	uint32_t run_records;
	struct spool_point complete; /* where the last complete one began; segment 0: none */
	uint32_t complete_records;
	uint64_t records, finished;
};

void spool_replay_init(struct spool_replay *p, struct spool_live *live);
void spool_replay_clear(struct spool_replay *p);
/* A record with a right head; whole: its data are right, too. ERR_NOMEM. */
int spool_replay_record(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
			struct span meta, int whole);

#endif
