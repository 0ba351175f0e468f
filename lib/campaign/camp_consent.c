/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_consent.h"

#include "core/err.h"

const char *const camp_consent_names[CAMP_CONSENT_COUNT] = {"none", "aggregate", "opens", "clicks", "all"};

const char *camp_consent_name(enum camp_consent c)
{
	return (unsigned)c < CAMP_CONSENT_COUNT ? camp_consent_names[c] : "unknown";
}

int camp_consent_parse(struct span name)
{
	for (int i = 0; i < CAMP_CONSENT_COUNT; i++)
		if (span_equal(name, span_str(camp_consent_names[i])))
			return i;
	return ERR_FORMAT;
}
