/* SPDX-License-Identifier: Apache-2.0 */
/* milter_judge - decides what becomes of one message.
 *
 * Story:     begin when the headers are over; body with each piece, until nothing more is wanted; end; then what was decided
 *            can be read.
 *
 *              headers over --+-- campaign header: form, time, MAC (keyd), version (feed), validity, audience (keyd)
 *                             |       \-> held against the manifest while it streams (camp_check)
 *                             +-- none: enforce, quarantine, observe: refused; links-only: looked through; open: passes
 *                             \-- sensitive content: looked through as well (milter_scan)
 *              end -----------+-- one message more of what max_messages allows (feed), if all else is well
 *
 *            A body is kept (milter_body) only if tracking may change it.
 * Verdict:   what is wrong first counts. Whether it refuses, holds or is only told is the policy's; that something could not be
 *            found out (451) is nobody's to pass over.
 * Ownership: embedded in the connection's state. Borrows the message from begin to clear.
 * Thread:    one at a time; asks keyd and relay, and waits for them.
 * Source:    sealpost-milter(8), "Campaigns". */
#ifndef MILTER_MILTER_JUDGE_H
#define MILTER_MILTER_JUDGE_H

#include "campaign/camp_check.h"
#include "mail/mail_campaign.h"
#include "milter/milter_body.h"
#include "milter/milter_feed.h"
#include "milter/milter_keys.h"
#include "milter/milter_msg.h"
#include "milter/milter_scan.h"

enum milter_judge_word {
	MILTER_JUDGE_PASS,
	MILTER_JUDGE_HOLD,   /* passes, into the MTA's quarantine */
	MILTER_JUDGE_TELL,   /* passes, although */
	MILTER_JUDGE_REFUSE, /* with the verdict's reply */
	MILTER_JUDGE_LATER   /* 451 */
};

struct milter_judge {
	const struct milter_msg *msg;
	struct milter_feed *feed;
	struct milter_keyd *keyd;
	struct milter_keys *keys;
	enum milter_policy policy;
	/* what it claims, and what is known of that */
	int claimed;		    /* campaign is filled */
	struct mail_campaign campaign; /* spans into msg */
	int proven;		    /* the MAC verified */
	struct milter_manifest *manifest;
	struct camp_check *check;
	struct milter_scan *scan;
	int scanning;
	struct milter_body *body; /* NULL: not kept */
	uint64_t size;
	/* decided */
	enum camp_verdict verdict;
	const char *reason; /* static */
	struct camp_check_result where; /* part, offsets */
	struct milter_scan_result sensitive;
	enum milter_judge_word word;
};

/* Of a message whose headers are all there. */
void milter_judge_begin(struct milter_judge *j, const struct milter_msg *msg, struct milter_feed *feed,
			struct milter_keyd *keyd, struct milter_keys *keys);
/* 1: nothing that still comes is needed. */
int milter_judge_body(struct milter_judge *j, struct span piece);
/* Fills what is decided. */
void milter_judge_end(struct milter_judge *j);
/* Something failed on the way out: 451. reason: static. */
void milter_judge_fail(struct milter_judge *j, enum camp_verdict v, const char *reason);

/* For relay's reports; r->id and the time are the caller's to set. */
void milter_judge_report(const struct milter_judge *j, struct milter_report *r);

/* Lets go of everything; also of one that never began (zeroed). */
void milter_judge_clear(struct milter_judge *j);

#endif
