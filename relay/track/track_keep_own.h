/* SPDX-License-Identifier: Apache-2.0 */
/* track_keep_own - what the files of the keeper know of each other: track_keep and track_keep_*, track_push, track_ask. */
#ifndef RELAY_TRACK_TRACK_KEEP_OWN_H
#define RELAY_TRACK_TRACK_KEEP_OWN_H

#include <stdatomic.h>

#include "core/list.h"
#include "relay/ledger/ledger_keys.h"
#include "relay/track/track_db.h"
#include "relay/track/track_keep.h"
#include "relay/track/track_window.h"

#define TRACK_KEEP_LABEL   "track/recipient" /* of the blind index */
#define TRACK_KEEP_KEYREFS 64

struct track_keep {
	struct track *track;
	struct relay *relay;
	int64_t keep; /* tracking.keep */
	pthread_t thread;
	int running, stop;
	struct evt_inbox *inbox;
	struct store *store;
	struct ledger_keys *keys; /* asks keyd */
	struct track_window *window;
	struct list sent; /* struct track_keep_message: not sealed yet */
	unsigned sent_count;
	int64_t sent_again; /* mono: keyd is not asked before */
	int64_t hourly;	    /* mono: when to tidy up next */
	struct relay_msg *answers, **answers_end; /* go to control once all is written */
	int scrub;				  /* something was erased */
	/* track_push */
	struct list pushing;
	unsigned pushing_count;
	int64_t push_due;  /* wall */
	int64_t push_turn; /* the webhook that was told last: the next one is behind it */
	/* any thread looks */
	atomic_uint waiting, unsealed;
	atomic_uint_fast64_t hits, unsubscribed, lost, pushes;
	atomic_int_fast64_t oldest_sealed;
};

/* A message that was sent, as it was posted. */
struct track_keep_message {
	struct relay_msg msg;
	struct list_link link;
	struct track_keep *keep;
	uint64_t tid;
	uint32_t number;
	unsigned consent;
	int64_t at, delivered;
	char customer[TRACK_NAME], campaign[TRACK_NAME];
	size_t folded; /* where the address in lower case begins in text */
	size_t size;
	char text[];
};

/* m goes to control with run when the transaction is written. */
void track_keep_answer(struct track_keep *k, struct relay_msg *m, void (*run)(struct relay_msg *m, void *relay));

/* --- track_keep_hit.c */
void track_keep_hit_run(struct track_keep *k, const struct track_hit *h);
void track_keep_hit_delivered(struct track_keep *k, uint64_t tid, int64_t at);

/* --- track_keep_sent.c */
void track_keep_sent_run(struct relay_msg *m, void *keep);
/* Has what waits sealed; most at a time. 1: more waits and may be tried at once. */
int track_keep_sent_seal(struct track_keep *k);
struct track_keep_message *track_keep_sent_waiting(struct track_keep *k, uint64_t tid);
void track_keep_sent_drop(struct track_keep *k, struct track_keep_message *m);
/* The recipient of a message, opened, into dst of 320 octets. ERR_NOTFOUND; of keyd. */
int track_keep_sent_recipient(struct track_keep *k, uint64_t tid, const char *customer, char dst[320]);
void track_keep_sent_unsubscribe(struct relay_msg *m, void *keep);
/* Index of an address under a key; ERR_*. */
int track_keep_sent_index(struct track_keep *k, const char *customer, uint32_t keyref, const char *address,
			  uint8_t who[TRACK_DB_WHO]);

/* --- track_keep_gone.c */
/* A customer's keys were destroyed: what his readers did goes, and his webhooks; event=tracking-destroyed. */
void track_keep_gone_run(struct track_keep *k, const char *customer);
/* Asks keyd of each. */
void track_keep_gone_look(struct track_keep *k);

/* --- track_push.c */
/* A hit that may be of interest to webhooks. */
void track_push_event(struct track_keep *k, const char *customer, unsigned kind, int64_t event, int revised);
void track_push_due(struct track_keep *k);
void track_push_clear(struct track_keep *k);

/* How a message is called where its number must not be: in the ledger and to webhooks. dst of 16 octets. */
void track_keep_name(uint8_t dst[16], uint64_t tid);

#endif
