/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_audience - lists of recipients on their way into a campaign.
 *
 * Story:     an author's command sends a list in pieces of whole lines (put); each is hashed with the customer's key and
 *            forgotten, so that addresses are here for the time of one request and in memory alone. The list has a name
 *            by which a source asks for it when all of it is here (take). It is then sorted, which for a million takes a
 *            tenth of a second, by a thread (close), and goes sealed into the store beside the package (store). milter
 *            fetches it from there piece by piece (read).
 * Ownership: a list that was taken is the caller's: drop. Not while close or store is under way.
 * Limits:    CAMPAIGN_AUDIENCE_LISTS on their way at a time, each forgotten when nothing more came for
 *            CAMPAIGN_AUDIENCE_WAIT; CAMP_AUDIENCE_MAX addresses in one.
 * Errors:    ERR_NOTFOUND (no such list, or of another customer), ERR_BUSY (its last piece is being read, or there are too many
 *            lists), ERR_LIMIT (too long), those of keyd and the store.
 * Thread:    control's. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_AUDIENCE_H
#define RELAY_CAMPAIGN_CAMPAIGN_AUDIENCE_H

#include "campaign/camp_audience.h"
#include "relay/campaign/campaign.h"

#define CAMPAIGN_AUDIENCE_ID	32 /* digits of a name */
#define CAMPAIGN_AUDIENCE_LISTS 4
#define CAMPAIGN_AUDIENCE_WAIT	(120 * CLOCK_SEC)
#define CAMPAIGN_AUDIENCE_SLICE 48 /* pieces of the store: sealed and written at a time, or given in one answer */

struct campaign_audiences; /* those on their way */
struct campaign_audience;  /* one that was taken */

struct campaign_audiences *campaign_audience_new(struct relay *r);
void campaign_audience_free(struct campaign_audiences *t);
/* Forgets those that nothing came for. */
void campaign_audience_expire(struct campaign_audiences *t);

/* Text of the next lines. id: of the list; "" begins one. The answer: {"audience": id, "lines", "addresses", "wrong"}. */
void campaign_audience_put(struct campaign_audiences *t, const char *customer, const char *id, struct span text,
			   campaign_fn fn, void *arg);

/* 0 and *out, which is no longer in the table. */
int campaign_audience_take(struct campaign_audiences *t, const char *customer, const char *id,
			   struct campaign_audience **out);
void campaign_audience_drop(struct campaign_audience *a);

/* fn: 0; ERR_CLOSED: relay stops. 0: it is called once, later. */
typedef void (*campaign_audience_fn)(void *arg, int err);
int campaign_audience_close(struct campaign_audience *a, campaign_audience_fn fn, void *arg);
/* Once it is closed: the list, its SHA-256, and what is wrong with it: findings as the lint has them (a new array; empty:
 * nothing). */
const struct camp_audience *campaign_audience_list(const struct campaign_audience *a);
const uint8_t *campaign_audience_hash(const struct campaign_audience *a);
json_t *campaign_audience_findings(const struct campaign_audience *a);
/* Seals it, and writes it as pieces of that version, a slice at a time: the version's row must be one that a crash takes
 * away with its pieces. fn is called once. */
void campaign_audience_store(struct campaign_audience *a, int64_t number, campaign_audience_fn fn, void *arg);

/* At most CAMPAIGN_AUDIENCE_SLICE pieces from octet from on, which must be where a piece begins. ERR_NOTFOUND: there is
 * nothing; ERR_DAMAGED: it does not open. octets holds during the call. */
typedef void (*campaign_audience_read_fn)(void *arg, int err, struct span octets);
void campaign_audience_read(struct relay *r, const char *customer, int64_t number, int64_t from,
			    campaign_audience_read_fn fn, void *arg);

#endif
