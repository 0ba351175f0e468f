/* SPDX-License-Identifier: Apache-2.0 */
/* shape_own - what shape's files share; nobody else includes it.
 *
 * Story:  shape_set is the configuration as shape needs it: immutable, counted, one per reload. A cell is what is known of
 *         a source at a site (and of a domain with a rule of its own there); cells live in a hash table, and are forgotten
 *         when nobody uses them and they know nothing. A lane is a cell under a set. A cell of a rule by domain has
 *         a base, the cell of the site itself: suspension by hand and warm-up are the base's.
 * Thread: all under the lock, but sets, which never change. */
#ifndef RELAY_SHAPE_SHAPE_OWN_H
#define RELAY_SHAPE_SHAPE_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "relay/shape/shape.h"
#include "shape/shape_state.h"
#include "shape/shape_warm.h"

#define SHAPE_BUCKETS	 (1u << 15)
#define SHAPE_CELLS_FULL 200000 /* from here on, what was not used for SHAPE_BRIEF is forgotten */
#define SHAPE_BRIEF	 (600 * INT64_C(1000000))
#define SHAPE_LONG	 (86400 * INT64_C(1000000))
#define SHAPE_AGAIN	 (100 * INT64_C(1000)) /* when no event says that a place is free */
#define SHAPE_OVERFLOWS	 4		       /* pools after another for one job */
#define SHAPE_POOL_MAX	256 /* sources in one */
#define SHAPE_SET_START	     5	 /* connections to begin with, as Postfix does */
#define SHAPE_SET_RECIPIENTS 100 /* what every server takes: RFC 5321 4.5.3.1.8 */

/* A source by name, for ever. */
struct shape_origin {
	struct shape_origin *next;
	int suspended;
	char name[SHAPE_NAME];
};

struct shape_set_source {
	struct shape_source info;
	struct shape_origin *origin;
	const struct shape_warm *warm; /* NULL: none */
	int overflow;		       /* index of a pool, or -1 */
};
struct shape_set_member {
	unsigned source, weight;
};
struct shape_set_pool {
	const char *name;
	struct shape_set_member *members;
	unsigned count;
};
struct shape_set {
	atomic_int refs;
	struct shape_rules *rules;
	struct shape_rule_limits defaults;
	unsigned open; /* connections in all */
	struct shape_set_source *sources; /* 0: the host's own */
	unsigned source_count;
	struct shape_set_pool *pools; /* 0: "", of the host's own */
	unsigned pool_count;
	struct shape_warm *warms;
};

struct shape_lane {
	atomic_uint refs;
	struct shape_cell *cell;
	struct shape_set *set;
	const struct shape_rule *rule; /* NULL: none */
	struct shape_rule_limits limits;
	unsigned source;
};

struct shape_cell {
	struct shape_cell *next; /* in its bucket */
	struct shape_cell *base; /* itself, but where rule is not "" */
	struct shape_origin *origin;
	struct shape_lane *lane; /* of the newest set that asked; has a count of it; NULL: none */
	struct shape_state state;
	struct shape_rate plan; /* jobs handed out */
	uint64_t sent, refused;
	int64_t used;
	int64_t warm_day;
	uint32_t warm_sent, warm_sure; /* of base: messages today; as many as the file on disk allows for */
	uint32_t warm_jobs;	       /* of base: jobs handed out that took no message permit yet */
	unsigned jobs, pending;	       /* pending: of jobs, those that took no message permit yet */
	unsigned users;		       /* lanes, and cells whose base it is */
	uint32_t hash;
	unsigned char suspended; /* by hand */
	const char *rule;	 /* name of the rule by domain, or "" */
	char site[];		 /* with NUL; then rule's */
};

struct shape_store;
struct shape {
	pthread_mutex_t lock;
	struct shape_set *set;
	struct shape_origin *origins;
	struct shape_cell **buckets;
	unsigned cells, sweep;
	unsigned open; /* connections in all */
	uint64_t seed;
	int64_t now; /* as last heard */
	struct shape_store *store; /* NULL: nothing is kept */
	void (*changed)(void *arg);
	void *changed_arg;
};

/* --- shape_set.c. NULL: err. */
struct shape_set *shape_set_new(struct shape *s, const struct relay_conf *conf, char err[CONF_ERR_MAX]);
void shape_set_unref(struct shape_set *set);
/* -1: none of that name. */
int shape_set_pool(const struct shape_set *set, const char *name);
struct shape_origin *shape_set_origin(struct shape *s, const char *name);

/* --- shape_cell.c; locked */
/* Finds or makes. NULL: no memory. */
struct shape_cell *shape_cell_get(struct shape *s, struct shape_origin *o, struct span site,
				  const char *rule, int64_t now);
/* Looks only. */
struct shape_cell *shape_cell_find(struct shape *s, const struct shape_origin *o, struct span site,
				   const char *rule);
/* The lane of the present set, with one count more. NULL: no memory. */
struct shape_lane *shape_cell_lane(struct shape *s, struct shape_cell *c, unsigned source,
				   const struct shape_rule *by_domain);
void shape_cell_lane_unref(struct shape_lane *l);
void shape_cell_free_all(struct shape *s);
void shape_cell_free(struct shape_cell *c);

/* --- shape_heard.c: logs, not locked */
struct shape_told {
	char source[SHAPE_NAME], site[SHAPE_SITE];
	const char *rule;
	int code;
	int64_t now;
};
void shape_heard_log(const struct shape_told *t, const struct shape_effect *e);

/* --- shape_warmup.c; locked. How many messages may still go today (SHAPE_WARM_ALL without a schedule), and when the
 * day ends. */
uint32_t shape_warmup_left(struct shape_cell *c, const struct shape_warm *w, int64_t now, int64_t *until);
/* A job more than warm_jobs would be on its way. ERR_BUSY: the file does not allow for it yet; it is being written. */
int shape_warmup_expect(struct shape *s, const struct shape_cell *c, const struct shape_warm *w);
/* One of them goes. ERR_BUSY: likewise. */
int shape_warmup_book(struct shape *s, struct shape_cell *c, const struct shape_warm *w);
/* How far ahead the file counts. */
uint32_t shape_warmup_ahead(const struct shape_cell *c, const struct shape_warm *w);

/* --- shape_store.c. dirty: locked, costs nothing if nothing is kept. close: writes for the last time. */
void shape_store_dirty(struct shape *s);
void shape_store_close(struct shape *s);

#endif
