/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_checkpoint.h"

#include <inttypes.h>

#include "core/hex.h"
#include "keyproto/keyproto_codec.h"

#define HASH KEYPROTO_CHECKPOINT_HASH
#define SIG  KEYPROTO_CHECKPOINT_SIG
#define SPKI KEYPROTO_CHECKPOINT_SPKI

static int checkpoint_ok(const struct keyproto_checkpoint *m)
{
	return keyproto_name_ok(m->name) && m->counter > 0;
}

int keyproto_checkpoint_put(struct buf *b, const struct keyproto_checkpoint *m)
{
	if (!checkpoint_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes16(b, m->name);
	wire_put_u64(b, m->counter);
	wire_put_u64(b, m->rows);
	wire_put_raw(b, m->hash, HASH);
	return buf_failed(b);
}

int keyproto_checkpoint_get(struct span body, struct keyproto_checkpoint *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->name = wire_get_bytes16(&g);
	m->counter = wire_get_u64(&g);
	m->rows = wire_get_u64(&g);
	m->hash = wire_get_raw(&g, HASH).p;
	return wire_get_end(&g) == 0 && checkpoint_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_checkpoint_signed_put(struct buf *b, const struct keyproto_checkpoint_signed *m)
{
	if (!m->version)
		return keyproto_codec_refuse(b);
	wire_put_u32(b, m->version);
	wire_put_raw(b, m->signature, SIG);
	return buf_failed(b);
}

int keyproto_checkpoint_signed_get(struct span body, struct keyproto_checkpoint_signed *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->version = wire_get_u32(&g);
	m->signature = wire_get_raw(&g, SIG).p;
	return wire_get_end(&g) == 0 && m->version ? 0 : ERR_FORMAT;
}

int keyproto_checkpoint_last_put(struct buf *b, const struct keyproto_checkpoint_last *m)
{
	if (!m->counter || !m->version)
		return keyproto_codec_refuse(b);
	wire_put_u64(b, m->counter);
	wire_put_u64(b, m->rows);
	wire_put_raw(b, m->hash, HASH);
	wire_put_u32(b, m->version);
	wire_put_raw(b, m->signature, SIG);
	wire_put_raw(b, m->spki, SPKI);
	return buf_failed(b);
}

int keyproto_checkpoint_last_get(struct span body, struct keyproto_checkpoint_last *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->counter = wire_get_u64(&g);
	m->rows = wire_get_u64(&g);
	m->hash = wire_get_raw(&g, HASH).p;
	m->version = wire_get_u32(&g);
	m->signature = wire_get_raw(&g, SIG).p;
	m->spki = wire_get_raw(&g, SPKI).p;
	return wire_get_end(&g) == 0 && m->counter && m->version ? 0 : ERR_FORMAT;
}

int keyproto_checkpoint_text(struct buf *out, const struct keyproto_checkpoint *m)
{
	char hash[2 * HASH + 1];

	hex_encode(hash, m->hash, HASH);
	buf_putf(out,
		 "sealpost-checkpoint-1\nname %.*s\ncounter %" PRIu64 "\nrows %" PRIu64
		 "\nhash %s\n",
		 (int)m->name.n, (const char *)m->name.p, m->counter, m->rows, hash);
	return buf_failed(out);
}
