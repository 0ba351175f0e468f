/* SPDX-License-Identifier: Apache-2.0 */
/* spool_reread - gives back what a writer has written, before it is committed.
 *
 * Story:     a filter that comes after another must see the message as it stands now. open when nothing more is written
 *            for the time being, next until it says 0, close before the writer is committed or aborted. Stretches
 *            that are in the log already are read back from there and opened; the last one is still with the
 *            writer. spool_reread_ready says whether the log has answered for all of them.
 * Plaintext: one chunk (16 KiB), wiped.
 * Errors:    those of the writer, of spool_log_read and of seal_chunk_open.
 * Thread:    the writer's worker. */
#ifndef RELAY_SPOOL_SPOOL_REREAD_H
#define RELAY_SPOOL_SPOOL_REREAD_H

#include "relay/spool/spool_message.h"

/* 1 if open may be called now; else ready(arg) is called once when it may (or the writer has failed). Committing or
 * aborting the writer takes the wish back. */
int spool_reread_ready(struct spool_writer *sw, void (*ready)(void *arg), void *arg);

struct spool_reread;
/* Begins behind the first skip bytes. NULL: out of memory. */
struct spool_reread *spool_reread_open(struct spool_writer *sw, uint64_t skip);
/* 1: out is the next stretch (valid until the next call); 0: that was all; ERR_*. */
int spool_reread_next(struct spool_reread *r, struct span *out);
/* NULL is fine. */
void spool_reread_close(struct spool_reread *r);

#endif
