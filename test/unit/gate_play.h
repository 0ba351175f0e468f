/* SPDX-License-Identifier: Apache-2.0 */
/* gate_play - a whole message through mail_gate, and what came out, kept.
 *
 * Story: a test gives a message as it stands on a disk; the header section is handed over as a milter
 *        does (fields, folds as they are, without the first blank), the body in pieces of a given size
 *        or of random ones. What callbacks said is checked on the way: preorder, nesting, offsets in
 *        order, sources that lie in the part and hold the octet they are said to. */
#ifndef GATE_PLAY_H
#define GATE_PLAY_H

#include "core/buf.h"
#include "mail/mail_gate.h"

struct gate_play_part {
	unsigned index, depth;
	int parent;
	char type[80], charset[40], disposition[40], filename[256], name[256], cid[256],
	    boundary[72];
	enum mail_cte encoding;
	int multipart, text, flowed, delsp, protect, ended;
	uint64_t header_from, raw_from, raw_to, size, decoded, tail;
	unsigned width;
	struct buf octets; /* canonical text, or data */
	uint64_t *sources; /* of each octet of a text */
	size_t n_sources, cap_sources;
};

struct gate_play {
	struct gate_play_part parts[MAIL_GATE_MAX_PARTS];
	unsigned n_parts;
	int as_data; /* to be set before: ask for data of each text */
	int rc;
	struct mail_gate_verdict verdict;
	struct span body; /* of the message */
	int open[MAIL_GATE_MAX_DEPTH + 1], n_open;
};

enum { GATE_PLAY_WHOLE = 0, GATE_PLAY_RANDOM = -1 }; /* sizes of pieces */

/* The body of message: behind the first empty line; its end if there is none. */
struct span gate_play_body(struct span message);
/* What the gate says: 0 or ERR_*. Any failed check aborts. piece > 0: octets. */
int gate_play_run(struct gate_play *p, struct span message, int tolerant, int piece);
void gate_play_clear(struct gate_play *p);
/* Whether two runs came to the same; aborts with a word on stderr if not. */
void gate_play_same(const struct gate_play *a, const struct gate_play *b);
/* A number below n, from a generator with a fixed seed. */
unsigned gate_play_random(unsigned n);
void gate_play_seed(uint64_t seed);

#endif
