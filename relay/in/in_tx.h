/* SPDX-License-Identifier: Apache-2.0 */
/* in_tx - one mail transaction: what MAIL, RCPT and DATA have said so far.
 *
 * Story:     one per session, used again and again. sender and add gather the envelope; envelope makes it ready for the
 *            spool; reset forgets all, wiping the addresses. A session that is idle holds
 *            nothing beyond the struct itself.
 * Ownership: strings live in the transaction until reset.
 * Thread:    its session's. */
#ifndef RELAY_IN_IN_TX_H
#define RELAY_IN_IN_TX_H

#include "core/id.h"
#include "relay/in/in_campaign.h"
#include "relay/in/in_hops.h"
#include "relay/in/in_mark.h"
#include "relay/in/in_reply.h"
#include "relay/in/in_required.h"
#include "relay/spool/spool_message.h"
#include "smtp/smtp_addr.h"
#include "smtp/smtp_data.h"

#define IN_TX_RECIPIENTS 4

struct in_tx_block;

struct in_tx {
	struct spool_envelope envelope;
	int utf8_asked;	   /* SMTPUTF8 with MAIL */
	int refused_any;   /* a recipient was refused: tells DATA what to say */
	int asked;	   /* the filters know of it: forget is owed */
	int discard;	   /* a filter wants it accepted and thrown away */
	int chunks;	   /* the message comes by BDAT */
	int decided;	   /* filters have said their last word before the end of the message */
	int intake;	   /* its one recipient is at bounce.domain: it is read, not stored (bounce_intake) */
	int begun;	   /* the host has a message under way: commit or abort is owed */
	int64_t began;	   /* monotonic, at MAIL: for the log */
	uint64_t id;	   /* of the message, once begun */
	char name[ID_TEXT_SIZE];
	uint64_t size;	   /* body bytes taken so far, our Received not counted */
	struct smtp_data_in data;
	struct in_hops hops;
	struct in_campaign campaign;
	struct in_mark mark;
	struct in_required required;
	char owner[MAIL_TRACE_NAME + 1]; /* customer whose message it is, by the milter's word; else the session's */
	const char *dkim; /* domain that signed it; NULL: none */
	enum in_reply refusal; /* why the message will be refused when its end has come */
	/* memory */
	struct in_tx_block *blocks; /* of text, the last one first */
	uint32_t *hashes; /* of the recipients, to find repeated ones */
	unsigned room;
	struct spool_recipient first_recipients[IN_TX_RECIPIENTS];
	uint32_t first_hashes[IN_TX_RECIPIENTS];
};

void in_tx_init(struct in_tx *tx);
/* Forgets everything and gives extra memory back. */
void in_tx_reset(struct in_tx *tx);

/* 0 or ERR_NOMEM. */
int in_tx_sender(struct in_tx *tx, const struct smtp_addr *a);
/* 1: added, 0: it was there already, ERR_NOMEM. */
int in_tx_add(struct in_tx *tx, const struct smtp_addr *a);
/* Takes a recipient out again. */
void in_tx_remove(struct in_tx *tx, unsigned index);
/* Its index, or -1. */
int in_tx_find(const struct in_tx *tx, const char *address);
/* What the recipient added last wants to hear of (RFC 3461). ERR_NOMEM. */
int in_tx_notify(struct in_tx *tx, uint32_t notify, struct span orcpt);
/* A string that lives as long as the transaction, or NULL. */
char *in_tx_keep(struct in_tx *tx, const char *s, size_t n);

#endif
