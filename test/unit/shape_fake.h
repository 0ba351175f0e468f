/* SPDX-License-Identifier: Apache-2.0 */
/* shape_fake - shaping as the queue's tests need it: a lane per pool and site with as many jobs as
 * outbound.connections and a half, less where a test says so. Each test program includes it once. */
#ifndef TEST_UNIT_SHAPE_FAKE_H
#define TEST_UNIT_SHAPE_FAKE_H

#include <pthread.h>

#include "core/err.h"
#include "relay/shape/shape.h"

struct shape_lane {
	struct shape_lane *next;
	char key[SHAPE_SITE + 80];
	unsigned jobs;
};

struct shape {
	pthread_mutex_t lock;
	struct shape_lane *lanes;
	const struct relay_conf *conf;
	unsigned asked;
	struct {
		const char *site, *domain; /* NULL: any */
		unsigned jobs;		   /* at most */
		int64_t until;		   /* 0: as soon as a place is free */
		uint8_t reason;
	} rule[4];
	unsigned connections; /* 0: outbound.connections */
};

static inline struct shape_lane *shape_fake_lane(struct shape *s, const char *pool, const char *site)
{
	char key[SHAPE_SITE + 80];
	struct shape_lane *l;

	snprintf(key, sizeof(key), "%s %s", pool ? pool : "", site);
	for (l = s->lanes; l; l = l->next)
		if (!strcmp(l->key, key))
			return l;
	l = calloc(1, sizeof(*l));
	memcpy(l->key, key, sizeof(key));
	l->next = s->lanes;
	s->lanes = l;
	return l;
}

int shape_job_take(struct shape *s, const char *pool, const char *site, const char *domain,
		   int64_t now, struct shape_lane **lane, struct shape_wait *wait)
{
	struct shape_lane *l;
	int64_t most;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	s->asked++;
	l = shape_fake_lane(s, pool, site);
	most = s->conf->outbound.connections + s->conf->outbound.connections / 2;
	*wait = (struct shape_wait){SHAPE_NEVER, QUEUE_CONNECTIONS};
	for (unsigned i = 0; i < 4; i++)
		if ((s->rule[i].site || s->rule[i].domain) &&
		    (!s->rule[i].site || !strcmp(s->rule[i].site, site)) &&
		    (!s->rule[i].domain || !strcmp(s->rule[i].domain, domain)) &&
		    (!s->rule[i].until || s->rule[i].until > now)) {
			most = s->rule[i].jobs;
			if (s->rule[i].until)
				*wait = (struct shape_wait){s->rule[i].until, s->rule[i].reason};
		}
	if (l->jobs >= most)
		err = ERR_BUSY;
	else
		l->jobs++;
	pthread_mutex_unlock(&s->lock);
	*lane = err ? NULL : l;
	return err;
}

void shape_job_give(struct shape *s, struct shape_lane *lane)
{
	pthread_mutex_lock(&s->lock);
	assert_true(lane->jobs > 0);
	lane->jobs--;
	pthread_mutex_unlock(&s->lock);
}

void shape_lane_limits(struct shape *s, struct shape_lane *lane, struct shape_limits *out)
{
	(void)lane;
	memset(out, 0, sizeof(*out));
	out->connections = s->connections ? s->connections : (unsigned)s->conf->outbound.connections;
}

/* All job places must have been given back. */
static inline void shape_fake_end(struct shape *s)
{
	while (s->lanes) {
		struct shape_lane *l = s->lanes;
		s->lanes = l->next;
		assert_int_equal(l->jobs, 0);
		free(l);
	}
	pthread_mutex_destroy(&s->lock);
}

#endif
