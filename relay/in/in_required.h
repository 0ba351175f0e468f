/* SPDX-License-Identifier: Apache-2.0 */
/* in_required - finds the header field TLS-Required while a message streams past.
 *
 * Story:  feed every stretch of the body in order; it looks no further than the empty line. no then says whether
 *         the message has that field once, with the value "No": its sender would rather have it arrive than be
 *         safe. Two of them, or any other value, mean nothing. Pure; any thread.
 * Source: RFC 8689 3, 4.2.2. */
#ifndef RELAY_IN_IN_REQUIRED_H
#define RELAY_IN_IN_REQUIRED_H

#include "core/span.h"

struct in_required {
	uint8_t state; /* enum in in_required.c */
	uint8_t at;    /* characters of the name matched on this line, or of the value */
	uint8_t count; /* such fields, 2 for more */
	uint8_t good;  /* their value is "No" as far as it goes */
};

void in_required_init(struct in_required *r);
void in_required_feed(struct in_required *r, struct span s);
int in_required_no(const struct in_required *r);

#endif
