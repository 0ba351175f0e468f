/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dkim_body - the body hash of DKIM, while the body streams past: relaxed canonicalisation, SHA-256.
 *
 * Story:     init once, feed what belongs to the body in stretches of any length, end gives the hash; reset begins another
 *            body. The relaxed form drops white space at the ends of lines and empty lines at the end of the body, and
 *            makes one blank of every other run of white space; so what comes is held back until it is known whether
 *            anything follows. A body without any text hashes as nothing at all.
 *            mail_dkim_relax is the same without the hash, for whoever wants the canonical bytes.
 * Memory:    flat, whatever the size; what was copied is wiped.
 * Source:    RFC 6376 3.4.4, 3.7.
 * Thread:    pure; one at a time. */
#ifndef MAIL_MAIL_DKIM_BODY_H
#define MAIL_MAIL_DKIM_BODY_H

#include "core/span.h"

#define MAIL_DKIM_HASH 32

struct mail_dkim_relax {
	void (*put)(void *arg, struct span s);
	void *arg;
	uint64_t ends; /* line ends held back */
	int blank;     /* white space held back */
	int cr;	       /* the last octet was a CR: is it of a line end? */
	int any;       /* something was put */
};
void mail_dkim_relax_init(struct mail_dkim_relax *r, void (*put)(void *arg, struct span s), void *arg);
void mail_dkim_relax_feed(struct mail_dkim_relax *r, struct span in);
/* Nothing more comes. Only init may follow. */
void mail_dkim_relax_end(struct mail_dkim_relax *r);

struct mail_dkim_body {
	struct mail_dkim_relax relax;
	void *md; /* EVP_MD_CTX */
	int failed;
};
/* ERR_NOMEM, ERR_CRYPTO: only clear may follow. */
int mail_dkim_body_init(struct mail_dkim_body *b);
/* Also after a failed init, and of what is all zeros. */
void mail_dkim_body_clear(struct mail_dkim_body *b);
void mail_dkim_body_reset(struct mail_dkim_body *b);
void mail_dkim_body_feed(struct mail_dkim_body *b, struct span in);
/* ERR_CRYPTO. Only reset or clear may follow. */
int mail_dkim_body_end(struct mail_dkim_body *b, uint8_t hash[MAIL_DKIM_HASH]);

#endif
