/* SPDX-License-Identifier: Apache-2.0 */
/* track_push_secret - the secrets of webhooks: sealed in track.db, opened when something is signed.
 *
 * Story:  each lies sealed by keyd (purpose FIELD, AAD of store_aad for table "hook", column "secret" or "second", row the
 *         webhook's number) under a key of the webhook's customer. The keeper has those that are a day old sealed anew, so
 *         that no old key lives for their sake. Where the customer's keys were destroyed all of his goes
 *         (track_keep_gone).
 * Errors: of keyd: ledger_keys_later says which pass by; ERR_GONE: the customer's keys were destroyed; ERR_NOTFOUND: no such
 *         webhook or customer.
 * Thread: the keeper's.
 * Source: sealpost-webhook(8). */
#ifndef RELAY_TRACK_TRACK_PUSH_SECRET_H
#define RELAY_TRACK_TRACK_PUSH_SECRET_H

#include "relay/track/track_hook.h"
#include "relay/track/track_keep_own.h"

/* Seals secrets of a webhook into its row. second may be NULL. */
int track_push_secret_keep(struct track_keep *k, int64_t hook, const char *customer, const uint8_t secret[TRACK_HOOK_SECRET],
			   const uint8_t *second, int64_t second_until);

struct track_push_secret {
	char customer[TRACK_NAME];
	uint8_t secret[TRACK_HOOK_SECRET], second[TRACK_HOOK_SECRET];
	int has_second;
	int64_t second_until;
};
/* The caller wipes it. */
int track_push_secret_open(struct track_keep *k, int64_t hook, struct track_push_secret *out);

void track_push_secret_reseal(struct track_keep *k);

#endif
