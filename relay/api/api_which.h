/* SPDX-License-Identifier: Apache-2.0 */
/* api_which - requests about one version of a campaign: what api_campaign and api_milter share. Control's thread. */
#ifndef RELAY_API_API_WHICH_H
#define RELAY_API_API_WHICH_H

#include "relay/api/api_call.h"
#include "relay/campaign/campaign.h"

/* Text of the body; "" if it has none of that name. */
const char *api_which_text(const struct api_call *c, const char *member);
/* customer (default: "default"), campaign, version (exact: there must be one; else 0 if there is none). 0; else the call was
 * answered. */
int api_which_read(struct api_call *c, struct campaign_which *which, int exact);
/* Answers a failed call. why and body may be NULL. */
void api_which_failed(struct api_call *c, int err, const char *why, json_t *body);

#endif
