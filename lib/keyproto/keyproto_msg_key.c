/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about one key: MACs, signatures, public keys; and what an officer says to keyd. */
#include "keyproto/keyproto_codec.h"

#define MAC_SIZE 32

static int mac_ok(const struct keyproto_mac *m)
{
	return keyproto_name_ok(m->customer) && keyproto_name_ok(m->label) &&
	       m->data.n <= KEYPROTO_DATA_MAX && (m->mac.n == 0 || m->mac.n == MAC_SIZE);
}

int keyproto_mac_put(struct buf *b, const struct keyproto_mac *m)
{
	if (!mac_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->customer);
	wire_put_bytes8(b, m->label);
	wire_put_bytes16(b, m->data);
	wire_put_bytes8(b, m->mac);
	return buf_failed(b);
}

int keyproto_mac_get(struct span body, struct keyproto_mac *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->label = wire_get_bytes8(&g);
	m->data = wire_get_bytes16(&g);
	m->mac = wire_get_bytes8(&g);
	return wire_get_end(&g) == 0 && mac_ok(m) ? 0 : ERR_FORMAT;
}

static int sign_ok(const struct keyproto_sign *m)
{
	return keyproto_keyname_ok(m->label, NULL, NULL) && keyproto_alg_name(m->alg) &&
	       m->data.n <= KEYPROTO_SIGN_MAX;
}

int keyproto_sign_put(struct buf *b, const struct keyproto_sign *m)
{
	if (!sign_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->label);
	wire_put_u8(b, m->alg);
	wire_put_bytes16(b, m->data);
	return buf_failed(b);
}

int keyproto_sign_get(struct span body, struct keyproto_sign *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->label = wire_get_bytes8(&g);
	m->alg = wire_get_u8(&g);
	m->data = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && sign_ok(m) ? 0 : ERR_FORMAT;
}

static int public_ok(const struct keyproto_public *m)
{
	return keyproto_keytype_name(m->type) && m->spki.n >= 1 && m->spki.n <= KEYPROTO_DATA_MAX;
}

int keyproto_public_put(struct buf *b, const struct keyproto_public *m)
{
	if (!public_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, m->type);
	wire_put_bytes16(b, m->spki);
	return buf_failed(b);
}

int keyproto_public_get(struct span body, struct keyproto_public *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->type = wire_get_u8(&g);
	m->spki = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && public_ok(m) ? 0 : ERR_FORMAT;
}

static int key_add_ok(const struct keyproto_key_add *m)
{
	return keyproto_name_ok(m->label) && keyproto_keytype_name(m->type);
}

int keyproto_key_add_put(struct buf *b, const struct keyproto_key_add *m)
{
	if (!key_add_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->label);
	wire_put_u8(b, m->type);
	return buf_failed(b);
}

int keyproto_key_add_get(struct span body, struct keyproto_key_add *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->label = wire_get_bytes8(&g);
	m->type = wire_get_u8(&g);
	return wire_get_end(&g) == 0 && key_add_ok(m) ? 0 : ERR_FORMAT;
}
