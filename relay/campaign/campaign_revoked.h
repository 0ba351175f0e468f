/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_revoked - the list of what was revoked, for which keyd vouches and which only grows.
 *
 *     rows in the store --(text, SHA-256)--> CHECKPOINT "revoked" of keyd --> what milter is given
 *
 * Story:     each line is in the store, with the number of the checkpoint that it is in first, before keyd is asked for that
 *            checkpoint: whatever a crash leaves, the lines up to keyd's last checkpoint give the text that keyd signed,
 *            and what is above it is signed now. If they do not, the store is not the one that keyd saw: an older copy, or
 *            somebody took lines out. Then nothing is served (ERR_DAMAGED), and the log says so.
 *            milter compares with CHECKPOINT_LAST by itself: so it would also notice a relay that keeps a line back.
 * Errors:    of reading: ERR_AWAY (keyd has not been asked yet), ERR_DAMAGED.
 * Thread:    control's.
 * Source:    sealpost-campaign(7), "Revocation"; keyproto_checkpoint.h, keyproto_manifest.h. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_REVOKED_H
#define RELAY_CAMPAIGN_CAMPAIGN_REVOKED_H

#include "relay/relay.h"

struct campaign_revoked;

/* changed: what is served is another one. NULL: out of memory. */
struct campaign_revoked *campaign_revoked_new(struct relay *r, void (*changed)(void *arg), void *arg);
void campaign_revoked_free(struct campaign_revoked *v);
/* keyd is READY: asks for its last checkpoint, signs what waits. */
void campaign_revoked_look(struct campaign_revoked *v);

/* Adds a line, within the caller's transaction. version 0: all. campaign_revoked_sign follows its commit. */
int campaign_revoked_add(struct campaign_revoked *v, const char *customer, const char *campaign,
			 int64_t version);
/* Has all lines signed. fn hears of it: 0, or why they are not yet (they will be, once keyd can). NULL: nobody wants
 * to know. */
void campaign_revoked_sign(struct campaign_revoked *v, void (*fn)(void *arg, int err), void *arg);
/* 1 if all versions of a campaign are revoked. */
int campaign_revoked_whole(struct campaign_revoked *v, const char *customer, const char *campaign);

/* What keyd vouches for: 0 and the number of its checkpoint (0: none was needed yet) and text, which holds until the next
 * change. */
int campaign_revoked_text(const struct campaign_revoked *v, uint64_t *counter, struct span *text);

/* --- pure, for tests: text of a list (KEYPROTO_REVOKED_HEAD and lines) of the lines with a counter of at most most, its
 * number of lines and SHA-256. */
struct store;
int campaign_revoked_format(struct store *s, int64_t most, struct buf *out, uint64_t *rows, uint8_t hash[32]);

#endif
