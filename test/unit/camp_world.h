/* SPDX-License-Identifier: Apache-2.0 */
/* camp_world - campaigns for tests, written as people write templates.
 *
 *   {{name}}  a field          {{#opt}}..{{/}}  {{#alt}}..{{|}}..{{/}}  {{#rep 20}}..{{/}}  blocks
 *   {{@URL}}..{{/@}}  a tracked link, {{~URL}}..{{/@}} one that is not      {{*}}  the pixel's place
 *
 * Story: init gives a manifest without templates; field, template, part and the JSON itself (w.json) shape
 *        it; manifest writes the canonical bytes, compile does all. What fails is NULL or ERR_*: the test
 *        asserts. */
#ifndef TEST_CAMP_WORLD_H
#define TEST_CAMP_WORLD_H

#include <jansson.h>

#include "campaign/camp_bundle.h"
#include "campaign/camp_template.h"

struct camp_world {
	json_t *json;
	struct buf blob[CAMP_TEMPLATES];
	unsigned n_blobs;
	struct buf canonical;
	char found[2048]; /* findings of compile: "rule@tpl:offset " */
};

void camp_world_init(struct camp_world *w);
void camp_world_clear(struct camp_world *w);
/* members: more of them as JSON, such as "\"without\":\".\"", or NULL. */
void camp_world_field(struct camp_world *w, const char *name, const char *type, unsigned max,
		      const char *ctx, const char *members);
/* The template's index. */
unsigned camp_world_template(struct camp_world *w, const char *text);
/* One row of mime, one attachment. */
void camp_world_part(struct camp_world *w, const char *row);
void camp_world_attachment(struct camp_world *w, const char *type, const char *name,
			   struct span content);

struct span camp_world_manifest(struct camp_world *w);
struct camp_manifest *camp_world_parse(struct camp_world *w, struct camp_error *e);
/* NULL: w->found says what was found. */
struct camp_compiled *camp_world_compile(struct camp_world *w);
/* The bundle's bytes. */
int camp_world_bundle(struct camp_world *w, struct buf *out);

#endif
