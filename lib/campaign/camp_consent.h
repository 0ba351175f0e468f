/* SPDX-License-Identifier: Apache-2.0 */
/* camp_consent - what a reader agreed to have noted about himself.
 *
 * Story:  a message says it (X-DoPosta-Consent), or its campaign does; the milter puts it into tokens and trace header, relay
 *         keeps it with the message. The numbers are stored, in track.db and in the spool: they never change.
 * Thread: pure; any.
 * Source: sealpost-tracking(8). */
#ifndef CAMPAIGN_CAMP_CONSENT_H
#define CAMPAIGN_CAMP_CONSENT_H

#include "core/span.h"

enum camp_consent {
	CAMP_CONSENT_NONE,
	CAMP_CONSENT_AGGREGATE, /* totals alone */
	CAMP_CONSENT_OPENS,
	CAMP_CONSENT_CLICKS,
	CAMP_CONSENT_ALL,
	CAMP_CONSENT_COUNT
};
extern const char *const camp_consent_names[CAMP_CONSENT_COUNT];
/* "aggregate"; "unknown" for a number that has no name. */
const char *camp_consent_name(enum camp_consent c);
/* By name; or ERR_FORMAT. */
int camp_consent_parse(struct span name);

#endif
