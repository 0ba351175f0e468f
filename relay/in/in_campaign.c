/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_campaign.h"

#include "mail/mail_campaign.h"

void in_campaign_init(struct in_campaign *c)
{
	in_field_init(&c->field, "x-doposta-campaign");
}

void in_campaign_feed(struct in_campaign *c, struct span s)
{
	in_field_feed(&c->field, s);
}

void in_campaign_id(const struct in_campaign *c, char id[IN_CAMPAIGN_ID])
{
	struct mail_campaign found;
	struct span value;

	if (in_field_value(&c->field, &value) < 0 || mail_campaign_parse(value, &found) < 0 ||
	    span_copy_str(id, IN_CAMPAIGN_ID, found.id) < 0)
		id[0] = '\0';
}
