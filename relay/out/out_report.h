/* SPDX-License-Identifier: Apache-2.0 */
/* out_report - what is written about an attempt: the log line, and the text that is sealed into the
 * spool for trace.
 *
 * Story:  the log gets one line per attempt and kind of outcome:
 *           event=delivered|deferred|bounced|expired n=RECIPIENTS host=MX tls=TLSv1.3 cipher=...
 *           verified=yes|no policy=... by=... reason=... class=... code=250 status=2.0.0 ms=12
 *           [failure=NAME] [clear=WHY] [dsn=ID|none] [source=NAME]
 *         host is the MX host or what the route names, "-" if none was found; of several that failed the
 *         one whose failure says most. policy, by (verified_by) and failure are those of struct
 *         out_conn_peer. code and status are
 *         of the first recipient of that kind; reason (not of delivered ones) is a QUEUE_* name,
 *         class one of bounce_class.h.
 *         Texts of servers and addresses are never in it. If a domain has no MX record, its host is
 *         the domain itself.
 *
 *         The detail has "key=value" lines:
 *           at=2026-11-22T06:16:18Z
 *           policy=  by=                      one line each; none if it did not come to that
 *           failure=NAME                      of tlsrpt_result.h, if there is one
 *           why=                              what made the policy so, or what failed
 *           host=  address=  port=            one line each; none if no host was found
 *           tls=TLSv1.3 or none
 *           source=NAME                       of relay.yaml, if it was not the host's own
 *           cipher=  group=  verified=yes|no  resumed=yes|no
 *           clear=WHY                         if the message was sent in clear: route, exception, not-offered,
 *                                             refused, broken
 *           ms=
 *           dsn=ID                            the report to the sender
 *           result=INDEX OUTCOME CODE REPLY   one per recipient; INDEX in the envelope. With the
 *                                             text of the one before: INDEX OUTCOME ditto
 *           more=COUNT                        recipients left out at OUT_REPORT_DETAIL bytes
 * Thread: detail pure; log any. */
#ifndef RELAY_OUT_OUT_REPORT_H
#define RELAY_OUT_OUT_REPORT_H

#include "relay/out/out_conn.h"
#include "relay/spool/spool_message.h"

#define OUT_REPORT_DETAIL SPOOL_DETAIL_MAX

struct out_report {
	uint64_t id;
	const struct queue_result *results;
	unsigned count;
	const struct out_conn_peer *peer; /* NULL: none was reached */
	int64_t at;			  /* wall usec */
	int64_t usec;			  /* it took */
	uint64_t dsn;			  /* report to the sender, 0 if none */
};

/* Returns the length. */
size_t out_report_detail(const struct out_report *r, char dst[OUT_REPORT_DETAIL]);
/* Log lines and counters. */
void out_report_log(const struct out_report *r, struct relay *relay);

#endif
