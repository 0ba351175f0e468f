/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_reply - replies as values: what a server says, and what a client has heard.
 *
 * Source: RFC 5321 4.2, RFC 2034 and 3463 (enhanced codes). Pure; any thread. */
#ifndef SMTP_SMTP_REPLY_H
#define SMTP_SMTP_REPLY_H

#include "core/buf.h"

/* A reply of ours: "CODE ENHANCED text". enhanced is "" where RFC 2034 wants none (220, 3xx, EHLO). */
struct smtp_reply {
	int code;
	const char *enhanced; /* "5.5.2" */
	const char *text;     /* static, or valid until formatted */
};
/* Appends the reply with CRLF. Several lines in text (separated by \n) become a multi-line reply. */
int smtp_reply_format(struct buf *out, const struct smtp_reply *r);

/* A peer's reply, gathered line by line. Text lines are joined with "\n", at most SMTP_REPLY_TEXT bytes are
 * kept (the rest is counted and dropped); control characters become "?". */
#define SMTP_REPLY_TEXT 1024
#define SMTP_REPLY_LINES_MAX 256
struct smtp_reply_in {
	int code;	   /* 200..599 */
	char enhanced[12]; /* "5.1.1" or "" */
	char text[SMTP_REPLY_TEXT];
	size_t text_len;
	int lines;
};
void smtp_reply_in_init(struct smtp_reply_in *r);
/* >0: bytes consumed; *done says whether the reply is complete. 0: more bytes needed. ERR_FORMAT: not SMTP.
 * ERR_LIMIT: line over 2048 octets, or over SMTP_REPLY_LINES_MAX lines. Bare LF as line end is accepted
 * from servers (clients have to live with them). */
int smtp_reply_in_feed(struct smtp_reply_in *r, struct span in, int *done);
/* Capability lines of an EHLO reply: the line that starts with keyword (any case), or an empty span. The
 * span is what follows the keyword and a space; found tells a bare keyword from none. */
struct span smtp_reply_in_keyword(const struct smtp_reply_in *r, const char *keyword, int *found);

#endif
