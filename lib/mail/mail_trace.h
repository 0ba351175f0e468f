/* SPDX-License-Identifier: Apache-2.0 */
/* mail_trace - the header by which the milter tells relay about a message.
 *
 *   X-Sealpost-Trace: v=1; customer=shop; id=0123456789abc; campaign=spring; tid=00112233445566ff; num=7;
 *                     consent=aggregate; tls=verify
 *
 * Story:     the milter takes out every header of this name that came in, and writes its own (mail_trace_format); relay reads
 *            it (mail_trace_parse) from whom it trusts. customer and id are always there. campaign: the message is
 *            proven to be of it. tid, num and consent come together: the message carries tokens. tls=verify: it may go
 *            to a server only whose certificate verifies.
 * Grammar:   the fields in this order, each at most once, divided by "; "; tid 16 digits of [0-9a-f], not all 0; num
 *            decimal, 1..4294967295; consent a word of a-z. The reader takes folds for blanks.
 * Ownership: spans of a parsed struct point into the value.
 * Errors:    ERR_FORMAT: not of this form. ERR_LIMIT: a text too long for the header.
 * Source:    sealpost-milter(8). Thread: pure; any. */
#ifndef MAIL_MAIL_TRACE_H
#define MAIL_MAIL_TRACE_H

#include "core/span.h"

#define MAIL_TRACE_HEADER "X-Sealpost-Trace"
#define MAIL_TRACE_MAX	  320 /* a value with its NUL */
#define MAIL_TRACE_NAME	  64  /* customer, campaign */

struct mail_trace {
	struct span customer, id;
	struct span campaign; /* empty: none */
	uint64_t tid;	      /* 0: no tokens; number and consent say nothing then */
	uint32_t number;
	struct span consent;
	int verify;
};

/* value: what stands behind the colon, outer white space included. */
int mail_trace_parse(struct span value, struct mail_trace *t);
/* Writes the value, on one line; its length. */
int mail_trace_format(char dst[MAIL_TRACE_MAX], const struct mail_trace *t);

#endif
