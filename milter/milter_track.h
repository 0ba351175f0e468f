/* SPDX-License-Identifier: Apache-2.0 */
/* milter_track - tokens for one message that was found as approved, and the edits and headers that carry them.
 *
 * Story:     prepare makes the tokens of tracked links and of the pixel at the places that the judge noted, and of the headers to
 *            unsubscribe by, under the customer's key of this epoch. splice then gives the new body, piece by piece;
 *            headers are the caller's to set. A message with nothing to track has no edits, and its body is not replaced.
 * Consent:   X-DoPosta-Consent of the message, else the manifest's word. none: no pixel, no click; aggregate: tokens name
 *            nobody; opens, clicks, all: those of that kind carry the message's number (tid). The token to
 *            unsubscribe by always does, or nobody could be found by it.
 * Skipped:   a message with a DKIM-Signature of its sender is not changed, but for headers that it does not have; a
 *            message in which a token would make a line too long keeps its body. Both are told (event tracking-skipped).
 * Keys:      of milter_keys.
 * Errors:    ERR_NOMEM; what keyd says; ERR_LIMIT, ERR_FORMAT, ERR_DENIED: the body cannot take the edits.
 * Source:    seal/seal_track.h; sealpost-tracking(8). Thread: one at a time. */
#ifndef MILTER_MILTER_TRACK_H
#define MILTER_MILTER_TRACK_H

#include "campaign/camp_check.h"
#include "milter/milter_body.h"
#include "milter/milter_keys.h"
#include "milter/milter_msg.h"
#include "seal/seal_track.h"

#define MILTER_TRACK_HONEYPOT 65535 /* link of a token that no person clicks: relay/track/track.h */

/* 1 if what X-DoPosta-Consent says can be understood, or there is none. */
int milter_track_consent_ok(const struct milter_msg *msg);
enum camp_consent milter_track_consent(const struct milter_msg *msg, const struct camp_manifest *m);
/* 1 if the body may have to change: it is to be kept. */
int milter_track_wanted(const struct milter_msg *msg, const struct camp_manifest *m);

struct milter_track {
	uint64_t tid; /* 0: nothing carries a token */
	enum camp_consent consent;
	struct camp_edit *edits;
	size_t n_edits;
	struct buf text;	/* of the edits */
	struct buf unsubscribe; /* value of List-Unsubscribe, or empty */
	struct buf feedback;	/* value of Feedback-ID, or empty */
	int replace;		/* List-Unsubscribe of the sender goes */
	const char *skipped;	/* static: why the body is left alone; NULL: it is not, or nothing was to be done */
};

/* Of a message that check approved; now: wall usec. t is then the caller's to clear. */
int milter_track_prepare(struct milter_track *t, struct milter_keys *keys, const struct milter_msg *msg,
			 const struct camp_manifest *m, const struct camp_check *check, int64_t now);
/* The new body. Nothing may have been emitted when ERR_LIMIT, ERR_FORMAT or ERR_DENIED comes: see milter_track_try. */
int milter_track_splice(const struct milter_track *t, const struct camp_check *check, struct milter_body *body,
			int (*emit)(void *arg, struct span piece), void *arg);
/* Goes through all of it without a result: 0, or why it will not do; then the edits are gone and skipped says why. */
int milter_track_try(struct milter_track *t, const struct camp_check *check, struct milter_body *body);
void milter_track_clear(struct milter_track *t);

#endif
