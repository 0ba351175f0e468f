/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_own - what the files of relay/campaign share. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_OWN_H
#define RELAY_CAMPAIGN_CAMPAIGN_OWN_H

#include "relay/campaign/campaign_known.h"

struct campaigns { /* control's, but for known */
	struct relay *relay;
	struct campaign_known *known;
};

#endif
