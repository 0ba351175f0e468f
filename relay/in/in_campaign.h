/* SPDX-License-Identifier: Apache-2.0 */
/* in_campaign - finds the campaign that a message says it is of, while it streams past.
 *
 * Story:  feed every stretch of the body in order; it looks no further than the empty line. id then gives the id in the
 *         header (lib mail_campaign), or "": no header, two of them, or one that is not of that form. Nothing is verified
 *         here: the id names a queue, and the milter refuses what is not what it says. Pure; any thread.
 * Source: MAIL_CAMPAIGN_HEADER. */
#ifndef RELAY_IN_IN_CAMPAIGN_H
#define RELAY_IN_IN_CAMPAIGN_H

#include "relay/in/in_field.h"

#define IN_CAMPAIGN_ID 65 /* with NUL */

struct in_campaign {
	struct in_field field;
};

void in_campaign_init(struct in_campaign *c);
void in_campaign_feed(struct in_campaign *c, struct span s);
void in_campaign_id(const struct in_campaign *c, char id[IN_CAMPAIGN_ID]);

#endif
