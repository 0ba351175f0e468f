/* SPDX-License-Identifier: Apache-2.0 */
/* spool_compact - moves what lives out of segments that are almost dead, so that disk use follows living mail.
 *
 * Story:     once a second, if something died since, choose looks at how many bytes live in each segment. If the
 *            segments take more than four times what lives, and two more, those of which less than a quarter
 *            lives are marked as leaving, the emptiest first, as long as their living bytes fit into one
 *            segment. Then a pass over the table of living messages copies those that lie in them, slice by
 *            slice, between other rounds: the COMMIT as a COPY, with the sealed bytes as they are. When a slice
 *            is on stable storage the messages lie at their COPYs; the segments lose their last pin, and go
 *            as all others do (spool_check).
 * Order:     a message with PARTs in a leaving segment has these copied first, over as many slices as it
 *            takes; its COPY is written when they are stable. Within a slice nothing else is written, no
 *            CHECK above all: what is said of a message's place is true where it stands. Whatever fails or
 *            ends in between, the message lies where it lay.
 * Load:      a slice is 512 KiB or 128 messages, and one sync; then compaction rests four times as long as
 *            that took. It never uses the room that is kept for STATEs. While the disk is full it does not
 *            rest, takes one segment at a time, the emptiest, and only if what lives in it fits into the
 *            current one.
 * Errors:    a record that cannot be read stays where it is (spool-damaged), and its segment with it. After
 *            a failed write the pass ends; a later one begins anew.
 * Thread:    the spool thread. */
#ifndef RELAY_SPOOL_SPOOL_COMPACT_H
#define RELAY_SPOOL_SPOOL_COMPACT_H

#include "relay/spool/spool_log_own.h"

/* One slice, if there is something to do and it is time. After a round's group was written. */
void spool_compact_step(struct spool_log *s);
/* Mono time of the next step that may do something; <0: none is needed. */
int64_t spool_compact_due(const struct spool_log *s);
/* Gives up what is under way. */
void spool_compact_stop(struct spool_log *s);

#endif
