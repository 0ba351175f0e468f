/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_data - the body of DATA: dots taken out, dots put in, line ends judged.
 *
 * Story:  in: feed what arrived; decoded stretches come out as spans into the input, so nothing is copied.
 *         Only CRLF.CRLF ends. A bare CR, a bare LF or a NUL, or a line over SMTP_DATA_LINE_MAX octets is
 *         remembered in fault; decoding goes on to the end, so that the reply is given where RFC 5321
 *         wants it and the session stays in step; once there is a fault, no more body bytes come out.
 *         raw (BDAT, RFC 3030): the same judgement of chunks, dots left alone; the caller knows the end.
 *         out: smtp_data_out_copy copies, doubling dots at line starts; smtp_data_out_end gives the end.
 * Source: RFC 5321 4.5.2, 4.5.3.1.6. Pure; any thread. */
#ifndef SMTP_SMTP_DATA_H
#define SMTP_SMTP_DATA_H

#include "core/buf.h"

#define SMTP_DATA_LINE_MAX 1000 /* octets with CRLF */

enum smtp_data_fault {
	SMTP_DATA_OK,
	SMTP_DATA_BARE_LF,
	SMTP_DATA_BARE_CR,
	SMTP_DATA_NUL,
	SMTP_DATA_LONG_LINE,
	SMTP_DATA_NO_END /* raw: the last line has no CRLF */
};

struct smtp_data_in {
	int state;
	unsigned column; /* octets of the present line */
	enum smtp_data_fault fault; /* the first one */
	int high;	 /* an octet above 0x7f was seen */
	int done;
	int raw; /* BDAT: no dots are taken out, and nothing in it ends it */
};
void smtp_data_in_init(struct smtp_data_in *d);
void smtp_data_in_init_raw(struct smtp_data_in *d);
/* Takes the next stretch: returns bytes consumed (>0; 0 only if in is empty), *out is body bytes (may be
 * empty). After the end of data d->done is 1 and the rest of in belongs to the next command. Call again
 * until in is used up or done. */
size_t smtp_data_in_feed(struct smtp_data_in *d, struct span in, struct span *out);

/* raw: there is no more. Judges how it ends. */
void smtp_data_in_end(struct smtp_data_in *d);

struct smtp_data_out {
	int at_line_start;
	int last_cr;
};
void smtp_data_out_init(struct smtp_data_out *d);
/* Appends in to out, stuffed: all of it, or nothing and ERR_NOMEM or ERR_LIMIT. */
int smtp_data_out_put(struct smtp_data_out *d, struct span in, struct buf *out);
/* As put, to memory: dst has room for 2 * in.n; returns the bytes written. */
size_t smtp_data_out_copy(struct smtp_data_out *d, struct span in, uint8_t *dst);
/* The bytes that end the data: "\r\n.\r\n" or ".\r\n" as the last byte asks. */
const char *smtp_data_out_end(const struct smtp_data_out *d);

#endif
