/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_recall - tombstones out of the audit log, for a store that does not know them.
 *
 * Story:     each state of a destruction stands in the audit log with the customer's token. When a
 *            store came out of a backup, or is an older copy that an officer accepts, the log is
 *            read from its beginning, and what it tells is pending as if relay had said it
 *            (keyd_witness_pend). Lines are believed for nothing else: a token has its own MAC.
 * Errors:    ERR_LIMIT: there are more than can be kept. A log that cannot be read tells nothing.
 * Thread:    the loop's, while nothing is served. */
#ifndef KEYD_KEYD_RECALL_H
#define KEYD_KEYD_RECALL_H

struct keyd;

int keyd_recall(struct keyd *k);

#endif
