/* SPDX-License-Identifier: Apache-2.0 */
/* shape - how much may go to a destination, from which source, and when: the one place for it.
 *
 *   pool (of sources) --weights--> source \
 *                                          lane = source @ site: connections, rate, concurrency, back-off, warm-up
 *   site (a next hop or a set of MX hosts) /
 *
 * Story:     the queue, about to hand out a message for a site, asks shape_job_take for a lane: a source of the
 *            route's pool that may send there now. It gets a lane with one job place, or until when nothing goes,
 *            and why. The job travels to a worker with its lane. The worker takes a connection permit before it opens
 *            a connection and gives it back when that has closed; takes a message permit before each MAIL; and tells
 *            what it heard: shape_good for a message taken, shape_heard for each reply that refuses something. When
 *            the job is back the queue gives the job place back.
 *            Limits come from the rules (files of shaping:, by site or domain), else from outbound.*. Rules match
 *            replies too, and then slow a lane down, rest it, or suspend it. Administrators suspend sources and lanes.
 *            A rule that names domains makes lanes of its own for these, so that it is always clear which rule a lane
 *            obeys.
 * Promise:   over all threads together, never more connections to a site from one source than its limit, and in no
 *            window of a rate more messages than its count.
 * Ownership: a lane is counted: job_take and lane_ref give one count, job_give and lane_unref end one. It stays as it
 *            began across a reload; new lanes obey the new rules, and permits of both count together.
 * Thread:    any; one lock inside, held for less than a microsecond. Time is an argument (evt_loop_now, mono usec), the
 *            day of a warm-up is clock_wall's.
 * Source:    relay.yaml sources, pools, warmups, routes.pool, shaping, outbound; sealpost-shaping(5). */
#ifndef RELAY_SHAPE_SHAPE_H
#define RELAY_SHAPE_SHAPE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "conf/conf_schema.h"
#include "relay/relay_conf.h"

#define SHAPE_NAME 65	 /* name of a source or rule, with NUL */
#define SHAPE_SITE 288	 /* name of a site, with NUL */
#define SHAPE_NEVER INT64_MAX

struct shape;
struct shape_lane;

/* Reads the rule files. NULL: err, "FILE:LINE: KEY: what". */
struct shape *shape_new(const struct relay_conf *conf, char err[CONF_ERR_MAX]);
/* New rules, sources and limits for what comes; nothing changes if it fails (ERR_CONFIG and err). */
int shape_reload(struct shape *s, const struct relay_conf *conf, char err[CONF_ERR_MAX]);
/* No lane may be held any more. */
void shape_free(struct shape *s);
/* Called, without the lock, when something may go earlier than was said: on resume, reload, end of a back-off by
 * success. Set once, before threads run. */
void shape_on_change(struct shape *s, void (*changed)(void *arg), void *arg);
/* Keeps what a restart must not forget in this file, by a thread of its own: suspensions, pauses that destinations asked
 * for, counts of warm-up days. Reads it first. Before threads run; without it nothing is kept. ERR_CONFIG and err: the
 * file is damaged, or cannot be read. */
int shape_keep(struct shape *s, const char *path, char err[CONF_ERR_MAX]);

/* --- the queue */
struct shape_wait {
	int64_t until;	/* mono usec when asking again makes sense; SHAPE_NEVER: only after a change */
	uint8_t reason; /* enum queue_reason: RATE, CONNECTIONS, WARMUP, BACKOFF, SUSPENDED */
};
/* A lane to site (for mail to domain) from a source of pool ("" or NULL: the host's own), with a job place: one more
 * than half as many again as it has connections are given, so that each has its next message at hand. 0 and *lane;
 * ERR_BUSY and *wait; ERR_NOMEM. CONNECTIONS: as soon as a job place of the site is given back, and at until at the
 * latest. */
int shape_job_take(struct shape *s, const char *pool, const char *site, const char *domain, int64_t now,
		   struct shape_lane **lane, struct shape_wait *wait);
void shape_job_give(struct shape *s, struct shape_lane *lane);

/* --- workers */
struct shape_lane *shape_lane_ref(struct shape_lane *lane);
void shape_lane_unref(struct shape *s, struct shape_lane *lane);

struct shape_source {
	char name[SHAPE_NAME]; /* "" is the host's own */
	char hostname[256];    /* for EHLO */
	struct sockaddr_storage v4, v6; /* to bind to; ss_family 0: the system chooses */
};
struct shape_limits {
	unsigned connections; /* of the lane, as it is now (adaptive) */
	unsigned messages;    /* over one connection */
	unsigned recipients;  /* in one transaction */
	int64_t idle;	      /* usec a connection is kept for reuse */
	int tls;	      /* enum relay_tls: least that the rule demands; RELAY_TLS_NONE: says nothing */
};
const struct shape_source *shape_lane_source(const struct shape_lane *lane);
const char *shape_lane_site(const struct shape_lane *lane);
void shape_lane_limits(struct shape *s, struct shape_lane *lane, struct shape_limits *out);

/* 0: one connection may be opened, and connection_give is owed. ERR_BUSY: the limit of the lane or outbound.open is
 * reached, and *until is soon, since no event says when a place is free; or it rests, *until as in shape_wait. */
int shape_connection_take(struct shape *s, struct shape_lane *lane, int64_t now, int64_t *until);
/* used: it was READY once. */
void shape_connection_give(struct shape *s, struct shape_lane *lane, int used, int64_t now);

/* Before MAIL. 0; ERR_BUSY: not before wait->until: the job goes back to the queue, untried, with wait->reason. */
int shape_message_take(struct shape *s, struct shape_lane *lane, int64_t now, struct shape_wait *wait);
/* The message of a permit was not sent after all (stale connection, not READY). */
void shape_message_give(struct shape *s, struct shape_lane *lane);

void shape_good(struct shape *s, struct shape_lane *lane, int64_t now);

enum shape_act { /* what the worker does about a reply, beyond its first digit */
	SHAPE_AS_SAID,
	SHAPE_BOUNCE, /* it is permanent */
	SHAPE_RETRY,  /* it is temporary */
	SHAPE_CLOSE   /* as said, and this connection says QUIT */
};
/* A reply that refuses: code, and the text as the peer gave it (its enhanced code first; cut at 512 octets). */
enum shape_act shape_heard(struct shape *s, struct shape_lane *lane, int code, const char *text, int64_t now);
/* A connection could not be made, or was lost. */
void shape_lost(struct shape *s, struct shape_lane *lane, int64_t now);

/* --- administration */
struct shape_seen { /* one lane, or a source that is suspended as a whole (site "") */
	char source[SHAPE_NAME], site[SHAPE_SITE], rule[SHAPE_NAME];
	unsigned jobs, connections, limit, limit_max;
	uint64_t sent, refused; /* messages, replies; since it is known */
	uint64_t warm_sent, warm_limit; /* today; limit 0: no warm-up */
	char rate[32];		/* "100/15m", "" */
	int64_t until;		/* mono usec: rests until; 0: does not; SHAPE_NEVER: suspended by an administrator */
	int64_t slow_until;	/* mono usec: slowed down until; 0: is not */
	char why[SHAPE_NAME];	/* name of the pattern, "administrator", "" */
};
struct shape_list_from { /* NULL: from the first; of all sites */
	const char *source, *site, *rule; /* behind this one */
	const char *only_site;
};
/* In the order of their names; returns the number. Takes the lock many times for a short while. */
size_t shape_list(struct shape *s, const struct shape_list_from *from, int64_t now, struct shape_seen *out,
		  size_t max);
/* source: name, or "" for the host's own; site "": all. ERR_NOTFOUND: no such source. resume ends what patterns began,
 * too: of the source everywhere, if site is "". ERR_NOMEM. */
int shape_suspend(struct shape *s, const char *source, const char *site, int64_t now);
int shape_resume(struct shape *s, const char *source, const char *site, int64_t now);
/* Calls done (on the thread that keeps the file, or at once if there is none) when all that was said before is durable,
 * or cannot be made so: err. */
struct shape_durable {
	struct shape_durable *next;
	void (*done)(struct shape_durable *d, int err);
};
void shape_durable(struct shape *s, struct shape_durable *d);

#endif
