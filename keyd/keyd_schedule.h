/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_schedule - which KEK is due for what, and when.
 *
 * Story:  keyd_rotate asks what to do next, the operations what to show. Answers come from the
 *         ring, the configuration and clock_wall, and are kept nowhere, so a clock that jumps
 *         changes them and nothing else.
 * Due:    version 1 of a shard: at its creation + rotation.kek * (shard + 1) / 256, so that a new
 *         store spreads its work; later versions: at creation + rotation.kek. And when a KEK has
 *         made half of the wraps that it may. One from the future (the clock was wrong) is as one
 *         made now.
 * Source: sealpost-keyd.yaml(5), rotation.
 * Thread: the loop's; keyd is READY. */
#ifndef KEYD_KEYD_SCHEDULE_H
#define KEYD_KEYD_SCHEDULE_H

#include "keyd/keyd_ring.h"

struct keyd;

#define KEYD_SCHEDULE_PAUSED "rotation/paused" /* note: there while rotation is paused */
/* Note: shards that were asked for, 32 bytes, bit shard % 8 of byte shard / 8. */
#define KEYD_SCHEDULE_ASKED "rotation/asked"

int keyd_schedule_paused(const struct keyd *k);
int keyd_schedule_asked(const struct keyd *k, unsigned shard);
/* When the newest KEK of a shard is due, clock_wall; 0: never. */
int64_t keyd_schedule_due(const struct keyd *k, unsigned shard);
/* The oldest KEK of the shard, but not its newest, that wraps nothing, is in one of the states
 * (bits 1 << state), and came into it at until or before. 1: it is in out. */
int keyd_schedule_spent(const struct keyd *k, unsigned shard, unsigned states, int64_t until,
			struct keyd_ring_kek_info *out);
/* 1 if an older KEK of the shard is still active: its rotation was left in the middle. */
int keyd_schedule_unfinished(const struct keyd *k, unsigned shard);

/* Appends the body of a NOTE record: what was asked for, with (on) or without this shard; or with
 * all of them. */
#define KEYD_SCHEDULE_ALL KEYD_RING_SHARDS
int keyd_schedule_ask(const struct keyd *k, unsigned shard, int on, struct buf *out);

/* A page of SCHEDULE. */
void keyd_schedule_json(const struct keyd *k, unsigned from, struct buf *out);

#endif
