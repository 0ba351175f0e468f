/* SPDX-License-Identifier: Apache-2.0 */
/* conf_value - one scalar of a configuration: text to typed place, and back. Inner header of conf.
 * Thread: pure; any. */
#ifndef CONF_CONF_VALUE_H
#define CONF_CONF_VALUE_H

#include "conf/conf_schema.h"

/* Sets the place of key k within s from text. NULL if good, else what is wrong (static text, or a text made in
 * why, which has CONF_ERR_MAX bytes). */
const char *conf_value_set(const struct conf_key *k, void *s, const char *text, char *why);
/* Appends the value as YAML text (quoted where needed). */
int conf_value_print(const struct conf_key *k, const void *s, struct buf *out);
/* Word for the manual: "string", "path", "duration", ... */
const char *conf_value_type(const struct conf_key *k);
/* Sets all defaults of a table, depth first. ERR_NOMEM. */
int conf_value_defaults(const struct conf_key *table, void *s);

#endif
