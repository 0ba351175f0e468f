/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_verify - is this ledger whole? Names the first bad place.
 *
 * Story:  _init; _file for the ledger's files in the order of their first rows; _end with what keyd
 *         remembers of its last checkpoint. Once something is bad, nothing behind it is looked at:
 *         file, offset, row (the last good one, or the one that is wrong), message and reason say
 *         where and what.
 * Trust:  see ledger_record.h. Rows up to signed_to are vouched for by a checkpoint whose signature the
 *         caller's function accepts. Rows behind it are bound to each other, but could have been cut
 *         off or made anew. Where the oldest rows are gone, a DROP record behind a good checkpoint says
 *         that retention removed them, and the first file's TAIL proves where they ended.
 * Errors: ERR_DAMAGED with reason; ERR_NOMEM, ERR_CRYPTO; what the caller's function returns, but for
 *         ERR_AUTH, which is damage.
 * Source: sealpost-ledger(7).
 * Thread: pure; any. */
#ifndef LEDGER_LEDGER_VERIFY_H
#define LEDGER_LEDGER_VERIFY_H

#include "ledger/ledger_record.h"

/* 0: the signature is keyd's, by its key "audit/ledger"; else ERR_AUTH. spki: public key in DER. */
int ledger_verify_signature(struct span spki, const struct ledger_checkpoint *c);
typedef int (*ledger_verify_fn)(void *arg, const struct ledger_checkpoint *c);

struct ledger_verify {
	struct ledger_chain chain;
	ledger_verify_fn signature; /* NULL: signatures are not looked at */
	void *arg;
	uint8_t uuid[LEDGER_UUID];
	int begun;
	uint64_t first;	    /* row the first file begins with */
	uint64_t rows;	    /* number of the last row */
	uint64_t events;    /* seen on the way */
	uint64_t counter;   /* of the last checkpoint; 0: none yet */
	uint64_t checkpoints, signed_to;
	uint64_t dropping, dropped; /* rows up to it were removed, as a DROP says; behind a checkpoint */
	uint64_t torn;	    /* octets behind the last whole batch of the last file */
	uint8_t signed_hash[LEDGER_HASH]; /* of the last checkpoint */
	/* where something is bad */
	const char *reason; /* NULL: all good so far */
	uint64_t file;	    /* first row, as its name says */
	uint64_t offset, row, message;
	uint64_t from; /* a signature that fails, rows that miss: the first row concerned */
};

int ledger_verify_init(struct ledger_verify *v, ledger_verify_fn signature, void *arg);
void ledger_verify_clear(struct ledger_verify *v);
enum ledger_verify_place {
	LEDGER_VERIFY_MORE, /* files follow */
	LEDGER_VERIFY_LAST, /* the last file: its last batch may be unfinished */
	LEDGER_VERIFY_WHOLE /* the last file, and whoever writes it says that it ends here */
};
int ledger_verify_file(struct ledger_verify *v, uint64_t name, struct span bytes,
		       enum ledger_verify_place place);
/* keyd's last checkpoint (counter 0: it has made none); known 0: nobody was asked. */
struct ledger_verify_last {
	int known;
	uint64_t counter, rows;
	uint8_t hash[LEDGER_HASH];
};
int ledger_verify_end(struct ledger_verify *v, const struct ledger_verify_last *last);

/* Where the last whole batch in bytes ends, which are the end of a file from offset base on. Looks at
 * the batch record alone. ERR_NOTFOUND: there is none. */
struct ledger_verify_tail {
	uint64_t at, length; /* of the batch record; of the file up to its end */
	uint64_t rows, start;
	uint8_t before[LEDGER_HASH], hash[LEDGER_HASH]; /* of the chain, before and behind the batch record */
};
int ledger_verify_tail(struct span bytes, uint64_t base, struct ledger_verify_tail *out);
/* 0: records (those of one batch) lead from hash before to hash behind; else ERR_DAMAGED. */
int ledger_verify_batch(struct span records, const uint8_t before[LEDGER_HASH],
			const uint8_t behind[LEDGER_HASH]);

#endif
