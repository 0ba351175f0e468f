/* SPDX-License-Identifier: Apache-2.0 */
/* milter_body - keeps a body until its end has come, for only then is it known whether and how it changes.
 *
 * Story:     put takes the body in pieces; end; then rewind and next give it back, as often as one likes. What is beyond the
 *            first MILTER_BODY_MEMORY octets lies in a file without a name (O_TMPFILE) in the directory state:, sealed
 *            chunk by chunk (seal_chunk) under a key made of random bytes for this body alone, which lives in locked
 *            memory and goes with it. Whoever reads the disk finds nothing, also while the message passes.
 * Memory:    what was put, up to 256 KiB; beyond that about 40 KiB more. Wiped when it goes.
 * Errors:    put, next: ERR_NOMEM, ERR_IO, ERR_NOSPACE, ERR_DENIED (the directory), ERR_AUTH, ERR_DAMAGED (what was read is
 *            not what was written).
 * Source:    sealpost-milter.yaml(5), state. Thread: one at a time. */
#ifndef MILTER_MILTER_BODY_H
#define MILTER_MILTER_BODY_H

#include "core/span.h"

#define MILTER_BODY_MEMORY (256u << 10)

struct milter_body;

/* dir is borrowed. NULL: out of memory. */
struct milter_body *milter_body_new(const char *dir);
void milter_body_free(struct milter_body *b);

int milter_body_put(struct milter_body *b, struct span s);
int milter_body_end(struct milter_body *b);
uint64_t milter_body_size(const struct milter_body *b);

void milter_body_rewind(struct milter_body *b);
/* 1: out is the next stretch, valid until the next call; 0: that was all; or ERR_*. */
int milter_body_next(struct milter_body *b, struct span *out);

#endif
