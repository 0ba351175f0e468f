/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_own - what the files of the ledger know of each other; nobody else includes it. */
#ifndef RELAY_LEDGER_LEDGER_OWN_H
#define RELAY_LEDGER_LEDGER_OWN_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/clock.h"
#include "relay/ledger/ledger.h"
#include "relay/ledger/ledger_files.h"
#include "relay/ledger/ledger_keys.h"

#define LEDGER_BATCH_MOST  4096 /* rows written at once */
#define LEDGER_BATCH_ENOUGH 2048 /* as soon as so many wait */
#define LEDGER_BATCH_AFTER CLOCK_SEC
#define LEDGER_FILE_ROWS   131072
#define LEDGER_AGAIN	   CLOCK_SEC /* after a failure */

/* One attempt that waits to be written: a copy in one piece. */
struct ledger_entry {
	struct ledger_entry *next;
	struct ledger_row row; /* spans point into text */
	struct span plain;     /* recipient, sender, reply: to be sealed; n 0: nothing */
	struct span folded;    /* recipient in lower case: to be indexed */
	size_t size;	       /* of the whole piece */
	uint8_t index[LEDGER_INDEX];
	size_t sealed_at, sealed_n; /* in writer.sealed */
	char text[];
};

/* An event that waits likewise: nothing of it is sealed. */
struct ledger_event_entry {
	struct ledger_event_entry *next;
	struct ledger_event event;
	char customer[256], campaign[256];
};

struct ledger_writer {
	struct ledger_event_entry *events; /* taken over */
	struct ledger_entry *first, *last; /* taken over, not yet written */
	uint64_t count;
	struct ledger_entry **batch; /* LEDGER_BATCH_MOST */
	struct ledger_entry **order; /* the same by customer */
	struct buf sealed, out, aads, indexes;
	int numbered; /* rows of the batch that is sealed already and waits for the disk; 0: none */
	int settled;  /* keyd's last checkpoint and ours are known to agree */
	int stuck;    /* ERR_*, told */
	int64_t told, again; /* mono: when; not to be tried before */
	int64_t unsigned_since; /* mono; 0: all rows are signed */
	int64_t retention; /* mono: when to look next */
	uint64_t unsigned_rows;
};

struct ledger {
	struct ledger_options options;
	struct ledger_files files;
	char dir[4096];
	pthread_t thread;
	pthread_mutex_t lock; /* of all until writer */
	pthread_cond_t wake, done;
	struct ledger_entry *first, *last;
	struct ledger_event_entry *events, **events_end;
	unsigned events_waiting; /* the writer's among them */
	uint64_t posted, written, signed_posted; /* entries so far; of them on disk; signed */
	unsigned waiting;
	int64_t oldest_wait; /* mono: when the first that waits was posted */
	int stop, flush, sign, full;
	int stuck;
	uint64_t counter, signed_to;
	pthread_mutex_t checkpointing; /* held from asking keyd for a signature until it is written */
	struct ledger_writer writer; /* the thread's */
	struct ledger_reader *reader;
};

/* --- ledger_write.c: the thread. */
void *ledger_write_thread(void *ledger);

/* --- ledger_seal.c */
/* Seals and indexes count entries, whose rows have their numbers. ERR_*: of ledger_keys; nothing is changed then. */
int ledger_seal_batch(struct ledger *l, struct ledger_entry **batch, unsigned count);

/* --- ledger_ask.c */
struct ledger_reader *ledger_reader_new(struct ledger *l);
/* Those who asked and had no answer yet get ERR_AWAY. */
void ledger_reader_free(struct ledger_reader *r);

#endif
