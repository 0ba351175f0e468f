/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_anchor - the file of the anchor: a secret that no copy of the store contains.
 *
 *   place    magic 16, store 16, id 16, anchor 32, zeros                           4096 bytes
 *   file     eight places, of which one is in use, and two while the anchor changes; the others are
 *            empty, or hold what an INIT that was cut short has left
 *
 * Story:     a new anchor is written into a place that is not in use (_add), the store is written
 *            under it, and then the place of before is overwritten (_erase). A crash in between
 *            leaves both, and the store says which counts; so none is lost, and the old one goes
 *            when keyd is opened again. The id is a digest of store and anchor, so a place that was
 *            written in part is an empty one. Places of other stores are never touched.
 * Errors:    ERR_NOTFOUND (no such file, or that anchor is not in it), ERR_EXISTS (no place is
 *            free), ERR_DENIED (not a private file of our own), ERR_NOSPACE, ERR_IO, ERR_NOMEM.
 * Source:    sealpost-keyd-store(7); key anchor in sealpost-keyd.yaml(5).
 * Thread:    the disk's, or at start. */
#ifndef KEYD_KEYD_ANCHOR_H
#define KEYD_KEYD_ANCHOR_H

#include "core/span.h"

#define KEYD_ANCHOR_ID 16

/* 1 if the id is that of a store without anchor: zeros. */
int keyd_anchor_none(const uint8_t id[KEYD_ANCHOR_ID]);
/* anchor: 32 bytes of secret memory. */
int keyd_anchor_read(const char *path, const uint8_t store[16], const uint8_t id[KEYD_ANCHOR_ID],
		     uint8_t anchor[32]);
/* Makes a new anchor, in a place that does not hold keep; the file is made if it is not there. */
int keyd_anchor_add(const char *path, const uint8_t store[16], const uint8_t keep[KEYD_ANCHOR_ID],
		    uint8_t id[KEYD_ANCHOR_ID], uint8_t anchor[32]);
/* Overwrites every anchor of the store but keep. */
int keyd_anchor_erase(const char *path, const uint8_t store[16],
		      const uint8_t keep[KEYD_ANCHOR_ID]);

#endif
