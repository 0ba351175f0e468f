/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_witness - WITNESS: relay tells keyd what it last knew of the store, and learns what to
 * remember from now on.
 *
 * Story:     at each connect, and now and then, relay sends the mark it holds, and the tombstones
 *            of destroyed customers that it holds, some at a time. keyd compares: a store that has
 *            come less far, or does not know the mark's branch, is an older copy, and keyd locks
 *            (E_ROLLBACK). Otherwise it answers with its mark and with its tombstones from number
 *            from on. A keyd that is locked keeps what it heard for when it opens, and answers
 *            E_LOCKED. A mark and a store of zeros are those
 *            of a relay that knows nothing yet.
 * Ownership: spans point into the body.
 * Source:    sealpost-keyproto(7), sealpost-keyd(8).
 * Thread:    pure; any. */
#ifndef KEYPROTO_KEYPROTO_WITNESS_H
#define KEYPROTO_KEYPROTO_WITNESS_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_TOMBS_MAX 64  /* in one message */
#define KEYPROTO_TOMB_MAX  256 /* bytes of one */

struct keyproto_mark {
	uint64_t generation, sequence, branch;
};

struct keyproto_witness {
	const uint8_t
	    *store; /* identity of the store, 16 bytes; a mark of another store says nothing */
	struct keyproto_mark mark;
	uint32_t number; /* request: first tombstone wanted; reply: how many there are */
	uint16_t count;
	struct span tombs[KEYPROTO_TOMBS_MAX];
};
int keyproto_witness_put(struct buf *b, const struct keyproto_witness *m);
int keyproto_witness_get(struct span body, struct keyproto_witness *m);

#endif
