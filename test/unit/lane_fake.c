/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/lane_fake.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/queue/queue.h"

void lane_fake_lane(struct shape_lane *l)
{
	memset(l, 0, sizeof(*l));
	l->limits = (struct shape_limits){.connections = 4,
					  .messages = 100,
					  .recipients = 100,
					  .idle = 10 * CLOCK_SEC,
					  .tls = RELAY_TLS_NONE};
	l->most_messages = UINT_MAX;
	l->refusal = QUEUE_RATE;
}

void lane_fake_bind(struct shape_lane *l, const char *name, const char *hostname, const char *address)
{
	struct sockaddr_in *a = (struct sockaddr_in *)&l->source.v4;

	snprintf(l->source.name, sizeof(l->source.name), "%s", name);
	snprintf(l->source.hostname, sizeof(l->source.hostname), "%s", hostname);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, address, &a->sin_addr);
}

struct shape_lane *shape_lane_ref(struct shape_lane *lane)
{
	lane->refs++;
	return lane;
}
void shape_lane_unref(struct shape *s, struct shape_lane *lane)
{
	(void)s;
	lane->refs--;
}
const struct shape_source *shape_lane_source(const struct shape_lane *lane)
{
	return &lane->source;
}
void shape_lane_limits(struct shape *s, struct shape_lane *lane, struct shape_limits *out)
{
	(void)s;
	*out = lane->limits;
}
int shape_connection_take(struct shape *s, struct shape_lane *lane, int64_t now, int64_t *until)
{
	(void)s;
	if (lane->connections >= lane->limits.connections) {
		*until = now + lane->wait;
		return ERR_BUSY;
	}
	lane->opened++;
	if (++lane->connections > lane->connections_max)
		lane->connections_max = lane->connections;
	return 0;
}
void shape_connection_give(struct shape *s, struct shape_lane *lane, int used, int64_t now)
{
	(void)s;
	(void)now;
	lane->connections--;
	lane->used += used != 0;
}
int shape_message_take(struct shape *s, struct shape_lane *lane, int64_t now, struct shape_wait *wait)
{
	(void)s;
	if (lane->messages >= lane->most_messages) {
		*wait = (struct shape_wait){now + CLOCK_SEC, lane->refusal};
		return ERR_BUSY;
	}
	lane->messages++;
	return 0;
}
void shape_message_give(struct shape *s, struct shape_lane *lane)
{
	(void)s;
	lane->messages--;
	lane->given_back++;
}
void shape_good(struct shape *s, struct shape_lane *lane, int64_t now)
{
	(void)s;
	(void)now;
	lane->good++;
}
enum shape_act shape_heard(struct shape *s, struct shape_lane *lane, int code, const char *text, int64_t now)
{
	enum shape_act act = lane->act;

	(void)s;
	(void)now;
	lane->heard++;
	lane->code = (unsigned)code;
	snprintf(lane->text, sizeof(lane->text), "%s", text);
	lane->act = SHAPE_AS_SAID;
	return act;
}
void shape_lost(struct shape *s, struct shape_lane *lane, int64_t now)
{
	(void)s;
	(void)now;
	lane->lost++;
}
