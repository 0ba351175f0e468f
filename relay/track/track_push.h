/* SPDX-License-Identifier: Apache-2.0 */
/* track_push - webhooks: who is told of what, over HTTPS, until he has heard it or three days have gone.
 *
 * Story:     an event that a hook of its customer wants is a row of push, beside the event itself in track.db: nothing is
 *            forgotten by a restart, and nothing of the event lies there twice. The body is made when it is sent: so what was
 *            erased meanwhile is not told. It goes by control to worker 0, which resolves the host (https_ask: https alone,
 *            no private address unless outbound.private_ok names it, no redirect), and comes back.
 *            Hooks take turns, and one that failed is asked for one thing at a time until it takes it: a server that hangs,
 *            however far behind, keeps no other waiting. One that answers 429 or 503 with Retry-After is asked for nothing
 *            until then, but for a day at most; a test that is wanted ends that. One that answers 410 is told nothing more (webhook-ended) until it
 *            takes a test. What keyd's absence prevents is tried again soon and does not count.
 * Limits:    TRACK_PUSH_OPEN at a time, TRACK_PUSH_HOOK of them for one hook; TRACK_PUSH_WAITING rows for one hook: what
 *            comes beyond is not told (webhook-full). An event that is older than TRACK_PUSH_LIFE is not tried again.
 *            TRACK_PUSH_CUSTOMER hooks of one customer, TRACK_PUSH_HOOKS in all.
 * Thread:    the keeper's.
 * Source:    tracking.webhook_timeout; sealpost-webhook(8). */
#ifndef RELAY_TRACK_TRACK_PUSH_H
#define RELAY_TRACK_TRACK_PUSH_H

#include "core/clock.h"

#define TRACK_PUSH_OPEN	    32
#define TRACK_PUSH_HOOK	    4
#define TRACK_PUSH_WAITING  100000
#define TRACK_PUSH_URL	    1024
#define TRACK_PUSH_ROTATE   (24 * 3600 * CLOCK_SEC) /* how long the secret before signs, too */
#define TRACK_PUSH_LIFE	    (4 * 24 * 3600 * CLOCK_SEC)
#define TRACK_PUSH_CUSTOMER 32
#define TRACK_PUSH_HOOKS    1000

#endif
