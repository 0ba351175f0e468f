/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_known - what any thread may know of versions that were ever active: control writes, all read.
 *
 * Ownership: everything is copied; a reader's copy is his.
 * Errors:    ERR_NOMEM.
 * Thread:    campaign_find and campaign_link (campaign.h): any. The rest: control's. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_KNOWN_H
#define RELAY_CAMPAIGN_CAMPAIGN_KNOWN_H

#include "relay/campaign/campaign.h"

struct campaign_known;

struct campaign_known *campaign_known_new(void);
void campaign_known_free(struct campaign_known *k);
/* In place of what was known of that number. urls: about->links of them, NULL for one that is not tracked. hosts: where
 * its links may lead, NULL behind the last. */
int campaign_known_put(struct campaign_known *k, uint32_t number, const struct campaign_about *about,
		       const char *const *urls, const char *const *hosts);
/* Each host to fn, on control's thread. ERR_NOTFOUND: nothing is known of that number. */
int campaign_known_hosts(struct campaign_known *k, uint32_t number, void (*fn)(void *arg, const char *host), void *arg);
void campaign_known_state(struct campaign_known *k, uint32_t number, int state);
void campaign_known_drop(struct campaign_known *k, uint32_t number);
/* Until all that was ever active has been opened, what is not known may still come (ERR_AWAY). */
void campaign_known_all(struct campaign_known *k, int all);

/* What campaign_find and campaign_link do; url and about may be NULL. */
int campaign_known_get(struct campaign_known *k, uint32_t number, unsigned index,
		       char url[CAMPAIGN_URL_MAX + 1], struct campaign_about *about);

#endif
