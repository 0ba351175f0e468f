/* SPDX-License-Identifier: Apache-2.0 */
/* mail_report - takes a report about another message apart: text, machine part, returned headers.
 *
 * Story:     delivery status notifications and complaints have the same frame (RFC 6522). read finds
 *            the parts; mail_dsn and mail_arf read them. What is no report has its text alone. Nothing
 *            in a report is trusted here or proves anything: who acts on it asks for a token of his own.
 * Ownership: header points into the message; the rest is decoded into wiped buffers of the report.
 * Limits:    MAIL_REPORT_PART bytes of each part; more is left out.
 * Thread:    pure; any.
 * Source:    RFC 6522, 3464, 5965, 6533. */
#ifndef MAIL_MAIL_REPORT_H
#define MAIL_MAIL_REPORT_H

#include "core/buf.h"

#define MAIL_REPORT_PART    65536
#define MAIL_REPORT_ADDRESS 320 /* local@domain with its NUL */

enum mail_report_kind { MAIL_REPORT_NONE, MAIL_REPORT_DSN, MAIL_REPORT_FEEDBACK };

struct mail_report {
	enum mail_report_kind kind;
	struct span header;  /* of the report itself */
	struct buf text;     /* the first part for people */
	struct buf machine;  /* message/delivery-status, message/feedback-report */
	struct buf original; /* header section of the message that it is about */
};

void mail_report_init(struct mail_report *r);
void mail_report_clear(struct mail_report *r);
void mail_report_read(struct mail_report *r, struct span message);

/* Calls fn for everything in text that has the form of an address, in order, as written and without
 * brackets; fn's result other than 0 ends it and is returned. */
typedef int (*mail_report_address_fn)(void *arg, struct span address);
int mail_report_scan(struct span text, mail_report_address_fn fn, void *arg);

/* The same in those fields of a header section that name who a message went to, or as whom it was
 * sent (the envelope sender: where a token stands). */
enum mail_report_role { MAIL_REPORT_TO = 1, MAIL_REPORT_FROM = 2 };
int mail_report_addresses(struct span header, unsigned roles, mail_report_address_fn fn, void *arg);

/* The first address in text, copied: its length, 0 if there is none. */
size_t mail_report_first(char dst[MAIL_REPORT_ADDRESS], struct span text);

#endif
