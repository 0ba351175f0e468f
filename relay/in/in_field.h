/* SPDX-License-Identifier: Apache-2.0 */
/* in_field - finds one header field by its name while a message streams past, and keeps its value.
 *
 * Story:  feed every stretch of the message in order; it looks no further than the empty line. value is then what stood behind
 *         the colon, folds as LF, if the message has that field once and its value is short enough. Pure; any thread.
 * Source: RFC 5322 2.2. */
#ifndef RELAY_IN_IN_FIELD_H
#define RELAY_IN_IN_FIELD_H

#include "core/span.h"

#define IN_FIELD_VALUE 400 /* the longest value is shorter */

struct in_field {
	const char *name; /* lower case */
	uint8_t at;	  /* characters of it matched so far on this line */
	uint8_t state;	  /* enum in in_field.c */
	uint8_t count;	  /* such fields, 2 for more */
	uint16_t used;
	char value[IN_FIELD_VALUE];
};

void in_field_init(struct in_field *f, const char *name);
void in_field_feed(struct in_field *f, struct span s);
/* 0 and *value, which lives in f; ERR_NOTFOUND: there is none; ERR_FORMAT: several, or one too long. */
int in_field_value(const struct in_field *f, struct span *value);

#endif
