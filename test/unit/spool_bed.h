/* SPDX-License-Identifier: Apache-2.0 */
/* spool_bed - a spool log in a private directory, for tests: posts jobs and waits, keeps what
 * recovery found, and has a disk that fails on demand. */
#ifndef TEST_UNIT_SPOOL_BED_H
#define TEST_UNIT_SPOOL_BED_H

#include "relay/spool/spool_log_own.h"

#define BED_FOUND_MAX 20000

struct bed_found {
	uint64_t id;
	int64_t created;
	struct spool_place place;
	uint16_t recipients;
	struct spool_state states[4]; /* of the first four */
};

struct bed {
	char base[56]; /* everything a test writes is below it */
	char dir[64];  /* of the spool */
	struct spool_options options;
	struct spool_floor floor;
	struct spool_log *log;
	struct evt_inbox *in;
	struct spool_report report;
	struct bed_found *found;
	size_t found_count;
	int err;
};

/* fast: on a memory file system, if there is one. */
void bed_init(struct bed *b, int fast);
/* Closes and removes everything. */
void bed_clear(struct bed *b);
int bed_open(struct bed *b);
/* An orderly end, or one without the checkpoint that close writes. */
void bed_close(struct bed *b);
void bed_stop(struct bed *b);
const struct bed_found *bed_find(const struct bed *b, uint64_t id);

/* For cmocka: a fast bed, and a log that is kept (bed_logged: a line holds text). */
int bed_setup(void **state);
int bed_teardown(void **state);
int bed_logged(const char *text);
/* Ends it and opens it again. */
void bed_reopen(struct bed *b, int orderly);

/* Each posts one job and waits for its answer. The body of message id is n bytes made from id. */
int bed_part(struct bed *b, uint64_t id, unsigned which, size_t n, struct spool_place *at);
int bed_commit(struct bed *b, uint64_t id, uint16_t recipients, size_t n, struct spool_place *at);
int bed_commit_parts(struct bed *b, uint64_t id, size_t n, const struct spool_place *parts,
		     unsigned part_count, struct spool_place *at);
int bed_state(struct bed *b, uint64_t id, uint16_t recipient, int outcome, uint16_t attempts);
int bed_states(struct bed *b, uint64_t id, const struct spool_state *states, unsigned count);
int bed_drop(struct bed *b, uint64_t id);
/* Posts that many COMMITs at once, ids first.., and waits for all; returns how many were answered
 * 0. */
unsigned bed_commit_many(struct bed *b, uint64_t first, unsigned count, size_t n);
/* Reads a COMMIT or PART, at a place where it is or was, and compares: 0, or ERR_*; ERR_FORMAT if it is not what was written. */
int bed_check(struct bed *b, uint64_t id, unsigned which, size_t n, struct spool_place at);

/* The bytes that bed_* write: which is 0 for a COMMIT, from 1 for PARTs. */
void bed_fill(uint8_t *p, size_t n, uint64_t id, unsigned which);

/* --- files of the spool */
void bed_copy(const char *from, const char *to);
void bed_empty(const char *dir);
/* Whole file into memory. */
uint8_t *bed_load(const char *dir, const char *name, size_t *n);
void bed_save(const char *dir, const char *name, const uint8_t *p, size_t n);
int bed_count(const char *dir, const char *suffix);

/* --- a disk that fails: use bed_io as options.io. Counts every call; from number fail_at on (1 is
 * the first), fail_count calls fail with fail_errno. Only calls of the kinds in fail_kinds count.
 */
enum {
	BED_OPEN = 1,
	BED_READ = 2,
	BED_WRITE = 4,
	BED_SYNC = 8,
	BED_SPACE = 16,
	BED_NAME = 32,
	BED_ALLOCATE = 64
};
struct bed_disk {
	atomic_int kinds, calls, fail_at, fail_count, fail_errno;
	atomic_int writes, syncs; /* of file contents */
	_Atomic uint64_t space, inodes; /* answered, if not 0 */
	_Atomic uint64_t bytes_read;
	atomic_int lazy;	  /* syncs do nothing: for speed */
	atomic_int tear;	  /* 1: a failing write writes half, and fails at the second half */
	int (*_Atomic on_sync)(int fd); /* if set, instead of the system's */
	int (*_Atomic on_unlink)(int dir, const char *name);
	int (*_Atomic on_rename)(int dir, const char *from, const char *to);
	ssize_t (*_Atomic on_write)(int fd, const struct iovec *v, int count, off_t at);
};
extern struct bed_disk bed_disk;
extern const struct spool_io bed_io;
void bed_disk_reset(void);

#endif
