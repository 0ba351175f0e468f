/* SPDX-License-Identifier: Apache-2.0 */
/* milter_take - how many messages of a version may still go: asked of relay in blocks, and what is left of them given back.
 *
 * Story:     a message that finds no allowance of its version asks relay for a block by itself (milter_take_one): of
 *            max_messages, at most a hundredth and at most 100. A block has a name that relay made; the next request says that
 *            the one before is spent. When a version is served no more, and when the milter stops, what is left goes back
 *            (milter_take_return), and from then on nobody takes of that manifest: whatever becomes of the request, what may
 *            have been given back is never used. What a crash or a relay that is away costs is at most one block of each
 *            version: too few messages go then, never too many.
 * Ownership: borrows.
 * Thread:    any; both wait for relay. */
#ifndef MILTER_MILTER_TAKE_H
#define MILTER_MILTER_TAKE_H

#include "milter/milter_manifest.h"

/* One message more of a version. 0; ERR_LIMIT: there were as many as approved; ERR_AWAY: it is over; or what asking relay
 * came to. */
int milter_take_one(const char *socket, struct milter_manifest *m);
/* What is left of these (NULL: none) goes back to relay, which is logged. 0, or what asking relay came to. */
int milter_take_return(const char *socket, struct milter_manifest *const *over, size_t count);

#endif
