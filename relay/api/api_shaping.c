/* SPDX-License-Identifier: Apache-2.0 */
/* What destinations are given, and which sources rest: to look at and to change. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/api/api_call.h"
#include "relay/shape/shape.h"

#define LIST_MAX 1000

/* mono usec as wall usec; 0 and SHAPE_NEVER (-1) stay what they are. */
static json_int_t wall_of(int64_t mono)
{
	if (mono == SHAPE_NEVER)
		return -1;
	return mono ? (json_int_t)(clock_wall() + (mono - clock_mono())) : 0;
}

static json_t *item(const struct shape_seen *s)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:s}", "source",
			 s->source, "site", s->site, "rule", s->rule, "jobs", (json_int_t)s->jobs,
			 "connections", (json_int_t)s->connections, "limit", (json_int_t)s->limit, "limit_max",
			 (json_int_t)s->limit_max, "sent", (json_int_t)s->sent, "refused",
			 (json_int_t)s->refused, "rate", s->rate, "warm_sent", (json_int_t)s->warm_sent,
			 "warm_limit", (json_int_t)s->warm_limit, "until", wall_of(s->until), "slow_until",
			 wall_of(s->slow_until), "why", s->why);
}

/* A text of an object; NULL if it is not there. */
static const char *text(const json_t *o, const char *name)
{
	return o ? json_string_value(json_object_get(o, name)) : NULL;
}

static void list(struct api_call *c, const struct shape_list_from *from, size_t limit)
{
	struct shape_seen *seen = calloc(limit + 1, sizeof(*seen));
	json_t *items;
	size_t n;

	if (!seen) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	n = shape_list(c->relay->shape, from, clock_mono(), seen, limit + 1);
	items = json_array();
	for (size_t i = 0; i < n && i < limit; i++)
		json_array_append_new(items, item(&seen[i]));
	free(seen);
	api_call_reply(c, 200, json_pack("{s:o, s:b}", "items", items, "more", n > limit));
}

void api_shaping_get(struct api_call *c)
{
	list(c, &(struct shape_list_from){0}, c->limit);
}

void api_shaping_list(struct api_call *c)
{
	const json_t *after = json_object_get(c->body, "after"), *limit = json_object_get(c->body, "limit");
	struct shape_list_from from = {text(after, "source"), text(after, "site"), text(after, "rule"),
				       text(c->body, "site")};
	json_int_t n = json_is_integer(limit) ? json_integer_value(limit) : 100;

	if (n < 1 || n > LIST_MAX)
		api_call_problem(c, 400, "limit must be 1 to 1000");
	else
		list(c, &from, (size_t)n);
}

/* A change, from the request until it is on disk. */
struct change {
	struct relay_msg msg;
	struct shape_durable durable;
	struct api_call *call;
	int err;
};

static void answer(struct relay_msg *m, void *receiver)
{
	struct change *g = (struct change *)m;

	(void)receiver;
	if (g->err < 0)
		api_call_failed(g->call, g->err);
	else
		api_call_reply(g->call, 200, json_object());
	free(g);
}

/* On the thread that keeps the file. */
static void kept(struct shape_durable *d, int err)
{
	struct change *g = (struct change *)(void *)((char *)d - offsetof(struct change, durable));

	g->err = err;
	g->msg.run = answer;
	evt_inbox_post(g->call->relay->inbox, &g->msg.msg);
}

static void change(struct api_call *c,
		   int (*act)(struct shape *s, const char *source, const char *site, int64_t now))
{
	const char *source = text(c->body, "source"), *site = text(c->body, "site");
	struct change *g;
	int rc;

	if (!source || strlen(source) >= SHAPE_NAME || (site && strlen(site) >= SHAPE_SITE) ||
	    (site && strpbrk(site, " \t\r\n"))) {
		api_call_problem(c, 400, "source must be a name; site a site or nothing");
		return;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	rc = act(c->relay->shape, source, site ? site : "", clock_mono());
	if (rc < 0) {
		free(g);
		if (rc == ERR_NOTFOUND)
			api_call_problem(c, 404, "no source of this name");
		else
			api_call_failed(c, rc);
		return;
	}
	g->call = c;
	g->durable.done = kept;
	shape_durable(c->relay->shape, &g->durable);
}

void api_shaping_suspend(struct api_call *c)
{
	change(c, shape_suspend);
}

void api_shaping_resume(struct api_call *c)
{
	change(c, shape_resume);
}
