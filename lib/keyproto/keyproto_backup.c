/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_backup.h"

#include "keyproto/keyproto_codec.h"

static int backup_ok(const struct keyproto_backup *m)
{
	int named = m->what == KEYPROTO_BACKUP_READ || m->what == KEYPROTO_BACKUP_END;

	return m->what >= KEYPROTO_BACKUP_BEGIN && m->what <= KEYPROTO_BACKUP_LIST &&
	       m->new_key <= (m->what == KEYPROTO_BACKUP_BEGIN) && (m->handle != 0) == named &&
	       (m->offset == 0 || m->what == KEYPROTO_BACKUP_READ);
}

int keyproto_backup_put(struct buf *b, const struct keyproto_backup *m)
{
	if (!backup_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, m->what);
	wire_put_u8(b, m->new_key);
	wire_put_u64(b, m->handle);
	wire_put_u64(b, m->offset);
	return buf_failed(b);
}

int keyproto_backup_get(struct span body, struct keyproto_backup *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->what = wire_get_u8(&g);
	m->new_key = wire_get_u8(&g);
	m->handle = wire_get_u64(&g);
	m->offset = wire_get_u64(&g);
	return wire_get_end(&g) == 0 && backup_ok(m) ? 0 : ERR_FORMAT;
}

static int begun_ok(const struct keyproto_backup_begun *m)
{
	return m->handle && m->size && m->key &&
	       (m->secret.n == 0 || m->secret.n == KEYPROTO_BACKUP_SECRET);
}

int keyproto_backup_begun_put(struct buf *b, const struct keyproto_backup_begun *m)
{
	if (!begun_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u64(b, m->handle);
	wire_put_u64(b, m->size);
	wire_put_u32(b, m->key);
	wire_put_bytes8(b, m->secret);
	return buf_failed(b);
}

int keyproto_backup_begun_get(struct span body, struct keyproto_backup_begun *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->handle = wire_get_u64(&g);
	m->size = wire_get_u64(&g);
	m->key = wire_get_u32(&g);
	m->secret = wire_get_bytes8(&g);
	return wire_get_end(&g) == 0 && begun_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_backup_forget_put(struct buf *b, uint32_t id)
{
	if (id == 0)
		return keyproto_codec_refuse(b);
	wire_put_u32(b, id);
	return buf_failed(b);
}

int keyproto_backup_forget_get(struct span body, uint32_t *id)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*id = wire_get_u32(&g);
	return wire_get_end(&g) == 0 && *id ? 0 : ERR_FORMAT;
}

static int restore_ok(const struct keyproto_restore *m)
{
	if (m->data.n < 1 || m->data.n > KEYPROTO_BACKUP_PIECE || m->offset >= m->size ||
	    m->data.n > m->size - m->offset)
		return 0;
	return m->secret.n == (m->data.n == m->size - m->offset ? KEYPROTO_BACKUP_SECRET : 0);
}

int keyproto_restore_put(struct buf *b, const struct keyproto_restore *m)
{
	if (!restore_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u64(b, m->size);
	wire_put_u64(b, m->offset);
	wire_put_bytes8(b, m->secret);
	wire_put_bytes16(b, m->data);
	return buf_failed(b);
}

int keyproto_restore_get(struct span body, struct keyproto_restore *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->size = wire_get_u64(&g);
	m->offset = wire_get_u64(&g);
	m->secret = wire_get_bytes8(&g);
	m->data = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && restore_ok(m) ? 0 : ERR_FORMAT;
}
