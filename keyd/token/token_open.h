/* SPDX-License-Identifier: Apache-2.0 */
/* token_open - from a PKCS#11 URI to a session on the one token that it names.
 *
 * Story:     modules come from p11-kit's configuration, or are the single one that module-path=
 *            names, if that is allowed. Of all their slots exactly one may match. token_open_login
 *            then looks at what the token says about its PIN before it uses up a try.
 * Ownership: token_open_close gives everything back, after a failure too.
 * Errors:    enum keyd_token_why. What a token said is logged, since the reply has no room for it.
 * Source:    PKCS#11 v2.40; RFC 7512.
 * Thread:    one. */
#ifndef KEYD_TOKEN_TOKEN_OPEN_H
#define KEYD_TOKEN_TOKEN_OPEN_H

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>

#include "keyd/keyd_token_msg.h"

struct token_open {
	P11KitUri *uri;
	CK_FUNCTION_LIST **all; /* of p11-kit's configuration, or NULL */
	CK_FUNCTION_LIST *one;	/* of module-path, or NULL */
	CK_FUNCTION_LIST *f;	/* the module with the token */
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session; /* 0: none */
};

unsigned token_open(struct token_open *t, struct span uri, const char *const *modules,
		    size_t module_count);
/* A session that only reads, with the user logged in. unattended: not with the last tries. */
unsigned token_open_login(struct token_open *t, struct span pin, int unattended);
void token_open_close(struct token_open *t);

/* Logs a failed call and says what it means. */
unsigned token_open_why(const char *call, CK_RV rv);

#endif
