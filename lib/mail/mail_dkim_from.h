/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dkim_from - the domain that a From field speaks for.
 *
 * Story:     who signs must read From as every receiver does, or he signs for somebody else. So this reader is strict: what is
 *            not a list of mailboxes by RFC 5322 3.4 (with UTF-8, RFC 6532; groups, RFC 6854) is refused, not guessed at.
 *            Comments and folds may stand wherever the grammar has them.
 * Ownership: nothing is kept; domain is lower case in its ASCII letters, otherwise as it stands there.
 * Errors:    ERR_FORMAT; ERR_EXISTS: its mailboxes have different domains; ERR_LIMIT: longer than a domain can be.
 * Thread:    pure; any. */
#ifndef MAIL_MAIL_DKIM_FROM_H
#define MAIL_MAIL_DKIM_FROM_H

#include "core/span.h"

#define MAIL_DKIM_DOMAIN 256

/* value: unfolded, as mail_dkim_head_value gives it. */
int mail_dkim_from(struct span value, char domain[MAIL_DKIM_DOMAIN]);

#endif
