/* SPDX-License-Identifier: Apache-2.0 */
/* camp_lint - judges the source of a campaign, and makes the manifest that is approved.
 *
 * Story:     everything that can be wrong with a campaign is found here, once, before a person approves it: the mail path
 *            only compares afterwards. camp_lint reads the source, holds texts, links, fields, files, sender and tracking to
 *            the rules of sealpost-campaign(7), and tells all that is wrong, not the first thing alone. Without an error it
 *            makes the manifest (canonical JSON) and the blobs of its templates, and compiles them as the milter will.
 *            Hostile input costs time and memory, so it is run in sealpost-lint(8), a process that can do nothing else.
 * Second:    a second, independent HTML parser is asked through a function, so that no daemon has to link one: links and
 *            text that both see must be the same.
 * Ownership: the result owns its memory; camp_lint_clear frees it.
 * Thread:    pure; any. Time is an argument.
 * Source:    the attack table of the design. */
#ifndef CAMPAIGN_CAMP_LINT_H
#define CAMPAIGN_CAMP_LINT_H

#include "campaign/camp_finding.h"
#include "campaign/camp_manifest.h"
#include "core/buf.h"

#define CAMP_LINT_DEPTH 200 /* open elements in an HTML part, before the second parser sees it */

/* What another parser sees in a document. text: shown text with all white space left out; links: each href and src
 * (decoded, white space left out) with its closing LF, in any order; places: for each of them a uint32_t, where it stands
 * in the document. 0; ERR_UNSUPPORTED, ERR_NOMEM. */
struct camp_lint_seen {
	struct buf text, links, places;
};
typedef int (*camp_lint_second_fn)(struct span html, struct camp_lint_seen *seen);

struct camp_lint {
	struct camp_findings findings;
	struct buf manifest; /* canonical JSON; empty if there are errors */
	struct buf blob[CAMP_TEMPLATES];
	unsigned n_blobs;
};

/* json: a source document. second: may be NULL, then HTML parts are an error (parsers-differ). now: seconds since 1970.
 * 0, whatever was found: look at findings.errors and .failed; ERR_NOMEM. */
int camp_lint(struct camp_lint *l, struct span json, camp_lint_second_fn second, int64_t now);
void camp_lint_clear(struct camp_lint *l);

/* Appends {"ok","findings","manifest","blobs"} and a newline; blobs in base64. ERR_NOMEM. */
int camp_lint_result(const struct camp_lint *l, struct buf *out);

#endif
