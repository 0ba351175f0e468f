/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt - TLS reports: counts the TLS sessions with each domain, and tells it once a day if it asks for that.
 *
 * Story:     out notes each session that it tried, from any thread. Counts gather here and are in relay.db within a minute,
 *            per UTC day, domain and policy. When a day is over each domain's report is put down as waiting, with a
 *            delay drawn once (tlsrpt.delay); then its TXT record is asked for (worker 0), and the report goes to every
 *            address that it names (tlsrpt_job): by mail through our own queue, or by HTTPS. What fails is tried again
 *            for TLSRPT_GIVE_UP. Without tlsrpt.from, or with tlsrpt.send: no, sessions are counted, and nothing is sent.
 *            What was sent is written down as soon as it is: a restart sends nothing again, and forgets nothing; only
 *            a crash between the two repeats one, under the same id.
 * Privacy:   names of domains and mail hosts, addresses of hosts. No address of a person: where reports go is kept as a
 *            domain and a digest.
 * Events:    tlsrpt-day, tlsrpt-sent, tlsrpt-failed, tlsrpt-unwanted, tlsrpt-deferred, tlsrpt-store-failed.
 * Limits:    TLSRPT_KEEP days; store_tlsrpt.h; TLSRPT_POLICY octets of a policy; TLSRPT_JOBS reports under way.
 * Thread:    note: any. The rest: control's.
 * Source:    RFC 8460; tlsrpt.* of relay.yaml; sealpost-tls(8). */
#ifndef RELAY_TLSRPT_TLSRPT_H
#define RELAY_TLSRPT_TLSRPT_H

#include "core/clock.h"
#include "relay/relay_control.h"
#include "relay/tlsrpt/tlsrpt_report.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define TLSRPT_DAY     (INT64_C(86400) * CLOCK_SEC)
#define TLSRPT_KEEP    14
#define TLSRPT_GIVE_UP TLSRPT_DAY /* after the first try was due */
#define TLSRPT_POLICY  16384
#define TLSRPT_JOBS    16

struct tlsrpt_session {
	const char *domain; /* of the recipients, lower case, A-labels */
	enum tlsrpt_kind kind;
	struct span policy; /* its texts, one per line; empty: none */
	enum tlsrpt_result result;
	/* of a failure; NULL, "": not known */
	const char *mx;	    /* host */
	const char *ip;	    /* its address, numeric */
	const char *from;   /* ours */
	const char *reason; /* short */
};
/* Everything is copied. */
void tlsrpt_note(struct relay *r, const struct tlsrpt_session *s);

/* Today, in days since 1970. */
int64_t tlsrpt_today(void);
/* What was noted is in the store when it returns. */
int tlsrpt_flush(struct relay *r);
/* Sends the report of a day and domain now: the day's own if it waits (or has failed), else one more. The day may be today:
 * then it is what was counted so far. ERR_NOTFOUND: nothing was counted; ERR_CONFIG: tlsrpt.from is not set; ERR_BUSY: it is
 * under way. */
int tlsrpt_send(struct relay *r, int64_t day, const char *domain);
/* The report as JSON, with the id of report, or one that says it is none (NULL). *out is the caller's. ERR_NOTFOUND. */
int tlsrpt_make(struct relay *r, int64_t day, const char *domain, const struct store_tlsrpt_report *report,
		json_t **out);

extern const struct relay_control_part tlsrpt_part;

#endif
