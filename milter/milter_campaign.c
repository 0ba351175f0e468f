/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_campaign.h"

const char *milter_campaign_name(enum milter_campaign_verdict v)
{
	static const char *const names[] = {
#define MILTER_CAMPAIGN_X(sym, name) name,
	    MILTER_CAMPAIGN_VERDICTS(MILTER_CAMPAIGN_X)
#undef MILTER_CAMPAIGN_X
	};

	return names[v];
}

enum milter_campaign_verdict milter_campaign_judge(const struct milter_msg *m, int64_t now,
						   struct mail_campaign *c, struct buf *input)
{
	if (m->campaigns > 1)
		return MILTER_CAMPAIGN_SEVERAL;
	if (m->odd || buf_failed(&m->campaign) ||
	    mail_campaign_parse(buf_span(&m->campaign), c) != 0)
		return MILTER_CAMPAIGN_MALFORMED;
	if (!mail_campaign_fresh(c, now))
		return MILTER_CAMPAIGN_EXPIRED;
	if (m->recipients != 1)
		return MILTER_CAMPAIGN_RECIPIENTS;
	if (m->message_ids != 1 || buf_failed(&m->message_id))
		return MILTER_CAMPAIGN_MESSAGE_ID;
	/* An address cut short must not be verified as if it were whole. */
	if (buf_failed(&m->sender) || buf_failed(&m->recipient))
		return MILTER_CAMPAIGN_MALFORMED;
	if (mail_campaign_input(input, c, buf_span(&m->sender), buf_span(&m->recipient),
				buf_span(&m->message_id)) != 0)
		return MILTER_CAMPAIGN_MESSAGE_ID;
	return MILTER_CAMPAIGN_GOOD;
}
