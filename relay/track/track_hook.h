/* SPDX-License-Identifier: Apache-2.0 */
/* track_hook - how a webhook is signed, and when it is tried again.
 *
 * Story:  a secret is TRACK_HOOK_SECRET random octets; its text is "whsec_" and base64 of them. A request carries
 *         webhook-id (the same at each try), webhook-timestamp (of this try) and webhook-signature: "v1," and base64 of
 *         HMAC-SHA256 over id.timestamp.body; two of them with a blank between while there are two secrets.
 * Thread: pure but for randomness; any.
 * Source: Standard Webhooks 1.0; RFC 9110 10.2.3. */
#ifndef RELAY_TRACK_TRACK_HOOK_H
#define RELAY_TRACK_TRACK_HOOK_H

#include "core/clock.h"
#include "core/span.h"

#define TRACK_HOOK_SECRET    32
#define TRACK_HOOK_TEXT	     64	 /* of a secret */
#define TRACK_HOOK_SIGNATURE 112 /* of two */
#define TRACK_HOOK_ID	     40

void track_hook_secret_text(char dst[TRACK_HOOK_TEXT], const uint8_t secret[TRACK_HOOK_SECRET]);
/* second may be NULL. ERR_CRYPTO. */
int track_hook_sign(char dst[TRACK_HOOK_SIGNATURE], const uint8_t secret[TRACK_HOOK_SECRET],
		    const uint8_t second[TRACK_HOOK_SECRET], const char *id, int64_t seconds, struct span body);

/* Usec until the try behind this many failed ones, spread by draw (any number); -1: there is none. */
int64_t track_hook_wait(unsigned failed, uint64_t draw);
#define TRACK_HOOK_QUIET (24 * 3600 * CLOCK_SEC) /* the longest wait of those, before it is spread */
/* Usec for which a server asks to be left alone, at most TRACK_HOOK_QUIET: by Retry-After (seconds; 0: none) of an answer that
 * means so, 429 or 503. 0: it does not. */
int64_t track_hook_quiet(long status, int64_t retry_after);

/* Kinds as text, "click,open": bits of enum track_kind. 0: a word that is none. */
unsigned track_hook_kinds(struct span text);
#define TRACK_HOOK_KINDS 64
void track_hook_kinds_text(char dst[TRACK_HOOK_KINDS], unsigned kinds);

#endif
