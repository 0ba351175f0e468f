/* SPDX-License-Identifier: Apache-2.0 */
/* shape_state - what one source may do towards one site at this moment, and what the site's answers changed.
 *
 * Story:     one struct per source and site that are in use. The caller gives the limits of the rule with every call, so
 *            that a changed rule counts at once. Before a connection: shape_state_connection says 0 (go: book it
 *            with shape_state_open), or why not and until when. Before each MAIL: shape_state_message, likewise, and
 *            shape_state_send. After the answers: shape_state_good for a message accepted,
 *            shape_state_reply for every reply that is not 2xx, shape_state_bad for a connection that could
 *            not be made or broke, shape_state_close when it is gone. A connection that rests idle keeps its place.
 *            Of patterns that fit a reply, each counts its hits; at the threshold it acts, and counts anew.
 * Back-off:  duration at first; again within a day after one ended, twice as long as the last, up to longest. When it is
 *            over, one connection goes first; the limit grows from there.
 * Ownership: shape_state_clear frees what the struct holds.
 * Limits:    hits are kept for at most SHAPE_STATE_HITS patterns at a time; what came first is forgotten.
 * Thread:    pure; one at a time. Times: usec on a clock that never jumps. */
#ifndef SHAPE_SHAPE_STATE_H
#define SHAPE_SHAPE_STATE_H

#include "shape/shape_adapt.h"
#include "shape/shape_rate.h"
#include "shape/shape_rule.h"

#define SHAPE_STATE_HITS  16
#define SHAPE_STATE_NAME  32
#define SHAPE_STATE_NEVER INT64_MAX

/* Why something may not be. */
enum shape_why {
	SHAPE_GO,
	SHAPE_AT_LIMIT,	  /* as many connections as may be: until one closes */
	SHAPE_AT_RATE,	  /* messages */
	SHAPE_AT_CONNECTION_RATE,
	SHAPE_IN_BACKOFF,
	SHAPE_SUSPENDED
};
const char *shape_why_text(int why);

struct shape_hits;
struct shape_state {
	unsigned open;	   /* connections booked */
	struct shape_rate rate, connection_rate, slow_rate;
	struct shape_adapt adapt;
	int64_t rest_until; /* nothing goes before; SHAPE_STATE_NEVER: until somebody resumes it */
	int64_t slow_until;
	int64_t backoff_last; /* length of the last back-off */
	int64_t backoff_ended;
	struct num_rate slow;	   /* while slow */
	unsigned slow_connections; /* 0: as without */
	unsigned char rest_why;	   /* SHAPE_IN_BACKOFF or SHAPE_SUSPENDED */
	unsigned char probing;	   /* after a rest: until the first good answer, one at a time */
	char rest_name[SHAPE_STATE_NAME], slow_name[SHAPE_STATE_NAME]; /* of the pattern */
	struct shape_hits *hits;
};

/* What a reply brought about. */
struct shape_effect {
	int verdict; /* SHAPE_RULE_RETRY, SHAPE_RULE_BOUNCE, or -1: as the reply says */
	unsigned count;
	struct shape_effect_act {
		const struct shape_pattern *pattern;
		int64_t until; /* SLOW, BACKOFF, SUSPEND */
		unsigned limit; /* FEWER: connections now */
		int news;	/* it was not so before */
	} acts[SHAPE_MATCH_MAX];
};

void shape_state_init(struct shape_state *s, const struct shape_rule_limits *l);
void shape_state_clear(struct shape_state *s);

/* Connections allowed now, and the rate of messages now. */
unsigned shape_state_limit(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now);
struct num_rate shape_state_pace(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now);

/* 0: go. Else enum shape_why, and *until (SHAPE_STATE_NEVER: when a connection closes, or when it is resumed). */
int shape_state_connection(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now,
			   int64_t *until);
int shape_state_message(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now,
			int64_t *until);
void shape_state_open(struct shape_state *s, const struct shape_rule_limits *l, int64_t now);
void shape_state_close(struct shape_state *s);
void shape_state_send(struct shape_state *s, const struct shape_rule_limits *l, int64_t now);
/* The message was not sent after all: nothing of it has left. */
void shape_state_unsend(struct shape_state *s, const struct shape_rule_limits *l);

void shape_state_good(struct shape_state *s, const struct shape_rule_limits *l, int64_t now);
void shape_state_bad(struct shape_state *s);
/* found: as shape_rules_match gave them. */
void shape_state_reply(struct shape_state *s, const struct shape_pattern *const *found, unsigned count,
		       int64_t now, struct shape_effect *effect);

/* By hand, or from before a restart. until SHAPE_STATE_NEVER: until resumed. */
void shape_state_rest(struct shape_state *s, int why, const char *name, int64_t until);
/* Ends back-off, suspension and slowness. 1 if there was one. */
int shape_state_resume(struct shape_state *s, int64_t now);
/* Rules changed: hits of patterns, which are no more, are forgotten. */
void shape_state_forget_hits(struct shape_state *s);
/* 1: nothing here that a new struct would not say as well. */
int shape_state_idle(const struct shape_state *s, int64_t now);

#endif
