/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dkim_head - which header fields of a message DKIM signs, gathered in relaxed form while the message streams past.
 *
 * Story:     feed takes the message in stretches of any length until the header section is over (done), and tells how much of
 *            a stretch belonged to it: the rest is body. end says that nothing more comes. Fields that are never signed
 *            (Received, X-..., foreign DKIM-Signatures) are passed over. choose then decides what is signed; names and
 *            input give it in the order of h=.
 * Rules:     MAIL_DKIM_NAMES. A field of a name that is listed is signed each time it occurs, the last one first (RFC 6376
 *            5.4.2). Some names stand in h= once more than they occur, so that nobody can add one (3.5, 8.15): those
 *            marked ALWAYS even if there is none, those marked FOUND if there is one.
 *            What is longer than the signer takes loses the longest of its fields that are not marked KEEP, all fields
 *            of one name together.
 *            The section ends at the empty line, or at the first line that is no field: then it is broken.
 * Memory:    plaintext of mail, wiped. At most max octets and a line.
 * Source:    RFC 6376 3.4.2, 5.4, 5.4.1; RFC 8058 4 (List-Unsubscribe); RFC 8460 5.3 (TLS-Report).
 * Thread:    pure; one at a time. */
#ifndef MAIL_MAIL_DKIM_HEAD_H
#define MAIL_MAIL_DKIM_HEAD_H

#include "core/buf.h"

enum { MAIL_DKIM_KEEP = 1, MAIL_DKIM_ALWAYS = 2, MAIL_DKIM_FOUND = 4 };

#define MAIL_DKIM_K MAIL_DKIM_KEEP
#define MAIL_DKIM_A MAIL_DKIM_ALWAYS
#define MAIL_DKIM_F MAIL_DKIM_FOUND
/* X(symbol, name, flags), in the order of h= */
#define MAIL_DKIM_NAMES(X)                                                                         \
	X(FROM, "From", MAIL_DKIM_K | MAIL_DKIM_A)                                                 \
	X(SENDER, "Sender", MAIL_DKIM_F)                                                           \
	X(REPLY_TO, "Reply-To", MAIL_DKIM_K | MAIL_DKIM_A)                                         \
	X(TO, "To", MAIL_DKIM_A)                                                                   \
	X(CC, "Cc", MAIL_DKIM_A)                                                                   \
	X(SUBJECT, "Subject", MAIL_DKIM_K | MAIL_DKIM_A)                                           \
	X(DATE, "Date", MAIL_DKIM_K | MAIL_DKIM_F)                                                 \
	X(MESSAGE_ID, "Message-ID", MAIL_DKIM_K | MAIL_DKIM_F)                                     \
	X(IN_REPLY_TO, "In-Reply-To", MAIL_DKIM_F)                                                 \
	X(REFERENCES, "References", MAIL_DKIM_F)                                                   \
	X(MIME_VERSION, "MIME-Version", MAIL_DKIM_K | MAIL_DKIM_F)                                 \
	X(CONTENT_TYPE, "Content-Type", MAIL_DKIM_K | MAIL_DKIM_F)                                 \
	X(CONTENT_ENCODING, "Content-Transfer-Encoding", MAIL_DKIM_K | MAIL_DKIM_F)                \
	X(CONTENT_ID, "Content-ID", 0)                                                             \
	X(CONTENT_DESCRIPTION, "Content-Description", 0)                                           \
	X(CONTENT_DISPOSITION, "Content-Disposition", 0)                                           \
	X(LIST_UNSUBSCRIBE, "List-Unsubscribe", MAIL_DKIM_K | MAIL_DKIM_F)                         \
	X(LIST_UNSUBSCRIBE_POST, "List-Unsubscribe-Post", MAIL_DKIM_K | MAIL_DKIM_F)               \
	X(LIST_ID, "List-Id", MAIL_DKIM_F)                                                         \
	X(LIST_HELP, "List-Help", 0)                                                               \
	X(LIST_OWNER, "List-Owner", 0)                                                             \
	X(LIST_SUBSCRIBE, "List-Subscribe", 0)                                                     \
	X(LIST_POST, "List-Post", 0)                                                               \
	X(LIST_ARCHIVE, "List-Archive", 0)                                                         \
	X(FEEDBACK_ID, "Feedback-ID", MAIL_DKIM_F)                                                 \
	X(AUTO_SUBMITTED, "Auto-Submitted", 0)                                                     \
	X(TLS_REQUIRED, "TLS-Required", 0)                                                         \
	X(TLS_REPORT_DOMAIN, "TLS-Report-Domain", MAIL_DKIM_K)                                     \
	X(TLS_REPORT_SUBMITTER, "TLS-Report-Submitter", MAIL_DKIM_K)                               \
	X(RESENT_DATE, "Resent-Date", 0)                                                           \
	X(RESENT_FROM, "Resent-From", 0)                                                           \
	X(RESENT_SENDER, "Resent-Sender", 0)                                                       \
	X(RESENT_TO, "Resent-To", 0)                                                               \
	X(RESENT_CC, "Resent-Cc", 0)                                                               \
	X(RESENT_MESSAGE_ID, "Resent-Message-ID", 0)

enum mail_dkim_name {
#define MAIL_DKIM_ENUM(sym, name, flags) MAIL_DKIM_##sym,
	MAIL_DKIM_NAMES(MAIL_DKIM_ENUM)
#undef MAIL_DKIM_ENUM
	    MAIL_DKIM_NAME_COUNT
};

#define MAIL_DKIM_LINE	(512u << 10) /* octets of one line: from the wire it is 1000, filters may make longer ones */
#define MAIL_DKIM_TIMES 20	     /* fields of one name: more are not signed */

struct mail_dkim_head {
	size_t max; /* octets that the signer takes */
	int done, broken;
	int too_long;	 /* KEEP fields alone are longer */
	struct buf text; /* relaxed fields, each with its CR LF, as they came */
	struct mail_dkim_place {
		uint32_t at, n; /* in text */
		uint8_t name;
	} *places;
	unsigned count, room;
	struct {
		uint32_t octets;
		uint16_t times;
		uint8_t left_out;
	} names[MAIL_DKIM_NAME_COUNT];
	int open;   /* a field is under way: the next line may continue it, */
	int listed; /* it is the last of places, */
	int begun;  /* its value has */
	struct buf line; /* one that has not come whole */
};

/* max: octets that the signer takes at once. */
void mail_dkim_head_init(struct mail_dkim_head *h, size_t max);
void mail_dkim_head_clear(struct mail_dkim_head *h);
/* Octets of in that belong to the section, its empty line included; all of them as long as it is not done. In a broken
 * section the line that is no field belongs to the body: if an earlier stretch began it, *before is that beginning, valid
 * until clear (else empty). ERR_NOMEM. */
ptrdiff_t mail_dkim_head_feed(struct mail_dkim_head *h, struct span in, struct span *before);
/* The message ends here. ERR_NOMEM. */
int mail_dkim_head_end(struct mail_dkim_head *h);

/* The value of the only field of that name, relaxed. ERR_NOTFOUND; ERR_EXISTS: there are several; ERR_LIMIT: too long. */
int mail_dkim_head_value(const struct mail_dkim_head *h, enum mail_dkim_name name, struct span *value);

/* Once done: leaves out what does not fit in room octets. ERR_LIMIT: what has to be signed is longer. */
int mail_dkim_head_choose(struct mail_dkim_head *h, size_t room);
/* The value of h=: names with colons between them, cut in lines that begin with a blank, of at most width octets; used: of
 * the line that it begins on. */
int mail_dkim_head_names(const struct mail_dkim_head *h, size_t used, size_t width, struct buf *out);
/* The fields as they are hashed. */
int mail_dkim_head_input(const struct mail_dkim_head *h, struct buf *out);
/* How many names were left out for their length. */
unsigned mail_dkim_head_left_out(const struct mail_dkim_head *h);

/* One whole field (its line ends included) in relaxed form, with its CR LF, appended. */
int mail_dkim_head_relax(struct span field, struct buf *out);

#endif
