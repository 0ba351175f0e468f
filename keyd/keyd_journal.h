/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_journal - changes since the snapshot, each on stable storage before it is answered.
 *
 *   header   magic 16, format u32, store 16, generation u64, tag of the snapshot 32, zeros 20,
 *            tag 32                                                       128 bytes
 *   record   head (body length u32, type u32, number u64, head tag 16), body, zeros,
 *            tag 32                                                       a multiple of 64
 *
 * Story:     every tag is an HMAC-SHA-256 that also covers the tag before it, so nothing can be
 *            cut out, put in or moved. A crash can leave a torn last record: one that the file is
 *            too short for, or that holds a disk sector of zeros (its data never arrived); that
 *            tail is cut. Anything else that does not verify is damage, and keyd does not start
 *            on it. The head has a tag of its own, so that a flipped length is damage and not a
 *            tail.
 * Ownership: the key is borrowed.
 * Errors:    ERR_DAMAGED; ERR_BADSTATE: it belongs to an older snapshot (a crash came between the
 *            new snapshot and the new journal) and is worth nothing; from files also ERR_NOSPACE,
 *            ERR_IO.
 * Source:    sealpost-keyd-store(7).
 * Thread:    pure, but for _open, _append, _close; one. */
#ifndef KEYD_KEYD_JOURNAL_H
#define KEYD_KEYD_JOURNAL_H

#include "core/buf.h"

#define KEYD_JOURNAL_HEADER   128
#define KEYD_JOURNAL_ALIGN    64
#define KEYD_JOURNAL_BODY_MAX (256 * 1024)

/* What a journal continues. */
struct keyd_journal_base {
	const uint8_t *key;   /* 32 bytes, secret */
	const uint8_t *store; /* 16 bytes */
	uint64_t generation;
	const uint8_t *snapshot; /* its 32-byte tag */
};

int keyd_journal_header(const struct keyd_journal_base *base, uint8_t out[KEYD_JOURNAL_HEADER]);
/* Appends the record number number behind the one whose tag is tag, and makes tag its own. */
int keyd_journal_record(const uint8_t key[32], uint64_t number, unsigned type, struct span body,
			uint8_t tag[32], struct buf *out);

struct keyd_journal_read {
	uint64_t end;	 /* bytes that verify; the rest is a torn tail */
	uint64_t number; /* of the next record */
	uint8_t tag[32]; /* of the last */
};
/* Calls fn for each record; its failure ends the reading. A file shorter than a header is all tail
 * (end is 0). */
int keyd_journal_replay(struct span file, const struct keyd_journal_base *base,
			int (*fn)(void *arg, unsigned type, struct span body), void *arg,
			struct keyd_journal_read *out);

/* The file that is written to. */
struct keyd_journal {
	int fd; /* -1: closed, or broken: appends are refused until a new journal is begun */
	const uint8_t *key;
	struct keyd_journal_read at;
};
void keyd_journal_init(struct keyd_journal *j);
/* Goes on behind what was read; cuts a tail. */
int keyd_journal_open(struct keyd_journal *j, const char *path, const uint8_t key[32],
		      const struct keyd_journal_read *at);
/* records: each type u8, bytes32 body. On stable storage when it returns 0. After a failure nothing
 * of them remains, or the journal is broken. A crash within keeps the first of them, or none. */
int keyd_journal_append(struct keyd_journal *j, struct span records);
void keyd_journal_close(struct keyd_journal *j);

#endif
