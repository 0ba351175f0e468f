/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_slot.h"

#include "keyproto/keyproto_codec.h"

/* How long the secret of each method may be. INIT and SLOT_ADD make shares, so they bring none. */
static const struct {
	uint16_t min, max;
} secrets[] = {
    [KEYPROTO_SLOT_ANY] = {0, 0},
    [KEYPROTO_SLOT_FILE] = {0, 0},
    [KEYPROTO_SLOT_PASSPHRASE] = {1, KEYPROTO_SECRET_MAX},
    [KEYPROTO_SLOT_CREDENTIAL] = {0, 0},
    [KEYPROTO_SLOT_SHARES] = {0, KEYPROTO_SHARES_MAX *(KEYPROTO_SHARE_TEXT_MAX + 1)},
    [KEYPROTO_SLOT_TOKEN] = {0, KEYPROTO_PIN_MAX},
};

static int slot_ok(const struct keyproto_slot *m)
{
	return m->method < sizeof(secrets) / sizeof(secrets[0]) &&
	       m->secret.n >= secrets[m->method].min && m->secret.n <= secrets[m->method].max;
}

static void write_slot(struct buf *b, const struct keyproto_slot *m)
{
	wire_put_u8(b, m->method);
	wire_put_bytes16(b, m->secret);
}

static void read_slot(struct wire_get *g, struct keyproto_slot *m)
{
	m->method = wire_get_u8(g);
	m->secret = wire_get_bytes16(g);
}

static int real_slot_ok(const struct keyproto_slot *m)
{
	return m->method != KEYPROTO_SLOT_ANY && slot_ok(m);
}

int keyproto_slot_put(struct buf *b, const struct keyproto_slot *m)
{
	if (!real_slot_ok(m))
		return keyproto_codec_refuse(b);
	write_slot(b, m);
	return buf_failed(b);
}

int keyproto_slot_get(struct span body, struct keyproto_slot *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	read_slot(&g, m);
	return wire_get_end(&g) == 0 && real_slot_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_init_put(struct buf *b, const struct keyproto_init *m)
{
	if (m->count < 1 || m->count > KEYPROTO_SLOTS_MAX)
		return keyproto_codec_refuse(b);
	wire_put_u16(b, m->count);
	for (unsigned i = 0; i < m->count; i++)
		keyproto_slot_put(b, &m->slots[i]);
	return buf_failed(b);
}

int keyproto_init_get(struct span body, struct keyproto_init *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->count = wire_get_u16(&g);
	if (m->count < 1 || m->count > KEYPROTO_SLOTS_MAX)
		return ERR_FORMAT;
	for (unsigned i = 0; i < m->count; i++) {
		read_slot(&g, &m->slots[i]);
		if (!real_slot_ok(&m->slots[i]))
			return ERR_FORMAT;
	}
	return wire_get_end(&g);
}

static int add_ok(const struct keyproto_slot_add *m)
{
	if (!slot_ok(&m->opener) || !real_slot_ok(&m->slot) || m->name.n > KEYPROTO_SLOT_NAME_MAX)
		return 0;
	if (m->slot.method != KEYPROTO_SLOT_SHARES)
		return m->need == 0 && m->of == 0;
	return m->slot.secret.n == 0 && m->need >= 2 && m->need <= m->of &&
	       m->of <= KEYPROTO_SHARES_MAX;
}

int keyproto_slot_add_put(struct buf *b, const struct keyproto_slot_add *m)
{
	if (!add_ok(m))
		return keyproto_codec_refuse(b);
	write_slot(b, &m->opener);
	write_slot(b, &m->slot);
	wire_put_bytes8(b, m->name);
	wire_put_u8(b, m->need);
	wire_put_u8(b, m->of);
	return buf_failed(b);
}

int keyproto_slot_add_get(struct span body, struct keyproto_slot_add *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	read_slot(&g, &m->opener);
	read_slot(&g, &m->slot);
	m->name = wire_get_bytes8(&g);
	m->need = wire_get_u8(&g);
	m->of = wire_get_u8(&g);
	return wire_get_end(&g) == 0 && add_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_slot_made_put(struct buf *b, const struct keyproto_slot_made *m)
{
	if (m->count > KEYPROTO_SHARES_MAX)
		return keyproto_codec_refuse(b);
	wire_put_u32(b, m->id);
	wire_put_u8(b, m->count);
	for (unsigned i = 0; i < m->count; i++) {
		if (m->shares[i].n < 1 || m->shares[i].n > KEYPROTO_SHARE_TEXT_MAX)
			return keyproto_codec_refuse(b);
		wire_put_bytes8(b, m->shares[i]);
	}
	return buf_failed(b);
}

int keyproto_slot_made_get(struct span body, struct keyproto_slot_made *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->id = wire_get_u32(&g);
	m->count = wire_get_u8(&g);
	if (m->count > KEYPROTO_SHARES_MAX)
		return ERR_FORMAT;
	for (unsigned i = 0; i < m->count; i++) {
		m->shares[i] = wire_get_bytes8(&g);
		if (m->shares[i].n < 1 || m->shares[i].n > KEYPROTO_SHARE_TEXT_MAX)
			return ERR_FORMAT;
	}
	return wire_get_end(&g);
}

static int test_ok(const struct keyproto_slot_test *m)
{
	return m->id != 0 && m->secret.n <= secrets[KEYPROTO_SLOT_SHARES].max;
}

int keyproto_slot_test_put(struct buf *b, const struct keyproto_slot_test *m)
{
	if (!test_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u32(b, m->id);
	wire_put_bytes16(b, m->secret);
	return buf_failed(b);
}

int keyproto_slot_test_get(struct span body, struct keyproto_slot_test *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->id = wire_get_u32(&g);
	m->secret = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && test_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_slot_remove_put(struct buf *b, uint32_t id)
{
	if (id == 0)
		return keyproto_codec_refuse(b);
	wire_put_u32(b, id);
	return buf_failed(b);
}

int keyproto_slot_remove_get(struct span body, uint32_t *id)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*id = wire_get_u32(&g);
	return wire_get_end(&g) == 0 && *id != 0 ? 0 : ERR_FORMAT;
}
