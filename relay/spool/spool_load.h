/* SPDX-License-Identifier: Apache-2.0 */
/* spool_load - what files a spool has: the first half of recovery.
 *
 * Story:     segments opens every segment and puts it into the set, with what its title says; a file whose title
 *            cannot be read is put aside as NNNNNNNN.damaged, one that was just being prepared is kept for reuse.
 *            check reads the CLOSEs at the beginning of each segment: where earlier ones end, and where the last
 *            complete checkpoint began. kept hands over files for reuse, once it is sure that all else went well.
 * Errors:    ERR_DENIED (spool-refused: a file that is not ours, not private, no plain file), ERR_IO, ERR_NOMEM.
 * Thread:    the opening one. */
#ifndef RELAY_SPOOL_SPOOL_LOAD_H
#define RELAY_SPOOL_SPOOL_LOAD_H

#include "relay/spool/spool_log_own.h"

struct spool_names {
	uint32_t *all;
	size_t count, room;
};

struct spool_load {
	struct spool_log *s;
	struct spool_report *report;
	struct spool_names segments, kept;
};

int spool_load_segments(struct spool_load *v);
/* check.segment is 0 if no checkpoint is named. */
struct spool_close spool_load_check(struct spool_load *v);
void spool_load_kept(struct spool_load *v);
/* NNNNNNNN.seg gets another suffix. */
void spool_load_rename(struct spool_log *s, uint32_t number, const char *suffix);
void spool_load_clear(struct spool_load *v);

#endif
