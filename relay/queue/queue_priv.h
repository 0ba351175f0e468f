/* SPDX-License-Identifier: Apache-2.0 */
/* queue_priv - what the files of the queue share. All of it belongs to the queue's thread.
 *
 *   queue.c           the thread, its inbox, its life
 *   queue_add.c       messages that were accepted
 *   queue_key.c       destinations and customers by name
 *   queue_message.c   messages
 *   queue_group.c     where each group is, and how it gets there
 *   queue_dispatch.c  handing out jobs: which destination next, which worker
 *   queue_result.c    jobs coming back
 *   queue_found.c     messages of a former run, until their envelope is opened
 *   queue_control.c   looking and acting
 *   queue_watch.c     the invariant
 *   queue_sched.c, queue_index.c, queue_retry.c   pure
 *
 * A group is one message's recipients at one destination (at most QUEUE_GROUP_MAX: more make
 * several groups). It is in exactly one place at any time:
 *
 *            added                    job posted
 *   WAITS --due--> READY (at its destination) --> OUT --final--> gone
 *     ^               ^                            |
 *     |               +-- destination failed ------+-- too old --> EXPIRING --job--> OUT --> gone
 *     +------------------------- deferred ---------+
 *   DELETING: from WAITS, READY or EXPIRING, until the log has it; then gone.
 *
 * A destination is OPEN; or in BACKOFF after a failure that is its own (cannot connect), until a
 * time; then in PROBE: one job is handed out, and its outcome opens it or puts it back. Its READY
 * groups wait with it. */
#ifndef RELAY_QUEUE_QUEUE_PRIV_H
#define RELAY_QUEUE_QUEUE_PRIV_H

#include "core/clock.h"
#include "core/list.h"
#include "relay/queue/queue.h"
#include "relay/queue/queue_index.h"
#include "relay/queue/queue_retry.h"
#include "relay/queue/queue_sched.h"

#define QUEUE_GROUP_MAX 100  /* recipients of one job: one transaction (RFC 5321 4.5.3.1.8) */
#define QUEUE_OUT_MAX	8192 /* jobs with workers */
#define QUEUE_UNPROVEN_MAX \
	(QUEUE_OUT_MAX / 4 * 3) /* of them, to destinations without a recent success */
#define QUEUE_UNPROVEN_START 5	/* jobs of such a destination */
#define QUEUE_PROVEN	     (600 * CLOCK_SEC) /* how long a success counts */
#define QUEUE_EXPIRE_MAX     64		       /* EXPIRE jobs with workers */
#define QUEUE_OPEN_MAX	     256	       /* OPEN jobs with workers */
#define QUEUE_SOFT_MAX \
	3 /* failures that may be the message's, in a row, until they are the destination's */
#define QUEUE_REPLY_KEEP \
	83 /* bytes of a reply that a group remembers: it fills its piece of memory */

enum queue_where { QUEUE_WAITS = 1, QUEUE_READY, QUEUE_OUT, QUEUE_EXPIRING, QUEUE_DELETING };
enum queue_door { QUEUE_DOOR_OPEN, QUEUE_DOOR_BACKOFF, QUEUE_DOOR_PROBE };

struct queue_reply { /* text of a peer, shared by groups that heard the same */
	uint32_t refs;
	char text[];
};

struct queue_customer {
	struct queue_customer *chain;
	uint32_t refs;
	char name[];
};

struct queue_slot { /* a destination's share of one worker */
	uint16_t out;
	uint16_t used; /* when last, in units of 4 s; see queue_dispatch.c */
};

struct queue_dest {
	struct queue_dest *chain;
	struct list ready;    /* struct queue_group */
	struct list_link run; /* of queue.runnable: it may have a job; of .starved: there is no
			       * place for it; of .idle: it has no groups */
	uint32_t hash;
	uint32_t timer; /* in queue.backoffs */
	uint32_t groups, ready_recipients, out;
	uint32_t epoch; /* grows with each back-off: what was handed out before tells nothing new */
	uint32_t goods; /* grows with each success */
	int64_t last_good; /* mono, 0: never */
	int64_t idle_since;
	uint16_t failures, soft;
	uint16_t code; /* of the last failure */
	uint8_t reason;
	uint8_t door;	 /* enum queue_door */
	uint8_t probing; /* the probe is out */
	struct queue_reply *reply;
	struct queue_slot *slots; /* one per worker; in the same piece */
	char *name;		  /* so is this */
};

struct queue_group {
	struct queue_message *message;
	struct queue_dest *dest;
	struct queue_group *next, *prev; /* of the message */
	union {
		struct list_link link;	 /* READY: dest.ready; EXPIRING: queue.expiring */
		uint32_t timer;		 /* WAITS: in queue.waiting */
		struct queue_task *task; /* OUT */
	} at;
	struct queue_reply *reply;
	uint16_t attempts, code, count;
	uint8_t reason;
	unsigned where : 4;   /* enum queue_where */
	unsigned expired : 1; /* its next job tells the sender */
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

struct queue_message {
	uint64_t id;
	struct spool_place at;
	int32_t born; /* seconds on our own clock when it was accepted, see queue_age */
	int64_t created;
	uint64_t size;
	struct queue_customer *customer; /* NULL until opened */
	struct queue_group *groups;
	union {
		struct spool_fresh *fresh; /* if opened */
		struct queue_found *found; /* if not */
	} u;
	uint8_t opened, deleted;
};

struct queue_task { /* a job, with what we remember about it */
	struct queue_job job;
	struct queue_task *next; /* in the pool */
	struct queue_found *found;
	uint32_t epoch, goods; /* of the destination when it was handed out */
	int64_t since;
	uint8_t probe, unproven, stuck;
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
	const char *customer;
	unsigned count;
	struct queue_add_item {
		const char *domain;
		uint16_t recipient;
	} items[]; /* sorted by domain */
};

#define QUEUE_BUCKETS_MIN 1024

struct queue {
	struct relay *relay;
	void (*run_job)(struct relay_msg *m, void *worker);
	struct evt_inbox *inbox;
	pthread_t thread;
	int started, ended;

	struct relay_conf *conf; /* with a reference */
	struct queue_retry retry;
	int workers;
	int open, stopping;
	int64_t now, wall; /* of this turn */
	int64_t epoch;	   /* mono when made: messages' births count from here */

	struct queue_index index;
	struct queue_sched waiting, backoffs, reopens;
	struct list runnable, starved, idle, expiring, unopened, stalled;
	uint32_t idle_count;

	struct queue_dest **buckets;
	uint32_t bucket_count, dest_count;
	struct queue_customer *customers[QUEUE_BUCKETS_MIN];
	uint64_t seed;

	struct queue_task *pool;
	unsigned pool_count;
	unsigned out, out_unproven, expiring_out, opening_out;
	struct queue_hand { /* jobs of this turn for one worker */
		struct evt_msg *first, *last;
		uint32_t out;
	} * hands;
	unsigned turn;	     /* whose turn among workers, for jobs without a destination */
	int64_t short_until; /* no memory: nothing is handed out until then */

	unsigned spool_out; /* STATE jobs with the spool */
	uint64_t lost_states;
	int64_t lost_said;

	uint64_t recipients, active, waits, groups, bytes, orphans, unopened_count;
	uint64_t watch_at; /* id */
	int64_t watch_next;
};

/* --- queue.c */
/* A reason as one word for the log: "connect". */
#define QUEUE_WORD 16
const char *queue_reason_word(char dst[QUEUE_WORD], unsigned reason);
int64_t queue_age(const struct queue *q, const struct queue_message *m);
int64_t queue_wall(const struct queue *q, int64_t mono);
/* Posts STATE for recipients. then (may be NULL) is called once with the result: later, or at once
 * if there is nothing to post or no memory. */
typedef void (*queue_state_fn)(struct queue *q, int result, void *arg);
void queue_post_state(struct queue *q, uint64_t id, const struct spool_state *states,
		      unsigned count, queue_state_fn then, void *arg);

/* --- queue_add.c */
/* The recipients of an envelope (only those listed, if only is not NULL), sorted by domain. */
struct queue_add *queue_add_make(const struct spool_envelope *e, const uint16_t *only,
				 unsigned count, const char *fallback_domain);
/* Makes the message's groups, in no place yet: all of them, or ERR_NOMEM and none. */
int queue_add_groups(struct queue *q, struct queue_message *m, const struct queue_add *a);
/* Tries again what memory was too short for. */
void queue_add_stalled(struct queue *q);
void queue_add_free(struct queue_add *a);

/* --- queue_key.c */
void queue_key_init(struct queue *q);
void queue_key_clear(struct queue *q);
/* Made if need be. NULL: out of memory. */
struct queue_dest *queue_key_dest(struct queue *q, const char *name);
/* It lost its last group: it stays for a while, for what it knows, and then goes. */
void queue_key_dest_idle(struct queue *q, struct queue_dest *d);
void queue_key_dest_used(struct queue *q, struct queue_dest *d);
void queue_key_prune(struct queue *q);
struct queue_customer *queue_key_customer(struct queue *q, const char *name);
void queue_key_customer_unref(struct queue *q, struct queue_customer *c);
/* A reply's text, shared with the destination's last if it is the same; NULL for "" and when memory
 * is short. */
struct queue_reply *queue_key_reply(struct queue_dest *d, const char *text);
void queue_key_reply_unref(struct queue_reply *r);

/* --- queue_message.c */
struct queue_message *queue_message_new(struct queue *q, uint64_t id);
/* With all its groups, wherever they are (but not OUT). */
void queue_message_free(struct queue *q, struct queue_message *m);
unsigned queue_message_recipients(const struct queue_message *m);
void queue_message_drop_fresh(struct queue_message *m);
/* Of all messages: keyd has gone. */
void queue_message_drop_all_fresh(struct queue *q);

/* --- queue_group.c */
/* In no place yet. NULL: out of memory. */
struct queue_group *queue_group_new(struct queue *q, struct queue_message *m, struct queue_dest *d,
				    const uint16_t *recipients, unsigned count);
/* Frees it, and its message if it was the last. */
void queue_group_done(struct queue *q, struct queue_group *g);
/* Out of wherever it is. */
void queue_group_leave(struct queue *q, struct queue_group *g);
void queue_group_ready(struct queue *q, struct queue_group *g, int first);
void queue_group_wait(struct queue *q, struct queue_group *g, int64_t pause);
void queue_group_expire(struct queue *q, struct queue_group *g);
void queue_group_reply(struct queue *q, struct queue_group *g, const char *text);
/* When it is tried next: wall usec; 0: in a worker's hands. */
int64_t queue_group_next(const struct queue *q, const struct queue_group *g);

/* --- queue_dispatch.c */
/* Puts a destination in line if it may have a job. */
void queue_dispatch_wake(struct queue *q, struct queue_dest *d);
/* It has had a success, the first for a while. */
void queue_dispatch_proven(struct queue *q, struct queue_dest *d);
void queue_dispatch(struct queue *q);
void queue_dispatch_task_back(struct queue *q, struct queue_task *t);
/* A group's destination has a job less under way. */
void queue_dispatch_returned(struct queue *q, struct queue_task *t, struct queue_dest *d);
int queue_dispatch_may(const struct queue *q, const struct queue_dest *d);
void queue_dispatch_task_free(struct queue_task *t);

/* --- queue_result.c */
void queue_result(struct relay_msg *m, void *queue); /* handler of jobs that come back */
/* Deletes what is not in a worker's hands, now, and the rest when it is back. then as with
 * queue_post_state. */
void queue_result_delete(struct queue *q, struct queue_message *m, queue_state_fn then, void *arg);

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

/* --- queue_watch.c */
void queue_watch(struct queue *q);
int64_t queue_watch_when(const struct queue *q);

#endif
