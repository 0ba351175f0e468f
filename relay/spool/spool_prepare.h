/* SPDX-License-Identifier: Apache-2.0 */
/* spool_prepare - the helper thread that has the next segment ready, and puts away those that are done.
 *
 * Story:     the spool thread asks for the next number while the current segment still has room, and
 *            takes it when that is full. A kept file is given a new life; else one is made: blocks
 *            allocated, then written with zeros, so that later syncs change no metadata (measured: 95 us
 *            a sync, against 148 us on allocated but unwritten blocks and 159 us when appending). If the
 *            spool thread must wait, the zeros are left off: the blocks are allocated all the same. Only
 *            a file whose name is on stable storage is handed out.
 *            What is put away becomes a kept file (at most SPOOL_KEEP), or is removed; one that recovery
 *            found damaged is renamed and stays.
 * Ownership: a segment given to put_away is the helper's; one taken is the taker's.
 * Errors:    ERR_NOSPACE, ERR_IO, ERR_NOMEM from take; asking again is always allowed.
 * Thread:    the helper's own, with a lower priority; the functions are the spool thread's. */
#ifndef RELAY_SPOOL_SPOOL_PREPARE_H
#define RELAY_SPOOL_SPOOL_PREPARE_H

#include "relay/spool/spool_segment.h"

#define SPOOL_KEEP	 4
#define SPOOL_KEEP_SPARE 1 /* while the disk is full: room for STATEs */

struct spool_prepare {
	const struct spool_io *io;
	int dir;
	uint32_t size;
	pthread_t thread;
	int running;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	/* under lock */
	int stop;
	uint32_t wanted;	    /* number asked for and not yet tried; 0: none */
	int busy;		    /* the helper makes one */
	struct spool_segment *next; /* ready */
	int error;		    /* of the last try */
	struct spool_segment *away; /* to be put away */
	uint32_t kept[SPOOL_KEEP];
	unsigned kept_count;
	int spare; /* the disk is full */
	/* without it */
	atomic_int hurry;
};

int spool_prepare_init(struct spool_prepare *p, const struct spool_io *io, int dir, uint32_t size);
int spool_prepare_start(struct spool_prepare *p);
/* Ends the thread after it has put away what it was given. */
void spool_prepare_clear(struct spool_prepare *p);

/* Makes one at once, on the calling thread: before start only. */
struct spool_segment *spool_prepare_make(struct spool_prepare *p, uint32_t number, int *err);
/* Hands in what recovery found: a prepared segment (taken over), a file that may be kept (by its
 * old number). */
void spool_prepare_found(struct spool_prepare *p, struct spool_segment *next);
void spool_prepare_keep(struct spool_prepare *p, uint32_t number);

/* Asks for a number, unless it is ready or on its way. */
void spool_prepare_ask(struct spool_prepare *p, uint32_t number);
/* Waits for it. NULL with *err. */
struct spool_segment *spool_prepare_take(struct spool_prepare *p, uint32_t number, int *err);
/* Whether the disk is full: then only SPOOL_KEEP_SPARE files are kept, the others removed. */
void spool_prepare_spare(struct spool_prepare *p, int spare);
void spool_prepare_put_away(struct spool_prepare *p, struct spool_segment *g);

#endif
