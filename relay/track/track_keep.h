/* SPDX-License-Identifier: Apache-2.0 */
/* track_keep - the keeper: a thread that notes what readers do, in state/track.db.
 *
 * Story:    others post messages; it takes all that wait, does them within one transaction, and only then answers who asked.
 *           Recipients are sealed by keyd (a connection of its own, which it waits for): while keyd is away or locked they
 *           wait in memory, at most TRACK_KEEP_SENT of them. Of a hit nothing is kept for who did not consent, but totals.
 *           Every hour what is older than tracking.keep goes, and all of customers whose keys were destroyed but totals.
 * Limits:   TRACK_KEEP_WAITING hits at a time; what is more is dropped and counted (tracking-lost).
 * Thread:   hit, sent, delivered, post: any, they never wait. new, start, stop, free: control's.
 * Events:   unsubscribed, tracking-lost, tracking-store-failed, tracking-expired, tracking-erased,
 *           tracking-destroyed, webhook-ended, webhook-failed, webhook-gave-up, webhook-full. */
#ifndef RELAY_TRACK_TRACK_KEEP_H
#define RELAY_TRACK_TRACK_KEEP_H

#include "relay/store/store.h"
#include "relay/track/track_own.h"

#define TRACK_KEEP_WAITING 100000
#define TRACK_KEEP_SENT	   200000

/* NULL: *err, *why. */
struct track_keep *track_keep_new(struct track *t, const struct relay_conf *conf, int *err, const char **why);
int track_keep_start(struct track_keep *k);
/* What waits is done first. */
void track_keep_stop(struct track_keep *k);
void track_keep_free(struct track_keep *k);

void track_keep_hit(struct track_keep *k, const struct track_hit *h);
void track_keep_sent(struct track_keep *k, const struct track_sent *s);
void track_keep_delivered(struct track_keep *k, uint64_t tid, int64_t at);
/* m->run(m, k) on its thread. */
void track_keep_post(struct track_keep *k, struct relay_msg *m);

struct track_keep_numbers {
	uint64_t hits, unsubscribed, lost;
	unsigned waiting;      /* recipients that keyd has not sealed yet */
	uint64_t pushes;       /* that webhooks are still to be told */
	int64_t oldest_sealed; /* wall usec; 0: none */
};
void track_keep_numbers(struct track_keep *k, struct track_keep_numbers *out);

#endif
