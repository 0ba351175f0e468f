/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_host - whether the hosts of a campaign are its customer's.
 *
 * Story:     complete gives the lint, in a source's members owned and tracking, the list that it holds hosts to; whatever
 *            the author wrote there is gone. check asks once more at activation, for a domain may have been removed since.
 *            uses tells who goes on with a domain that is removed: what is active stays so.
 * Hosts:     those of the manifest are domains of the customer (domain_owns); the tracking host, and the domain of addresses to
 *            unsubscribe, are so too, or stand in the configuration.
 * Thread:    control's. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_HOST_H
#define RELAY_CAMPAIGN_CAMPAIGN_HOST_H

#include <jansson.h>

#include "campaign/camp_manifest.h"
#include "relay/relay.h"

int campaign_host_complete(struct relay *r, json_t *source, const char *customer);
/* 1: all are his; 0: *host, which is m's, is not; ERR_*. */
int campaign_host_check(struct relay *r, const char *customer, const struct camp_manifest *m,
			const char **host);
/* Versions that are active or paused and have a host by this domain alone: a new array of {campaign, version, state}.
 * *unseen: how many could not be looked at, for they lie sealed and keyd was not there yet. NULL: no memory. */
json_t *campaign_host_uses(struct relay *r, const char *customer, const char *domain, int *unseen);

#endif
