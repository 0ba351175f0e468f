/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/campaign/campaign_own.h"

#define LOOK_EVERY	(2 * CLOCK_SEC)	   /* for a list of the revoked that keyd does not vouch for yet */
#define EXPIRE_EVERY	(3600 * CLOCK_SEC) /* for old rejections */
#define REJECTIONS_KEEP (30 * 86400 * CLOCK_SEC)
#define REJECTIONS_MAX	1000000

const char *campaign_state_name(int state, int64_t valid_to, int64_t now)
{
	if ((state == CAMPAIGN_ACTIVE || state == CAMPAIGN_PAUSED) && valid_to && now >= valid_to)
		return "ended";
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

void campaign_changed(struct campaigns *c)
{
	c->revision++;
}

static void on_list_changed(void *arg)
{
	campaign_changed(arg);
}

void campaign_audience(struct relay *r, const char *customer, const char *list, struct span text, campaign_fn fn,
		       void *arg)
{
	campaign_audience_put(r->campaigns->audiences, customer, list, text, fn, arg);
}

/* --- opening what was ever active, one after the other */

static void load_next(struct campaigns *c);

static void know(struct campaigns *c, const struct campaign_opened *o)
{
	const struct camp_manifest *m = o->manifest;
	struct campaign_about about = {.version = (uint32_t)o->row.version, .state = o->row.state, .links = m->n_links};
	const char **urls = calloc(m->n_links + m->n_hosts + 3, sizeof(*urls)), **hosts;

	hosts = urls ? urls + m->n_links : NULL;
	for (unsigned i = 0; urls && i < m->n_links; i++)
		urls[i] = m->links[i].track ? m->links[i].url : NULL;
	for (unsigned i = 0; urls && i < m->n_hosts; i++)
		hosts[i] = m->hosts[i];
	if (urls && m->has_track) {
		hosts[m->n_hosts] = m->track.host;
		hosts[m->n_hosts + 1] = m->track.mailto_domain;
	}
	span_copy_str(about.customer, sizeof(about.customer), span_str(o->row.customer));
	span_copy_str(about.campaign, sizeof(about.campaign), span_str(o->row.campaign));
	if (urls && campaign_known_put(c->known, (uint32_t)o->row.number, &about, urls, hosts) < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "campaign-unknown", "number=%lld why=\"out of memory\"",
			  (long long)o->row.number);
	free(urls);
}

static void load_ended(struct campaigns *c, int all)
{
	int again = c->again;

	c->loading = c->again = 0;
	c->load_count = c->load_at = 0;
	if (all)
		campaign_known_all(c->known, 1);
	if (again)
		campaign_load(c);
}

static void on_loaded(void *arg, int err, struct campaign_opened *o)
{
	struct campaigns *c = arg;

	if (err == ERR_AWAY || err == ERR_LOCKED || err == ERR_TIMEOUT || err == ERR_LIMIT || err == ERR_NOMEM) {
		load_ended(c, 0); /* READY comes again, or the timer */
		return;
	}
	if (err == 0)
		know(c, o);
	c->load_at++;
	load_next(c);
}

static int take_row(void *arg, const struct store_campaign *row)
{
	campaign_row_of(arg, row);
	return 0;
}

static void load_next(struct campaigns *c)
{
	struct campaign_row row;

	while (c->load_at < c->load_count) {
		if (store_campaign_number(c->relay->store, c->to_load[c->load_at], take_row, &row) == 0) {
			campaign_open(c, &row, on_loaded, c);
			return;
		}
		c->load_at++;
	}
	load_ended(c, 1);
}

static int note_to_load(void *arg, const struct store_campaign *row)
{
	struct campaigns *c = arg;
	int64_t *more;

	if (!row->activated || campaign_known_get(c->known, (uint32_t)row->number, 0, NULL, NULL) == 0 ||
	    campaign_is_damaged(c, row->number))
		return 0;
	more = realloc(c->to_load, (c->load_count + 1) * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	c->to_load = more;
	more[c->load_count++] = row->number;
	return 0;
}

void campaign_load(struct campaigns *c)
{
	if (c->loading) {
		c->again = 1;
		return;
	}
	if (keyproto_client_ev_state(c->relay->keyd) != KEYPROTO_READY)
		return;
	c->loading = 1;
	c->load_count = c->load_at = 0;
	if (store_campaign_each(c->relay->store, NULL, NULL, note_to_load, c) < 0)
		load_ended(c, 0);
	else
		load_next(c);
}

/* --- life */

static void on_timer(void *arg)
{
	struct campaigns *c = arg;
	int64_t now = clock_mono();
	uint64_t counter;
	struct span text;
	int err = campaign_revoked_text(c->revoked, &counter, &text);

	if (err < 0 && err != ERR_DAMAGED && keyproto_client_ev_state(c->relay->keyd) == KEYPROTO_READY)
		campaign_revoked_look(c->revoked);
	if (now - c->expired > EXPIRE_EVERY) {
		c->expired = now;
		store_rejection_expire(c->relay->store, clock_wall() - REJECTIONS_KEEP, REJECTIONS_MAX);
	}
	campaign_audience_expire(c->audiences);
	evt_timer_set(&c->timer, LOOK_EVERY);
}

static int open_part(struct relay *r, const char **why)
{
	struct campaigns *c = calloc(1, sizeof(*c));
	int err;

	*why = "campaigns in relay.db";
	if (!c)
		return ERR_NOMEM;
	r->campaigns = c;
	c->relay = r;
	c->revision = (uint64_t)clock_wall(); /* larger than any before a restart */
	c->expired = c->audience_told = clock_mono() - EXPIRE_EVERY;
	evt_timer_init(&c->timer, r->loop, on_timer, c);
	c->known = campaign_known_new();
	c->lint = campaign_lint_new(r);
	c->audiences = campaign_audience_new(r);
	c->revoked = campaign_revoked_new(r, on_list_changed, c);
	if (!c->known || !c->lint || !c->audiences || !c->revoked)
		return ERR_NOMEM;
	err = store_campaign_drop_all(r->store, CAMPAIGN_MAKING);
	return err < 0 ? err : evt_timer_set(&c->timer, LOOK_EVERY);
}

static void keyd_changed(struct relay *r, unsigned state)
{
	if (state != KEYPROTO_READY)
		return;
	campaign_revoked_look(r->campaigns->revoked);
	campaign_load(r->campaigns);
}

static void close_part(struct relay *r)
{
	struct campaigns *c = r->campaigns;

	if (!c)
		return;
	evt_timer_clear(&c->timer);
	campaign_lint_free(c->lint);
	campaign_audience_free(c->audiences);
	campaign_revoked_free(c->revoked);
	r->campaigns = NULL;
	campaign_known_free(c->known);
	free(c->damaged);
	free(c->to_load);
	free(c);
}

const struct relay_control_part campaign_part = {open_part, keyd_changed, close_part};
