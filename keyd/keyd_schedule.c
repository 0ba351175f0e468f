/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_schedule.h"

#include <inttypes.h>

#include "core/clock.h"
#include "keyd/keyd.h"

#define BITS	(KEYD_RING_SHARDS / 8)
#define PAGE	128 /* shards */
#define ACTIVE	(1u << KEYD_RECORD_ACTIVE)
#define RETIRED (1u << KEYD_RECORD_RETIRED)

int keyd_schedule_paused(const struct keyd *k)
{
	return keyd_ring_note(k->ring, KEYD_SCHEDULE_PAUSED).n != 0;
}

int keyd_schedule_asked(const struct keyd *k, unsigned shard)
{
	struct span bits = keyd_ring_note(k->ring, KEYD_SCHEDULE_ASKED);

	return shard / 8 < bits.n && bits.p[shard / 8] >> shard % 8 & 1;
}

int64_t keyd_schedule_due(const struct keyd *k, unsigned shard)
{
	int64_t period = k->conf->rotation.kek, now = clock_wall();
	struct keyd_ring_shard s;

	keyd_ring_shard(k->ring, shard, &s);
	if (s.uses >= KEYD_WRAP_USES_MAX / 2)
		return now;
	if (!period)
		return 0;
	if (s.version == 1)
		period = period / KEYD_RING_SHARDS * (shard + 1);
	return (s.created < now ? s.created : now) + period;
}

int keyd_schedule_spent(const struct keyd *k, unsigned shard, unsigned states, int64_t until,
			struct keyd_ring_kek_info *out)
{
	struct keyd_ring_shard s;

	keyd_ring_shard(k->ring, shard, &s);
	out->version = 0;
	while (keyd_ring_kek_next(k->ring, shard, out->version, out) == 0 &&
	       out->version < s.version)
		if (!out->deks && states & 1u << out->state && out->changed <= until)
			return 1;
	return 0;
}

int keyd_schedule_unfinished(const struct keyd *k, unsigned shard)
{
	struct keyd_ring_kek_info info = {.version = 0};
	struct keyd_ring_shard s;

	keyd_ring_shard(k->ring, shard, &s);
	while (keyd_ring_kek_next(k->ring, shard, info.version, &info) == 0 &&
	       info.version < s.version)
		if (info.state == KEYD_RECORD_ACTIVE)
			return 1;
	return 0;
}

int keyd_schedule_ask(const struct keyd *k, unsigned shard, int on, struct buf *out)
{
	struct span bits = keyd_ring_note(k->ring, KEYD_SCHEDULE_ASKED);
	uint8_t next[BITS] = {0}, any = 0;
	struct keyd_record_note m = {SPAN_LIT(KEYD_SCHEDULE_ASKED), span_of(next, BITS)};

	if (bits.n == BITS)
		memcpy(next, bits.p, BITS);
	if (shard == KEYD_SCHEDULE_ALL)
		memset(next, on ? 0xff : 0, BITS);
	else if (on)
		next[shard / 8] |= (uint8_t)(1u << shard % 8);
	else
		next[shard / 8] &= (uint8_t) ~(1u << shard % 8);
	for (unsigned i = 0; i < BITS; i++)
		any |= next[i];
	if (!any)
		m.value.n = 0;
	return keyd_record_note_put(out, &m);
}

static void put_older(const struct keyd *k, unsigned shard, uint32_t newest, struct buf *out)
{
	struct keyd_ring_kek_info info = {.version = 0};
	const char *comma = "";

	buf_put_str(out, ",\"older\":[");
	while (keyd_ring_kek_next(k->ring, shard, info.version, &info) == 0 &&
	       info.version < newest) {
		buf_putf(out, "%s{\"version\":%" PRIu32 ",\"state\":\"%s\"", comma, info.version,
			 keyd_record_state_name(info.state));
		if (info.state == KEYD_RECORD_RETIRED)
			buf_putf(out, ",\"until\":%" PRId64,
				 info.changed + k->conf->rotation.grace);
		buf_put_str(out, "}");
		comma = ",";
	}
	buf_put_str(out, "]");
}

void keyd_schedule_json(const struct keyd *k, unsigned from, struct buf *out)
{
	unsigned end = from < KEYD_RING_SHARDS - PAGE ? from + PAGE : KEYD_RING_SHARDS;
	struct keyd_ring_shard s;

	buf_put_str(out, "{\"shards\":[");
	for (unsigned i = from; i < end; i++) {
		keyd_ring_shard(k->ring, i, &s);
		buf_putf(out,
			 "%s{\"shard\":%u,\"version\":%" PRIu32 ",\"created\":%" PRId64
			 ",\"due\":%" PRId64 ",\"deks\":%" PRIu32 ",\"left\":%" PRIu32,
			 i > from ? "," : "", i, s.version, s.created, keyd_schedule_due(k, i),
			 s.deks, s.left);
		if (keyd_schedule_asked(k, i))
			buf_put_str(out, ",\"asked\":true");
		put_older(k, i, s.version, out);
		buf_put_str(out, "}");
	}
	buf_put_str(out, "]");
	if (end < KEYD_RING_SHARDS)
		buf_putf(out, ",\"next\":%u", end);
	buf_put_str(out, "}");
}
