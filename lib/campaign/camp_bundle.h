/* SPDX-License-Identifier: Apache-2.0 */
/* camp_bundle - a manifest with all it speaks of, in one piece: what is stored and what milters fetch.
 *
 *   | "SPCB" 1 | u32 n | manifest | u16 count | (u32 n | blob)* | u32 n | audience |      big-endian
 *
 * Story:     put writes; get reads, parses the manifest, and holds each blob and the audience against the
 *            digests in it. A bundle from get is what the manifest's hash says, or it is refused. The
 *            audience is sorted keyed hashes of CAMP_AUDIENCE octets each, none twice, or nothing. A large one comes
 *            apart from the bundle: get then takes a bundle without it, in which nobody is, until join has put it in its
 *            place.
 * Ownership: spans of a bundle point into the bytes given to get; the manifest is the caller's to free.
 * Limits:    CAMP_BUNDLE_MAX octets; CAMP_MANIFEST_MAX, CAMP_TEMPLATES, CAMP_TEMPLATE_MAX.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_BUNDLE_H
#define CAMPAIGN_CAMP_BUNDLE_H

#include "campaign/camp_manifest.h"
#include "core/buf.h"

#define CAMP_AUDIENCE	16
#define CAMP_BUNDLE_MAX (128U << 20)

struct camp_bundle {
	struct span manifest;
	struct span blob[CAMP_TEMPLATES];
	unsigned n_blobs;
	struct span audience;
};

/* Appends. ERR_LIMIT, ERR_NOMEM. */
int camp_bundle_put(struct buf *out, const struct camp_bundle *b);
/* 0 with *m parsed; ERR_FORMAT, ERR_LIMIT, ERR_DAMAGED (a digest differs), ERR_NOMEM; e (may be NULL) says
 * what. */
int camp_bundle_get(struct span bytes, struct camp_bundle *b, struct camp_manifest **m,
		    struct camp_error *e);
/* 1 if the manifest has an audience that did not come with the bundle. */
static inline int camp_bundle_apart(const struct camp_bundle *b, const struct camp_manifest *m)
{
	return m->has_audience && !b->audience.n;
}
/* Gives it, if it is the manifest's: sorted, of its count and digest; else ERR_DAMAGED. Borrowed. */
int camp_bundle_join(struct camp_bundle *b, const struct camp_manifest *m, struct span audience);
/* 1 if the hash is in the audience (binary search); 0. An empty audience holds nobody. */
int camp_bundle_audience(const struct camp_bundle *b, const uint8_t hash[CAMP_AUDIENCE]);

#endif
