/* SPDX-License-Identifier: Apache-2.0 */
/* spool_recover - from the files of a spool to a log that can go on.
 *
 * Story:     called once, by open, before any thread runs. Lists the files; reads where the segments end
 *            and where the last checkpoint began (CLOSE records); replays from there; if that checkpoint
 *            turns out not to be whole, replays everything there is. Then looks whether what should live
 *            is there, pins it, and chooses the segment to go on with. A segment in which anything was
 *            wrong is never written again.
 * Errors:    ERR_DENIED (a file that is not ours or not private), ERR_IO, ERR_NOMEM, ERR_NOSPACE. Damage
 *            is no error: it is logged (spool-damaged), counted, and the segment is set aside once it is
 *            empty.
 * Source:    sealpost-spool(7), the table of states. */
#ifndef RELAY_SPOOL_SPOOL_RECOVER_H
#define RELAY_SPOOL_SPOOL_RECOVER_H

#include "relay/spool/spool_log_own.h"

/* Fills set, live, check and the helper's stock. current: the segment to go on with, or NULL if
 * there is none at all; *fresh: it must not be written any more, only closed. */
int spool_recover(struct spool_log *s, struct spool_report *report, int *fresh);

/* Calls found for all that live, in order of the log. ERR_NOMEM. */
int spool_recover_tell(struct spool_log *s, void (*found)(void *arg, const struct spool_found *f),
		       void *arg);

#endif
