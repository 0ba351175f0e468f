/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define START INT64_C(1000000000000) /* of the clock: nothing was before */

struct lane {
	char source[32], site[256];
	const struct shape_rule *rule;
	struct shape_rule_limits limits;
	struct shape_state state;
};

struct shape_replay {
	const struct shape_rules *rules;
	int64_t now;
	size_t count;
	struct lane lanes[SHAPE_REPLAY_LANES];
};

static const struct shape_rule_limits defaults = {
    .connections = 20, .start = 5, .messages = 1000, .recipients = 100, .idle = 10000000};

struct shape_replay *shape_replay_new(const struct shape_rules *rules)
{
	struct shape_replay *r = calloc(1, sizeof(*r));

	if (r)
		r->rules = rules;
	return r;
}

void shape_replay_free(struct shape_replay *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		shape_state_clear(&r->lanes[i].state);
	free(r);
}

/* The next word; rest is what follows the space behind it. */
static struct span word(struct span *rest)
{
	ptrdiff_t space;
	struct span w;

	while (rest->n && rest->p[0] == ' ')
		*rest = span_sub(*rest, 1, rest->n);
	space = span_find(*rest, ' ');
	w = space < 0 ? *rest : span_sub(*rest, 0, (size_t)space);
	*rest = span_sub(*rest, w.n, rest->n);
	while (rest->n && rest->p[0] == ' ')
		*rest = span_sub(*rest, 1, rest->n);
	return w;
}

static struct span trim(struct span s)
{
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

/* Cuts " => EXPECTED" off. */
static void split_expected(struct span *line, struct span *expected)
{
	*expected = (struct span){NULL, 0};
	for (size_t i = line->n; i >= 4; i--)
		if (!memcmp(line->p + i - 4, " => ", 4)) {
			*expected = trim(span_sub(*line, i, line->n));
			*line = trim(span_sub(*line, 0, i - 4));
			return;
		}
}

static struct lane *lane_of(struct shape_replay *r, struct span source, struct span site)
{
	struct lane *l;

	for (size_t i = 0; i < r->count; i++)
		if (span_equal(span_str(r->lanes[i].source), source) &&
		    span_equal_nocase(span_str(r->lanes[i].site), site))
			return &r->lanes[i];
	if (r->count == SHAPE_REPLAY_LANES)
		return NULL;
	l = &r->lanes[r->count];
	if (span_copy_str(l->source, sizeof(l->source), source) < 0 ||
	    span_copy_str(l->site, sizeof(l->site), site) < 0)
		return NULL;
	r->count++;
	l->rule = shape_rules_host(r->rules, shape_rule_host(site));
	l->limits = shape_rules_limits(r->rules, l->rule, &defaults);
	shape_state_init(&l->state, &l->limits);
	return l;
}

static void add(char *dst, const char *pattern, const char *what)
{
	size_t n = strlen(dst);

	snprintf(dst + n, SHAPE_REPLAY_OUTCOME - n, "%s%s %s", n ? ", " : "", pattern, what);
}

static void describe(const struct shape_effect *e, int64_t now, char *dst)
{
	char what[64], length[24];

	*dst = '\0';
	for (unsigned i = 0; i < e->count; i++) {
		const struct shape_effect_act *a = &e->acts[i];
		int action = a->pattern->action;
		if (action == SHAPE_RULE_RETRY || action == SHAPE_RULE_BOUNCE) {
			add(dst, a->pattern->name, shape_action_text(action));
			continue;
		}
		if (!a->news)
			continue;
		if (action == SHAPE_RULE_FEWER) {
			snprintf(what, sizeof(what), "fewer %u", a->limit);
		} else {
			num_format_duration(length, a->until - now);
			snprintf(what, sizeof(what), "%s %s", shape_action_text(action), length);
		}
		add(dst, a->pattern->name, what);
	}
	if (!*dst)
		strcpy(dst, "-");
}

static int code_of(struct span reply)
{
	uint64_t code;

	if (reply.n < 3 || num_parse_u64(span_sub(reply, 0, 3), &code) < 0 || code < 200 || code > 599 ||
	    (reply.n > 3 && reply.p[3] != ' ' && reply.p[3] != '-'))
		return 0;
	return (int)code;
}

static void play(struct shape_replay *r, struct lane *l, int code, struct span text,
		 struct shape_replay_step *step)
{
	const struct shape_pattern *found[SHAPE_MATCH_MAX];
	char line[SHAPE_TEXT_MAX + 1];
	struct shape_effect effect = {.verdict = -1};
	int64_t until;

	step->rule = l->rule ? l->rule->name : "";
	step->waits = shape_state_message(&l->state, &l->limits, r->now, &until);
	l->state.open = shape_state_limit(&l->state, &l->limits, r->now);
	if (!step->waits)
		shape_state_send(&l->state, &l->limits, r->now);
	if (code < 300) {
		shape_state_good(&l->state, &l->limits, r->now);
	} else {
		shape_rule_text(line, (unsigned)code, (struct span){NULL, 0}, text);
		shape_state_reply(&l->state, found, shape_rules_match(r->rules, l->rule, line, found), r->now,
				  &effect);
	}
	l->state.open = 0;
	describe(&effect, r->now, step->outcome);
}

int shape_replay_line(struct shape_replay *r, struct span line, struct shape_replay_step *step,
		      const char **why)
{
	struct span rest = trim(line), time;
	struct lane *l;
	int64_t at;
	int code;

	*step = (struct shape_replay_step){0};
	if (rest.n == 0 || rest.p[0] == '#')
		return 0;
	split_expected(&rest, &step->expected);
	time = word(&rest);
	step->source = word(&rest);
	step->site = word(&rest);
	step->reply = rest;
	*why = "must be TIME SOURCE SITE REPLY";
	if (num_parse_duration(time, &at) < 0 || at > START || step->source.n == 0 || step->site.n == 0)
		return ERR_FORMAT;
	code = code_of(rest);
	*why = "the reply must begin with a code, 200 to 599";
	if (!code)
		return ERR_FORMAT;
	*why = "times must not go back";
	if (START + at < r->now)
		return ERR_FORMAT;
	r->now = START + at;
	step->at = at;
	l = lane_of(r, step->source, step->site);
	if (!l)
		return ERR_LIMIT;
	play(r, l, code, span_sub(rest, 4, rest.n), step);
	return 1;
}
