/* SPDX-License-Identifier: Apache-2.0 */
/* track_own - what the files of track know of each other; nobody else but api_track and api_webhook includes it.
 *
 * Story:  two threads. The host's (track_host, track_conn, track_visit) answers requests; the keeper's (track_keep and what
 *         is named after it) owns state/track.db. They talk by messages (struct relay_msg): one that is for the keeper runs
 *         with struct track_keep as its receiver, one for the host with struct track_host. */
#ifndef RELAY_TRACK_TRACK_OWN_H
#define RELAY_TRACK_TRACK_OWN_H

#include "core/clock.h"
#include "relay/track/track.h"
#include "relay/track/track_bot.h"
#include "relay/track/track_net.h"

#define TRACK_NAME 65 /* of a customer or a campaign */

struct track_host;
struct track_keep;
struct seal_track_raw;

struct track {
	struct relay *relay;
	struct track_host *host; /* NULL: nothing listens */
	struct track_keep *keep;
	/* behind track_note */
	void (*sent)(struct track *t, const struct track_sent *s);
	void (*delivered)(struct track *t, uint64_t tid, int64_t at);
	int64_t (*oldest_sealed)(struct track *t);
	void (*mail)(struct track *t, const struct seal_track_raw *token, void (*done)(void *arg, int err), void *arg);
};

/* One hit, as it comes from the host. */
struct track_hit {
	struct track_bot_hit bot; /* net is the number of this: */
	char net[TRACK_NET_TEXT];
	char customer[TRACK_NAME];
	unsigned links; /* of the campaign; 0: not known */
};

/* Somebody who wants no more mail: by a link or by a message. Goes to the keeper, who finds and opens the recipient, to
 * control, who suppresses him, and home. */
struct track_unsubscribe {
	struct relay_msg msg;
	struct track *track;
	uint64_t tid;
	uint32_t number;
	char customer[TRACK_NAME];
	char net[TRACK_NET_TEXT]; /* "" by mail */
	uint8_t agent;
	char recipient[320]; /* wiped when done */
	int err; /* 0; ERR_NOTFOUND: it is not known (any more) who that is; what is away */
	/* On control, when it is over. */
	void (*done)(struct track_unsubscribe *u);
};
/* From any thread. */
void track_unsubscribe_post(struct track *t, struct track_unsubscribe *u);

/* Where link of a campaign version leads; field: values of the token's typed fields. Any thread. ERR_NOTFOUND: no such link
 * or campaign; ERR_AWAY: not known now; ERR_LIMIT. */
int track_link(struct relay *r, const char *customer, uint32_t number, unsigned link, struct span field, char *dst,
	       size_t size);
/* Links that it has; 0: not known. */
unsigned track_link_count(struct relay *r, uint32_t number);
/* The campaign's name; "" if it is not known. */
void track_link_campaign(struct relay *r, uint32_t number, char dst[TRACK_NAME]);

#endif
