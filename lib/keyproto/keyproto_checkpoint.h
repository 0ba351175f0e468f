/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_checkpoint - CHECKPOINT, CHECKPOINT_LAST: keyd signs how far a chained record has come.
 *
 * Story:     relay keeps a ledger whose records are chained by hash. Now and then it tells keyd how
 *            far it is: the number of this checkpoint, one more than that of the last; how many
 *            records there are; the hash that the chain ends with. keyd puts that into its store,
 *            and once it is on disk answers with a signature by the key "audit/NAME", which it
 *            makes by itself before the first. Asked again with the very same numbers (an answer
 *            was lost) it answers the same again; any other hash or count for a number that was
 *            signed, a lower number, and one beyond the next are E_STATE. Beyond the next it may
 *            only be where nothing was signed yet, or once after an officer accepted an older copy
 *            of the store: keyd has then forgotten what it signed since.
 *            CHECKPOINT_LAST tells what keyd knows to be the last: a ledger that ends before it was
 *            cut. E_NOTFOUND: none was ever signed.
 * Signature: Ed25519 over keyproto_checkpoint_text, five lines of text; of the key's version that
 *            comes with it. Its public part: PUBLIC_KEY of "audit/NAME#VERSION", which stays even
 *            when the version is destroyed.
 * Ownership: spans point into the body.
 * Errors:    ERR_FORMAT.
 * Source:    sealpost-keyproto(7).
 * Thread:    pure; any. */
#ifndef KEYPROTO_KEYPROTO_CHECKPOINT_H
#define KEYPROTO_KEYPROTO_CHECKPOINT_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_CHECKPOINT_HASH 32
#define KEYPROTO_CHECKPOINT_SIG	 64 /* Ed25519 */
#define KEYPROTO_CHECKPOINT_SPKI 44 /* DER of its public key */
#define KEYPROTO_CHECKPOINT_TEXT 256 /* no text is longer */

/* Request of CHECKPOINT. Of CHECKPOINT_LAST: one bytes16, the name (keyproto_bytes_put). */
struct keyproto_checkpoint {
	struct span name;    /* "ledger" */
	uint64_t counter;    /* from 1 */
	uint64_t rows;	     /* signed as it is told */
	const uint8_t *hash; /* KEYPROTO_CHECKPOINT_HASH bytes */
};
int keyproto_checkpoint_put(struct buf *b, const struct keyproto_checkpoint *m);
int keyproto_checkpoint_get(struct span body, struct keyproto_checkpoint *m);

/* Reply of CHECKPOINT. */
struct keyproto_checkpoint_signed {
	uint32_t version;	/* of the key */
	const uint8_t *signature; /* KEYPROTO_CHECKPOINT_SIG bytes */
};
int keyproto_checkpoint_signed_put(struct buf *b, const struct keyproto_checkpoint_signed *m);
int keyproto_checkpoint_signed_get(struct span body, struct keyproto_checkpoint_signed *m);

/* Reply of CHECKPOINT_LAST. */
struct keyproto_checkpoint_last {
	uint64_t counter, rows;
	const uint8_t *hash;	  /* KEYPROTO_CHECKPOINT_HASH bytes */
	uint32_t version;	  /* of the key */
	const uint8_t *signature; /* KEYPROTO_CHECKPOINT_SIG bytes */
	const uint8_t *spki;	  /* of the key: KEYPROTO_CHECKPOINT_SPKI bytes, DER */
};
int keyproto_checkpoint_last_put(struct buf *b, const struct keyproto_checkpoint_last *m);
int keyproto_checkpoint_last_get(struct span body, struct keyproto_checkpoint_last *m);

/* Appends what is signed:
 *     sealpost-checkpoint-1\nname ledger\ncounter 12\nrows 4711\nhash <64 digits>\n
 * with numbers in decimal and digits in [0-9a-f]. Returns 0 or what the buf is marked with. */
int keyproto_checkpoint_text(struct buf *out, const struct keyproto_checkpoint *m);

#endif
