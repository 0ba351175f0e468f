/* SPDX-License-Identifier: Apache-2.0 */
/* milter_feed_own - the list that the feed's thread makes and messages look into: not for others.
 *
 * Story:     parsed from relay's answer, sorted, filled with manifests by the feed, then never changed. Counted. */
#ifndef MILTER_MILTER_FEED_OWN_H
#define MILTER_MILTER_FEED_OWN_H

#include <jansson.h>

#include "milter/milter_keyd.h"
#include "milter/milter_manifest.h"

#define MILTER_FEED_VERSIONS 10000
#define MILTER_FEED_REVOKED  100000

struct milter_feed_entry {
	struct milter_manifest_item item;
	struct milter_manifest *manifest; /* NULL: not active, or not what it should be */
	int64_t tried;			  /* monotonic: when it was fetched last and did not hold */
	int loaded;			  /* for this list */
};

struct milter_feed_list {
	atomic_int refs;
	struct milter_feed_entry *entries; /* by customer, campaign, version */
	unsigned count;
	char *text; /* of the revoked, its lines cut apart */
	char **revoked; /* sorted lines "CUSTOMER CAMPAIGN VERSION" */
	unsigned revoked_count;
	uint64_t counter;
	uint8_t revoked_hash[32];
};

/* The answer of GET /v1/milter/campaigns. ERR_FORMAT, ERR_LIMIT, ERR_NOMEM. */
int milter_feed_list_parse(const json_t *answer, struct milter_feed_list **out);
struct milter_feed_list *milter_feed_list_ref(struct milter_feed_list *l); /* NULL is fine */
void milter_feed_list_unref(struct milter_feed_list *l);

/* 0 if the list of the revoked is the one that keyd signed last; ERR_ROLLBACK. */
int milter_feed_list_vouched(const struct milter_feed_list *l, const struct milter_keyd_revoked *last);
/* The entry that says the very same of the very same version, or NULL. l may be NULL. */
const struct milter_feed_entry *milter_feed_list_same(const struct milter_feed_list *l,
						      const struct milter_manifest_item *item);
/* As milter_feed_find. */
int milter_feed_list_find(const struct milter_feed_list *l, const char *customer, struct span campaign, uint32_t version,
			  struct milter_manifest **out);

#endif
