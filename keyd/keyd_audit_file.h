/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_audit_file - the files of the audit log: audit-<n>.log in one directory, written at the end
 * alone.
 *
 * Story:     _new, then _open, which reads the newest file, cuts a torn end off, and goes on
 *            behind it. _append writes a batch of lines and returns when they are on stable
 *            storage. When a file has grown long, and when the store became another, the next
 *            file begins. A file beside them, "reserve", holds room for last words: a batch
 *            that is marked so may still be written when the disk is full, by giving that room up.
 *            It is taken again as soon as there is space.
 * Failures:  after a failed batch nothing of it remains, or the file is given up and looked at
 *            anew before the next batch; so is a file that somebody moved or deleted. A directory
 *            that vanished is not made anew: whoever took it away must put it back. If what lies
 *            there then is not what was written last, a new file goes on with number and hash as
 *            they were, and says so.
 * Ownership: the signer of a batch is borrowed.
 * Errors:    ERR_NOTFOUND (the directory is gone), ERR_DENIED (owner, mode), ERR_NOSPACE, ERR_IO,
 *            ERR_NOMEM, ERR_DAMAGED.
 * Source:    sealpost-keyd-audit(7); key audit.
 * Thread:    one at a time: keyd's disk thread, once it runs. Blocks. */
#ifndef KEYD_KEYD_AUDIT_FILE_H
#define KEYD_KEYD_AUDIT_FILE_H

#include "audit/audit_verify.h"
#include "core/buf.h"

#define KEYD_AUDIT_FILE_SIZE	(8 * 1024 * 1024)
#define KEYD_AUDIT_FILE_RESERVE (64 * 1024)
#define KEYD_AUDIT_FILE_BATCH	(1024 * 1024) /* bodies of one batch */

struct keyd_audit_file;

/* Signs a checkpoint. */
struct keyd_audit_file_signer {
	int (*sign)(void *arg, struct span data, uint8_t sig[AUDIT_SIG]);
	void *arg;
	uint8_t spki[AUDIT_SPKI];
};

struct keyd_audit_file_batch {
	struct buf bodies; /* audit_line_body, each ended by a newline */
	int64_t wall;
	int last_words;
	int checkpoint;			       /* sign all, this batch included; wants signer */
	char store[33];			       /* identity of the store in hexadecimal */
	struct keyd_audit_file_signer *signer; /* NULL: no key now */
	struct keyd_audit_file_signer *former; /* the one before, to vouch for signer; or NULL */
	/* results */
	uint64_t first; /* number of the first body's line */
};

/* Where the log ends, and what the last line with a mark said of the store. */
struct keyd_audit_file_tail {
	uint64_t seq;
	uint8_t hash[AUDIT_HASH];
	uint32_t file;
	uint64_t mark, generation;
	char branch[17]; /* "": no line has one */
	char store[33];	 /* whose mark that is */
};

/* What the owner should tell; read and cleared by him. */
struct keyd_audit_file_news {
	uint64_t cut;	       /* bytes of a torn end */
	uint32_t damaged_file; /* 0: none */
	unsigned damaged_line;
	const char *damage;
	int room_gone, room_back;
};

/* NULL: out of memory. */
struct keyd_audit_file *keyd_audit_file_new(const char *dir, uint64_t size_max);
void keyd_audit_file_free(struct keyd_audit_file *f);
/* make: the directory may be made (at start). An append opens by itself. */
int keyd_audit_file_open(struct keyd_audit_file *f, int make);
int keyd_audit_file_append(struct keyd_audit_file *f, struct keyd_audit_file_batch *b);
void keyd_audit_file_tail(const struct keyd_audit_file *f, struct keyd_audit_file_tail *out);
void keyd_audit_file_news(struct keyd_audit_file *f, struct keyd_audit_file_news *out);

#endif
