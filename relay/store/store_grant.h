/* SPDX-License-Identifier: Apache-2.0 */
/* store_grant - blocks of messages that were granted to a milter, and what comes back of them.
 *
 * Story:     campaign.taken counts what was granted of a version (store_grant_take). Each block has an id that nobody can guess and
 *            is a row for as long as something of it may come back: until who holds it asks for the next one and says that this
 *            one is spent, or gives back what is left of it (store_grant_return), which he can once. So what comes back is never
 *            more than was granted and neither spent nor given back before, whatever is asked and however often. A milter that
 *            ends without a word loses its block: too few messages go then, never too many.
 * Limits:    STORE_GRANT_OPEN rows of a version, the newest: older ones are lost.
 * Errors:    of store.h; ERR_BADSTATE, ERR_NOTFOUND, ERR_LIMIT.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_GRANT_H
#define RELAY_STORE_STORE_GRANT_H

#include "relay/store/store.h"

#define STORE_GRANT_ID	 16
#define STORE_GRANT_OPEN 64

/* Adds to taken of a row in state at most count, and no more than max_messages allows: *granted, a block of the name id.
 * spent: the id of a block of this version that was used up; may be empty. All of it is one change. */
int store_grant_take(struct store *s, int64_t number, int state, int64_t count, struct span spent,
		     struct span id, int64_t *granted);
/* Takes unused back from taken of its version. Within the caller's transaction. ERR_NOTFOUND: there is no such block, or not any
 * more; ERR_LIMIT: it is not as large, and stays. */
int store_grant_return(struct store *s, struct span id, int64_t unused);

#endif
