/* SPDX-License-Identifier: Apache-2.0 */
/* milter_keyd - the milter's way to keyd: a few connections that its threads share.
 *
 * Story:     each message asks twice whether keyd can be had (before it is taken, and before it is let
 *            go), and a message of a campaign asks for its MAC to be verified. A thread borrows a
 *            connection for that long only, so there are as many as questions at the same moment.
 *            Going away and coming back are logged once, by whoever notices first.
 * Errors:    ERR_LOCKED (keyd is there but not READY) or what keyproto_client_sync returns.
 * Thread:    any. */
#ifndef MILTER_MILTER_KEYD_H
#define MILTER_MILTER_KEYD_H

#include "core/span.h"

struct milter_keyd;

/* NULL: out of memory. Does not connect yet. */
struct milter_keyd *milter_keyd_new(const char *path, int64_t timeout_usec);
/* All threads must be done with it. */
void milter_keyd_free(struct milter_keyd *k);

/* 0 if keyd is there and READY. */
int milter_keyd_check(struct milter_keyd *k);

/* 0 if mac (MAIL_CAMPAIGN_MAC bytes) is the customer's over data; ERR_AUTH if not; ERR_NOTFOUND: keyd
 * does not know the customer. */
int milter_keyd_verify(struct milter_keyd *k, const char *customer, struct span data,
		       const uint8_t *mac);

#endif
