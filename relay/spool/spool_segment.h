/* SPDX-License-Identifier: Apache-2.0 */
/* spool_segment - segment files, and the ordered set of those in use.
 *
 * Story:     spool_prepare makes them, the spool thread adds the newest to the set and takes out those
 *            that nobody needs; any thread reads through spool_segment_set_get, which counts its use, so
 *            that taking a segment out of the set never closes a file under a reader.
 * Files:     NNNNNNNN.seg in use (or prepared), NNNNNNNN.free kept for reuse, NNNNNNNN.new being made,
 *            NNNNNNNN.damaged held damage and is left to the administrator. N is hexadecimal. Each is
 *            ours, private, a plain file with one name: anything else is refused.
 * Limits:    the newest SPOOL_FDS_MAX segments keep a descriptor; older ones are opened for each read.
 * Thread:    set_get, set_next and read: any. The rest: the spool thread (before it runs: the opening
 *            one), which alone changes the set; end is written by it and read by all. */
#ifndef RELAY_SPOOL_SPOOL_SEGMENT_H
#define RELAY_SPOOL_SPOOL_SEGMENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "relay/spool/spool_io.h"
#include "relay/spool/spool_record.h"

#define SPOOL_FDS_MAX	256
#define SPOOL_NAME_SIZE 24

struct spool_segment {
	struct spool_mark mark;
	uint32_t size;
	int64_t created;
	int fd; /* -1: opened when read */
	atomic_int refs;
	_Atomic uint32_t end; /* first byte that nothing was written to */
	uint32_t stable;      /* all before is on stable storage */
	uint32_t pins;	 /* by COMMITs and by PARTs of messages that live or are on their way in */
	uint32_t live;	 /* bytes of records behind those pins */
	int64_t rest;	 /* mono: no compaction before */
	uint8_t leaving; /* what lives in it is being copied */
	uint8_t bad;	 /* a write or sync failed: no more is written, all beyond stable is void */
	uint8_t damaged; /* recovery found damage: never reused */
	uint32_t closed; /* for recovery: its end, as a later segment's CLOSE says; 0: not said */
	struct spool_segment *link; /* in a list of the helper's */
};

void spool_segment_name(char name[SPOOL_NAME_SIZE], uint32_t number, const char *suffix);
/* 1 and the number if name is NNNNNNNN.suffix. */
int spool_segment_number(const char *name, const char *suffix, uint32_t *number);

/* One reference, no file. NULL: no memory. */
struct spool_segment *spool_segment_new(const struct spool_title *t, int fd);
void spool_segment_unref(struct spool_segment *g);

/* Opens a file and checks that it is private and ours. -1 with *err: ERR_DENIED, ERR_NOTFOUND,
 * ERR_IO. */
int spool_segment_open(const struct spool_io *io, int dir, const char *name, int flags, int *err);
/* Writes the head page, which gives the file a new life. */
int spool_segment_title(const struct spool_io *io, int fd, const struct spool_title *t);
/* Reads, whether the segment keeps a descriptor or not. */
int spool_segment_readv(const struct spool_io *io, int dir, const struct spool_segment *g,
			struct iovec *v, int count, uint32_t offset);
int spool_segment_read(const struct spool_io *io, int dir, const struct spool_segment *g, void *p,
		       size_t n, uint32_t offset);

struct spool_segment_set {
	pthread_rwlock_t lock;
	struct spool_segment **all; /* by number */
	size_t count, room;
	uint64_t live; /* sum of those of all */
};

int spool_segment_set_init(struct spool_segment_set *set);
void spool_segment_set_clear(struct spool_segment_set *set);
/* Takes the reference over, unless ERR_NOMEM. Its number is above all others'. */
int spool_segment_set_add(struct spool_segment_set *set, struct spool_segment *g);
/* Gives the set's reference to the caller. */
void spool_segment_set_remove(struct spool_segment_set *set, struct spool_segment *g);
/* For the spool thread: no reference. NULL: not there. */
struct spool_segment *spool_segment_set_find(const struct spool_segment_set *set, uint32_t number);
/* For the spool thread: something that lives, of so many bytes, is in the segment (hold: so many pins more), or
 * is there no more. unpin returns 1 if nothing is left. 0 too if the segment is not there. */
void spool_segment_set_hold(struct spool_segment_set *set, struct spool_segment *g, unsigned pins,
			    uint32_t bytes);
void spool_segment_set_pin(struct spool_segment_set *set, uint32_t number, uint32_t bytes);
int spool_segment_set_unpin(struct spool_segment_set *set, uint32_t number, uint32_t bytes);
/* For any thread: with a reference. */
struct spool_segment *spool_segment_set_get(struct spool_segment_set *set, uint32_t number);
/* The first one with a number above after, with a reference: for walks. */
struct spool_segment *spool_segment_set_next(struct spool_segment_set *set, uint32_t after);

#endif
