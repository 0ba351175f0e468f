/* SPDX-License-Identifier: Apache-2.0 */
/* track_db - the tables of state/track.db, each with its statements.
 *
 * Story:     the keeper opens it and nobody else. A message that carries a token is a row of sent: its recipient sealed
 *            (keyd, purpose FIELD, AAD of store_aad for table "sent", column "recipient", row tid) and found by a blind index of
 *            the key that keyref names. What a reader did is a row of event, if he consented; in any case it is counted in
 *            total, which has nothing of persons and stays. hook is a web server that is told of events, push one thing that
 *            it is still to be told.
 * Keys:      rows of sent keep the key alive under which they are sealed (track_db_oldest_sealed); they end after
 *            tracking.keep, or by erasing. Secrets of hooks are sealed anew each day (track_push), so that they keep none.
 * Ownership: texts and spans of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND.
 * Thread:    the keeper's. */
#ifndef RELAY_TRACK_TRACK_DB_H
#define RELAY_TRACK_TRACK_DB_H

#include "relay/store/store.h"
#include "relay/track/track_own.h"

#define TRACK_DB_WHO 16 /* octets of a blind index */

struct store *track_db_open(const char *state, int *err, char text[STORE_ERR_MAX]);

struct track_db_sent {
	uint64_t tid;
	uint32_t number, keyref;
	const char *customer, *campaign;
	unsigned consent;
	int64_t at, delivered; /* delivered 0: not yet */
	struct span who;       /* TRACK_DB_WHO octets, or empty */
	struct span recipient; /* sealed, or empty */
};
/* ERR_EXISTS: is there. */
int track_db_sent_add(struct store *s, const struct track_db_sent *m);
int track_db_sent_delivered(struct store *s, uint64_t tid, int64_t at);
int track_db_sent_get(struct store *s, uint64_t tid, struct track_db_sent *m, char customer[TRACK_NAME],
		      char campaign[TRACK_NAME], struct buf *recipient);
int64_t track_db_oldest_sealed(struct store *s);
typedef int (*track_db_sent_fn)(void *arg, const struct track_db_sent *m);
/* Of a customer whose index is who under keyref. */
int track_db_sent_of(struct store *s, const char *customer, uint32_t keyref, struct span who, track_db_sent_fn fn, void *arg);
/* Keys that rows of a customer are indexed under. */
int track_db_keyrefs(struct store *s, const char *customer, uint32_t *out, unsigned most);
/* With its events, and what was to be told of them. */
int track_db_sent_erase(struct store *s, uint64_t tid);
/* What is older than that: rows that went, or ERR_*. */
int64_t track_db_expire(struct store *s, int64_t before);
/* All of a customer but totals, his webhooks too: how many messages and events, or ERR_*. */
int64_t track_db_customer_forget(struct store *s, const char *customer, int64_t *webhooks);
typedef int (*track_db_customer_fn)(void *arg, const char *customer);
/* Those of whom there is anything but totals. */
int track_db_customers(struct store *s, track_db_customer_fn fn, void *arg);
/* Nothing of what was deleted stays in the log of the database. */
void track_db_scrub(struct store *s);

struct track_db_event {
	int64_t id, at;
	uint64_t tid;
	uint32_t number, reasons;
	uint16_t link;
	uint8_t kind, class, agent;
	const char *customer, *campaign, *net;
};
/* Id, or ERR_*. */
int64_t track_db_event_add(struct store *s, const struct track_db_event *e);
int track_db_event_class(struct store *s, int64_t id, unsigned class, uint32_t reasons);
typedef int (*track_db_event_fn)(void *arg, const struct track_db_event *e);
/* Behind id after, at most limit of them; customer, campaign NULL: any; tid 0: any. */
int track_db_events(struct store *s, const char *customer, const char *campaign, uint64_t tid, int64_t after,
		    unsigned limit, track_db_event_fn fn, void *arg);
int track_db_event_get(struct store *s, int64_t id, track_db_event_fn fn, void *arg);

/* Totals. what: a kind (enum track_kind), or one of these, without class. */
enum { TRACK_DB_SENT = 16, TRACK_DB_DELIVERED = 17 };
struct track_db_total {
	const char *customer, *campaign;
	uint32_t number;
	unsigned what, link, class;
	int64_t hits;
};
int track_db_total_add(struct store *s, const struct track_db_total *t); /* hits may be negative */
typedef int (*track_db_total_fn)(void *arg, const struct track_db_total *t);
int track_db_totals(struct store *s, const char *customer, const char *campaign, track_db_total_fn fn, void *arg);
/* Readers (messages) with at least one event of a kind and class. */
int64_t track_db_readers(struct store *s, const char *customer, const char *campaign, unsigned kind, unsigned class);

struct track_db_hook {
	int64_t id;
	const char *customer, *url;
	unsigned kinds;		     /* bit for each enum track_kind */
	struct span secret, second;  /* sealed; second: empty, or good until: */
	int64_t second_until, sealed, created;
	int64_t failures; /* in a row */
	int64_t last;	  /* when it was last told, or it was tried */
	int64_t status;	  /* HTTP; 0: no answer */
	int64_t waiting;  /* rows of push; kept by triggers, as they may be many */
	int64_t lost;	  /* what it was not told, since it had too many */
	int64_t ended;	  /* when it said that it is gone; 0: it is there */
	int64_t quiet;	  /* until when it asked to be left alone; 0: it did not */
};
int64_t track_db_hook_add(struct store *s, const struct track_db_hook *h);
int track_db_hook_secrets(struct store *s, int64_t id, struct span secret, struct span second, int64_t second_until,
			  int64_t sealed);
int track_db_hook_told(struct store *s, int64_t id, int64_t at, int64_t status, int good);
/* It is told nothing any more: how many rows of push went, or ERR_*. */
int64_t track_db_hook_end(struct store *s, int64_t id, int64_t at);
int track_db_hook_revive(struct store *s, int64_t id);
int track_db_hook_quiet(struct store *s, int64_t id, int64_t until);
/* One more is lost: how many are by now, or ERR_*. */
int64_t track_db_hook_lost(struct store *s, int64_t id);
int track_db_hook_remove(struct store *s, int64_t id);
typedef int (*track_db_hook_fn)(void *arg, const struct track_db_hook *h);
/* id 0: all; customer NULL: any. */
int track_db_hooks(struct store *s, int64_t id, const char *customer, track_db_hook_fn fn, void *arg);

struct track_db_push {
	int64_t id, hook, event; /* event 0: a test */
	int revised;
	int64_t due, tries, made;
};
int64_t track_db_push_add(struct store *s, const struct track_db_push *p);
int64_t track_db_push_count(struct store *s); /* of all */
int track_db_push_later(struct store *s, int64_t id, int64_t due, int64_t tries);
int track_db_push_remove(struct store *s, int64_t id);
typedef int (*track_db_push_fn)(void *arg, const struct track_db_push *p);
/* Of a hook, the first that is due first: at most limit of them. */
int track_db_pushes(struct store *s, int64_t hook, unsigned limit, track_db_push_fn fn, void *arg);

#endif
