/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_hops.h"

static const char name[] = "received";
enum { NAME = sizeof(name) - 1, OTHER = 0xff };

void in_hops_init(struct in_hops *h)
{
	memset(h, 0, sizeof(*h));
}

static void look(struct in_hops *h, uint8_t c)
{
	if (h->at == 0 && c == '\r')
		h->ended = 1; /* every CR that gets here stands before a LF */
	else if (h->at < NAME)
		h->at = (c | 0x20) == name[h->at] ? (uint8_t)(h->at + 1) : OTHER;
	else if (c == ':') {
		h->count++;
		h->at = OTHER;
	} else if (c != ' ' && c != '\t')
		h->at = OTHER;
}

void in_hops_feed(struct in_hops *h, struct span s)
{
	while (s.n && !h->ended) {
		ptrdiff_t lf;

		if (h->at != OTHER) {
			/* A line that is too short for a match goes on to the next by way of OTHER:
			 * its CR does not match, its LF is found below. */
			look(h, s.p[0]);
			s = span_sub(s, 1, s.n);
			continue;
		}
		lf = span_find(s, '\n');
		if (lf < 0)
			return;
		h->at = 0;
		s = span_sub(s, (size_t)lf + 1, s.n);
	}
}
