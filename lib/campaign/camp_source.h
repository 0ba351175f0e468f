/* SPDX-License-Identifier: Apache-2.0 */
/* camp_source - the document an author writes: a campaign's texts with their fields, and what it is allowed.
 *
 * Story:     JSON (the command reads YAML and makes this of it):
 *   {"v":1, "customer", "campaign", "version", "number", "author",           as in the manifest
 *    "from":{"addr","name"}, "reply_to"?: null|{"addr","name"}, "subject": text, "list_id"?: null|text, "extra_allow"?: [..],
 *    "parts":[{"type":"text/plain"|"text/html", "text", "flowed"?}
 *             | {"type","name","size","sha256","cid"?,"disposition"?}],
 *    "structure"?: [{"d","type","part"?,"optional"?}],   the MIME tree in preorder; made of the parts if not said
 *    "fields"?: {name:{"type","max"?,"min"?,"without"?,"values"?}},
 *    "hosts":[host..], "links"?: {"no_track":[url..],"http":bool},
 *    "valid":{"from","to"}, "max_messages", "track"?: null|{..}, "mode"?: "template"|"signed-part",
 *    "audience"?: null|{"sha256","count"}, "owned"?: [domain..], "tracking"?: [host..]}
 *                                                     relay's, whatever the author wrote: the list that came with the source,
 *                                                     domains of the customer, hosts that may track, and take mail to
 *                                                     unsubscribe
 *            camp_source_parse reads it and tells each member that is missing, unknown or of another type. A text is cut into
 *            pieces by camp_source_cut: fixed text, fields, edges of blocks:
 *              {{name}}   {{#opt}}..{{/opt}}   {{#alt}}..{{|}}..{{/alt}}   {{#rep 20}}..{{/rep}}   {{{ for "{{" itself
 *            The fixed text, one piece after the other, is the blob: CR LF became LF, closing newlines are gone.
 * Ownership: clear frees all; strings belong to the JSON.
 * Limits:    CAMP_SOURCE_MAX octets; CAMP_* of the manifest.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_SOURCE_H
#define CAMPAIGN_CAMP_SOURCE_H

#include "campaign/camp_finding.h"
#include "campaign/camp_html.h"
#include "campaign/camp_manifest.h"
#include "core/buf.h"

#define CAMP_SOURCE_MAX	   (8U << 20)
#define CAMP_SOURCE_PIECES 20000

enum camp_source_kind {
	CAMP_SOURCE_LIT,
	CAMP_SOURCE_FIELD,
	CAMP_SOURCE_OPT,
	CAMP_SOURCE_ALT,
	CAMP_SOURCE_REP,
	CAMP_SOURCE_NEXT, /* {{|}} */
	CAMP_SOURCE_CLOSE /* of any block */
};

struct camp_source_piece {
	enum camp_source_kind kind;
	size_t at;     /* in the blob */
	size_t source; /* in the text as it was written */
	size_t len;    /* LIT: octets of the blob; else of the source */
	char name[CAMP_NAME + 1]; /* FIELD */
	unsigned max;		  /* REP */
};

/* One text: subject or part. */
struct camp_source_text {
	char part[80]; /* its name in findings */
	struct span text;
	int html, flowed;
	struct buf blob;
	struct camp_source_piece *piece;
	size_t n, room;
	struct camp_html_place *place; /* of fields and blocks, in order; names point into piece */
	size_t places;
};

struct camp_source {
	json_t *json; /* an object, members checked */
	struct camp_source_text text[CAMP_TEMPLATES];
	unsigned n_text;		  /* 0: subject; then the text parts, in order */
	unsigned part_text[CAMP_PARTS];	  /* of each part: index in text, or CAMP_NONE */
	unsigned n_parts;
};

/* 0, with what is wrong in fs (then fs->errors); ERR_NOMEM. Texts are cut unless they cannot be found. */
int camp_source_parse(struct camp_source *s, struct span json, struct camp_findings *fs);
void camp_source_clear(struct camp_source *s);

/* Cuts text (part, html, flowed: set by the caller). has_field: may be NULL. 0; ERR_NOMEM. */
int camp_source_cut(struct camp_source_text *t, struct span text, json_t *fields, struct camp_findings *fs);
void camp_source_text_clear(struct camp_source_text *t);
/* Where an octet of the blob stands in the text. */
size_t camp_source_at(const struct camp_source_text *t, size_t blob_offset);
/* The ops of its pieces, as the manifest has them; NULL: no memory. */
json_t *camp_source_ops(const struct camp_source_text *t);
/* A finding at an offset of the blob. */
#define camp_source_find(fs, level, rule, t, at, ...) \
	camp_finding_add(fs, level, rule, (t)->part, (t)->text, camp_source_at(t, at), __VA_ARGS__)

#endif
