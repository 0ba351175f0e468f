/* SPDX-License-Identifier: Apache-2.0 */
/* shape_rule_own - what shape_rule's files share. Thread: as shape_rule. */
#ifndef SHAPE_SHAPE_RULE_OWN_H
#define SHAPE_SHAPE_RULE_OWN_H

#include "shape/shape_rule.h"

struct shape_rule_file {
	struct conf_list rules; /* struct shape_rule */
};

/* NULL if the expression is taken, else what is wrong. out (may be NULL) gets it compiled: regfree and free. */
const char *shape_rule_regex(const char *text, regex_t **out);

#endif
