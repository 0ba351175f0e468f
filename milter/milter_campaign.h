/* SPDX-License-Identifier: Apache-2.0 */
/* milter_campaign - judges the campaign header of a message, as far as that needs no key.
 *
 * Story:     at the end of a message that has such a header. GOOD means: well formed, in time, one
 *            recipient, and input holds the bytes that keyd has to verify the MAC over. The verdicts'
 *            names go into the log; the sender is told none of them, only a report id.
 * Source:    sealpost-milter(8), mail_campaign.h. Thread: pure; any. */
#ifndef MILTER_MILTER_CAMPAIGN_H
#define MILTER_MILTER_CAMPAIGN_H

#include "mail/mail_campaign.h"
#include "milter/milter_msg.h"

/* X(symbol, name in the log) */
#define MILTER_CAMPAIGN_VERDICTS(X)                                                                \
	X(GOOD, "good")                                                                            \
	X(SEVERAL, "several-headers")	    /* more than one campaign header */                    \
	X(MALFORMED, "malformed")	    /* not of the form */                                  \
	X(EXPIRED, "outside-window")	    /* its time is not about now */                        \
	X(RECIPIENTS, "several-recipients") /* a MAC is over one */                                \
	X(MESSAGE_ID, "message-id")	    /* none, several, or one that cannot be in a MAC */    \
	X(FORGED, "mac")		    /* keyd says no */
enum milter_campaign_verdict {
#define MILTER_CAMPAIGN_X(sym, name) MILTER_CAMPAIGN_##sym,
	MILTER_CAMPAIGN_VERDICTS(MILTER_CAMPAIGN_X)
#undef MILTER_CAMPAIGN_X
};
const char *milter_campaign_name(enum milter_campaign_verdict v);

/* now: microseconds since 1970. c and input are filled when the verdict is GOOD; c from EXPIRED on.
 * A shortage of memory marks input (buf_failed ERR_NOMEM) and the verdict is then meaningless. */
enum milter_campaign_verdict milter_campaign_judge(const struct milter_msg *m, int64_t now,
						   struct mail_campaign *c, struct buf *input);

#endif
