/* SPDX-License-Identifier: Apache-2.0 */
/* mail_arf - what a complaint (feedback report) says.
 *
 * Story:     read takes the machine part of RFC 5965, and the report of Outlook.com (JMRP), which
 *            has none: it is known by its field X-HmXmrOriginalRecipient. Many providers take the
 *            recipient out of it: then the envelope sender, with a token of ours, is what is left.
 * Ownership: everything is copied.
 * Errors:    ERR_NOTFOUND: no complaint.
 * Limits:    MAIL_ARF_RECIPIENTS addresses.
 * Thread:    pure; any.
 * Source:    RFC 5965, 6591, 6692. */
#ifndef MAIL_MAIL_ARF_H
#define MAIL_MAIL_ARF_H

#include "mail/mail_report.h"

#define MAIL_ARF_RECIPIENTS 8

struct mail_arf {
	char type[24];			/* "abuse", "fraud", ...; in lower case */
	int complaint;			/* a person did not want the message: not "not-spam", not
					 * "auth-failure" */
	char source[64];		/* Source-IP, or "" */
	char from[MAIL_REPORT_ADDRESS]; /* Original-Mail-From, or "" */
	unsigned count;
	char recipients[MAIL_ARF_RECIPIENTS][MAIL_REPORT_ADDRESS];
};

int mail_arf_read(const struct mail_report *r, struct mail_arf *a);

#endif
