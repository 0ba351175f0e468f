/* SPDX-License-Identifier: Apache-2.0 */
/* milter_keyd - the milter's way to keyd: a few connections that its threads share.
 *
 * Story:     each message asks twice whether keyd can be had (before it is taken, and before it is let
 *            go), and a message of a campaign asks for its MAC to be verified. A thread borrows a
 *            connection for that long only, so there are as many as questions at the same moment.
 *            Going away and coming back are logged once, by whoever notices first.
 * Errors:    ERR_LOCKED (keyd is there but not READY) or what keyproto_client_sync returns.
 * Thread:    any. */
#ifndef MILTER_MILTER_KEYD_H
#define MILTER_MILTER_KEYD_H

#include "core/buf.h"

struct milter_keyd;

/* NULL: out of memory. Does not connect yet. */
struct milter_keyd *milter_keyd_new(const char *path, int64_t timeout_usec);
/* All threads must be done with it. */
void milter_keyd_free(struct milter_keyd *k);

/* 0 if keyd is there and READY. */
int milter_keyd_check(struct milter_keyd *k);

/* 0 if mac (MAIL_CAMPAIGN_MAC bytes) is the customer's over data; ERR_AUTH if not; ERR_NOTFOUND: keyd
 * does not know the customer. */
int milter_keyd_verify(struct milter_keyd *k, const char *customer, struct span data,
		       const uint8_t *mac);

/* --- what campaigns need */

/* Public part (DER) of the key label names, such as "manifest/shop#2", appended to spki. ERR_NOTFOUND. */
int milter_keyd_public(struct milter_keyd *k, const char *label, struct buf *spki);

/* How long the list of the revoked is, and its hash, as keyd signed it last. */
struct milter_keyd_revoked {
	uint64_t counter, lines; /* 0: nothing was ever revoked, and hash says nothing */
	uint8_t hash[32];
};
int milter_keyd_revoked(struct milter_keyd *k, struct milter_keyd_revoked *out);

#define MILTER_KEYD_TRACK 32
/* Key of a customer's tokens in an epoch (seal/seal_track.h); out is locked memory. */
int milter_keyd_track(struct milter_keyd *k, const char *customer, uint32_t epoch, uint8_t out[MILTER_KEYD_TRACK]);

#define MILTER_KEYD_AUDIENCE 32
/* Key that a customer's recipients are hashed with (campaign/camp_audience.h); out is locked memory. */
int milter_keyd_audience(struct milter_keyd *k, const char *customer, uint8_t out[MILTER_KEYD_AUDIENCE]);

#endif
