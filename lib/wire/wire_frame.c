/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire_frame.h"

#include "core/err.h"
#include "core/num.h"

int wire_frame_parse(struct span in, struct wire_frame *f)
{
	uint32_t n;

	if (in.n >= 2 && num_get_u16(in.p) != WIRE_FRAME_VERSION)
		return ERR_FORMAT;
	if (in.n < WIRE_FRAME_HEAD)
		return 0;
	n = num_get_u32(in.p + 4);
	if (n > WIRE_FRAME_BODY_MAX)
		return ERR_LIMIT;
	if (in.n - WIRE_FRAME_HEAD < n)
		return 0;
	f->version = num_get_u16(in.p);
	f->opcode = num_get_u16(in.p + 2);
	f->request = num_get_u64(in.p + 8);
	f->status = num_get_u32(in.p + 16);
	f->epoch = num_get_u32(in.p + 20);
	f->body = span_of(in.p + WIRE_FRAME_HEAD, n);
	return (int)(WIRE_FRAME_HEAD + n);
}

size_t wire_frame_open(struct buf *out)
{
	size_t at = buf_size(out);
	uint8_t *p = buf_reserve(out, WIRE_FRAME_HEAD);

	if (p) {
		memset(p, 0, WIRE_FRAME_HEAD);
		buf_commit(out, WIRE_FRAME_HEAD);
	}
	return at;
}

/* The buf again holds whole frames only, so its mark goes too. */
static int take_back(struct buf *out, size_t at, int code)
{
	out->len = out->off + at;
	out->failed = 0;
	return code;
}

int wire_frame_close(struct buf *out, size_t at, uint16_t opcode, uint64_t request, uint32_t status,
		     uint32_t epoch)
{
	size_t n;
	uint8_t *p;

	if (buf_failed(out))
		return take_back(out, at, buf_failed(out));
	n = buf_size(out) - at - WIRE_FRAME_HEAD;
	if (n > WIRE_FRAME_BODY_MAX)
		return take_back(out, at, ERR_LIMIT);
	p = out->data + out->off + at;
	num_put_u16(p, WIRE_FRAME_VERSION);
	num_put_u16(p + 2, opcode);
	num_put_u32(p + 4, (uint32_t)n);
	num_put_u64(p + 8, request);
	num_put_u32(p + 16, status);
	num_put_u32(p + 20, epoch);
	return 0;
}
