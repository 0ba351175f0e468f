/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_mail - the message that carries a TLS report.
 *
 * Story:  multipart/report; report-type="tlsrpt": a text for people, and the report as a gzipped attachment. TLS-Required: no,
 *         since a report about broken TLS has to arrive in spite of it. Nothing in it came from outside but domain and
 *         recipient, which the caller has looked at.
 * Limits: TLSRPT_MAIL_MAX octets in all. Lines end with CRLF and are at most 998 octets long.
 * Errors: ERR_LIMIT, ERR_NOMEM.
 * Thread: pure; any. Time and boundary are arguments.
 * Source: RFC 8460 3, 5.3, 5.4; RFC 8689 3; RFC 6522. */
#ifndef RELAY_TLSRPT_TLSRPT_MAIL_H
#define RELAY_TLSRPT_TLSRPT_MAIL_H

#include "relay/tlsrpt/tlsrpt_report.h"

#define TLSRPT_MAIL_MAX (768u << 10)

struct tlsrpt_mail {
	const struct tlsrpt_report_head *head;
	const char *from, *to; /* addresses */
	const char *hostname;  /* for Message-ID */
	const char *id;	       /* of the message, for Message-ID */
	const char *boundary;  /* occurs nowhere else: random */
	int64_t now;	       /* wall usec */
	struct span gzip;
};

int tlsrpt_mail_format(const struct tlsrpt_mail *m, struct buf *out);

#endif
