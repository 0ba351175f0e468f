/* SPDX-License-Identifier: Apache-2.0 */
/* What destinations answered. Patterns are matched outside the lock. */
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/num.h"
#include "relay/shape/shape_own.h"

static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

static struct shape_told told(const struct shape_lane *l, int code, int64_t now)
{
	struct shape_told t = {.rule = l->rule ? l->rule->name : "", .code = code, .now = now};

	snprintf(t.source, sizeof(t.source), "%s", l->cell->origin->name);
	snprintf(t.site, sizeof(t.site), "%.*s", SHAPE_SITE - 1, l->cell->site);
	return t;
}

/* events: shaping-slow shaping-backoff shaping-suspended */
static void log_act(const struct shape_told *t, const struct shape_effect_act *a)
{
	static const struct {
		const char *event;
		enum log_level level;
	} rows[] = {[SHAPE_RULE_SLOW] = {"shaping-slow", LOG_LEVEL_INFO},
		    [SHAPE_RULE_BACKOFF] = {"shaping-backoff", LOG_LEVEL_INFO},
		    [SHAPE_RULE_SUSPEND] = {"shaping-suspended", LOG_LEVEL_WARN}};
	int action = a->pattern->action;
	char length[24];

	if (action == SHAPE_RULE_FEWER) {
		log_event(LOG_LEVEL_INFO, NULL, "shaping-fewer",
			  "source=%s site=%s rule=%s pattern=%s code=%d connections=%u",
			  or_dash(t->source), t->site, or_dash(t->rule), a->pattern->name, t->code, a->limit);
		return;
	}
	num_format_duration(length, a->until - t->now);
	log_event(rows[action].level, NULL, rows[action].event,
		  "source=%s site=%s rule=%s pattern=%s code=%d for=%s", or_dash(t->source), t->site,
		  or_dash(t->rule), a->pattern->name, t->code, length);
}

void shape_heard_log(const struct shape_told *t, const struct shape_effect *e)
{
	for (unsigned i = 0; i < e->count; i++)
		if (e->acts[i].news)
			log_act(t, &e->acts[i]);
}

static enum shape_act answer(const struct shape_effect *e)
{
	if (e->verdict == SHAPE_RULE_BOUNCE)
		return SHAPE_BOUNCE;
	if (e->verdict == SHAPE_RULE_RETRY)
		return SHAPE_RETRY;
	for (unsigned i = 0; i < e->count; i++)
		if (e->acts[i].pattern->action == SHAPE_RULE_FEWER ||
		    e->acts[i].pattern->action == SHAPE_RULE_BACKOFF ||
		    e->acts[i].pattern->action == SHAPE_RULE_SUSPEND)
			return SHAPE_CLOSE;
	return SHAPE_AS_SAID;
}

enum shape_act shape_heard(struct shape *s, struct shape_lane *lane, int code, const char *text, int64_t now)
{
	const struct shape_pattern *found[SHAPE_MATCH_MAX];
	char line[SHAPE_TEXT_MAX + 1];
	struct shape_effect effect = {.verdict = -1};
	struct shape_told t;
	unsigned count;

	shape_rule_text(line, (unsigned)code, (struct span){NULL, 0}, span_str(text));
	count = shape_rules_match(lane->set->rules, lane->rule, line, found);
	pthread_mutex_lock(&s->lock);
	lane->cell->refused++;
	s->now = now;
	if (count)
		shape_state_reply(&lane->cell->state, found, count, now, &effect);
	if (effect.count)
		shape_store_dirty(s);
	pthread_mutex_unlock(&s->lock);
	if (effect.count) {
		t = told(lane, code, now);
		shape_heard_log(&t, &effect);
	}
	return answer(&effect);
}

void shape_good(struct shape *s, struct shape_lane *lane, int64_t now)
{
	struct shape_cell *c = lane->cell;
	struct shape_told t;
	int probed;

	pthread_mutex_lock(&s->lock);
	probed = c->state.probing;
	shape_state_good(&c->state, &lane->limits, now);
	pthread_mutex_unlock(&s->lock);
	if (!probed)
		return;
	t = told(lane, 250, now);
	log_event(LOG_LEVEL_INFO, NULL, "shaping-resumed", "source=%s site=%s rule=%s", or_dash(t.source),
		  t.site, or_dash(t.rule));
	if (s->changed)
		s->changed(s->changed_arg);
}

void shape_lost(struct shape *s, struct shape_lane *lane, int64_t now)
{
	(void)now;
	pthread_mutex_lock(&s->lock);
	shape_state_bad(&lane->cell->state);
	pthread_mutex_unlock(&s->lock);
}
