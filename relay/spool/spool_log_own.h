/* SPDX-License-Identifier: Apache-2.0 */
/* spool_log_own - the inside of struct spool_log, for the files of the spool and its tests only.
 *
 * Story:  spool_log.c opens, closes and runs the thread; spool_read.c reads; spool_commit.c turns jobs
 *         into records and answers them; spool_write.c brings records to the disk; spool_check.c writes
 *         checkpoints and decides what nobody needs; spool_compact.c moves what lives out of segments
 *         that are almost dead; spool_recover.c rebuilds it all.
 * Thread: unless said otherwise, fields belong to the spool thread (before it runs: to the opening
 *         one). */
#ifndef RELAY_SPOOL_SPOOL_LOG_OWN_H
#define RELAY_SPOOL_SPOOL_LOG_OWN_H

#include "relay/spool/spool_live.h"
#include "relay/spool/spool_prepare.h"

struct spool_options {
	const struct spool_io *io;
	uint32_t segment_size;
	int64_t lazy; /* usec a STATE may wait for its sync */
	int64_t look; /* usec between looks at the free space, and between tries when all fails */
	int pace;     /* compaction rests so many times as long as it works; <0: it never works */
	int no_final_check; /* close writes no checkpoint: as after a crash */
};
extern const struct spool_options spool_options_default;

struct spool_log *spool_log_open_with(const char *dir, struct spool_floor floor,
				      void (*found)(void *arg, const struct spool_found *f),
				      void *arg, struct spool_report *report, int *err,
				      const struct spool_options *options);

/* Of each segment, for STATE and the spool's own records. */
#define SPOOL_RESERVE(size) ((size) / 64)

#define SPOOL_GROUP_JOBS  320
#define SPOOL_GROUP_IOV	  (3 * SPOOL_GROUP_JOBS + 8)
#define SPOOL_GROUP_ARENA (SPOOL_META_MAX + (128u << 10))

/* What the next pwritev writes: heads and metas from the arena, data from where the posters have
 * them. */
struct spool_group {
	struct iovec iov[SPOOL_GROUP_IOV];
	int iov_count;
	uint8_t *arena;
	size_t used;
	uint32_t bytes; /* from the current segment's end */
	struct spool_job *jobs[SPOOL_GROUP_JOBS];
	unsigned job_count;
	int commits;
};

/* Answers on their way, in one chain per inbox. */
#define SPOOL_REPLY_INBOXES 16
struct spool_reply {
	struct evt_inbox *inbox;
	struct evt_msg *first, *last;
};

#define SPOOL_CLOSINGS_MAX 16

struct spool_checkpoint {
	struct spool_point start; /* of the one being written */
	uint32_t slot, records, messages;
	int active;
	int wanted; /* states were lost with a bad segment: write one as soon as may be */
	struct spool_point done; /* where the last complete one began; segment 0: none */
	uint32_t done_records;
	uint64_t since; /* bytes of log from there on */
};

/* spool_compact.c: what a round leaves for the next. */
struct spool_compact {
	int stale;	/* something died since the last choice */
	int64_t chosen; /* mono */
	int64_t rest;	/* mono: until then nothing is copied */
	int active;	/* messages are being moved out of the segments that are leaving */
	unsigned emptied; /* a segment was emptied since the last checkpoint */
	uint32_t slot;	/* of the live table: those below are done */
	/* a message of which PARTs are moved first, over some rounds */
	uint64_t id; /* 0: none */
	struct spool_place *parts;
	unsigned part_count, next_part;
	struct spool_hold *pinned; /* copies of PARTs, as long as no COPY names them */
	unsigned pinned_count;
	uint64_t messages, bytes; /* of this pass: moved */
	unsigned segments;	  /* emptied */
};

struct spool_log {
	struct spool_options options;
	const struct spool_io *io;
	int dir, lock;
	struct spool_floor floor;
	pthread_t thread;
	int running;
	struct evt_inbox *inbox;
	struct relay_msg stop; /* posted by close; known by its address */
	int stopping;

	struct spool_segment_set set; /* has its own lock */
	struct spool_segment *current;
	struct spool_prepare prepare; /* has its own lock */
	struct spool_live live;
	pthread_mutex_t where; /* of messages: over changes of live, and for others who look there */
	struct spool_compact compact;
	unsigned failures; /* counts those after which written records may be gone */
	struct spool_group group;
	struct spool_reply replies[SPOOL_REPLY_INBOXES];
	unsigned reply_count;
	struct evt_msg *waiting, *waiting_last;		 /* COMMITs written, not yet synced */
	struct spool_close closings[SPOOL_CLOSINGS_MAX]; /* to stand first in the new segment */
	unsigned closing_count, closing_written;
	struct spool_checkpoint check;
	int states_again;    /* within the second try of STATEs */
	int freed;	     /* a segment lost its last pin or is full: look whether some may go */
	int64_t now, wall;   /* of this round: mono, wall */
	atomic_int dirty;    /* something was written that no sync covers; others look */
	int64_t dirty_since; /* mono */
	int64_t looked;	     /* mono of the last look at the free space */
	int64_t tried;	     /* mono of the last failure to get a new segment; 0: none */
	int64_t asked;	     /* mono of when the helper was asked for the one after number asked_after */
	uint32_t asked_after;
	uint32_t highest; /* number that a segment ever had */
	uint32_t started;    /* bytes behind stable whose writing the kernel was told to begin */

	/* any thread */
	atomic_int trouble; /* 0, ERR_NOSPACE, ERR_IO: why new mail is refused */
	struct {
		_Atomic uint64_t live, free, inodes, alive, used, segments, syncs, sync_max, damaged;
		_Atomic uint64_t written, checks, moved, emptied, quarantined;
	} number;
};

/* --- spool_commit.c: jobs */
/* Takes a job: writes it with the group, or answers it. */
void spool_commit_take(struct spool_log *s, struct spool_job *j);
/* The jobs of a group that has been written, as a chain. */
void spool_commit_written(struct spool_log *s, struct evt_msg *jobs);
/* The COMMITs that waited are stable. */
void spool_commit_synced(struct spool_log *s);
/* Jobs that could not be written. STATEs get a second try, in another segment or in room that is
 * left. */
void spool_commit_fail(struct spool_log *s, struct evt_msg *jobs, int err);
/* Posts the answers that have gathered. */
void spool_commit_reply(struct spool_log *s);

/* --- spool_write.c: bytes */
/* Room in the group for a record, leaving so much of the segment: where its head goes, meta behind
 * it; NULL with *err (ERR_NOSPACE, ERR_IO, ERR_LIMIT). Then seal, which takes the record's kind,
 * count, id, time and lengths. */
uint8_t *spool_write_room(struct spool_log *s, uint32_t meta, uint32_t data, uint32_t spare,
			  int *err);
void spool_write_seal(struct spool_log *s, uint8_t *head, struct spool_record *r, struct span a,
		      struct span b);
/* Writes what is gathered. */
void spool_write_flush(struct spool_log *s);
/* Makes what is written stable; the COMMITs that wait for it are answered. */
void spool_write_sync(struct spool_log *s);
/* Goes on to the next segment: the current one is full, or bad. ERR_NOSPACE, ERR_IO. */
int spool_write_next(struct spool_log *s);
/* Looks at the free space, and whether what could not be written can be now, if it is time. */
void spool_write_look(struct spool_log *s);

#endif
