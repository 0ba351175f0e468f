/* SPDX-License-Identifier: Apache-2.0 */
/* mail_mime - the parts of a MIME message, as far as reports need them.
 *
 * Story:     walk calls part for every leaf of the tree, in order; multiparts are entered, attached
 *            messages are not (a leaf of type message/rfc822). What is not MIME is one leaf of
 *            text/plain. Written for what other programs send: it never refuses, it takes the usual
 *            reading, and it stops at its limits. It is no gate: what decides whether a message may
 *            pass needs a strict reader.
 * Ownership: spans point into the message; a part lives for one call.
 * Limits:    MAIL_MIME_DEPTH multiparts within each other, MAIL_MIME_PARTS leaves, boundaries of 70
 *            octets. Time is linear: each level is searched once.
 * Thread:    pure; any.
 * Source:    RFC 2045, 2046; 2231 continuations are not read. */
#ifndef MAIL_MAIL_MIME_H
#define MAIL_MAIL_MIME_H

#include "core/buf.h"

#define MAIL_MIME_DEPTH 8
#define MAIL_MIME_PARTS 100
#define MAIL_MIME_TYPE	80

enum mail_mime_encoding { MAIL_MIME_PLAIN, MAIL_MIME_QP, MAIL_MIME_BASE64 };

struct mail_mime_part {
	struct span header, body;
	char type[MAIL_MIME_TYPE]; /* "text/plain", in lower case */
	struct span content;	   /* the Content-Type field as written; empty if there is none */
	enum mail_mime_encoding encoding;
	unsigned depth;		     /* 0: the message itself */
	char within[MAIL_MIME_TYPE]; /* type of the multipart around it, or "" */
};

/* Result other than 0 ends the walk. */
typedef int (*mail_mime_part_fn)(void *arg, const struct mail_mime_part *part);
/* What part said last: 0 if it never stopped the walk. */
int mail_mime_walk(struct span message, mail_mime_part_fn part, void *arg);

/* "type/subtype" of a Content-Type value in lower case; ERR_FORMAT, ERR_LIMIT. */
int mail_mime_type(char dst[MAIL_MIME_TYPE], struct span content);
/* A parameter of it, quotes undone: its length, ERR_NOTFOUND, or ERR_LIMIT. */
int mail_mime_param(char *dst, size_t size, struct span content, const char *name);
enum mail_mime_encoding mail_mime_encoding(struct span value);

/* Appends the body with its encoding undone, as much as out takes: what does not fit or is not of the
 * encoding is left out. */
void mail_mime_decode(struct buf *out, enum mail_mime_encoding encoding, struct span body);

#endif
