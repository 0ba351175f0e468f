/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_required.h"

static const char name[] = "tls-required", value[] = "no";
enum { NAME = sizeof(name) - 1, VALUE_LENGTH = sizeof(value) - 1 };

/*   NAMING --other--> SKIPPING --LF--> NAMING --CR--> ENDED
 *      |                                 ^
 *      +--":"--> VALUE --LF--> FOLD -----+ (but a blank: VALUE) */
enum state { NAMING, SKIPPING, IN_VALUE, FOLD, ENDED };

void in_required_init(struct in_required *r)
{
	memset(r, 0, sizeof(*r));
}

static uint8_t low(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static void naming(struct in_required *r, uint8_t c)
{
	if (r->at == 0 && c == '\r') {
		r->state = ENDED; /* every CR that gets here stands before a LF */
	} else if (r->at < NAME) {
		if (low(c) == (uint8_t)name[r->at])
			r->at++;
		else
			r->state = c == '\n' ? NAMING : SKIPPING;
		if (c == '\n')
			r->at = 0;
	} else if (c == ':') {
		r->state = IN_VALUE;
		r->count += r->count < 2;
		r->good = 1;
		r->at = 0;
	} else if (c != ' ' && c != '\t') {
		r->state = SKIPPING;
	}
}

static void in_value(struct in_required *r, uint8_t c)
{
	if (c == '\n')
		r->state = FOLD;
	else if (c == '\r' || c == ' ' || c == '\t')
		r->good &= r->at == 0 || r->at == VALUE_LENGTH; /* not within the word */
	else if (r->at < VALUE_LENGTH && low(c) == (uint8_t)value[r->at])
		r->at++;
	else
		r->good = 0;
}

static void step(struct in_required *r, uint8_t c)
{
	if (r->state == FOLD) {
		r->state = c == ' ' || c == '\t' ? IN_VALUE : NAMING;
		if (r->state == NAMING) {
			r->good &= r->at == VALUE_LENGTH;
			r->at = 0;
		}
	}
	if (r->state == NAMING)
		naming(r, c);
	else
		in_value(r, c);
}

void in_required_feed(struct in_required *r, struct span s)
{
	while (s.n && r->state != ENDED) {
		if (r->state == SKIPPING) {
			ptrdiff_t lf = span_find(s, '\n');
			if (lf < 0)
				return;
			r->state = NAMING;
			r->at = 0;
			s = span_sub(s, (size_t)lf + 1, s.n);
		} else {
			step(r, s.p[0]);
			s = span_sub(s, 1, s.n);
		}
	}
}

int in_required_no(const struct in_required *r)
{
	return r->count == 1 && r->good && (r->state != FOLD || r->at == VALUE_LENGTH) &&
	       r->state != IN_VALUE;
}
