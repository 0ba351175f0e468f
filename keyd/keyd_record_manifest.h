/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_record_manifest - records of approvers of campaigns, and of keys of tracking tokens.
 *
 * Story:     as keyd_record.h. A tracking key is wrapped under the sub-key "track" of one of its
 *            customer's DEKs: it ends when they do, and no other file has to know of it.
 * Ownership: _get leaves spans and pointers into the body.
 * Errors:    ERR_FORMAT from _get; _put marks the buf.
 * Source:    sealpost-keyd-store(7).
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_RECORD_MANIFEST_H
#define KEYD_KEYD_RECORD_MANIFEST_H

#include "keyd/keyd_record.h"

/* An approver. A later record of the same name takes the place of the one before. */
struct keyd_record_approver {
	struct span name;     /* keyproto_manifest_person_ok */
	struct span customer; /* or "*" */
	int64_t added;
	struct span spki; /* DER; empty: he is one no more */
};
int keyd_record_approver_put(struct buf *b, const struct keyd_record_approver *m);
int keyd_record_approver_get(struct span body, struct keyd_record_approver *m);

/* A customer's tracking key. A later record takes the place of the one before: the same key under a
 * newer DEK. */
struct keyd_record_track {
	struct span customer;
	uint32_t keyref; /* of the DEK it is under */
	int64_t created;
	const uint8_t *wrapped; /* KEYD_WRAP_KEY bytes */
};
int keyd_record_track_put(struct buf *b, const struct keyd_record_track *m);
int keyd_record_track_get(struct span body, struct keyd_record_track *m);
/* AAD of the wrap. */
int keyd_record_track_aad(struct buf *b, const uint8_t store[16],
			  const struct keyd_record_track *m);

#endif
