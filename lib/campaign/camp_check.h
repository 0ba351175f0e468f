/* SPDX-License-Identifier: Apache-2.0 */
/* camp_check - the judge of a whole message: is it an instance of this campaign?
 *
 * Story:     new when the campaign header named a compiled campaign; then the calls of mail_gate, in its
 *            order: header for each field, eoh, body, end. The judge runs the strict gate itself, compares
 *            headers with the manifest's, the MIME tree row by row, each text part with its template, each
 *            other part by type, name, size and SHA-256. Who calls checks before: validity, state, cap,
 *            revocation, audience, MAC. Nothing of the body is kept; the places that tracking may change
 *            are noted while it streams.
 * Headers:   From, Reply-To, Subject, List-Id as the manifest says; To the one recipient; Date, Message-ID,
 *            MIME-Version, Received, Return-Path, Content-..., X-DoPosta-... pass; List-Unsubscribe if allowed
 *            and within hosts; others only if extra_allow names them. Sender, Cc, Bcc, Resent-...: never.
 * Signed:    in mode signed-part a part without a digest in the manifest has one in a header
 *              X-DoPosta-Part: v=1; n=INDEX; sha256=HEX; size=N; mac=BASE64URL
 *            (n: the part's number in preorder). The judge holds the part against it; whether the MAC is the
 *            sender's, the caller asks keyd: camp_check_signed gives what it is over.
 * Verdict:   each call gives 0 or ERR_*; after an error camp_check_result says why, and the rest of the
 *            message need not be given. A message is approved only when end gave 0.
 * Ownership: borrows the compiled campaign until free; copies the recipient.
 * Limits:    about 120 KiB for one; CAMP_PLACES places.
 * Thread:    one at a time. */
#ifndef CAMPAIGN_CAMP_CHECK_H
#define CAMPAIGN_CAMP_CHECK_H

#include "campaign/camp_edit.h"
#include "campaign/camp_match.h"
#include "core/buf.h"

#define CAMP_PART_HEADER "X-DoPosta-Part"

struct camp_check_params {
	struct span rcpt; /* the envelope's recipient, with or without its brackets */
};

#define CAMP_HEADER_SHOWN 48

struct camp_check_result {
	enum camp_verdict verdict;
	const char *rule;    /* AMBIGUOUS, TOO_BIG: the gate's; else the verdict's name */
	unsigned part;	     /* in preorder; 0 also for headers */
	uint64_t offset;     /* text parts: canonical; else of the message's body */
	uint64_t line;	     /* text parts: of the canonical text, from 1; else 0 */
	unsigned tpl;	     /* or CAMP_NONE */
	uint32_t tpl_offset; /* in its blob */
	unsigned field;	     /* index in the manifest's fields, or CAMP_NONE */
	/* of a header: its name, in lower case, cut, what is no letter, digit or - in it as ?; else "" */
	char header[CAMP_HEADER_SHOWN];
};

/* A link or the pixel, where it came to lie. */
struct camp_place {
	unsigned part;
	enum camp_mark_kind kind; /* CAMP_MARK_LINK_FROM or CAMP_MARK_PIXEL */
	unsigned link;		  /* index */
	uint64_t from, to;	  /* sources: see camp_edit.h; pixel: equal */
	uint32_t values,
	    n_values; /* the values of its fields: camp_check_values */
};

struct camp_check;
/* NULL: out of memory. */
struct camp_check *camp_check_new(const struct camp_compiled *c,
				  const struct camp_check_params *params);
void camp_check_free(struct camp_check *k);

/* As mail_gate_header and so on. */
int camp_check_header(struct camp_check *k, struct span name, struct span value);
int camp_check_eoh(struct camp_check *k);
int camp_check_body(struct camp_check *k, struct span piece);
int camp_check_end(struct camp_check *k);

struct camp_check_result camp_check_result(const struct camp_check *k);

/* After end gave 0. Places of tracked links and pixels in part order, none in protected parts. */
const struct camp_place *camp_check_places(const struct camp_check *k, size_t *n);
/* The values of a place: each with its length (one octet) before it; empty if the link has no fields. */
struct span camp_check_values(const struct camp_check *k, const struct camp_place *p);
/* What camp_splice must know of the parts that have places. */
const struct camp_edit_part *camp_check_parts(const struct camp_check *k, size_t *n);
/* Places left out as they lie in protected parts. */
size_t camp_check_skipped(const struct camp_check *k);

/* Parts that the header X-DoPosta-Part names: i counts from 0; 0 while there is one, then ERR_NOTFOUND.
 * Appends to out what its MAC is over ("dp-part-1", campaign, version, message_id, n, size, sha256, joined
 * by LF); mac points into the judge. */
int camp_check_signed(const struct camp_check *k, size_t i, struct span message_id, struct buf *out,
		      const uint8_t **mac);
#define CAMP_PART_MAC 32

#endif
