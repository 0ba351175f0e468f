/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_report - the TLS report of one domain as JSON, and how it is packed.
 *
 * Story:     init with what stands at its head, add for each row that was counted (rows of one policy one after the
 *            other); then json is the report. What came from outside (policy texts, reasons) is put in as printable ASCII, a foreign
 *            octet as "?". Lists that would be empty are left out.
 * Policies:  tlsa: each text is one TLSA record, "3 1 1 0ab..."; sts: the lines of the policy, and its mx patterns once more
 *            by themselves (mx-host), no line if none could be fetched; no-policy-found.
 * Ownership: clear frees it; json may be kept by a reference of one's own.
 * Errors:    ERR_NOMEM; ERR_LIMIT: longer than the buffer.
 * Thread:    pure; any.
 * Source:    RFC 8460 4, 5.1. */
#ifndef RELAY_TLSRPT_TLSRPT_REPORT_H
#define RELAY_TLSRPT_TLSRPT_REPORT_H

#include <jansson.h>

#include "core/buf.h"
#include "relay/store/store_tlsrpt.h"

/* X(symbol, policy-type) */
#define TLSRPT_KINDS(X)          \
	X(NONE, "no-policy-found") \
	X(DANE, "tlsa")            \
	X(STS, "sts")
enum tlsrpt_kind {
#define TLSRPT_X(sym, name) TLSRPT_KIND_##sym,
	TLSRPT_KINDS(TLSRPT_X)
#undef TLSRPT_X
};
const char *tlsrpt_kind_name(int kind);

#define TLSRPT_REPORT_ID   17  /* 16 letters and digits, and NUL */
#define TLSRPT_REPORT_FILE 640

struct tlsrpt_report_head {
	const char *organization, *contact;
	const char *submitter; /* domain that the report comes from */
	const char *id;	       /* TLSRPT_REPORT_ID */
	const char *domain;    /* that it is about */
	int64_t begin, end;    /* wall usec; the last second that counts is the one before end */
};

struct tlsrpt_report {
	json_t *json;
	json_t *policy;	   /* of the last row; json's */
	int64_t policy_id; /* its id in the store */
};
int tlsrpt_report_init(struct tlsrpt_report *r, const struct tlsrpt_report_head *h);
int tlsrpt_report_add(struct tlsrpt_report *r, const struct store_tlsrpt_count *row);
void tlsrpt_report_clear(struct tlsrpt_report *r);
/* "ID@SUBMITTER", as in report-id. */
void tlsrpt_report_id(char dst[280], const struct tlsrpt_report_head *h);
/* "SUBMITTER!DOMAIN!BEGIN!END!ID.json.gz" */
void tlsrpt_report_file(char dst[TLSRPT_REPORT_FILE], const struct tlsrpt_report_head *h);
int tlsrpt_report_gzip(const json_t *report, struct buf *out);

#endif
