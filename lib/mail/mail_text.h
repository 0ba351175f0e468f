/* SPDX-License-Identifier: Apache-2.0 */
/* mail_text - the canonical form of a text part, and where each octet of it came from.
 *
 * Story:     mail_gate gives decoded octets with their sources; out come pieces of canonical text:
 *            UTF-8; CR LF is LF; lines of format=flowed are joined (stuffing of unquoted lines taken
 *            away; with delsp the blank too); the run of line ends at the end of the text is dropped.
 *            Nothing else is changed: a CR alone stays. Templates are kept in the same form.
 *            A character of a transcoded charset has the source of its one octet; a line end that of its
 *            CR; octets between two that follow each other in the text (soft breaks, a dropped CR) belong
 *            to neither.
 *            On the way it looks for what begins a line and changes what the text is: uuencode, PGP
 *            armour.
 * Ownership: embedded in its user, no allocation.
 * Limits:    text of max octets; MAIL_TEXT_GAPS changes of spacing within one run of line ends.
 * Time:      linear; ASCII goes by in words, other characters one by one.
 * Thread:    pure; one at a time.
 * Source:    RFC 2046 4.1, RFC 3676; campaign notes 2.2 item 4. */
#ifndef MAIL_MAIL_TEXT_H
#define MAIL_MAIL_TEXT_H

#include "core/span.h"
#include "mail/mail_charset.h"
#include "mail/mail_cte.h"

#define MAIL_TEXT_PIECE 8192 /* octets of a piece */
#define MAIL_TEXT_RUNS	512  /* runs of a piece */
#define MAIL_TEXT_GAPS	32
#define MAIL_TEXT_HEAD	16

/* Why a put was refused. */
enum mail_text_fault {
	MAIL_TEXT_FINE,
	MAIL_TEXT_FOREIGN, /* an octet that is not of the charset, or NUL */
	MAIL_TEXT_LONG,
	MAIL_TEXT_MIXED, /* too many spacings in one run of line ends */
	MAIL_TEXT_UU
};

typedef int (*mail_text_fn)(void *arg, struct span text, const struct mail_cte_run *runs,
			    size_t n_runs);

struct mail_text {
	mail_text_fn fn;
	void *arg;
	enum mail_charset charset;
	int flowed, delsp, tolerant; /* set by the caller after init */
	uint64_t max;

	uint64_t size; /* octets so far */
	uint64_t tail; /* source just behind the last octet that counts */
	int armour;    /* a line began PGP armour */
	enum mail_text_fault fault;
	uint64_t fault_at; /* its source */

	/* own: the piece being filled */
	uint8_t piece[MAIL_TEXT_PIECE];
	struct mail_cte_run runs[MAIL_TEXT_RUNS];
	size_t n, n_runs;
	uint64_t next; /* the source that needs no new run */
	/* line ends not yet given: some at equal distances, then some at others */
	struct mail_text_gap {
		uint64_t source;
		uint32_t count, stride;
	} gaps[MAIL_TEXT_GAPS];
	unsigned n_gaps;
	int cr; /* an undecided CR */
	uint64_t cr_source;
	unsigned cr_stride;
	uint8_t open[4]; /* a character whose end has not come */
	uint64_t open_source[4];
	unsigned n_open, open_stride;
	uint8_t head[MAIL_TEXT_HEAD]; /* what the line begins with, if it may matter */
	unsigned n_head;
	int head_state;
	/* format=flowed */
	struct mail_text_flow {
		int state;
		unsigned quotes, last_quotes, column;
		int soft, space, dashes;
		uint64_t quote_source, space_source, end_source;
		unsigned space_stride;
	} flow;
};

void mail_text_init(struct mail_text *t, mail_text_fn fn, void *arg, enum mail_charset charset);
/* Octet i comes from source + i * stride. 0; ERR_FORMAT or ERR_LIMIT: fault says why; what fn said. */
int mail_text_put(struct mail_text *t, struct span decoded, uint64_t source, unsigned stride);
int mail_text_end(struct mail_text *t);

#endif
