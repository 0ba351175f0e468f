/* SPDX-License-Identifier: Apache-2.0 */
/* queue - the schedule: which recipient is tried when, by which worker.
 *
 * Story:     its own thread. Workers add messages they have committed; recovery adds what the log
 *            holds. The queue groups a message's recipients by destination (one struct per
 *            message and destination), keeps destinations with their limits, and hands out jobs:
 *            "deliver these recipients of this message". The worker answers each job exactly
 *            once; the queue then forgets the recipient, or computes the next attempt
 *            (queue_retry), writes that to the spool log, and waits. While keyd is away, nothing
 *            is handed out.
 * Invariant: every queued recipient has a next-attempt time (or is in a worker's hands) and a
 *            reason. queue_numbers.orphans counts breaches: it is 0, or there is a bug
 *            (event=queue-orphan).
 * Memory:    at most 300 bytes per recipient. Addresses and bodies are not here; the destination
 *            (a domain) is.
 * Thread:    functions marked (any) post to the queue's inbox; callbacks run on the thread of the
 *            inbox named.
 * Source:    RFC 5321 4.5.4.1; configuration retry.*, outbound.connections. */
#ifndef RELAY_QUEUE_QUEUE_H
#define RELAY_QUEUE_QUEUE_H

#include "relay/relay.h"
#include "relay/spool/spool_message.h"

struct shape_lane;

/* Why a recipient waits. Texts are shown by the CLI and documented in sealpost-queue(8). */
#define QUEUE_REASONS(X)                               \
	X(NEW, 0, "new")                               \
	X(RECOVERED, 1, "recovered after restart")     \
	X(CONNECT, 2, "cannot connect")                \
	X(DNS, 3, "name lookup failed")                \
	X(TLS, 4, "TLS not good enough for the route") \
	X(GREETING, 5, "refused at greeting")          \
	X(SENDER, 6, "sender refused for now")         \
	X(RECIPIENT, 7, "recipient refused for now")   \
	X(DATA, 8, "message refused for now")          \
	X(LOST, 9, "connection lost")                  \
	X(TIMEOUT, 10, "peer timed out")               \
	X(KEYD, 11, "waiting for keyd")                \
	X(PROTOCOL, 12, "peer broke the protocol")     \
	X(LOCAL, 13, "local shortage")                 \
	X(DAMAGED, 14, "stored message damaged")       \
	X(RETRY, 15, "retry asked for")                \
	X(POLICY, 16, "not allowed by policy")         \
	X(HELD, 17, "held")                            \
	X(SUSPENDED, 18, "suspended")                  \
	X(RATE, 19, "rate limit of the destination")   \
	X(CONNECTIONS, 20, "connection limit of the destination") \
	X(WARMUP, 21, "warm-up of the source")         \
	X(BACKOFF, 22, "destination asked for a pause") \
	X(AUTH, 23, "login at the next hop failed")    \
	X(REROUTED, 24, "re-routed")                   \
	X(QUARANTINE, 25, "quarantined by a filter")   \
	X(ADMIN, 26, "bounced by an administrator")
enum queue_reason {
#define QUEUE_X(sym, num, text) QUEUE_##sym = num,
	QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
};
/* Added to the reason in STATE records: the sender knows of the delay. */
#define QUEUE_TOLD 0x80
const char *queue_reason_text(unsigned reason);

/* --- adding (any): the envelope is read, not kept. fresh is taken over (may be NULL). */
int queue_add(struct queue *q, uint64_t id, const struct spool_envelope *e, struct spool_place at,
	      struct spool_fresh *fresh);
/* From recovery, before start: recipients whose envelope must still be opened to learn
 * destinations; the queue has workers open them in the background, oldest first. */
void queue_add_found(struct queue *q, const struct spool_found *f);

/* --- jobs. Posted to a worker; it answers with queue_job_done exactly once. */
enum queue_job_kind {
	QUEUE_DELIVER = 1,
	/* tell the sender, then done; results hold the last answers, and outcome EXPIRED, or BOUNCED by an
	 * administrator */
	QUEUE_EXPIRE = 2,
	QUEUE_OPEN = 3,	  /* recovery: read the envelope, answer with it */
	QUEUE_DELAY = 4,  /* tell the sender that these recipients wait, as their NOTIFY allows; results hold the
			   * last answers and stay as they are: outcome DEFERRED */
	QUEUE_RESOLVE = 5 /* no message: which site serves destination for customer; answer in site, site_ttl */
};
#define QUEUE_SITE 288 /* name of a site with its NUL: see relay/out/out_site.h */
/* Whose failure it is, if it is one of those that are the destination's own. */
enum queue_whose {
	QUEUE_WHOSE_SITE,   /* nobody gets through to the site */
	QUEUE_WHOSE_DOMAIN, /* the domain's TLS policy is in the way: the site serves others (also all with DNS) */
	QUEUE_WHOSE_MESSAGE /* it wants what others do not */
};
struct queue_result {
	uint16_t recipient;
	uint8_t outcome; /* enum spool_outcome: DELIVERED, DEFERRED, BOUNCED, EXPIRED */
	uint8_t reason;	 /* enum queue_reason */
	uint16_t code;
	uint8_t dsn_passed; /* DELIVERED: the next hop took over its DSN parameters */
	uint8_t whose;	    /* enum queue_whose; with a next hop that is no MX a domain's is the site's */
	/* shortened, control characters out: for queue show and the DSN; memory only */
	char reply[160];
};
struct queue_job {
	struct relay_msg msg; /* run: out_worker_job, set by the queue at start */
	uint8_t kind;
	int worker;
	uint64_t id;
	struct spool_place at;
	/* the worker takes it over, and sets this to NULL; what it leaves the queue frees */
	struct spool_fresh *fresh;
	char destination[256]; /* domain, or "[literal]" */
	char customer[65];
	/* DELIVER: the site that the queue believes destination has; the worker defers with RETRY if that has
	 * changed, and says the new one. RESOLVE: the answer ("": results[0] says why not, it has count 1) */
	char site[QUEUE_SITE];
	int64_t site_ttl; /* usec that the answer may be used */
	char via[QUEUE_SITE]; /* not "": next hop of an administrator's re-routing, "mx" or HOST:PORT, instead of the
			       * route's */
	struct shape_lane *lane; /* DELIVER: the source's way to the site, with a job place taken; the queue's */
	int64_t created;
	uint16_t attempts;    /* before this one */
	uint16_t count;	      /* 1..100; OPEN: 0 */
	uint16_t *recipients; /* indexes into the envelope; owned by the job */
	/* answer */
	struct queue_result *results; /* one per recipient, allocated with the job */
	uint8_t failure; /* RESOLVE: what a TLS report calls it, enum tlsrpt_result */
	/* QUEUE_OPEN: made by the worker, taken over by the queue; NULL: err says why */
	struct spool_envelope *opened;
	int err;
	void *group; /* the queue's own */
};
/* (any) Gives the job back with its results. DELIVERED, BOUNCED and EXPIRED must be in the
 * spool log already; DEFERRED is written there by the queue. A job whose results are all
 * DEFERRED with KEYD or RETRY (or LOCAL, while relay stops) was not tried: it counts no
 * attempt and is handed out again as soon as that makes sense. Failures with CONNECT, DNS, TLS
 * or GREETING are the destination's own, and so are three in a row with LOST, TIMEOUT or
 * PROTOCOL, unless others got through meanwhile: the destination then rests, is probed with
 * one job, and opens to all with its success. */
void queue_job_done(struct queue *q, struct queue_job *j);

/* --- looking and acting (any): the answer is posted to reply (control's inbox). */
#define QUEUE_NEVER INT64_MAX
struct queue_item {
	uint64_t id;
	char customer[65];
	char campaign[65];
	char destination[256];
	char site[QUEUE_SITE]; /* "": not known */
	uint32_t recipients; /* still queued at this destination */
	uint16_t attempts;
	uint8_t reason;
	uint16_t code;
	char reply[160];
	uint64_t size;
	int64_t created, next; /* wall usec; next 0: in a worker's hands now; QUEUE_NEVER: when somebody says so */
	struct spool_place at;
};
enum queue_action { /* numbers of orders are kept in the store */
	QUEUE_LIST = 1,
	QUEUE_SHOW = 2,
	QUEUE_RETRY_NOW = 3, /* what order.of names, or message id; nothing named: all */
	QUEUE_DELETE = 4,
	QUEUE_NUMBERS = 5,
	QUEUE_SUMMARY = 6,
	QUEUE_ORDERS = 7,
	/* Orders. HOLD: nothing is done with it, and its time does not pass. SUSPEND: it is not tried,
	 * but its time goes on. Both hold for what comes, too. REROUTE: goes to order.via. BOUNCE, PURGE:
	 * what was accepted before is taken out, with and without a word to its senders. */
	QUEUE_HOLD = 8,
	QUEUE_SUSPEND = 9,
	QUEUE_REROUTE = 10,
	QUEUE_BOUNCE = 11,
	QUEUE_PURGE = 12,
	/* End orders that order.of covers: HOLD, SUSPEND, REROUTE. */
	QUEUE_RELEASE = 13,
	QUEUE_RESUME = 14,
	QUEUE_UNROUTE = 15
};

/* --- orders: what an administrator decides about all mail of a customer, a campaign, a destination
 * (domain or site), or any combination of these; or about one message. In force when the answer comes,
 * at a cost that does not depend on how many messages that are; purge and bounce then drain. The queue
 * keeps them in memory: whoever gives one makes it durable first, and gives it again after a restart.
 * Of one message HOLD and RELEASE are kept in the spool, and PURGE is DELETE. */
enum { QUEUE_BY_CUSTOMER = 1, QUEUE_BY_CAMPAIGN = 2, QUEUE_BY_DESTINATION = 4, QUEUE_BY_MESSAGE = 8 };
#define QUEUE_KEY 65 /* customer or campaign, with NUL */
struct queue_selector {
	uint8_t by; /* QUEUE_BY_*: all must fit. BY_MESSAGE stands alone */
	uint64_t message;
	char customer[QUEUE_KEY], campaign[QUEUE_KEY]; /* campaign "": mail without one */
	char destination[QUEUE_SITE];		       /* lower case */
};
struct queue_order {
	int64_t number; /* of the store */
	uint8_t action;
	struct queue_selector of;
	char via[QUEUE_SITE]; /* REROUTE: "mx" or HOST:PORT */
	int64_t before;	      /* BOUNCE, PURGE: wall usec; looked at for what a restart brings back */
	int64_t created;      /* wall usec */
	uint64_t recipients;  /* answer of ORDERS: whom it holds up, or who have still to go */
};
/* 1: all that b names, a names too. */
int queue_selector_covers(const struct queue_selector *a, const struct queue_selector *b);
/* The action whose orders a RELEASE, RESUME or UNROUTE ends; 0 for any other. */
uint8_t queue_order_ended_by(uint8_t action);
/* Before start: an order of a former run. ERR_NOMEM. */
int queue_order_found(struct queue *q, const struct queue_order *o);
/* Before start. An order has come to its end (BOUNCE, PURGE; or its message is gone) and need not be
 * kept: done is called with a queue_order_end, which it frees, on the inbox given. */
struct queue_order_end {
	struct relay_msg msg;
	int64_t number;
};
void queue_on_order_end(struct queue *q, struct evt_inbox *to,
			void (*done)(struct relay_msg *m, void *receiver));
struct queue_row { /* one queue, as people see it */
	char customer[QUEUE_KEY], campaign[QUEUE_KEY];
	char site[QUEUE_SITE]; /* or the domain, while its site is not known */
	char pool[QUEUE_KEY];
	uint8_t resolved, reason, held, suspended, slow; /* slow: goes in the slow lane */
	uint32_t domains, recipients, waiting, ready, active, holds;
	int64_t oldest, next; /* wall usec; next as in queue_item */
};
struct queue_numbers {
	/* destinations: domains with mail. held: recipients held one by one. draining: of a purge or bounce */
	uint64_t messages, recipients, active, deferred, held, draining, slow, lines, sites, destinations, opening, orphans, bytes;
	int64_t oldest; /* wall usec, 0 if empty */
};
struct queue_ask {
	struct relay_msg msg; /* run: set by the asker, called on the reply inbox */
	uint8_t action;
	uint64_t id;	/* SHOW, RETRY_NOW, DELETE: 0 in RETRY_NOW = what order.of names */
	uint64_t after; /* LIST: ids above this one, oldest first; answer: where to go on */
	unsigned limit; /* LIST, SUMMARY: 1..1000 */
	struct queue_order order; /* orders; LIST, SUMMARY, RETRY_NOW: its selector */
	struct evt_inbox *reply;
	void *arg;
	void (*run)(struct relay_msg *m, void *receiver); /* the queue's own: msg.run meanwhile */
	/* answer */
	int err;
	uint64_t affected; /* recipients */
	uint64_t kept;	   /* RELEASE, RESUME: of them, those that another order still holds up */
	/* LIST, SHOW: one per destination and 100 recipients; owned by the ask. LIST gives
	 * messages whole, so there may be more than limit. destination "": not opened yet */
	struct queue_item *items;
	unsigned count;
	int more;
	struct queue_row *rows; /* SUMMARY: the largest first; owned by the ask, as all */
	struct queue_order *orders;
	struct queue_numbers numbers; /* NUMBERS, SUMMARY */
};
struct queue_ask *queue_ask_new(uint8_t action);
void queue_ask_free(struct queue_ask *a);
void queue_ask_post(struct queue *q, struct queue_ask *a);

/* --- life. run_job: what the worker's inbox calls for each job. */
struct queue *queue_new(struct relay *r, void (*run_job)(struct relay_msg *m, void *worker));
int queue_start(struct queue *q);
/* (any) keyd came or went: 1 = hand out jobs. */
void queue_set_open(struct queue *q, int open);
/* (any) For shape_on_change: more may go than was said. */
void queue_shape_changed(void *queue);
/* Stops handing out, waits until the thread has ended. Jobs in workers' hands stay queued in
 * the log. The spool must still run: what was posted to it is waited for. */
void queue_stop(struct queue *q);
/* When the workers have ended: jobs they still hold are freed. */
void queue_free(struct queue *q);

#endif
