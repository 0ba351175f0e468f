/* SPDX-License-Identifier: Apache-2.0 */
/* mail_header - walks over the header section of a message, field by field.
 *
 * Story:     init with the section (or the whole message: the walk ends at the empty line); next
 *            gives one field after the other. A strict walk refuses what RFC 5322 does: a line
 *            without a name and colon, bare CR or LF, control characters in a name. A tolerant one
 *            (for what other programs wrote: reports, returned messages) takes LF for CR LF and
 *            steps over what is no field.
 * Ownership: spans point into the input. Values are as written: folds, comments and all.
 *            mail_header_unfold makes one line of them.
 * Limits:    MAIL_HEADER_FIELDS fields, MAIL_HEADER_NAME octets of a name; beyond: ERR_LIMIT (strict)
 *            or the end (tolerant).
 * Thread:    pure; any.
 * Source:    RFC 5322 2.2, 3.6.8. */
#ifndef MAIL_MAIL_HEADER_H
#define MAIL_MAIL_HEADER_H

#include "core/span.h"

#define MAIL_HEADER_FIELDS 2000
#define MAIL_HEADER_NAME   200

struct mail_header {
	struct span rest; /* after the end: what follows the empty line, the body */
	unsigned count;
	int strict, over;
};
struct mail_header_field {
	struct span name;  /* without the colon and blanks before it */
	struct span value; /* behind the colon, without outer white space and the last line end */
	struct span whole; /* with its line end */
};

void mail_header_init(struct mail_header *h, struct span section, int strict);
/* 1: f is the next field; 0: no more, and h->rest is the body; ERR_FORMAT, ERR_LIMIT: strict only. */
int mail_header_next(struct mail_header *h, struct mail_header_field *f);

/* Tolerant: the first field of that name (letters of either case). 1 or 0. */
int mail_header_find(struct span section, const char *name, struct span *value);
/* Tolerant: where the body begins; the input's end if there is no empty line. */
size_t mail_header_length(struct span message);

/* value as one line in dst, always terminated: folds and runs of white space are one blank, control
 * characters and NUL become "?". Longer values are cut. Returns the length. */
size_t mail_header_unfold(char *dst, size_t size, struct span value);

#endif
