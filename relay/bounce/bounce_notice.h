/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_notice - what a message that came back says, as far as anything may follow from it.
 *
 * Story:     read takes a whole message: a report of delivery, a complaint, or neither. It gathers the addresses that the
 *            message names in places where the recipient may stand, and the token, if the message was not sent to it but
 *            holds it (a complaint to a report address). Nothing is believed: bounce_intake has keyd say which
 *            address, if any, belongs to the token.
 * Ownership: everything is copied; wipe it when done, it has addresses.
 * Limits:    BOUNCE_NOTICE_ADDRESSES addresses.
 * Thread:    pure; any. */
#ifndef RELAY_BOUNCE_BOUNCE_NOTICE_H
#define RELAY_BOUNCE_BOUNCE_NOTICE_H

#include "mail/mail_dsn.h"
#include "relay/bounce/bounce_class.h"
#include "relay/bounce/bounce_verp.h"

#define BOUNCE_NOTICE_ADDRESSES 64

enum bounce_notice_kind { BOUNCE_NOTICE_OTHER, BOUNCE_NOTICE_BOUNCE, BOUNCE_NOTICE_COMPLAINT };

struct bounce_notice {
	enum bounce_notice_kind kind;
	int has_token;
	struct bounce_verp token;
	char what[24]; /* COMPLAINT: its type; BOUNCE: the dialect */
	int wanted;    /* COMPLAINT: not one of a person who did not want it */
	unsigned count;
	struct bounce_notice_address {
		char address[MAIL_REPORT_ADDRESS];
		int of; /* index in told; -1: the report does not say which */
	} addresses[BOUNCE_NOTICE_ADDRESSES];
	unsigned told_count;
	struct bounce_notice_told { /* BOUNCE, per recipient */
		enum mail_dsn_action action;
		enum bounce_class class;
		int hard;
		unsigned code;
		char status[MAIL_DSN_STATUS];
	} told[MAIL_DSN_RECIPIENTS];
};

/* domain: bounce.domain. A token that the caller knows already stands in n before; everything else is set. ERR_NOMEM. */
int bounce_notice_read(struct bounce_notice *n, struct span message, const char *domain);
/* What is said of address i: told, or NULL. */
const struct bounce_notice_told *bounce_notice_told(const struct bounce_notice *n, unsigned i);

#endif
