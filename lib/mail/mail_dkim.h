/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dkim - the DKIM-Signature field: its text, what is signed, and the signature in it.
 *
 * Story:     with the header section gathered (mail_dkim_head) and the hash of the body (mail_dkim_body), format writes the
 *            field up to its empty b=, which comes last; input gives what the signature is over, and digest the SHA-256
 *            of that, which is what an Ed25519 key signs; finish adds the signature. choose comes before all that: it
 *            leaves out what is too long.
 *            Always relaxed/relaxed, no l=: the whole body counts.
 * Format:    lines of at most 78 characters, folded where RFC 6376 3.5 permits it.
 * Source:    RFC 6376 3.5, 3.7; RFC 8463 3 (Ed25519); RFC 8301 (rsa-sha256).
 * Thread:    pure; any. */
#ifndef MAIL_MAIL_DKIM_H
#define MAIL_MAIL_DKIM_H

#include "mail/mail_dkim_body.h"
#include "mail/mail_dkim_head.h"

/* X(symbol, a=) */
#define MAIL_DKIM_ALGS(X)             \
	X(RSA, "rsa-sha256")          \
	X(ED25519, "ed25519-sha256")
enum mail_dkim_alg {
#define MAIL_DKIM_ENUM(sym, name) MAIL_DKIM_##sym,
	MAIL_DKIM_ALGS(MAIL_DKIM_ENUM)
#undef MAIL_DKIM_ENUM
	    MAIL_DKIM_ALG_COUNT
};
const char *mail_dkim_alg_name(enum mail_dkim_alg alg);

#define MAIL_DKIM_FIELD_MAX 20480 /* of one field: h= is the longest in it */

struct mail_dkim_facts {
	enum mail_dkim_alg alg;
	const char *domain, *selector;
	int64_t time;	     /* seconds since 1970 */
	const uint8_t *hash; /* MAIL_DKIM_HASH octets, of the body */
};

/* Leaves fields out of h until the input of each of these is at most h->max octets. ERR_LIMIT: what has to be signed is
 * longer; ERR_NOMEM. */
int mail_dkim_choose(struct mail_dkim_head *h, const struct mail_dkim_facts *f);
/* The field with an empty b=, without its line end. */
int mail_dkim_format(const struct mail_dkim_head *h, const struct mail_dkim_facts *f, struct buf *field);
/* What is signed: the fields, and this one. */
int mail_dkim_input(const struct mail_dkim_head *h, struct span field, struct buf *out);
int mail_dkim_digest(struct span input, uint8_t digest[MAIL_DKIM_HASH]);
/* The signature into the field, and its line end. */
int mail_dkim_finish(struct buf *field, struct span signature);

#endif
