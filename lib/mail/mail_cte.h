/* SPDX-License-Identifier: Apache-2.0 */
/* mail_cte - content transfer encodings undone, strictly: what two readers could take for two texts is
 * no text.
 *
 * Story:     the caller cuts the encoded body into lines (each at most MAIL_CTE_LINE octets with its
 *            CR LF) and gives one after the other; it gets back decoded octets and, for
 *            quoted-printable, where they come from.
 *              mail_cte_qp      one line in, its octets out; no state but "the last line was a soft one"
 *              mail_cte_base64  a quantum may go over a line's end; end says whether one is open
 *            Refused: in quoted-printable "=" before anything but two hexadecimal digits or the line's
 *            end, octets outside TAB and 32..126, blanks before the line's end (readers differ on
 *            whether they count), a soft break before the end of the data; in base64 any character
 *            outside the alphabet, anything behind the padding, an empty line between two with data, an
 *            open quantum at the end, bits set that padding must leave zero.
 * Ownership: borrows everything.
 * Thread:    pure; any.
 * Source:    RFC 2045 section 6. */
#ifndef MAIL_MAIL_CTE_H
#define MAIL_MAIL_CTE_H

#include "core/span.h"

#define MAIL_CTE_LINE 1000 /* octets of a line with its CR LF: RFC 5322 2.1.1 */

enum mail_cte { MAIL_CTE_7BIT, MAIL_CTE_8BIT, MAIL_CTE_BINARY, MAIL_CTE_QP, MAIL_CTE_BASE64 };

/* The name of an encoding as it stands in a field ("quoted-printable"). */
const char *mail_cte_name(enum mail_cte cte);
/* The encoding so named, letters of either case, nothing around it; ERR_UNSUPPORTED. */
int mail_cte_parse(struct span name);

/* Where decoded octets come from: octet at and those behind it, until the next run, come from
 * consecutive source octets. */
struct mail_cte_run {
	uint32_t at;
	uint64_t source;
};

/* Value of a hexadecimal digit, or -1. */
int mail_cte_hex(uint8_t c);

/* A piece of decoded octets: number i comes from source place + i * stride of its line. */
struct mail_cte_piece {
	struct span octets;
	size_t place;
	unsigned stride; /* 1, or 3: "=3D" */
};
struct mail_cte_qp {
	struct span line;
	size_t at;   /* octets taken; after ERR_FORMAT the place that fails */
	size_t stop; /* where the line's text ends */
	int soft;    /* the line ends in "=": nothing stands between it and the next one */
	uint8_t out[64];
};
/* line: without its CR LF; it stays until its last piece is taken. lenient: blanks before the line's end
 * are taken away, as RFC 2045 6.7 (3) has it, instead of refused. */
int mail_cte_qp_line(struct mail_cte_qp *q, struct span line, int lenient);
/* 1: a piece, which lives until the next call; 0: the line is over; ERR_FORMAT. */
int mail_cte_qp_next(struct mail_cte_qp *q, struct mail_cte_piece *piece);

struct mail_cte_base64 {
	uint32_t bits;
	unsigned have; /* characters of the open quantum: 0..3 */
	int padded;    /* 1: one "=" is missing yet, 2: over */
	int seen, gap; /* data came; an empty line behind it */
};
/* line: without its CR LF. dst has room for line.n octets. Octets decoded, or ERR_FORMAT with *at the
 * place in the line. */
int mail_cte_base64_line(struct mail_cte_base64 *b, struct span line, uint8_t *dst, size_t *at);
/* 0, or ERR_FORMAT: a quantum is open. */
int mail_cte_base64_end(const struct mail_cte_base64 *b);

/* Writes 4 characters for each 3 octets, padding the last; dst has room for (n + 2) / 3 * 4. The
 * number of characters. */
size_t mail_cte_base64_put(char *dst, struct span octets);

#endif
