/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/campaign/campaign_own.h"

const char *campaign_state_name(int state)
{
	switch (state) {
#define CAMPAIGN_X(sym, num, name) \
	case num:                  \
		return name;
		CAMPAIGN_STATES(CAMPAIGN_X)
#undef CAMPAIGN_X
	default:
		return "unknown";
	}
}

int campaign_find(struct relay *r, uint32_t number, struct campaign_about *out)
{
	return r->campaigns ? campaign_known_get(r->campaigns->known, number, 0, NULL, out) : ERR_AWAY;
}

int campaign_link(struct relay *r, uint32_t number, unsigned index, char url[CAMPAIGN_URL_MAX + 1],
		  struct campaign_about *about)
{
	return r->campaigns ? campaign_known_get(r->campaigns->known, number, index, url, about) : ERR_AWAY;
}

static int open_part(struct relay *r, const char **why)
{
	struct campaigns *c = calloc(1, sizeof(*c));

	*why = "out of memory";
	if (!c)
		return ERR_NOMEM;
	r->campaigns = c;
	c->relay = r;
	c->known = campaign_known_new();
	return c->known ? 0 : ERR_NOMEM;
}

static void close_part(struct relay *r)
{
	struct campaigns *c = r->campaigns;

	if (!c)
		return;
	r->campaigns = NULL;
	campaign_known_free(c->known);
	free(c);
}

const struct relay_control_part campaign_part = {.open = open_part, .close = close_part};
