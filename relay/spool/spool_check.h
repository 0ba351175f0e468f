/* SPDX-License-Identifier: Apache-2.0 */
/* spool_check - checkpoints: what lives, said again, so that old segments may go.
 *
 * Story:     a checkpoint is a run of CHECK records, each with the messages of some slots of spool_live,
 *            and an END that names where the run began (start) and how many CHECKs there are. Jobs are
 *            written between them: recovery reads in order of the log, an entry of a CHECK replaces what
 *            was known of the message, so it is enough that each entry is true where it stands. Once END
 *            is stable, a message whose COMMIT lies before start and which none of its CHECKs names is
 *            finished, whatever else the log says.
 * Rule:      a segment may be recycled if no living message and no open transaction has bytes in it, a
 *            complete checkpoint began in a later segment, and it is neither the current one nor the one
 *            before (for trace). Nothing else is needed of it: outcomes are in the checkpoint.
 * When:      as soon as that frees two segments (one, if it was emptied by compaction or the disk is full) and
 *            eight times what it writes; when the log has grown by
 *            four segments and eight times that since the last (start-up reads from there); after a
 *            segment went bad; at close.
 * Thread:    the spool thread; the codec is pure. */
#ifndef RELAY_SPOOL_SPOOL_CHECK_H
#define RELAY_SPOOL_SPOOL_CHECK_H

#include "relay/spool/spool_log_own.h"

/* Bytes of an entry in a CHECK. */
uint32_t spool_check_size(const struct spool_entry *e);
/* Writes it; returns its size. */
uint32_t spool_check_put(uint8_t *p, const struct spool_entry *e);
/* Reads the next entry of meta at *at into the table, in place of what was known. 1: *e is it; 0:
 * the meta is at its end; ERR_FORMAT, ERR_NOMEM. */
int spool_check_get(struct spool_live *l, struct span meta, size_t *at, struct spool_entry **e);

/* After each round: begins or goes on with a checkpoint, and lets go of segments. 1: there is more
 * to do at once. */
int spool_check_step(struct spool_log *s);
/* Writes a whole one, for close. */
void spool_check_all(struct spool_log *s);

#endif
