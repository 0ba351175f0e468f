/* SPDX-License-Identifier: Apache-2.0 */
/* track_mail - unsubscribing by mail: to u-TOKEN@tracking.mailto, whatever the message says.
 *
 * Story:     at RCPT is says whether an address is one; bounce_intake takes the message, and has control ask here. The token
 *            does not name its host or customer: those of tracking.hosts are tried, each with its own key, which keyd
 *            gives. Then it goes as for a link.
 * Errors:    done: 0; ERR_NOTFOUND: no token of here, or expired, or nobody is known for it (any more); what is away.
 * Ownership: token is used within the call.
 * Thread:    is: any, pure. unsubscribe: control's.
 * Source:    RFC 2369 3.2; sealpost-tracking(8). */
#ifndef RELAY_TRACK_TRACK_MAIL_H
#define RELAY_TRACK_TRACK_MAIL_H

#include "relay/track/track.h"
#include "seal/seal_track.h"

#define TRACK_MAIL_PREFIX "u-"
#define TRACK_MAIL_LOCAL  (sizeof(TRACK_MAIL_PREFIX) - 1 + SEAL_TRACK_MAIL)

/* 1; 0: at another domain; ERR_NOTFOUND: at tracking.mailto, but nobody. token may be NULL. */
int track_mail_is(const struct relay_conf *conf, struct span local, struct span domain, struct seal_track_raw *token);

typedef void (*track_mail_fn)(void *arg, int err);
/* done is called once, perhaps within the call. */
void track_mail_unsubscribe(struct relay *r, const struct seal_track_raw *token, track_mail_fn done, void *arg);
/* What it comes to: track's own. */
void track_mail_run(struct track *t, const struct seal_track_raw *token, track_mail_fn done, void *arg);

#endif
