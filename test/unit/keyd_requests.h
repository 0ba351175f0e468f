/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_requests - one good request of each operation of keyd, as somebody makes it who means it.
 *
 * Story: the play of permissions sends them in every role, and the fuzzers' corpus is made of them. They
 *        speak of customer "default" and, where they need one that exists, key "tls/relay". The body of an
 *        operation that is not in the table is its example in test/vectors/keyproto (below $srcdir), if it
 *        has one, and else empty. */
#ifndef TEST_UNIT_KEYD_REQUESTS_H
#define TEST_UNIT_KEYD_REQUESTS_H

#include "keyproto/keyproto_msg.h"

/* What keyd_permit is asked about. */
enum keyd_request_about { KEYD_REQUEST_NOTHING, KEYD_REQUEST_PURPOSE, KEYD_REQUEST_LABEL };
#define KEYD_REQUEST_ANY 1 /* as result: anything but a denial */

struct keyd_request {
	unsigned op;
	enum keyd_request_about about;
	void (*put)(struct buf *b, const char *subject, unsigned purpose);
	int result; /* what a READY keyd that has "default", and no key, answers to who may */
};

const struct keyd_request *keyd_request_of(unsigned op);
/* Writes the body. subject: a purpose, a label or "-". b is marked if no request can carry it. */
void keyd_request_put(struct buf *b, unsigned op, const char *subject);

#endif
