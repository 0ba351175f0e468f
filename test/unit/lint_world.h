/* SPDX-License-Identifier: Apache-2.0 */
/* lint_world - sources for the lint, and what it found in them. */
#ifndef TEST_UNIT_LINT_WORLD_H
#define TEST_UNIT_LINT_WORLD_H

#include <jansson.h>

#include "campaign/camp_lint.h"

#define LINT_WORLD_NOW 1793800000 /* 2026-11-04 */

/* A source without findings but those of its texts; NULL: that part is left out. html: put into a body. */
json_t *lint_world_source(const char *subject, const char *text, const char *html);
/* Judges it with both parsers, and releases it. */
void lint_world_run(struct camp_lint *l, json_t *source);
/* The finding of that rule, or NULL. */
const struct camp_finding *lint_world_found(const struct camp_lint *l, const char *rule);
/* All rules, for messages of tests. */
const char *lint_world_rules(const struct camp_lint *l);

#endif
