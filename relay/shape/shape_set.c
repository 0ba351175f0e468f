/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/shape/shape_own.h"

_Static_assert(RELAY_TLS_OPPORTUNISTIC == 1 && RELAY_TLS_ENCRYPT == 2 && RELAY_TLS_VERIFY == 3,
	       "levels of shape_rule");

struct shape_origin *shape_set_origin(struct shape *s, const char *name)
{
	struct shape_origin *o;

	for (o = s->origins; o; o = o->next)
		if (!strcmp(o->name, name))
			return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->next = s->origins;
	s->origins = o;
	return o;
}

void shape_set_unref(struct shape_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	shape_rules_unref(set->rules);
	for (unsigned i = 0; set->pools && i < set->pool_count; i++) {
		free((char *)set->pools[i].name);
		free(set->pools[i].members);
	}
	free(set->pools);
	free(set->sources);
	free(set->warms);
	free(set);
}

static const char *add_warm(struct shape_warm *w, const struct relay_warmup *from)
{
	char **daily = from->daily.items;

	if (shape_warm_date(span_str(from->start), &w->start) < 0)
		return "warmups: start is no day of the calendar";
	if (from->daily.count > SHAPE_WARM_DAYS)
		return "warmups: daily has more than 366 numbers";
	for (size_t i = 0; i < from->daily.count; i++)
		if (shape_warm_number(span_str(daily[i]), &w->daily[i]) < 0)
			return "warmups: a number of daily is too large";
	w->count = (unsigned)from->daily.count;
	return NULL;
}

static void bind_to(struct shape_source *info, const struct relay_source *from)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&info->v4;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&info->v6;

	if (from->address && inet_pton(AF_INET, from->address, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	if (from->address6 && inet_pton(AF_INET6, from->address6, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
}

static const char *add_source(struct shape *s, struct shape_set *set, const struct relay_conf *conf,
			      const struct relay_source *from)
{
	struct shape_set_source *to = &set->sources[set->source_count++];
	const struct relay_warmup *all = conf->warmups.items;
	const char *name = from ? from->name : "";

	to->overflow = -1;
	if (strlen(name) >= SHAPE_NAME)
		return "sources: a name is too long";
	snprintf(to->info.name, sizeof(to->info.name), "%s", name);
	snprintf(to->info.hostname, sizeof(to->info.hostname), "%s",
		 from && from->hostname ? from->hostname : conf->hostname);
	to->origin = shape_set_origin(s, name);
	if (!to->origin)
		return "out of memory";
	if (!from)
		return NULL;
	bind_to(&to->info, from);
	for (size_t i = 0; from->warmup && i < conf->warmups.count; i++)
		if (!strcmp(all[i].name, from->warmup)) {
			to->warm = &set->warms[i];
			if (all[i].overflow)
				to->overflow = shape_set_pool(set, all[i].overflow);
		}
	return NULL;
}

static const char *add_pool(struct shape_set *set, const struct relay_pool *from)
{
	struct shape_set_pool *to = &set->pools[set->pool_count++];
	unsigned count = from ? (unsigned)from->member_count : 1;

	if (count > SHAPE_POOL_MAX)
		return "pools: a pool has more than 256 sources";
	to->name = strdup(from ? from->name : "");
	to->members = calloc(count ? count : 1, sizeof(*to->members));
	if (!to->name || !to->members)
		return "out of memory";
	to->count = count;
	for (unsigned i = 0; i < count; i++)
		to->members[i] = from ? (struct shape_set_member){from->members[i].source + 1,
								 from->members[i].weight}
				      : (struct shape_set_member){0, 1};
	return NULL;
}

static const char *fill(struct shape *s, struct shape_set *set, const struct relay_conf *conf)
{
	const struct relay_source *sources = conf->sources.items;
	const struct relay_pool *pools = conf->pools.items;
	const struct relay_warmup *warmups = conf->warmups.items;
	const char *wrong = NULL;

	set->sources = calloc(conf->sources.count + 1, sizeof(*set->sources));
	set->pools = calloc(conf->pools.count + 1, sizeof(*set->pools));
	set->warms = calloc(conf->warmups.count + 1, sizeof(*set->warms));
	if (!set->sources || !set->pools || !set->warms)
		return "out of memory";
	wrong = add_pool(set, NULL);
	for (size_t i = 0; !wrong && i < conf->pools.count; i++)
		wrong = add_pool(set, &pools[i]);
	for (size_t i = 0; !wrong && i < conf->warmups.count; i++)
		wrong = add_warm(&set->warms[i], &warmups[i]);
	if (!wrong)
		wrong = add_source(s, set, conf, NULL);
	for (size_t i = 0; !wrong && i < conf->sources.count; i++)
		wrong = add_source(s, set, conf, &sources[i]);
	return wrong;
}

struct shape_set *shape_set_new(struct shape *s, const struct relay_conf *conf, char err[CONF_ERR_MAX])
{
	struct shape_set *set = calloc(1, sizeof(*set));
	const char *wrong;

	if (!set) {
		snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
		return NULL;
	}
	atomic_init(&set->refs, 1);
	set->defaults = (struct shape_rule_limits){.connections = conf->outbound.connections,
						   .start = SHAPE_SET_START,
						   .messages = conf->outbound.messages,
						   .recipients = SHAPE_SET_RECIPIENTS,
						   .idle = conf->outbound.idle};
	set->open = (unsigned)conf->outbound.open;
	set->rules = shape_rules_load(&conf->shaping, conf->state, err);
	if (!set->rules) {
		shape_set_unref(set);
		return NULL;
	}
	wrong = fill(s, set, conf);
	if (wrong) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", conf->path ? conf->path : "relay.yaml", wrong);
		shape_set_unref(set);
		return NULL;
	}
	return set;
}

int shape_set_pool(const struct shape_set *set, const char *name)
{
	for (unsigned i = 0; i < set->pool_count; i++)
		if (!strcmp(set->pools[i].name, name))
			return (int)i;
	return -1;
}
