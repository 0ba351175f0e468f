/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_param - the ESMTP parameters that follow the path of MAIL and RCPT.
 *
 * Story:     smtp_param_next takes one "KEYWORD" or "KEYWORD=value" after the other off what stands behind the
 *            path; the caller decides which ones it takes on that command.
 * Ownership: spans point into the input. Pure; any thread.
 * Source:    RFC 5321 4.1.2 (esmtp-param), RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 4954 (AUTH),
 *            3461 (RET, ENVID, NOTIFY, ORCPT), 8689 (REQUIRETLS). */
#ifndef SMTP_SMTP_PARAM_H
#define SMTP_SMTP_PARAM_H

#include "core/span.h"

#define SMTP_PARAMS(X)                                                                             \
	X(SIZE) X(BODY) X(SMTPUTF8) X(AUTH) X(RET) X(ENVID) X(NOTIFY) X(ORCPT) X(REQUIRETLS)

enum smtp_param_id {
	SMTP_PARAM_UNKNOWN,
#define SMTP_PARAM_ENUM(p) SMTP_PARAM_##p,
	SMTP_PARAMS(SMTP_PARAM_ENUM)
#undef SMTP_PARAM_ENUM
	SMTP_PARAM_COUNT
};

enum smtp_param_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };

struct smtp_param {
	enum smtp_param_id id;
	struct span name;
	struct span value;
	int has_value; /* "=" was there; the value then has at least one octet */
};

/* 1: *out is the next parameter and *rest what follows it; 0: no more; ERR_FORMAT. */
int smtp_param_next(struct span *rest, struct smtp_param *out);
/* Value of SIZE, 1 to 20 digits: 0 or ERR_FORMAT; a number beyond 64 bits counts as UINT64_MAX. */
int smtp_param_size(struct span value, uint64_t *size);
/* Value of NOTIFY: SMTP_NOTIFY_* or ERR_FORMAT (NEVER stands alone, nothing stands twice). */
enum { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };
int smtp_param_notify(struct span value);
/* xtext of at most max octets as they stand there (RFC 3461 4): 0, ERR_FORMAT, ERR_LIMIT. */
int smtp_param_xtext(struct span value, size_t max);
#define SMTP_ENVID_MAX 100 /* octets of ENVID, RFC 3461 4.4 */
#define SMTP_ORCPT_MAX 500 /* of ORCPT, 4.2 */
/* Value of ORCPT: address type, ";", xtext. As above. */
int smtp_param_orcpt(struct span value);

/* Value of BODY: enum smtp_param_body or ERR_FORMAT. */
int smtp_param_body(struct span value);

#endif
