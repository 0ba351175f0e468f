/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dsn - what a report of delivery says: per recipient action, status, and the server's words.
 *
 * Story:     first the machine part of RFC 3464 (also the global one of RFC 6533); if there is none,
 *            the texts by which qmail, Exim, Postfix, Sendmail, Exchange, OpenSMTPD, Domino and the
 *            large providers tell it (mail_dsn_text, a table). What is neither is no report:
 *            an answering machine, a letter.
 * Ownership: everything is copied.
 * Errors:    ERR_NOTFOUND: no report of delivery.
 * Limits:    MAIL_DSN_RECIPIENTS; more are left out. Texts are one line and cut.
 * Thread:    pure; any.
 * Source:    RFC 3464, 3463, 6533; the programs' own texts. */
#ifndef MAIL_MAIL_DSN_H
#define MAIL_MAIL_DSN_H

#include "mail/mail_report.h"

#define MAIL_DSN_RECIPIENTS 32
#define MAIL_DSN_TEXT	    512
#define MAIL_DSN_STATUS	    12

enum mail_dsn_action {
	MAIL_DSN_UNKNOWN,
	MAIL_DSN_FAILED,
	MAIL_DSN_DELAYED,
	MAIL_DSN_DELIVERED,
	MAIL_DSN_RELAYED,
	MAIL_DSN_EXPANDED
};

struct mail_dsn_recipient {
	enum mail_dsn_action action;
	char address[MAIL_REPORT_ADDRESS];  /* as the reporting host has it; or "" */
	char original[MAIL_REPORT_ADDRESS]; /* as the sender gave it; or "" */
	char status[MAIL_DSN_STATUS];	    /* "5.1.1", or "" */
	unsigned code;			    /* of SMTP, or 0 */
	char text[MAIL_DSN_TEXT];	    /* what the server said, or "" */
};
struct mail_dsn {
	const char *dialect; /* "rfc3464", "qmail", ... */
	char envid[128];
	unsigned count;
	struct mail_dsn_recipient recipients[MAIL_DSN_RECIPIENTS];
};

int mail_dsn_read(const struct mail_report *r, struct mail_dsn *d);

/* From the words of a server: a reply code (400..599) and an enhanced status; 0 and "" if there are
 * none. */
void mail_dsn_codes(const char *text, unsigned *code, char status[MAIL_DSN_STATUS]);

/* The tables of texts (mail_dsn_text.c): 0 or ERR_NOTFOUND. */
int mail_dsn_text(struct span text, struct mail_dsn *d);

#endif
