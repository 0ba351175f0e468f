/* SPDX-License-Identifier: Apache-2.0 */
/* camp_lint_own - what the files of camp_lint share. */
#ifndef CAMPAIGN_CAMP_LINT_OWN_H
#define CAMPAIGN_CAMP_LINT_OWN_H

#include "campaign/camp_lint.h"
#include "campaign/camp_source.h"
#include "mail/mail_url.h"

struct camp_lint_link {
	unsigned text; /* index in source.text */
	size_t from, to;
	char *url; /* "{name}" for a field */
	int track;
	enum camp_link_as as;
};

struct camp_lint_run {
	struct camp_lint *out;
	struct camp_findings *fs;
	struct camp_source source;
	json_t *top; /* source.json */
	camp_lint_second_fn second;
	int64_t now;
	unsigned contexts[CAMP_FIELDS];	 /* bits 1 << enum camp_context, in the order of the object */
	uint32_t pixel_at[CAMP_TEMPLATES]; /* blob offset or CAMP_NONE */
	struct camp_lint_link *link;
	size_t n_links, room_links;
	const struct camp_manifest *manifest; /* while its templates are judged */
	int failed; /* out of memory */
	unsigned visible_unsubscribe; /* links that say so */
};

#define CAMP_LINT_ERROR(r, rule, part, ...) \
	camp_finding_add((r)->fs, CAMP_FINDING_ERROR, rule, part, span_of(NULL, 0), 0, __VA_ARGS__)
#define CAMP_LINT_WARN(r, rule, part, ...) \
	camp_finding_add((r)->fs, CAMP_FINDING_WARNING, rule, part, span_of(NULL, 0), 0, __VA_ARGS__)
#define CAMP_LINT_AT(r, level, rule, t, at, ...) \
	camp_source_find((r)->fs, CAMP_FINDING_##level, rule, t, at, __VA_ARGS__)

/* camp_lint_host: whose hosts they are */
#define CAMP_LINT_UNVERIFIED "is no verified domain of the customer, nor below one: see sealpost-domain(8)"
void camp_lint_hosts(struct camp_lint_run *r);
int camp_lint_owns(const struct camp_lint_run *r, const char *host);
/* 1 if a domain of the customer covers it: what is listed may be anybody's. */
int camp_lint_verified(const struct camp_lint_run *r, const char *host);
/* 1 if host is under a domain that one of the hosts, or From, is under. */
int camp_lint_related(const struct camp_lint_run *r, const char *host);
int camp_lint_is_shortener(const char *host);
/* Same host, or both under one registered domain. */
int camp_lint_same_site(const char *a, const char *b);
void camp_lint_sender(struct camp_lint_run *r);

/* camp_lint_url: one URL at a blob's offset. stand: with x for fields; value: with {name}. web: set if it is one of http or
 * https whose host is right. loads: an image or the like. */
void camp_lint_url(struct camp_lint_run *r, struct camp_source_text *t, size_t at, struct span stand, struct span value,
		   int loads, struct mail_url *u, int *web);
/* What is shown and would be a link, or passes for one. */
void camp_lint_mention(struct camp_lint_run *r, struct camp_source_text *t, size_t at, const struct mail_url_mention *m);
void camp_lint_add_link(struct camp_lint_run *r, const struct camp_source_text *t, size_t from, size_t to, struct span url,
			int track, enum camp_link_as as);

/* camp_lint_html, camp_lint_text: one text */
void camp_lint_html(struct camp_lint_run *r, unsigned text);
void camp_lint_text(struct camp_lint_run *r, unsigned text);
/* A field stands there, in that context. */
void camp_lint_context(struct camp_lint_run *r, const char *field, enum camp_context ctx);
/* The blob with an x for each field. */
int camp_lint_stand(struct buf *out, const struct camp_source_text *t);
/* Offset of the blob for one in the document with an x for each field. end: of what ends there. */
size_t camp_lint_unstand(const struct camp_source_text *t, size_t at, int end);

/* camp_lint_depth: -1, or where too many elements are open */
ptrdiff_t camp_lint_depth(struct span html);

/* camp_lint_file: attachments */
void camp_lint_files(struct camp_lint_run *r);
/* camp_lint_rest: dates, caps, fields, tracking */
void camp_lint_rest(struct camp_lint_run *r);
/* camp_lint_manifest: the manifest, made and judged as the milter will */
int camp_lint_manifest(struct camp_lint_run *r);

#endif
