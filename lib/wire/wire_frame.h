/* SPDX-License-Identifier: Apache-2.0 */
/* wire_frame - the frames between daemons and keyd.
 *
 *   0        2        4              8                     16             20             24
 *   | version | opcode | body length  | request id          | status       | key epoch    | body ...
 *     u16       u16      u32            u64                   u32            u32
 *
 * Story:  all integers big-endian. Requests carry status 0. A reply repeats opcode and request id;
 *         status is 0 or a positive KEYPROTO_E_* code. Request id 0 is a push from keyd. Replies may
 *         come out of order. A frame that breaks a rule here ends the connection: there is no
 *         resynchronising.
 * Limits: body at most WIRE_FRAME_BODY_MAX bytes. Pure; any thread.
 * Source: sealpost-keyproto(7). */
#ifndef WIRE_WIRE_FRAME_H
#define WIRE_WIRE_FRAME_H

#include "core/buf.h"

#define WIRE_FRAME_VERSION 1
#define WIRE_FRAME_HEAD 24
#define WIRE_FRAME_BODY_MAX 65536

struct wire_frame {
	uint16_t version;
	uint16_t opcode;
	uint64_t request;
	uint32_t status;
	uint32_t epoch;
	struct span body; /* in wire_frame_parse: points into the input */
};

/* >0: bytes consumed, f filled. 0: more bytes needed. ERR_FORMAT: bad version; ERR_LIMIT: body too long:
 * both are said as soon as their bytes are there. */
int wire_frame_parse(struct span in, struct wire_frame *f);

/* Opens a frame in out (room for the head is left) and returns its offset from out->off; write the
 * body with wire_put; then close it, which fills in the head. ERR_* if the buf failed or the body is
 * over the limit: the frame is then taken back and the mark cleared, so that frames before it in
 * the same buf are unharmed. Between the two, nothing may be drained from the buf. */
size_t wire_frame_open(struct buf *out);
int wire_frame_close(struct buf *out, size_t at, uint16_t opcode, uint64_t request,
		     uint32_t status, uint32_t epoch);

#endif
