/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: which codec. The rest: a body. What _get takes must encode to the same bytes. */
#include <stdint.h>
#include <stdlib.h>

#include "test/unit/keyproto_roundtrip.h"
#include "wire/wire_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span body;
	struct buf out;
	int r;

	if (size < 1 || size > 1 + WIRE_FRAME_BODY_MAX)
		return 0;
	body = span_of(data + 1, size - 1);
	buf_init(&out, WIRE_FRAME_BODY_MAX);
	r = keyproto_roundtrips[data[0] % KEYPROTO_ROUNDTRIPS](body, &out);
	if (r == 0 ? !span_equal(buf_span(&out), body) : r != ERR_FORMAT)
		abort();
	buf_clear(&out);
	return 0;
}
