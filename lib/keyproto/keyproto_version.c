/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_version.h"

#include "keyproto/keyproto_codec.h"

const char *keyproto_version_state_name(unsigned state)
{
	static const char *const names[] = {NULL, "next", "active", "retired", "destroyed"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

static int version_ok(const struct keyproto_version *v)
{
	return v->version > 0 && keyproto_keytype_name(v->type) &&
	       keyproto_version_state_name(v->state) && v->spki.n >= 1 &&
	       v->spki.n <= KEYPROTO_DATA_MAX;
}

static int count_ok(unsigned count)
{
	return count >= 1 && count <= KEYPROTO_VERSIONS_MAX;
}

int keyproto_versions_put(struct buf *b, const struct keyproto_version *items, unsigned count)
{
	if (!count_ok(count))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		if (!version_ok(&items[i]))
			return keyproto_codec_refuse(b);
		wire_put_u32(b, items[i].version);
		wire_put_u8(b, items[i].type);
		wire_put_u8(b, items[i].state);
		wire_put_u64(b, items[i].created);
		wire_put_u64(b, items[i].changed);
		wire_put_bytes16(b, items[i].spki);
	}
	return buf_failed(b);
}

int keyproto_versions_get(struct span body, struct keyproto_version *items)
{
	struct wire_get g;
	unsigned count;

	wire_get_init(&g, body);
	count = wire_get_u16(&g);
	if (!count_ok(count))
		return ERR_FORMAT;
	for (unsigned i = 0; i < count; i++) {
		items[i].version = wire_get_u32(&g);
		items[i].type = wire_get_u8(&g);
		items[i].state = wire_get_u8(&g);
		items[i].created = wire_get_u64(&g);
		items[i].changed = wire_get_u64(&g);
		items[i].spki = wire_get_bytes16(&g);
		if (!version_ok(&items[i]))
			return ERR_FORMAT;
	}
	return wire_get_end(&g) == 0 ? (int)count : ERR_FORMAT;
}

/* The one that took its place became active in the same step. */
int64_t keyproto_version_retired(const struct keyproto_version *items, unsigned at)
{
	const struct keyproto_version *v = &items[at], *newer = at ? v - 1 : NULL;

	if (v->state == KEYPROTO_VERSION_NEXT || v->state == KEYPROTO_VERSION_ACTIVE)
		return 0;
	if (newer && newer->state == KEYPROTO_VERSION_ACTIVE && newer->changed < v->changed)
		v = newer;
	return v->changed > INT64_MAX ? INT64_MAX : (int64_t)v->changed;
}
