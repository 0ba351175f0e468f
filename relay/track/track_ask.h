/* SPDX-License-Identifier: Apache-2.0 */
/* track_ask - questions to the keeper, and orders: statistics, events, export, erasure, webhooks.
 *
 * Story:  fill an ask, post it; told is called on control with answer, once what it changed is on stable storage.
 *           STATS        {"items": [{"customer", "campaign", "sent", "delivered", "click": {CLASS: N}, "open": {..},
 *                        "unsubscribe": N, "links": [{"link", CLASS: N}], "readers": {"click": N, "open": N}}]}
 *           EVENTS       {"items": [{"id", "at", "kind", ...}], "next": ID}
 *           EXPORT       {"messages": [{...,"events": [...]}]} of address
 *           ERASE        {"messages": N}: nothing is known any more of what address did, and which messages it got
 *           HOOK_ADD     {"id", "secret"}; url, kinds
 *           HOOK_LIST    {"items": [...]}
 *           HOOK_REMOVE  {}; HOOK_TEST {}: it is told something
 *           HOOK_SECRET  {"secret", "until"}: a new one; the one before signs, too, until then
 * Errors: ERR_NOTFOUND; of keyd (ERR_AWAY, ERR_LOCKED) where something is opened, sealed or looked for by address;
 *         ERR_LIMIT: too many webhooks.
 * Thread: post: control's. */
#ifndef RELAY_TRACK_TRACK_ASK_H
#define RELAY_TRACK_TRACK_ASK_H

#include <jansson.h>

#include "relay/track/track_own.h"

#define TRACK_ASK_EVENTS 1000
#define TRACK_ASK_URL	 1024

enum track_ask_kind {
	TRACK_ASK_STATS,
	TRACK_ASK_EVENTS_OF,
	TRACK_ASK_EXPORT,
	TRACK_ASK_ERASE,
	TRACK_ASK_HOOK_ADD,
	TRACK_ASK_HOOK_LIST,
	TRACK_ASK_HOOK_REMOVE,
	TRACK_ASK_HOOK_TEST,
	TRACK_ASK_HOOK_SECRET
};

struct track_ask {
	struct relay_msg msg;
	enum track_ask_kind kind;
	char customer[TRACK_NAME], campaign[TRACK_NAME]; /* "": any, where that can be */
	char address[320];
	char url[TRACK_ASK_URL + 1];
	unsigned kinds, limit;
	int64_t id; /* of a hook; EVENTS: behind that one */
	void (*told)(struct track_ask *a);
	void *arg;
	/* answer */
	int err;
	json_t *answer; /* NULL or to be taken over */
};

struct track_ask *track_ask_new(enum track_ask_kind kind);
void track_ask_free(struct track_ask *a);
void track_ask_post(struct track *t, struct track_ask *a);
/* The keeper's: what an ask changed did not become lasting. m may be something else. */
void track_ask_undone(struct relay_msg *m, int err);

#endif
