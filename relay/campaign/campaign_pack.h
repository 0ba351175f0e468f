/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_pack - the package of one version, sealed into pieces and opened from them.
 *
 *     package: | u32 n | findings of the lint: n octets of JSON | bundle (campaign/camp_bundle.h) |
 *
 * Story:     fill plain, seal it (keyd does, three pieces a call), store it within the transaction that fills the row. Or
 *            load it from the store and open it. Each piece's AAD is its place, so none can be another's; whether they
 *            are what was registered is told by the manifest's hash, which is its owner's to check.
 * Ownership: plain is wiped when the pack is freed. Not to be freed while seal or open is under way: keyd's client
 *            answers what is when it ends.
 * Errors:    ERR_LIMIT (too large), ERR_DAMAGED (pieces are missing, or do not open), ERR_GONE (the customer's keys were
 *            destroyed), ERR_AWAY, ERR_LOCKED, ERR_TIMEOUT, ERR_NOMEM.
 * Thread:    control's. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_PACK_H
#define RELAY_CAMPAIGN_CAMPAIGN_PACK_H

#include "relay/relay.h"
#include "relay/store/store_campaign.h"

#define CAMPAIGN_PACK_MAX ((size_t)STORE_CAMPAIGN_PIECE * STORE_CAMPAIGN_PIECES)

struct campaign_pack;
typedef void (*campaign_pack_fn)(void *arg, int err);

/* NULL: out of memory. */
struct campaign_pack *campaign_pack_new(struct relay *r, const char *customer, int64_t number);
void campaign_pack_free(struct campaign_pack *p);

/* The pieces are those of the store from first on: STORE_CAMPAIGN_LIST and what comes behind it. Without it: the package's. */
void campaign_pack_begin(struct campaign_pack *p, unsigned first);
struct buf *campaign_pack_plain(struct campaign_pack *p);
int64_t campaign_pack_number(const struct campaign_pack *p);
unsigned campaign_pack_pieces(const struct campaign_pack *p);
/* 0: fn is called once, later, or within the call. */
int campaign_pack_seal(struct campaign_pack *p, campaign_pack_fn fn, void *arg);
/* Writes what was sealed: within the caller's transaction. */
int campaign_pack_store(struct campaign_pack *p);
/* Reads pieces of size octets in all, and has them opened into plain. */
int campaign_pack_open(struct campaign_pack *p, int64_t pieces, int64_t size, campaign_pack_fn fn, void *arg);
/* Reads as many pieces as there are, at most most, and one at least: else ERR_NOTFOUND. */
int campaign_pack_open_some(struct campaign_pack *p, unsigned most, campaign_pack_fn fn, void *arg);

/* The two parts of plain. ERR_DAMAGED. */
int campaign_pack_put(struct campaign_pack *p, struct span findings, struct span bundle);
int campaign_pack_get(struct campaign_pack *p, struct span *findings, struct span *bundle);

#endif
