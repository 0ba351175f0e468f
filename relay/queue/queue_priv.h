/* SPDX-License-Identifier: Apache-2.0 */
/* queue_priv - what the files of the queue share. All of it belongs to the queue's thread.
 *
 *   queue.c           the thread, its inbox, its life
 *   queue_add.c       messages that were accepted
 *   queue_key.c       names, domains and sites by their names
 *   queue_strand.c    strands and lines: what goes together, in which line it stands
 *   queue_domain.c    which site serves a domain
 *   queue_order.c     orders: hold, suspend, re-route, bounce, purge
 *   queue_drain.c     what a bounce or purge takes out, bit by bit
 *   queue_one.c       the same for one message
 *   queue_summary.c   all lines, with their numbers
 *   queue_message.c   messages
 *   queue_group.c     where each group is, and how it gets there
 *   queue_dispatch.c  handing out jobs: which line of which site next
 *   queue_place.c     which worker; who counts as slow
 *   queue_result.c    jobs coming back
 *   queue_found.c     messages of a former run, until their envelope is opened
 *   queue_control.c   looking and acting
 *   queue_watch.c     the invariant
 *   queue_selector.c, queue_table.c, queue_sched.c, queue_slab.c, queue_index.c, queue_retry.c   pure
 *
 *   site      a next hop, by one way (pool of sources, TLS, login): its door, its jobs
 *    |            customers take turns at a site (share), and lines of a customer
 *    +- line      CUSTOMER:CAMPAIGN@SITE, the queue that people see
 *        +- strand    what a line has for one domain: strands of a line take turns. It keeps the
 *            |        groups that may go, oldest first, and a heap of those that wait for a time
 *            +- group     one message's recipients at the domain (at most QUEUE_GROUP_MAX: more make
 *                         several groups): one job
 *
 * All that is ordered (hold, suspend, re-route, purge) and all that is learnt (a domain moved to
 * another site, a new configuration) changes strands, never groups. A strand whose site is not known
 * stands in no line: it waits for its domain. The strand of a purge leaves the table of strands: it
 * dies, what comes later begins another.
 *
 * A group is in exactly one place at any time:
 *
 *            added                    job posted
 *   WAITS --due--> READY (in its strand) ----------> OUT --final--> gone
 *     ^               ^                               |
 *     |               +-- site failed ----------------+-- too old --> EXPIRING --job--> OUT --> gone
 *     +------------------------- deferred ------------+
 *   HELD: by a filter or an administrator, until it is released.
 *   DELETING: from any but OUT, until the log has it; then gone.
 *
 * A site's door is OPEN; or in BACKOFF after a failure that is its own (cannot connect), until a
 * time; then in PROBE: one job is handed out, and its outcome opens it or puts it back. It rests
 * while shaping allows nothing. Its READY groups wait with it. */
#ifndef RELAY_QUEUE_QUEUE_PRIV_H
#define RELAY_QUEUE_QUEUE_PRIV_H

#include "core/clock.h"
#include "core/list.h"
#include "relay/queue/queue.h"
#include "relay/queue/queue_index.h"
#include "relay/queue/queue_retry.h"
#include "relay/queue/queue_sched.h"
#include "relay/queue/queue_slab.h"
#include "relay/queue/queue_table.h"

#define QUEUE_GROUP_MAX 100  /* recipients of one job: one transaction (RFC 5321 4.5.3.1.8) */
#define QUEUE_OUT_MAX	8192 /* jobs with workers */
#define QUEUE_UNPROVEN_START 5	/* jobs of a site without a recent success */
#define QUEUE_PROVEN	     (600 * CLOCK_SEC) /* how long a success counts */
#define QUEUE_SLOW_TIME	     (20 * CLOCK_SEC)  /* a site whose jobs take longer on average is slow */
#define QUEUE_SLOW_ATTEMPTS  8		       /* a recipient that has been tried so often is slow */
#define QUEUE_EXPIRE_MAX     64		       /* EXPIRE jobs with workers */
#define QUEUE_DELAY_MAX	     64		       /* DELAY jobs with workers */
#define QUEUE_OPEN_MAX	     256	       /* OPEN jobs with workers */
#define QUEUE_RESOLVE_MAX    256	       /* RESOLVE jobs with workers */
#define QUEUE_SOFT_MAX \
	3 /* failures that may be the message's, in a row, until they are the destination's */
#define QUEUE_REPLY_KEEP \
	83 /* bytes of a reply that a group remembers: it fills its piece of memory */

enum queue_where {
	QUEUE_WAITS = 1,
	QUEUE_READY,
	QUEUE_OUT,
	QUEUE_EXPIRING,
	QUEUE_DELETING,
	QUEUE_IS_HELD
};
enum queue_door { QUEUE_DOOR_OPEN, QUEUE_DOOR_BACKOFF, QUEUE_DOOR_PROBE };
enum queue_known { QUEUE_UNKNOWN, QUEUE_ASKING, QUEUE_KNOWN, QUEUE_FAILED };

struct queue_reply { /* text of a peer, shared by groups that heard the same */
	uint32_t refs;
	char text[];
};

struct queue_name { /* customer, campaign, way, site: equal texts are one name */
	struct queue_node node;
	uint32_t refs;
	char text[];
};

struct queue_slot { /* a site's share of one worker */
	uint16_t out;
	uint16_t used; /* when last, in units of 4 s; see queue_place.c */
	uint16_t shut; /* when it last had no connection and got none, in units of 1/4 s; 0: never */
};

#define QUEUE_REFUSED_MAX 4
struct queue_site {
	struct queue_node node;
	struct list turn;     /* struct queue_share that have something to go */
	struct list lines;    /* struct queue_line: all of them */
	struct list_link run; /* of queue.runnable: it may have a job; of .starved: the slow lane has
			       * no place for it; of .idle: it has no lines */
	struct queue_name *name, *way; /* way: "POOL CREDENTIAL TLS" */
	const char *pool;	       /* within the piece; "" */
	uint32_t timer;		       /* in queue.backoffs: of the door, or of the rest */
	uint32_t turns;		       /* strands that have something to go */
	uint32_t ready;		       /* recipients in READY */
	uint32_t out;
	uint32_t epoch; /* grows with each back-off: what was handed out before tells nothing new */
	uint32_t goods; /* grows with each success */
	int64_t last_good; /* mono, 0: never */
	int64_t idle_since;
	int64_t rest;	  /* mono: shaping allows nothing before; 0: it does */
	int64_t took;	  /* usec a job takes, on average */
	int64_t limits_at;
	const struct queue_domain *refused[QUEUE_REFUSED_MAX]; /* for which it was asked (only compared) */
	unsigned connections; /* that its last lane may have */
	uint16_t failures, soft;
	uint16_t code; /* of the last failure */
	uint8_t reason, rest_reason;
	uint8_t door;	 /* enum queue_door */
	uint8_t probing; /* the probe is out */
	struct queue_reply *reply;
	struct queue_slot slots[]; /* one per worker; pool is behind them */
};

struct queue_domain {
	struct queue_node node;
	struct list strands;
	struct list_link link;	 /* of queue.asking, until a worker asks; of .lone: it has no strands */
	struct queue_name *site; /* its MX hosts' name, as it was last known */
	struct queue_task *task; /* ASKING */
	uint32_t timer;		 /* in queue.lookups */
	uint8_t state;		 /* enum queue_known */
	uint8_t reason;
	uint16_t code, failures;
	int64_t until; /* mono: how long site may be used */
	int64_t moved; /* mono: when a worker last found that it is another */
	int64_t lone_since;
	struct queue_reply *reply;
	char name[];
};

struct queue_share { /* a customer's turns at a site */
	struct queue_node node;
	struct queue_site *site;
	struct queue_name *customer;
	uint32_t lines;
	struct list turn;	  /* struct queue_line that have something to go */
	struct list_link in_turn; /* of site.turn */
};

struct queue_line {
	struct queue_node node;
	struct queue_share *share;
	struct queue_site *site;
	struct queue_name *customer, *campaign; /* the strands' */
	struct list turn;			/* struct queue_strand that have something to go */
	struct list strands;			/* all of them */
	struct list_link in_turn;		/* of share.turn */
	struct list_link of_site;
};

enum { /* why a strand stands still */
	QUEUE_STOP_HELD = 1,
	QUEUE_STOP_SUSPENDED = 2,
	QUEUE_STOP_DYING = 4
};
struct queue_strand {
	struct queue_node node;
	struct queue_name *customer, *campaign, *via; /* via: of a message's own re-routing, or NULL */
	struct queue_domain *domain;
	struct queue_line *line; /* NULL: its site is not known */
	struct queue_name *to;	 /* next hop of an administrator's re-routing, or NULL: via or an order */
	struct list ready, slow; /* struct queue_group; slow: with many attempts */
	struct list held;
	struct queue_sched waits;    /* groups until their time */
	struct list_link in_turn;    /* of line.turn; of queue.unused: it has no groups */
	struct list_link of_line;    /* of line.strands */
	struct list_link of_domain;
	uint32_t timer;		     /* in queue.waiting: of the first that waits */
	uint32_t rush;		     /* of those that wait, how many do so no longer */
	uint32_t groups;	     /* in any place */
	uint32_t recipients, waiting, readies, active, holds; /* recipients; by place */
	int32_t oldest, oldest_seen; /* born; see queue_watch.c */
	int64_t unused_since;
	uint32_t look;		     /* the last in which it was seen, see queue_dispatch.c */
	struct queue_rule *dying;    /* DYING: for which order */
	uint8_t mx; /* its site is its domain's */
	uint8_t stopped; /* QUEUE_STOP_*: by orders */
	uint8_t served;
	uint8_t rush_reason;
};

struct queue_group {
	struct queue_message *message;
	struct queue_strand *strand;
	struct queue_group *next, *prev; /* of the message */
	union {
		struct list_link link;	 /* READY, HELD: of the strand; EXPIRING: queue.expiring */
		uint32_t timer;		 /* WAITS: in strand.waits */
		struct queue_task *task; /* OUT */
	} at;
	struct queue_reply *reply;
	uint16_t attempts, code, count;
	uint8_t reason;
	unsigned where : 4;   /* enum queue_where */
	unsigned expired : 1; /* its next job tells the sender */
	unsigned told : 1;    /* the sender knows of the delay */
	unsigned bounce : 1;  /* expired by an administrator */
	unsigned slab : 1;    /* a piece of queue.pieces; else malloc's */
	uint16_t recipients[];
};

struct queue_found {	       /* a message of a former run whose envelope is still closed */
	struct list_link link; /* of queue.unopened */
	uint32_t timer;	       /* in queue.reopens */
	struct queue_message *message;
	struct queue_task *task; /* not NULL: a worker is opening it */
	uint8_t reason;
	uint16_t attempts;	     /* to open it */
	uint16_t total;		     /* recipients of the message */
	uint16_t count;		     /* of them, not final */
	struct spool_state states[]; /* theirs */
};

/* A piece of queue.pieces: a group with few recipients, or a found message with one. */
#define QUEUE_PIECE 72
_Static_assert(sizeof(struct queue_group) + 4 * sizeof(uint16_t) <= QUEUE_PIECE, "a group of four");
_Static_assert(sizeof(struct queue_found) + sizeof(struct spool_state) <= QUEUE_PIECE, "found, of one");

struct queue_message {
	uint64_t id;
	struct spool_place at;
	int32_t born; /* seconds on our own clock when it was accepted, see queue_age */
	int64_t created;
	uint64_t size : 56;
	uint64_t opened : 1;
	uint64_t deleted : 1;
	uint64_t hold : 1, bounce : 1; /* when it is back from its workers */
	uint64_t rerouted : 1;	       /* by an order of its own */
	struct queue_group *groups;
	union {
		struct spool_fresh *fresh; /* if opened */
		struct queue_found *found; /* if not */
	} u;
};

struct queue_rule { /* an order, with what we remember about it */
	struct list_link link; /* of queue.rules, in the order of their numbers */
	struct list dying;     /* struct queue_strand.of_line */
	uint64_t gone;	       /* recipients that it took out */
	uint64_t syncs;	       /* of the spool when the last was gone, and one */
	int64_t drained;       /* mono: when that was */
	uint8_t old;	       /* of a former run: for what was accepted before .before */
	struct queue_order order;
};

struct queue_task { /* a job, with what we remember about it */
	struct queue_job job;
	struct queue_task *next; /* in the pool */
	struct queue_found *found;
	struct queue_domain *domain; /* RESOLVE */
	struct queue_site *site;     /* DELIVER */
	uint32_t epoch, goods;	     /* of the site when it was handed out */
	int64_t since;
	int64_t due; /* DELAY: when the group is tried next, mono */
	uint8_t probe, slow, stuck, moved;
	unsigned room;
};

struct queue_add { /* a message on its way in; one piece, strings behind the items */
	struct relay_msg msg;
	struct list_link link; /* of queue.stalled */
	uint64_t id;
	struct spool_place at;
	int64_t created, added; /* wall, mono */
	uint64_t size;
	struct spool_fresh *fresh;
	const char *customer, *campaign;
	uint8_t hold;
	unsigned count;
	struct queue_add_item {
		const char *domain;
		uint16_t recipient;
	} items[]; /* sorted by domain */
};

struct queue {
	struct relay *relay;
	void (*run_job)(struct relay_msg *m, void *worker);
	struct evt_inbox *inbox;
	pthread_t thread;
	int started, ended;
	struct relay_msg shape_msg; /* shaping has changed: with the inbox while shape_told */
	atomic_int shape_told;

	struct relay_conf *conf; /* with a reference */
	struct queue_retry retry;
	int workers;
	int open, stopping;
	int64_t now, wall; /* of this turn */
	int64_t epoch;	   /* mono when made: messages' births count from here */

	struct queue_index index;
	struct queue_slab messages;
	struct queue_slab pieces; /* of QUEUE_PIECE bytes: groups, found messages */
	struct queue_slab states; /* STATE jobs of one recipient */
	struct queue_sched waiting; /* strands */
	struct queue_sched backoffs; /* sites */
	struct queue_sched lookups; /* domains */
	struct queue_sched reopens; /* found messages */
	struct list runnable, starved, idle; /* sites */
	struct list asking, lone;	     /* domains */
	struct list unused;		     /* strands */
	struct list expiring, unopened, stalled;
	uint32_t idle_count, lone_count, unused_count;
	uint32_t strand_count; /* those that die are in no table */

	struct queue_table names, domains, sites, shares, lines, strands;

	struct list rules; /* struct queue_rule */
	unsigned old_rules; /* BOUNCE and PURGE of a former run */
	unsigned own_rules; /* of single messages */
	struct evt_inbox *end_inbox;
	void (*end_run)(struct relay_msg *m, void *receiver);
	uint64_t draining; /* recipients */

	struct queue_task *pool;
	unsigned pool_count;
	unsigned out, out_slow, expiring_out, opening_out, resolving_out, delay_out;
	struct queue_hand { /* jobs of this turn for one worker */
		struct evt_msg *first, *last;
		uint32_t out;
	} * hands;
	uint32_t look;	     /* number of a look at a site's strands */
	unsigned turn;	     /* whose turn among workers, for jobs without a destination */
	int64_t short_until; /* no memory: nothing is handed out until then */

	unsigned spool_out; /* STATE jobs with the spool */
	uint64_t lost_states;
	int64_t lost_said;

	uint64_t recipients, active, waits, held, groups, bytes, orphans, unopened_count, fresh_count;
	uint64_t watch_at; /* id */
	uint64_t places_said;
	int64_t watch_next;
};

/* --- queue.c */
/* A reason as one word for the log: "connect". */
#define QUEUE_WORD 16
const char *queue_reason_word(char dst[QUEUE_WORD], unsigned reason);
int64_t queue_age(const struct queue *q, const struct queue_message *m);
int64_t queue_wall(const struct queue *q, int64_t mono);
/* Posts STATE for recipients. then (may be NULL) is called once with the result: later, or at once
 * if there is nothing to post or no memory; id is the message's, which may be gone by then. */
typedef void (*queue_state_fn)(struct queue *q, uint64_t id, int result, void *arg);
void queue_post_state(struct queue *q, uint64_t id, const struct spool_state *states,
		      unsigned count, queue_state_fn then, void *arg);

/* --- queue_add.c */
/* The recipients of an envelope (only those listed, if only is not NULL), sorted by domain. */
struct queue_add *queue_add_make(const struct spool_envelope *e, const uint16_t *only,
				 unsigned count, const char *fallback_domain);
/* Makes the message's groups, in no place yet: all of them, or ERR_NOMEM and none. */
int queue_add_groups(struct queue *q, struct queue_message *m, const struct queue_add *a,
		     const char *via);
/* Tries again what memory was too short for. */
void queue_add_stalled(struct queue *q);
void queue_add_free(struct queue_add *a);

/* --- queue_key.c */
int queue_key_init(struct queue *q);
void queue_key_clear(struct queue *q);
/* With a reference. NULL: out of memory. */
struct queue_name *queue_key_name(struct queue *q, const char *text);
void queue_key_name_unref(struct queue *q, struct queue_name *n);
/* Made if need be. NULL: out of memory. */
struct queue_domain *queue_key_domain(struct queue *q, const char *name);
struct queue_site *queue_key_site(struct queue *q, const char *name, const char *pool,
				  const char *credential, int tls);
/* It has lines or jobs, or lost the last of them: then it stays for a while, for what it knows. */
void queue_key_site_used(struct queue *q, struct queue_site *s);
void queue_key_site_idle(struct queue *q, struct queue_site *s);
void queue_key_domain_lone(struct queue *q, struct queue_domain *d);
void queue_key_prune(struct queue *q);
/* A reply's text, shared with the last of its domain if it is the same; NULL for "" and when memory
 * is short. */
struct queue_reply *queue_key_reply(struct queue_domain *d, const char *text);
void queue_key_reply_unref(struct queue_reply *r);

/* --- queue_strand.c */
/* Made if need be, and put in its line if its site is known. via: NULL or "" for the route's way.
 * NULL: out of memory. */
struct queue_strand *queue_strand_get(struct queue *q, const char *customer, const char *campaign,
				      const char *domain, const char *via);
/* One of the same key that is not in the table. NULL: out of memory. */
struct queue_strand *queue_strand_like(struct queue *q, const struct queue_strand *like);
/* Out of its line. */
void queue_strand_detach(struct queue *q, struct queue_strand *s);
/* It lost its last group. */
void queue_strand_unused(struct queue *q, struct queue_strand *s);
void queue_strand_free(struct queue *q, struct queue_strand *s);
void queue_strand_prune(struct queue *q);
/* Those that are unused, all of them: the queue ends. */
void queue_strand_clear(struct queue *q);
/* Finds its way anew: route, domain. ERR_NOMEM: it is in no line then, and asked for again. */
int queue_strand_place(struct queue *q, struct queue_strand *s);
/* In turn if it has something that may go; else not. */
void queue_strand_turn(struct queue *q, struct queue_strand *s);
/* Its timer is that of the first that waits. */
void queue_strand_clock(struct queue *q, struct queue_strand *s);
/* All of them: the configuration is another. */
void queue_strand_place_all(struct queue *q);
static inline struct queue_site *queue_strand_site(const struct queue_strand *s)
{
	return s->line ? s->line->site : NULL;
}

/* --- queue_domain.c */
/* Has its site looked up if that is not known, or not for certain any more. */
void queue_domain_want(struct queue *q, struct queue_domain *d);
void queue_domain_back(struct queue *q, struct queue_task *t);
/* A worker found that its site is another. */
void queue_domain_moved(struct queue *q, struct queue_domain *d, const char *site, int64_t ttl);
/* A worker could not find its hosts. */
void queue_domain_failed(struct queue *q, struct queue_domain *d, const struct queue_result *r);
/* Its time to be asked again has come. */
void queue_domain_again(struct queue *q, struct queue_domain *d);

/* --- queue_message.c */
struct queue_message *queue_message_new(struct queue *q, uint64_t id);
/* With all its groups, wherever they are (but not OUT). */
void queue_message_free(struct queue *q, struct queue_message *m);
unsigned queue_message_recipients(const struct queue_message *m);
void queue_message_drop_fresh(struct queue *q, struct queue_message *m);
/* Of all messages: keyd has gone. */
void queue_message_drop_all_fresh(struct queue *q);

/* --- queue_group.c */
/* In no place yet. NULL: out of memory. */
struct queue_group *queue_group_new(struct queue *q, struct queue_message *m,
				    struct queue_strand *s, const uint16_t *recipients,
				    unsigned count);
/* Into another strand, as it is; it must not be OUT. ERR_NOMEM. */
int queue_group_move(struct queue *q, struct queue_group *g, struct queue_strand *to);
/* Frees it, and its message if it was the last. */
void queue_group_done(struct queue *q, struct queue_group *g);
/* Frees it and leaves its message, even if that has no other. */
void queue_group_drop(struct queue *q, struct queue_group *g);
/* Out of wherever it is. */
void queue_group_leave(struct queue *q, struct queue_group *g);
void queue_group_ready(struct queue *q, struct queue_group *g, int first);
void queue_group_wait(struct queue *q, struct queue_group *g, int64_t pause);
void queue_group_expire(struct queue *q, struct queue_group *g);
void queue_group_hold(struct queue *q, struct queue_group *g, uint8_t reason);
void queue_group_reply(struct queue *q, struct queue_group *g, const char *text);
/* When it is tried next: wall usec; 0: in a worker's hands; QUEUE_NEVER: when somebody says so. */
int64_t queue_group_next(const struct queue *q, const struct queue_group *g);
/* Why it waits: its own reason, or that of its site or domain. */
uint8_t queue_group_reason(const struct queue *q, const struct queue_group *g, uint16_t *code,
			   const struct queue_reply **reply);

/* --- queue_place.c */
/* Jobs that may be with workers at sites that are slow, or at their slow recipients. */
unsigned queue_place_slow_max(const struct queue *q);
int queue_place_proven(const struct queue *q, const struct queue_site *s);
/* It may have jobs in the slow lane only. */
int queue_place_slow(const struct queue *q, const struct queue_site *s);
int queue_place_worker(struct queue *q, struct queue_site *s, struct shape_lane *lane);
void queue_place_used(const struct queue *q, struct queue_site *s, const struct queue_task *t);

/* --- queue_dispatch.c */
/* Puts a site in line if it may have a job. */
void queue_dispatch_wake(struct queue *q, struct queue_site *s);
/* It has had a success, the first for a while. */
void queue_dispatch_proven(struct queue *q, struct queue_site *s);
/* Shaping may allow more than it did. */
void queue_dispatch_rested(struct queue *q, struct queue_site *s);
void queue_dispatch(struct queue *q);
void queue_dispatch_task_back(struct queue *q, struct queue_task *t);
/* A site has a job less under way. */
void queue_dispatch_returned(struct queue *q, struct queue_task *t);
int queue_dispatch_may(const struct queue *q, const struct queue_site *s);
/* Tells the sender that a group waits. 0: not now. */
int queue_dispatch_delay(struct queue *q, struct queue_group *g);
void queue_dispatch_task_free(struct queue *q, struct queue_task *t);

/* --- queue_result.c */
void queue_result(struct relay_msg *m, void *queue); /* handler of jobs that come back */
/* Deletes what is not in a worker's hands, now, and the rest when it is back. then as with
 * queue_post_state. */
void queue_result_delete(struct queue *q, struct queue_message *m, queue_state_fn then, void *arg);

/* For a group that is READY when its domain's site cannot be found. */
/* failure: enum tlsrpt_result. */
void queue_result_no_site(struct queue *q, struct queue_group *g, const struct queue_result *r, int failure);

/* For a group of a message that was to be deleted, and was in a worker's hands then. */
void queue_result_delete_again(struct queue *q, struct queue_group *g);

/* --- queue_found.c */
void queue_found_back(struct queue *q, struct queue_task *t);
void queue_found_free(struct queue *q, struct queue_found *f);
/* Out of its list or its time. */
void queue_found_leave(struct queue *q, struct queue_found *f);
void queue_found_again(struct queue *q, struct queue_found *f, int64_t pause);

/* --- queue_control.c */
void queue_control(struct relay_msg *m, void *queue); /* handler of asks */
void queue_control_answer(struct queue_ask *a);
void queue_control_numbers(const struct queue *q, struct queue_numbers *n);
/* Opens the door to a strand's site for a probe, now. */
void queue_control_knock(struct queue *q, struct queue_strand *s);
/* Those of a strand that wait do so no longer. Returns how many recipients may go. */
uint32_t queue_control_rush(struct queue *q, struct queue_strand *s, uint8_t reason);

/* --- queue_order.c */
void queue_order(struct queue *q, struct queue_ask *a); /* answers by itself */
void queue_order_list(struct queue *q, struct queue_ask *a);
void queue_order_clear(struct queue *q);
int queue_order_fits(const struct queue_selector *of, const struct queue_strand *s);
/* Where an order sends a strand that would go to site (NULL: not known) by itself, or NULL. */
const char *queue_order_way(const struct queue *q, const struct queue_strand *s, const char *site);
/* A strand is new, or in another line. */
void queue_order_strand(struct queue *q, struct queue_strand *s);
/* A message of a former run was opened, its groups are in no place yet. */
int queue_order_opened(struct queue *q, struct queue_message *m);
int queue_order_add(struct queue *q, const struct queue_order *o);
void queue_order_drop(struct queue *q, struct queue_rule *r);
struct queue_rule *queue_order_of_message(struct queue *q, uint8_t action, uint64_t id);
void queue_order_watch(struct queue *q);

/* --- queue_drain.c */
/* The strand dies for the rule. */
void queue_drain_strand(struct queue *q, struct queue_rule *r, struct queue_strand *s);
/* The group does: into a strand that dies for the rule. ERR_NOMEM. */
int queue_drain_group(struct queue *q, struct queue_rule *r, struct queue_group *g);
/* A group of a strand that dies is back from a worker, or due. */
void queue_drain_back(struct queue *q, struct queue_group *g);
void queue_drain(struct queue *q);
/* Whether there is work to do at once. */
int queue_drain_busy(const struct queue *q);

/* --- queue_one.c */
void queue_one(struct queue *q, struct queue_ask *a); /* an order about one message */
int queue_one_reroute(struct queue *q, struct queue_message *m, const char *via);
/* A group is back whose message was held, bounced or re-routed meanwhile. 1: it has gone where it belongs. */
int queue_one_back(struct queue *q, struct queue_group *g);

/* --- queue_summary.c */
void queue_summary(struct queue *q, struct queue_ask *a);

/* --- queue_watch.c */
void queue_watch(struct queue *q);
int64_t queue_watch_when(const struct queue *q);

#endif
