/* SPDX-License-Identifier: Apache-2.0 */
/* lane_fake - shaping as a worker sees it, for tests: permits by counters, and what was told is remembered.
 *
 * Story: a lane is a struct of the test's; knobs are its fields. It is never asked for a job place: tests put it into
 *        the job. */
#ifndef TEST_UNIT_LANE_FAKE_H
#define TEST_UNIT_LANE_FAKE_H

#include "relay/shape/shape.h"

struct shape_lane {
	struct shape_source source;
	struct shape_limits limits;
	unsigned most_messages; /* permits that are left; UINT_MAX: no end */
	uint8_t refusal;	/* enum queue_reason, of messages */
	int64_t wait;		/* usec, of connections */
	enum shape_act act;	/* for the next reply */
	/* what happened */
	unsigned refs, connections, connections_max, opened, used, messages, given_back, good, heard, lost;
	unsigned code;
	char text[513];
};

/* 4 connections, 100 messages over each, no limit of messages. */
void lane_fake_lane(struct shape_lane *l);
/* The source binds to address (v4). */
void lane_fake_bind(struct shape_lane *l, const char *name, const char *hostname, const char *address);

#endif
