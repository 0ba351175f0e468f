/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_rotate.h"

#include "keyproto/keyproto_codec.h"

int keyproto_rotate_shard(struct span name)
{
	int n = 0;

	if (span_equal(name, SPAN_LIT("all")))
		return KEYPROTO_ROTATE_ALL;
	if (name.n < 1 || name.n > 3 || (name.n > 1 && name.p[0] == '0'))
		return ERR_FORMAT;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < '0' || name.p[i] > '9')
			return ERR_FORMAT;
		n = n * 10 + (name.p[i] - '0');
	}
	return n < KEYPROTO_ROTATE_ALL ? n : ERR_FORMAT;
}

static int rotate_ok(const struct keyproto_rotate *m)
{
	static const uint8_t flags[] = {[KEYPROTO_ROTATE_KEK] = KEYPROTO_ROTATE_URGENT,
					[KEYPROTO_ROTATE_DEK] = 0,
					[KEYPROTO_ROTATE_KEY] = KEYPROTO_ROTATE_ACTIVATE};
	int shard;

	if (m->what < KEYPROTO_ROTATE_KEK || m->what > KEYPROTO_ROTATE_KEY ||
	    m->flags & ~flags[m->what])
		return 0;
	if (m->what != KEYPROTO_ROTATE_KEK)
		return keyproto_name_ok(m->name);
	shard = keyproto_rotate_shard(m->name);
	return shard >= 0 && (shard < KEYPROTO_ROTATE_ALL || !m->flags);
}

int keyproto_rotate_put(struct buf *b, const struct keyproto_rotate *m)
{
	if (!rotate_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, m->what);
	wire_put_bytes8(b, m->name);
	wire_put_u8(b, m->flags);
	return buf_failed(b);
}

int keyproto_rotate_get(struct span body, struct keyproto_rotate *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->what = wire_get_u8(&g);
	m->name = wire_get_bytes8(&g);
	m->flags = wire_get_u8(&g);
	return wire_get_end(&g) == 0 && rotate_ok(m) ? 0 : ERR_FORMAT;
}

static int rotation_ok(uint8_t order)
{
	return order == KEYPROTO_ROTATION_PAUSE || order == KEYPROTO_ROTATION_RESUME;
}

int keyproto_rotation_put(struct buf *b, uint8_t order)
{
	if (!rotation_ok(order))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, order);
	return buf_failed(b);
}

int keyproto_rotation_get(struct span body, uint8_t *order)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*order = wire_get_u8(&g);
	return wire_get_end(&g) == 0 && rotation_ok(*order) ? 0 : ERR_FORMAT;
}

static int schedule_ok(const struct keyproto_schedule *m)
{
	return m->part == KEYPROTO_SCHEDULE_KEKS || m->part == KEYPROTO_SCHEDULE_KEYS;
}

int keyproto_schedule_put(struct buf *b, const struct keyproto_schedule *m)
{
	if (!schedule_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, m->part);
	wire_put_u32(b, m->from);
	return buf_failed(b);
}

int keyproto_schedule_get(struct span body, struct keyproto_schedule *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->part = wire_get_u8(&g);
	m->from = wire_get_u32(&g);
	return wire_get_end(&g) == 0 && schedule_ok(m) ? 0 : ERR_FORMAT;
}
