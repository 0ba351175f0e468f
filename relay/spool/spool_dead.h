/* SPDX-License-Identifier: Apache-2.0 */
/* spool_dead - which segments are dead enough to be emptied.
 *
 * Story:     spool_compact asks choose once per pass, which marks segments as leaving; then, message by message,
 *            whether it has its COMMIT or PARTs in one of them. Rules: spool_compact.h, sealpost-spool(7).
 * Thread:    the spool thread. */
#ifndef RELAY_SPOOL_SPOOL_DEAD_H
#define RELAY_SPOOL_SPOOL_DEAD_H

#include "relay/spool/spool_log_own.h"

/* 1 if any segment is leaving now. */
int spool_dead_choose(struct spool_log *s);
int spool_dead_leaving(const struct spool_log *s, uint32_t number);
int spool_dead_parts(const struct spool_log *s, const struct spool_entry *e);

/* The disk is full: what compaction may use then, bytes of the current segment. */
int spool_dead_full(const struct spool_log *s);
uint32_t spool_dead_room(const struct spool_log *s);

#endif
