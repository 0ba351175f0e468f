/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames: what parses must be rebuilt by open and close to the same bytes, and a frame
 * cut anywhere must ask for more, never read on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "wire/wire_frame.h"
#include "wire/wire_put.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct wire_frame *f, struct span bytes)
{
	struct buf b;
	size_t at;

	buf_init(&b, WIRE_FRAME_HEAD + WIRE_FRAME_BODY_MAX);
	at = wire_frame_open(&b);
	wire_put_raw(&b, f->body.p, f->body.n);
	if (wire_frame_close(&b, at, f->opcode, f->request, f->status, f->epoch) != 0 ||
	    !span_equal(buf_span(&b), bytes))
		abort();
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct wire_frame f, part;

	for (;;) {
		int n = wire_frame_parse(in, &f);
		if (n == 0)
			return 0;
		if (n < 0) {
			if (n != ERR_FORMAT && n != ERR_LIMIT)
				abort();
			return 0;
		}
		rebuild(&f, span_sub(in, 0, (size_t)n));
		if (wire_frame_parse(span_sub(in, 0, (size_t)n - 1), &part) != 0)
			abort();
		in = span_sub(in, (size_t)n, in.n);
	}
}
