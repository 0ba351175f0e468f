/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_backup.h"

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_chunk.h"
#include "seal/seal_kdf.h"
#include "sys/sys_file.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define FORMAT	1
#define CONTEXT (KEYD_BACKUP_HEAD - SEAL_CHUNK_HEAD)
#define RUN	64 /* chunks that are written together */

static const uint8_t magic[16] = "sealpost-backup1"; /* all 16 bytes, no NUL */

static void head_put(struct buf *b, const struct keyd_backup_head *h)
{
	wire_put_raw(b, magic, sizeof(magic));
	wire_put_u32(b, FORMAT);
	wire_put_raw(b, h->store, sizeof(h->store));
	wire_put_u64(b, h->generation);
	wire_put_u64(b, (uint64_t)h->made);
	wire_put_u64(b, h->sequence);
	wire_put_u32(b, h->key);
	wire_put_u64(b, h->length);
}

int keyd_backup_head_parse(struct span file, struct keyd_backup_head *h)
{
	struct wire_get g;
	struct span name, store;
	uint32_t format;

	if (file.n < KEYD_BACKUP_HEAD)
		return ERR_AUTH;
	wire_get_init(&g, file);
	name = wire_get_raw(&g, sizeof(magic));
	format = wire_get_u32(&g);
	store = wire_get_raw(&g, sizeof(h->store));
	h->generation = wire_get_u64(&g);
	h->made = (int64_t)wire_get_u64(&g);
	h->sequence = wire_get_u64(&g);
	h->key = wire_get_u32(&g);
	h->length = wire_get_u64(&g);
	memcpy(h->store, store.p, sizeof(h->store));
	return span_equal(name, span_of(magic, sizeof(magic))) && format == FORMAT ? 0 : ERR_AUTH;
}

/* The key of one backup, in secret memory of SEAL_CHUNK_KEY bytes. */
static int object_key(const uint8_t secret[32], const uint8_t *salt, struct span context,
		      uint8_t *out)
{
	uint8_t *key = secret_alloc(32);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = seal_kdf_subkey(secret, SPAN_LIT("sealpost-backup-1"), key);
	if (rc == 0)
		rc = seal_chunk_derive(key, salt, context, out);
	secret_free(key, 32);
	return rc;
}

/* The chunks, RUN at a time, behind the head. */
static int seal_all(struct seal_chunk *s, struct span in, int fd)
{
	uint64_t count = in.n / SEAL_CHUNK_PLAIN + 1, at = KEYD_BACKUP_HEAD;
	struct buf run;
	int rc = 0;

	buf_init(&run, RUN * SEAL_CHUNK_SEALED);
	for (uint64_t i = 0; rc == 0 && i < count; i++) {
		struct span part = span_sub(in, i * SEAL_CHUNK_PLAIN, SEAL_CHUNK_PLAIN);
		uint8_t *room = buf_reserve(&run, part.n + SEAL_CHUNK_TAG);
		rc = room ? seal_chunk_seal(s, i, part.p, part.n, room) : ERR_NOMEM;
		if (rc == 0)
			buf_commit(&run, part.n + SEAL_CHUNK_TAG);
		if (rc == 0 && ((i + 1) % RUN == 0 || i + 1 == count)) {
			rc = sys_file_write_at(fd, buf_span(&run), at);
			at += buf_size(&run);
			buf_reset(&run);
		}
	}
	buf_clear(&run);
	return rc;
}

int64_t keyd_backup_seal(const struct keyd_backup_head *head, const uint8_t secret[32],
			 struct span snapshot, int fd)
{
	struct keyd_backup_head h = *head;
	uint8_t *key = secret_alloc(SEAL_CHUNK_KEY), salt[SEAL_CHUNK_SALT];
	struct seal_chunk *s = seal_chunk_new();
	struct buf b;
	int rc = key && s ? 0 : ERR_NOMEM;

	h.length = snapshot.n;
	rand_bytes(salt, sizeof(salt));
	buf_init(&b, KEYD_BACKUP_HEAD);
	head_put(&b, &h);
	if (rc == 0)
		rc = object_key(secret, salt, buf_span(&b), key);
	if (rc == 0) {
		wire_put_raw(&b, salt, sizeof(salt));
		wire_put_raw(&b, seal_chunk_commitment(key), SEAL_CHUNK_COMMIT);
		rc = buf_failed(&b);
	}
	if (rc == 0)
		rc = sys_file_write_at(fd, buf_span(&b), 0);
	if (rc == 0)
		rc = seal_chunk_set_key(s, key);
	if (rc == 0)
		rc = seal_all(s, snapshot, fd);
	buf_clear(&b);
	seal_chunk_free(s);
	secret_free(key, SEAL_CHUNK_KEY);
	return rc < 0 ? rc : (int64_t)(KEYD_BACKUP_HEAD + seal_chunk_sealed_size(snapshot.n));
}

static int open_all(struct seal_chunk *s, struct span in, uint64_t length, struct buf *out)
{
	uint64_t i = 0;
	int rc = 0;

	if (in.n != seal_chunk_sealed_size(length))
		return ERR_AUTH;
	while (rc == 0 && in.n) {
		struct span part = span_sub(in, 0, SEAL_CHUNK_SEALED);
		uint8_t *room = buf_reserve(out, part.n);
		rc = room ? seal_chunk_open(s, i++, part.p, part.n, room) : buf_failed(out);
		if (rc == 0)
			buf_commit(out, part.n - SEAL_CHUNK_TAG);
		in = span_sub(in, part.n, in.n);
	}
	return rc == ERR_FORMAT ? ERR_AUTH : rc;
}

int keyd_backup_open(struct span file, const uint8_t secret[32], struct keyd_backup_head *head,
		     struct buf *out)
{
	uint8_t *key;
	struct seal_chunk *s;
	int rc = keyd_backup_head_parse(file, head);

	if (rc < 0)
		return rc;
	key = secret_alloc(SEAL_CHUNK_KEY);
	s = seal_chunk_new();
	rc = key && s ? object_key(secret, file.p + CONTEXT, span_sub(file, 0, CONTEXT), key)
		      : ERR_NOMEM;
	if (rc == 0)
		rc = seal_chunk_check(key, file.p + CONTEXT + SEAL_CHUNK_SALT);
	if (rc == 0)
		rc = seal_chunk_set_key(s, key);
	if (rc == 0)
		rc = open_all(s, span_sub(file, KEYD_BACKUP_HEAD, file.n), head->length, out);
	seal_chunk_free(s);
	secret_free(key, SEAL_CHUNK_KEY);
	return rc;
}
