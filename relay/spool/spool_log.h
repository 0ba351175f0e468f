/* SPDX-License-Identifier: Apache-2.0 */
/* spool_log - the one append-only log that holds all mail.
 *
 * Story:     workers post jobs; the spool thread takes all that wait, writes them with one pwritev, answers
 *            STATE and PART jobs, calls fdatasync once if a COMMIT is among them, and answers those. The
 *            next round starts at once with what came meanwhile: no timer, no delay. A message exists if
 *            and only if its COMMIT record is whole. Bytes of records are in sealpost-spool(7).
 * Segments:  state/spool/NNNNNNNN.seg, 64 MiB, written in place (zero-filled or recycled blocks, so that a
 *            sync moves no metadata). A segment none of whose messages lives any more is recycled or removed;
 *            what lives in one that is almost dead is copied into the current one first (spool_compact).
 * Ownership: a posted job belongs to the spool until it comes back through its reply inbox.
 * Errors:    result ERR_NOSPACE (452 4.3.1), ERR_IO (451 4.3.0; the segment is left for a new one: after a failed
 *            fdatasync the same descriptor is never trusted again). Disk floors: limits.free_space, limits.free_inodes. What a
 *            crash after a failure may bring back, a COMMIT or a recipient, is in sealpost-spool(7).
 * Thread:    post and read from any; open, stop and close from main. */
#ifndef RELAY_SPOOL_SPOOL_LOG_H
#define RELAY_SPOOL_SPOOL_LOG_H

#include "core/buf.h"
#include "relay/relay.h"

#define SPOOL_SEGMENT_SIZE (64u << 20)
#define SPOOL_PART_MAX (256u << 10) /* sealed bytes of one PART, head not counted */
#define SPOOL_RECIPIENTS_MAX 10000

struct spool_log;

/* Where a record lies. */
struct spool_place {
	uint32_t segment;
	uint32_t offset;
	uint32_t length; /* of the whole record */
};

enum spool_kind {
	SPOOL_PART = 1,	  /* a stretch of a long body; answered when written */
	SPOOL_COMMIT = 2, /* envelope and last stretch; answered when on stable storage */
	SPOOL_STATE = 3,  /* what became of recipients; answered when written, stable with the next sync */
	SPOOL_DROP = 4	  /* the transaction was given up: its parts are dead */
};

enum spool_outcome {
	SPOOL_DELIVERED = 1,
	SPOOL_DEFERRED = 2,
	SPOOL_BOUNCED = 3, /* failed for good; the sender was told or must not be */
	SPOOL_EXPIRED = 4,
	SPOOL_DELETED = 5, /* by an administrator */
	SPOOL_HELD = 6
};
/* With outcome HELD this reason (QUEUE_DAMAGED) is quarantine: what is stored of the message is broken (a reader
 * said ERR_AUTH, ERR_DAMAGED or ERR_FORMAT), so nobody tries it again, and it is kept for an administrator. Whoever
 * finds it broken posts a STATE that says so of each recipient that is not final. It is told (message-quarantined)
 * and counted (numbers.quarantined) once, survives a restart (spool_found), and ends with any other STATE. */
#define SPOOL_REASON_DAMAGED 14
static inline int spool_outcome_final(int o)
{
	return o == SPOOL_DELIVERED || o == SPOOL_BOUNCED || o == SPOOL_EXPIRED || o == SPOOL_DELETED;
}

struct spool_state { /* one recipient's news; plain: nothing here tells who or where */
	uint16_t recipient; /* index in the envelope */
	uint8_t outcome;    /* enum spool_outcome */
	uint8_t reason;	    /* enum queue_reason (queue.h) */
	uint16_t code;	    /* SMTP code, 0 if none */
	uint16_t attempts;
	int64_t next; /* wall usec of the next attempt (DEFERRED) */
};

/* The job comes back through reply; whoever drains that inbox calls msg.run, as for every relay_msg: so run is
 * the poster's "done". An open transaction (PARTs without COMMIT) ends with COMMIT, whether that succeeds or
 * not, or with DROP; after a failed PART only DROP is right. */
struct spool_job {
	struct relay_msg msg; /* run: set by the poster; called with the job when it is answered */
	uint8_t kind;	      /* enum spool_kind */
	uint64_t id;	      /* message */
	uint16_t recipients;  /* COMMIT: how many there are; the message dies when all are final */
	struct span head;     /* record payload, first piece: valid until the job comes back */
	struct span body;     /* second piece (sealed bytes), may be empty */
	const struct spool_place *parts; /* COMMIT: places of all the message's PARTs, in order */
	unsigned part_count;
	const struct spool_state *states; /* STATE: encoded by the spool itself; head is then the sealed detail */
	unsigned state_count;
	int64_t created; /* COMMIT: wall usec */
	/* answer */
	struct evt_inbox *reply;
	int result; /* 0, ERR_NOSPACE, ERR_IO; ERR_LIMIT, ERR_BADSTATE: the poster's mistake */
	struct spool_place place;
};

/* Recovery hands back what lives, in order of the log. states are merged: one per recipient. */
struct spool_found {
	uint64_t id;
	int64_t created;
	struct spool_place place; /* COMMIT */
	uint16_t recipients;
	const struct spool_state *states; /* one per recipient; outcome 0: nothing known yet */
	int live;	  /* some recipient is not final: always 1 */
};
struct spool_report { /* of a recovery, for log and status */
	uint64_t segments, records, messages, live, damaged_records, torn_bytes;
};

struct spool_floor { /* what must stay free on the file system; below it new mail is refused */
	uint64_t bytes, inodes;
};

/* Opens or creates dir, recovers, calls found for every message that lives, then starts the thread. *err: ERR_DENIED (owner, mode, kind of the directory or of a file in it), ERR_BUSY (another relay
 * has it), ERR_IO, ERR_NOSPACE, ERR_NOMEM, ERR_NOTFOUND. */
struct spool_log *spool_log_open(const char *dir, struct spool_floor floor,
				 void (*found)(void *arg, const struct spool_found *f), void *arg,
				 struct spool_report *report, int *err);
/* Writes and syncs what waits, and stops the thread. Until close, post and read may still be called, and what is
 * posted is never answered: so the threads that get the answers can end between the two. */
void spool_log_stop(struct spool_log *s);
/* Stops it if it runs, and closes. Nobody may use it any more. */
void spool_log_close(struct spool_log *s);

void spool_log_post(struct spool_log *s, struct spool_job *j);
/* Cheap look before accepting: 0, or why new mail is refused: ERR_NOSPACE while the disk is (nearly) full, ERR_IO
 * while nothing can be written. Any thread. */
int spool_log_ready(const struct spool_log *s);

/* Reads a whole record's payload (head and body as they were posted) into out; checks its sum. The record must
 * belong to a message that lives. ERR_DAMAGED, ERR_IO; ERR_NOTFOUND: nothing is there any more. A PART may have been
 * moved: then spool_log_read_commit says where to. Any thread. */
int spool_log_read(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out);
/* As spool_log_read, of a COMMIT: also the places of its PARTs, in order, as one malloc'ed array (NULL if none). A
 * place where the COMMIT ever was is good as long as the message lives. */
int spool_log_read_commit(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out,
			  struct spool_place **parts, unsigned *part_count);

/* What the log still holds of one message, in its order: for trace. It reads the heads of all segments, some 10 ms
 * each, so never on a worker. Finished messages stay until their segment is recycled. */
struct spool_seen {
	uint8_t kind;		  /* SPOOL_PART, SPOOL_COMMIT, SPOOL_STATE */
	int64_t time;		  /* wall usec: COMMIT when created, others when written */
	struct spool_place place; /* for spool_log_read */
	uint16_t recipients;	  /* COMMIT */
	const struct spool_state *states; /* STATE */
	unsigned state_count;
};
int spool_log_trace(struct spool_log *s, uint64_t id,
		    void (*seen)(void *arg, const struct spool_seen *r), void *arg);

struct spool_numbers {
	uint64_t segments, live_messages, bytes_used, bytes_free, syncs, sync_usec_max, damaged;
	uint64_t inodes_free; /* UINT64_MAX: the file system counts none */
	uint64_t bytes_live;  /* of bytes_used, records of messages that live */
	uint64_t moved;	      /* messages, by compaction, since the start */
	uint64_t quarantined; /* of live_messages */
	int dirty;	      /* something was written that no sync covers yet */
};
void spool_log_numbers(struct spool_log *s, struct spool_numbers *out);

#endif
