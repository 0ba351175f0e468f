/* SPDX-License-Identifier: Apache-2.0 */
/* camp_finding - what the lint found in the source of a campaign: rule, place, and a sentence for its author.
 *
 * Story:     the lint adds; whoever shows or stores them takes the JSON: an array of
 *              {"level":"error"|"warning","rule","part","offset","line","column","text"}
 *            part: where in the source: "subject", "parts[1]", "fields.code", "hosts[0]", or "" for the whole; offset: octets
 *            from 0 in that text, line and column from 1 (columns count characters); without a text all three are 0.
 *            Rules are explained in sealpost-campaign(7).
 * Ownership: owns its memory; camp_finding_clear frees it.
 * Limits:    CAMP_FINDINGS are kept, those of one rule in one part at most CAMP_FINDINGS_RULE; others are counted alone.
 * Thread:    one at a time. */
#ifndef CAMPAIGN_CAMP_FINDING_H
#define CAMPAIGN_CAMP_FINDING_H

#include <jansson.h>

#include "core/span.h"

#define CAMP_FINDINGS	   500
#define CAMP_FINDINGS_RULE 25

enum camp_finding_level { CAMP_FINDING_WARNING, CAMP_FINDING_ERROR };

struct camp_finding {
	enum camp_finding_level level;
	char rule[40], part[80];
	size_t offset;
	unsigned line, column;
	char text[256];
};

struct camp_findings {
	struct camp_finding *item;
	size_t n, room;
	unsigned errors, warnings; /* all, also those not kept */
	int failed;		   /* out of memory: nothing may be approved */
};

/* text: what the offset counts in, to tell line and column; empty if there is none. */
void camp_finding_add(struct camp_findings *fs, enum camp_finding_level level, const char *rule, const char *part,
		      struct span text, size_t offset, const char *format, ...) __attribute__((format(printf, 7, 8)));
void camp_finding_clear(struct camp_findings *fs);
/* By part and offset; those of the same place as they came. */
void camp_finding_sort(struct camp_findings *fs);
/* A new array, or NULL. */
json_t *camp_finding_json(const struct camp_findings *fs);

#endif
