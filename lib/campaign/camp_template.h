/* SPDX-License-Identifier: Apache-2.0 */
/* camp_template - templates are held against the rules of one-pass matching, and compiled for it.
 *
 * Story:     the lint calls check with a manifest and its blobs and shows what is found; milter and the
 *            API's test compile: check, then a flat program for each template. A compiled campaign is never
 *            changed; sessions share it.
 * Rules:     each names itself in its finding:
 *   blob-missing, blob-digest, blob-size   a blob is not the manifest's
 *   blob-form         not canonical text: CR, NUL, not UTF-8, a newline at the end
 *   template-unused, template-two-kinds    used by no part; by an HTML part and one that is not
 *   adjacent-fields   nothing fixed between two fields
 *   literal-in-field  what comes behind a field begins with an octet the field may hold ("without" helps)
 *   field-first       a block that begins, or is followed by, a field that cannot be told by one octet
 *   branches-alike    two branches, or a block and what follows it, do not differ within 64 octets of text
 *   branch-empty      a branch or a block that can be empty
 *   adjacent-link     the text directly before or behind a field would make a link with its value
 *   field-unused      a field that no template has (warning)
 *   field-values      values that cannot be written in the field's context, or are not min to max long
 *   value-prefix      the text behind an enum goes on like another of its values
 *   link-span, link-across-block, link-overlap, link-fields   links[i] does not lie well; its
 *                     fields are not those of its url
 *   link-field-size   a tracked link's values can be over 255 octets
 *   too-many-links    more than CAMP_PLACES can come in one message
 *   pixel-in-block    pixel_at is within a block, or off
 * Ownership: compile takes over the manifest (*m becomes NULL) and copies the blobs.
 * Time:      linear in blobs + ops, but for branches: 64 octets for each pair.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_TEMPLATE_H
#define CAMPAIGN_CAMP_TEMPLATE_H

#include "campaign/camp_manifest.h"

#define CAMP_PLACES    2000 /* links and pixels that one message can have */
#define CAMP_LOOKAHEAD 64
#define CAMP_LINK_DATA 255 /* octets of the values in one tracked link */

struct camp_template_finding {
	const char *rule; /* static: as above */
	int warning;
	unsigned tpl;	 /* or CAMP_NONE */
	uint32_t offset; /* in its blob */
	unsigned field;	 /* index in the manifest's fields, or CAMP_NONE */
	unsigned link;	 /* index of a link, or CAMP_NONE */
	char text[200];
};
typedef void (*camp_template_report_fn)(void *arg, const struct camp_template_finding *f);

/* The number of findings that are no warnings (report may be NULL), or ERR_NOMEM. */
int camp_template_check(const struct camp_manifest *m, const struct span *blobs, unsigned n_blobs,
			camp_template_report_fn report, void *arg);

struct camp_compiled;
/* 0; ERR_FORMAT: check found something (report, if not NULL, tells); ERR_NOMEM. */
int camp_template_compile(struct camp_manifest **m, const struct span *blobs, unsigned n_blobs,
			  struct camp_compiled **c, camp_template_report_fn report, void *arg);
void camp_template_free(struct camp_compiled *c);
const struct camp_manifest *camp_template_manifest(const struct camp_compiled *c);

#endif
