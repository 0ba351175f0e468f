/* SPDX-License-Identifier: Apache-2.0 */
/* track_window - the hits of the last minutes, so that each can be judged by those around it.
 *
 * Story:  add puts one in, at the cost of the oldest when it is full; near gives those of the same reader and of the same
 *         network, the latest first. Hits are found by chains through the ring, so nothing is searched.
 * Limits: TRACK_WINDOW_HITS, TRACK_WINDOW_READER and TRACK_WINDOW_NET near ones.
 * Thread: one at a time. */
#ifndef RELAY_TRACK_TRACK_WINDOW_H
#define RELAY_TRACK_TRACK_WINDOW_H

#include "relay/track/track_own.h"

#define TRACK_WINDOW_HITS   16384
#define TRACK_WINDOW_READER 64
#define TRACK_WINDOW_NET    32
#define TRACK_WINDOW_NEAR   (TRACK_WINDOW_READER + TRACK_WINDOW_NET)

struct track_seen {
	struct track_bot_hit hit;
	struct track_bot_facts facts;
	uint32_t reasons;
	uint8_t class;
	int64_t event; /* its row; 0: none */
	char customer[TRACK_NAME], campaign[TRACK_NAME];
	uint64_t seq, by_reader, by_net; /* number of this one, and of those before it in its chains; 0: none */
};

struct track_window;
struct track_window *track_window_new(void);
void track_window_free(struct track_window *w);
/* Zeroed but for hit. */
struct track_seen *track_window_add(struct track_window *w, const struct track_bot_hit *hit);
/* Those of the last TRACK_BOT_REVISED before now, itself among them: how many. */
size_t track_window_near(struct track_window *w, const struct track_bot_hit *hit, int64_t now,
			 struct track_seen *out[TRACK_WINDOW_NEAR]);
/* All of one message are of nobody now: the recipient was erased. */
void track_window_forget(struct track_window *w, uint64_t tid);

#endif
