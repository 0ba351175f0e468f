/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's hits: whose they are, what class they get, and whom that concerns. */
#include <stdio.h>

#include "campaign/camp_consent.h"
#include "core/err.h"
#include "relay/ledger/ledger.h"
#include "relay/track/track_keep_own.h"

/* What a consent allows to be kept of a person; unsubscribing is asked for by him. */
static int allows(unsigned consent, unsigned kind)
{
	return kind == TRACK_KIND_UNSUBSCRIBE || consent == CAMP_CONSENT_ALL ||
	       (kind == TRACK_KIND_OPEN && consent == CAMP_CONSENT_OPENS) ||
	       (kind == TRACK_KIND_CLICK && consent == CAMP_CONSENT_CLICKS);
}

static void total(struct track_keep *k, const struct track_seen *s, unsigned class, int64_t hits)
{
	const struct track_db_total t = {.customer = s->customer,
					 .campaign = s->campaign,
					 .number = s->hit.number,
					 .what = s->hit.kind,
					 .link = s->hit.link,
					 .class = class,
					 .hits = hits};

	track_db_total_add(k->store, &t);
}

static void tell(struct track_keep *k, const struct track_seen *s, int revised)
{
	struct ledger_event e = {.at = s->hit.at,
				 .number = s->hit.number,
				 .link = s->hit.link,
				 .kind = s->hit.kind,
				 .class = s->class,
				 .revised = (uint8_t)revised,
				 .reasons = s->reasons,
				 .customer = s->customer,
				 .campaign = s->campaign};

	track_keep_name(e.message, s->hit.tid);
	ledger_post_event(k->relay->ledger, &e);
	track_push_event(k, s->customer, s->hit.kind, s->event, revised);
}

static enum track_class judge(struct track_keep *k, const struct track_seen *s, uint32_t *reasons)
{
	struct track_seen *near[TRACK_WINDOW_NEAR];
	const struct track_bot_hit *hits[TRACK_WINDOW_NEAR];
	size_t n = track_window_near(k->window, &s->hit, s->hit.at, near);

	for (size_t i = 0; i < n; i++)
		hits[i] = &near[i]->hit;
	return track_bot_judge(&s->hit, &s->facts, hits, n, reasons);
}

static void judge_again(struct track_keep *k, struct track_seen *s)
{
	uint32_t reasons;
	enum track_class class = judge(k, s, &reasons);

	if (class == s->class && reasons == s->reasons)
		return;
	if (class != s->class) {
		total(k, s, s->class, -1);
		total(k, s, class, 1);
	}
	if (s->event)
		track_db_event_class(k->store, s->event, class, reasons);
	s->reasons = reasons;
	if (class == s->class)
		return;
	s->class = (uint8_t)class;
	if (s->event)
		tell(k, s, 1);
}

static void judge_near(struct track_keep *k, const struct track_seen *self)
{
	struct track_seen *near[TRACK_WINDOW_NEAR];
	size_t n = track_window_near(k->window, &self->hit, self->hit.at, near);

	for (size_t i = 0; i < n; i++)
		if (near[i] != self && near[i]->hit.kind != TRACK_KIND_UNSUBSCRIBE)
			judge_again(k, near[i]);
}

static void add_event(struct track_keep *k, struct track_seen *s, const char *net)
{
	const struct track_db_event e = {.at = s->hit.at,
					 .tid = s->hit.tid,
					 .number = s->hit.number,
					 .reasons = s->reasons,
					 .link = s->hit.link,
					 .kind = s->hit.kind,
					 .class = s->class,
					 .agent = s->hit.agent,
					 .customer = s->customer,
					 .campaign = s->campaign,
					 .net = net};
	int64_t id = track_db_event_add(k->store, &e);

	s->event = id > 0 ? id : 0;
}

/* Whose it is. A message that is not known (any more) is nobody's; neither is what he did not consent to. */
static void find(struct track_keep *k, const struct track_hit *h, struct track_seen *s)
{
	const struct track_keep_message *w = h->bot.tid ? track_keep_sent_waiting(k, h->bot.tid) : NULL;
	struct track_db_sent m = {.consent = CAMP_CONSENT_AGGREGATE};
	char customer[TRACK_NAME];
	int rc = h->bot.tid && !w ? track_db_sent_get(k->store, h->bot.tid, &m, customer, s->campaign, NULL) : ERR_NOTFOUND;

	if (w) {
		m = (struct track_db_sent){.consent = w->consent, .at = w->at, .delivered = w->delivered};
		snprintf(customer, sizeof(customer), "%s", w->customer);
		snprintf(s->campaign, sizeof(s->campaign), "%s", w->campaign);
		rc = 0;
	}
	snprintf(s->customer, sizeof(s->customer), "%s", h->customer);
	s->facts = (struct track_bot_facts){h->links, m.at, m.delivered};
	if (rc < 0 || strcmp(customer, h->customer) != 0 || !allows(m.consent, h->bot.kind)) {
		s->hit.tid = 0;
		s->facts.sent = s->facts.delivered = 0;
	}
	if (rc < 0)
		track_link_campaign(k->relay, h->bot.number, s->campaign);
}

void track_keep_hit_run(struct track_keep *k, const struct track_hit *h)
{
	struct track_seen found = {.hit = h->bot}, *s;

	atomic_fetch_add(&k->hits, 1);
	find(k, h, &found);
	s = track_window_add(k->window, &found.hit);
	s->facts = found.facts;
	memcpy(s->customer, found.customer, sizeof(s->customer));
	memcpy(s->campaign, found.campaign, sizeof(s->campaign));
	s->class = (uint8_t)judge(k, s, &s->reasons);
	total(k, s, s->class, 1);
	if (s->hit.tid) {
		add_event(k, s, h->net);
		tell(k, s, 0);
	}
	if (s->hit.kind != TRACK_KIND_UNSUBSCRIBE)
		judge_near(k, s);
}

void track_keep_hit_delivered(struct track_keep *k, uint64_t tid, int64_t at)
{
	struct track_keep_message *w = track_keep_sent_waiting(k, tid);
	struct track_seen *near[TRACK_WINDOW_NEAR];
	struct track_bot_hit like = {.tid = tid};
	struct track_db_sent m;
	char customer[TRACK_NAME], campaign[TRACK_NAME];
	size_t n;

	if (w && !w->delivered)
		w->delivered = at;
	else if (w || track_db_sent_delivered(k->store, tid, at) < 0)
		return;
	if (!w && track_db_sent_get(k->store, tid, &m, customer, campaign, NULL) == 0)
		track_db_total_add(k->store, &(struct track_db_total){.customer = customer, .campaign = campaign,
								      .number = m.number, .what = TRACK_DB_DELIVERED, .hits = 1});
	n = track_window_near(k->window, &like, at, near);
	for (size_t i = 0; i < n; i++)
		if (near[i]->hit.tid == tid) {
			near[i]->facts.delivered = at;
			judge_again(k, near[i]);
		}
}
