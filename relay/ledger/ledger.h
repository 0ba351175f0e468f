/* SPDX-License-Identifier: Apache-2.0 */
/* ledger - what became of every attempt to deliver to every recipient, in a form that nobody can edit
 * unseen.
 *
 * Story:  workers post attempts (ledger_post: copies, never waits). A thread of its own gathers them for
 *         at most a second, has keyd seal recipient, sender and reply and make the blind index (in
 *         batches by customer), and appends the rows to the open file of state/ledger with one
 *         fdatasync; each record is chained to the one before (lib/ledger). keyd signs a checkpoint every
 *         LEDGER_CHECKPOINT_ROWS rows, LEDGER_CHECKPOINT_AFTER after the first row without one, and at
 *         the end. A full file is closed behind a checkpoint, gets an index beside it (.idx, made anew
 *         if it is lost), and is removed as a whole when it is older than ledger.keep.
 *         A second thread answers questions (ledger_ask.h): it reads the files, never what the first one
 *         has in memory.
 * Waiting: while keyd is away or locked, or the disk is full, rows wait in memory. At LEDGER_WAIT_MOST of
 *         them full is called with 1: the owner lets no new attempts begin until it is called with 0;
 *         what is under way is still taken. A crash loses what waited, at most a second's rows if all
 *         is well. At an orderly end with keyd away, rows are written without their sealed part.
 * Events: ledger-opened, ledger-torn, ledger-damaged, ledger-waiting, ledger-goes-on, ledger-full,
 *         ledger-unwritten, ledger-checkpoint-failed, ledger-truncated, ledger-dropped,
 *         ledger-index-made, ledger-unsealed.
 * Thread: post, oldest_sealed: any. The rest: control's.
 * Source: sealpost-ledger(7); configuration ledger.keep. */
#ifndef RELAY_LEDGER_LEDGER_H
#define RELAY_LEDGER_LEDGER_H

#include "relay/relay_control.h"

#define LEDGER_WAIT_MOST 200000
#define LEDGER_CHECKPOINT_ROWS 10000
#define LEDGER_CHECKPOINT_AFTER (60 * CLOCK_SEC)

struct ledger;

struct ledger_attempt {
	uint64_t id;
	uint16_t recipient; /* in the envelope */
	int64_t at, queued; /* wall usec: of the outcome; the message was taken in */
	const char *customer, *campaign, *domain; /* texts may be NULL: "" */
	const char *address;		/* of the recipient; NULL: the envelope was not opened */
	const char *sender, *reply;	/* sealed with it, or without it */
	const char *source, *host, *ip; /* host: that was tried; NULL: none */
	int reached;			/* the message was offered to it: tls says how */
	uint8_t outcome;		/* enum spool_outcome, which enum ledger_outcome follows */
	uint8_t reason;			/* enum queue_reason */
	uint8_t bounce_class;
	uint8_t dkim;	     /* 1: signed here */
	uint16_t code, attempts; /* this one counted */
	const char *status;  /* "5.1.1" */
	uint32_t ms;
	uint64_t size;
	const char *tls, *cipher, *group; /* tls NULL: in clear, if it was reached */
	const char *clear, *policy, *verified_by, *failure; /* words of lib/ledger/ledger_record.h */
	const char *why; /* what made the policy so, or what failed; no addresses in it */
	int resumed;
};

/* l may be NULL: nothing is noted. */
void ledger_post(struct ledger *l, const struct ledger_attempt *a);
/* What a reader did (relay/track); texts are copied. At most LEDGER_EVENTS_WAIT of them wait: what is more is lost, and
 * told (ledger-unwritten). */
struct ledger_event;
#define LEDGER_EVENTS_WAIT 200000
void ledger_post_event(struct ledger *l, const struct ledger_event *e);
/* Time of the oldest row that holds a sealed field, wall usec; 0: there is none. The keys of then are needed. */
int64_t ledger_oldest_sealed(struct ledger *l);

struct ledger_numbers {
	uint64_t rows, first;	   /* last and first row there is; first 0: none */
	uint64_t waiting;	   /* not yet written */
	uint64_t checkpoint, signed_to; /* counter and rows of the last checkpoint */
	uint64_t files, bytes;
	int64_t oldest, newest;
	int stuck; /* ERR_* that keeps rows waiting, or 0 */
};
void ledger_numbers(struct ledger *l, struct ledger_numbers *out);

extern const struct relay_control_part ledger_part;

/* --- life, for whoever is not control (tests, bench) */
struct ledger_keys;
struct ledger_options {
	const char *dir;
	int64_t keep;		 /* usec; 0: for ever */
	struct ledger_keys *write_keys, *read_keys; /* borrowed; one for each thread */
	uint64_t file_rows;	 /* 0: the usual */
	uint64_t checkpoint_rows;/* 0: the usual */
	void (*full)(void *arg, int is); /* called on the ledger's thread; may be NULL */
	void *arg;
};
/* NULL: *err and *why (static, or until the next call). */
struct ledger *ledger_new(const struct ledger_options *o, int *err, const char **why);
/* Writes what waits, with a checkpoint, and ends. */
void ledger_free(struct ledger *l);
/* Waits until all that was posted is written and, if sign, signed; at most usec. ERR_TIMEOUT. */
int ledger_flush(struct ledger *l, int sign, int64_t usec);

#endif
