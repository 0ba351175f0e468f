/* SPDX-License-Identifier: Apache-2.0 */
/* mail_campaign - the header by which a message names its campaign, and the bytes its MAC is over.
 *
 *   X-DoPosta-Campaign: v=1; id=cmp_01; ver=3; t=1767225600; n=NONCE; kid=KEY; mac=BASE64URL
 *
 * Story:     the sending application (or `sealpost campaign header`) fills a struct, gets the bytes from
 *            mail_campaign_input, lets keyd MAC them (label MAIL_CAMPAIGN_LABEL) and writes the value with
 *            _format. The milter parses the value, checks _fresh, builds the same bytes from what it saw
 *            of the transaction, and lets keyd verify. The MAC binds the campaign to one sender, one
 *            recipient and one Message-ID.
 * Grammar:   the seven fields in this order, each once, divided by ";" and white space (blanks, or a
 *            fold); no other white space inside, no trailing ";". v is 1; id 1..64 and kid 1..64
 *            characters of [A-Za-z0-9_.-], n 8..64 of [A-Za-z0-9_-]; ver and t decimal without leading
 *            zeros, ver at most 4294967295, t at most 11 digits; mac 43 characters of base64url.
 *            kid says which key the sender used, for people: the verifier takes the customer's.
 * Ownership: spans of a parsed struct point into the value.
 * Errors:    ERR_FORMAT for anything that is not of this form.
 * Thread:    pure; any. */
#ifndef MAIL_MAIL_CAMPAIGN_H
#define MAIL_MAIL_CAMPAIGN_H

#include "core/buf.h"

#define MAIL_CAMPAIGN_HEADER "X-DoPosta-Campaign"
#define MAIL_CAMPAIGN_LABEL "campaign/1"
#define MAIL_CAMPAIGN_MAC 32
#define MAIL_CAMPAIGN_WINDOW 900 /* seconds, before and after */
#define MAIL_CAMPAIGN_INPUT_MAX 4096

struct mail_campaign {
	struct span id;
	uint32_t version;
	int64_t time; /* seconds since 1970 */
	struct span nonce;
	struct span kid;
	uint8_t mac[MAIL_CAMPAIGN_MAC];
};

/* value: what stands behind the colon, folds (CRLF or LF) and outer white space included. */
int mail_campaign_parse(struct span value, struct mail_campaign *c);

/* Appends the value, on one line and without a line end. */
int mail_campaign_format(struct buf *out, const struct mail_campaign *c);

/* Appends what the MAC is over: "dp-camp-1", id, ver, t, n, sender, recipient, Message-ID, joined by LF.
 * sender and recipient: with or without their angle brackets, otherwise as given (an empty sender is
 * the null sender); message_id: the header's value, white space around it is cut. ERR_FORMAT if the
 * recipient or Message-ID is empty, or one of the three holds a control character; ERR_LIMIT above
 * MAIL_CAMPAIGN_INPUT_MAX. */
int mail_campaign_input(struct buf *out, const struct mail_campaign *c, struct span sender,
			struct span recipient, struct span message_id);

/* 1 if the header's time is within the window around now (microseconds since 1970). */
int mail_campaign_fresh(const struct mail_campaign *c, int64_t now);

#endif
