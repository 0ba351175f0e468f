/* SPDX-License-Identifier: Apache-2.0 */
/* track_push - webhooks: who is told of what, over HTTPS, until he has heard it or three days have gone.
 *
 * Story:     an event that a hook of its customer wants is a row of push, beside the event itself in track.db: nothing is
 *            forgotten by a restart, and nothing of the event lies there twice. The body is made when it is sent: so what was
 *            erased meanwhile is not told. It goes by control to worker 0, which resolves the host (https_ask: https alone,
 *            no private address unless outbound.private_ok names it, no redirect), and comes back.
 *            Secrets lie sealed (keyd, purpose FIELD, table "hook", column "secret" or "second"); each is sealed anew when
 *            it is a day old, so that no old key lives for their sake.
 * Limits:    TRACK_PUSH_OPEN at a time, TRACK_PUSH_HOOK of them for one hook; TRACK_PUSH_WAITING rows for one hook: what
 *            comes beyond is not told (webhook-full).
 * Thread:    the keeper's.
 * Source:    sealpost-webhook(8). */
#ifndef RELAY_TRACK_TRACK_PUSH_H
#define RELAY_TRACK_TRACK_PUSH_H

#include "relay/track/track_hook.h"
#include "relay/track/track_keep_own.h"

#define TRACK_PUSH_OPEN	   16
#define TRACK_PUSH_HOOK	   4
#define TRACK_PUSH_WAITING 100000
#define TRACK_PUSH_URL	   1024
#define TRACK_PUSH_ROTATE  (24 * 3600 * CLOCK_SEC) /* how long the secret before signs, too */
#define TRACK_PUSH_HOOKS   1000

/* Seals secrets of a hook into its row. second may be NULL. */
int track_push_keep_secrets(struct track_keep *k, int64_t hook, const char *customer,
			    const uint8_t secret[TRACK_HOOK_SECRET], const uint8_t *second, int64_t second_until);
/* A hook's secrets, opened; *has_second. */
struct track_push_secrets {
	char customer[TRACK_NAME];
	uint8_t secret[TRACK_HOOK_SECRET], second[TRACK_HOOK_SECRET];
	int has_second;
	int64_t second_until;
};
int track_push_secrets(struct track_keep *k, int64_t hook, struct track_push_secrets *out);

#endif
