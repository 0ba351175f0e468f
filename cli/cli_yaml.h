/* SPDX-License-Identifier: Apache-2.0 */
/* cli_yaml - a YAML file as JSON: what people write, as what the API takes. One thread.
 *
 * Story:  one document; mappings, sequences and scalars, no anchors, no tags. A plain scalar that is a whole number, true,
 *         false (yes, no), null (or nothing) is that; whatever stands in quotes is text. A member twice is refused.
 * Limits: 1 MiB, 32 levels, 100,000 nodes.
 * Source: YAML 1.1 by libyaml. */
#ifndef CLI_CLI_YAML_H
#define CLI_CLI_YAML_H

#include <jansson.h>

/* NULL: said why ("FILE:LINE: what"). */
json_t *cli_yaml_load(const char *path);

#endif
