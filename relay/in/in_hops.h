/* SPDX-License-Identifier: Apache-2.0 */
/* in_hops - counts the Received fields at the head of a message while it streams past.
 *
 * Story:  feed every stretch of the body in order; it looks no further than the empty line. Pure; any thread.
 * Source: RFC 5321 6.3 (loop detection). */
#ifndef RELAY_IN_IN_HOPS_H
#define RELAY_IN_IN_HOPS_H

#include "core/span.h"

#define IN_HOPS_MAX 100

struct in_hops {
	unsigned count;
	uint8_t at; /* characters of the field name matched so far on this line */
	uint8_t ended;
};

void in_hops_init(struct in_hops *h);
void in_hops_feed(struct in_hops *h, struct span s);

#endif
