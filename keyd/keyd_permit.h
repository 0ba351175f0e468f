/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_permit - who may do what: one table, and one function that decides.
 *
 * Story:     every operation asks here before it does anything, naming the role of the
 *            connection, the socket it came in on, and the subject: the purpose of a sub-key
 *            ("spool"), the label of a signing key or a MAC ("tls/relay"), or nothing. What no
 *            row allows is denied.
 * Source:    DESIGN section 3; sealpost-keyd(8) shows the table.
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_PERMIT_H
#define KEYD_KEYD_PERMIT_H

#include "core/span.h"

enum keyd_permit_socket { KEYD_PERMIT_USE = 1, KEYD_PERMIT_ADMIN = 2 };

/* 1 if allowed. role and op are enum keyproto_role and keyproto_op; subject is empty for operations
 * that have none. */
int keyd_permit(unsigned role, unsigned socket, unsigned op, struct span subject);
/* 1 if there is any subject for which it is allowed. */
int keyd_permit_any(unsigned role, unsigned socket, unsigned op);

/* The rows, for the test and for the manual: row number i, or 0 when there are no more. */
struct keyd_permit_row {
	unsigned role, socket, op;
	const char *
	    subject; /* exact text, or a prefix that ends in '*'; NULL: operation without subject */
};
const struct keyd_permit_row *keyd_permit_row(unsigned i);

#endif
