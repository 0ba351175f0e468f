/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_campaign.h"

#include "mail/mail_campaign.h"

static const char name[] = "x-doposta-campaign";
enum { NAME = sizeof(name) - 1 };

/*   NAMING --other--> SKIPPING --LF--> NAMING --CR--> ENDED
 *      |                                 ^
 *      +--":"--> VALUE --LF--> FOLD -----+ (but a blank: VALUE) */
enum state { NAMING, SKIPPING, VALUE, FOLD, ENDED };

void in_campaign_init(struct in_campaign *c)
{
	c->at = c->count = 0;
	c->used = 0;
	c->state = NAMING;
}

static void keep(struct in_campaign *c, uint8_t byte)
{
	if (c->count == 1 && c->used < IN_CAMPAIGN_VALUE)
		c->value[c->used++] = (char)byte;
}

static void naming(struct in_campaign *c, uint8_t byte)
{
	if (c->at == 0 && byte == '\r') {
		c->state = ENDED; /* every CR that gets here stands before a LF */
	} else if (c->at < NAME) {
		uint8_t low = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
		c->at++;
		if (low != (uint8_t)name[c->at - 1])
			c->state = byte == '\n' ? NAMING : SKIPPING;
	} else if (byte == ':') {
		c->state = VALUE;
		c->count += c->count < 2;
	} else if (byte != ' ' && byte != '\t') {
		c->state = SKIPPING;
	}
	if (c->state != NAMING || byte == '\n')
		c->at = 0;
}

static void step(struct in_campaign *c, uint8_t byte)
{
	if (c->state == FOLD) {
		c->state = byte == ' ' || byte == '\t' ? VALUE : NAMING;
		if (c->state == VALUE)
			keep(c, '\n');
	}
	if (c->state == NAMING)
		naming(c, byte);
	else if (byte == '\n')
		c->state = FOLD;
	else if (byte != '\r')
		keep(c, byte);
}

void in_campaign_feed(struct in_campaign *c, struct span s)
{
	while (s.n && c->state != ENDED) {
		if (c->state == SKIPPING) {
			ptrdiff_t lf = span_find(s, '\n');
			if (lf < 0)
				return;
			c->state = NAMING;
			s = span_sub(s, (size_t)lf + 1, s.n);
		} else {
			step(c, s.p[0]);
			s = span_sub(s, 1, s.n);
		}
	}
}

void in_campaign_id(const struct in_campaign *c, char id[IN_CAMPAIGN_ID])
{
	struct mail_campaign found;

	if (c->count != 1 || c->used == IN_CAMPAIGN_VALUE ||
	    mail_campaign_parse(span_of(c->value, c->used), &found) < 0 ||
	    span_copy_str(id, IN_CAMPAIGN_ID, found.id) < 0)
		id[0] = '\0';
}
