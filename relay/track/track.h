/* SPDX-License-Identifier: Apache-2.0 */
/* track - what readers do with mail that is tracked: clicks, opens, unsubscribing.
 *
 * Story:     milter puts tokens into mail (seal/seal_track.h); in notes each message that carries one, out notes its delivery.
 *            The tracking host (track_host) answers what readers' programs ask, and hands each hit to the keeper
 *            (track_keep), a thread with a database of its own, state/track.db: it judges who made it (track_bot), adds up
 *            totals, keeps what the reader consented to, tells the ledger and webhooks, and opens the recipient of a token
 *            for who unsubscribes.
 * Privacy:   a recipient lies sealed beside the message's number, found by a blind index; a hit of a token without a
 *            number (consent aggregate) leaves totals and nothing else. Addresses of readers are cut to /24 or /48, their
 *            programs to a family, before anything is kept. See sealpost-tracking(8).
 * Thread:    note_sent, note_delivered, oldest_sealed: any; they never wait. The rest: control's. */
#ifndef RELAY_TRACK_TRACK_H
#define RELAY_TRACK_TRACK_H

#include "relay/relay_control.h"

/* The link index of an invisible link, which no person clicks: it leads nowhere, and no manifest has it. */
#define TRACK_LINK_HONEYPOT 65535

/* A message that carries a token, for one recipient, as it was taken in. */
struct track_sent {
	uint64_t tid;	 /* in its tokens; not 0 */
	uint32_t number; /* of the campaign version */
	const char *customer, *campaign;
	unsigned consent;      /* enum camp_consent */
	const char *recipient; /* address */
	int64_t at;	       /* wall usec */
};
/* Everything is copied. Without tracking in relay's configuration nothing happens. */
void track_note_sent(struct relay *r, const struct track_sent *s);
void track_note_delivered(struct relay *r, uint64_t tid, int64_t at);

/* When the oldest thing was sealed that state/track.db still holds, wall usec; 0: there is none. Keys of then are needed. */
int64_t track_oldest_sealed(struct relay *r);

extern const struct relay_control_part track_part;

#endif
