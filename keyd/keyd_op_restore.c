/* SPDX-License-Identifier: Apache-2.0 */
/* RESTORE: the pieces of a backup go into a file without a name; with the last, what verifies as a
 * whole becomes the store. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_backup.h"
#include "keyd/keyd_op_backup.h"

static int write_piece(struct keyd_op_backup_piece *p)
{
	size_t at = 0;

	while (at < p->n) {
		ssize_t n = pwrite(p->backup->fd, p->data + at, p->n - at, (off_t)(p->offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		at += (size_t)n;
	}
	return 0;
}

static int read_all(int fd, uint64_t size, struct buf *out)
{
	while (buf_size(out) < size) {
		uint8_t *room = buf_reserve(out, KEYPROTO_BACKUP_PIECE);
		ssize_t n = room ? pread(fd, room, KEYPROTO_BACKUP_PIECE, (off_t)buf_size(out)) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !room ? ERR_NOMEM : n < 0 ? err_from_errno(errno) : ERR_IO;
		buf_commit(out, (size_t)n);
	}
	return 0;
}

/* The whole backup becomes the store. */
static int put_store(struct keyd_op_backup_piece *p)
{
	struct keyd_backup_head head;
	struct buf file, snapshot;
	int rc;

	buf_init(&file, KEYD_SNAPSHOT_SIZE_MAX);
	buf_init(&snapshot, KEYD_SNAPSHOT_SIZE_MAX);
	rc = read_all(p->backup->fd, p->offset + p->n, &file);
	if (rc == 0)
		rc = keyd_backup_open(buf_span(&file), p->secret, &head, &snapshot);
	if (rc == 0) {
		p->key = head.key;
		rc = keyd_store_work_restore(p->store, buf_span(&snapshot));
	}
	buf_clear(&file);
	buf_clear(&snapshot);
	return rc;
}

static void restore_work(struct keyd_pool_job *job)
{
	struct keyd_op_backup_piece *p = (struct keyd_op_backup_piece *)job;

	p->result = write_piece(p);
	if (p->result == 0 && p->store)
		p->result = put_store(p);
}

static void restore_done(struct keyd_pool_job *job)
{
	struct keyd_op_backup_piece *p = (struct keyd_op_backup_piece *)job;
	struct keyd *k = p->late.keyd;
	int rc = p->result;

	if (p->store) {
		k->opening = 0;
		keyd_op_backup_end(k);
	}
	if (rc < 0)
		log_event(LOG_LEVEL_WARN, p->late.session->name, "restore-failed", "error=\"%s\"",
			  err_text(rc));
	else if (p->store) {
		log_event(LOG_LEVEL_WARN, p->late.session->name, "restored", "key=%" PRIu32,
			  p->key);
		keyd_audit_event(k, AUDIT_RESTORE, AUDIT_NUM(BACKUP, p->key));
		keyd_restored(k);
	}
	keyd_op_backup_piece_end(p, rc, span_of(NULL, 0));
}

int keyd_op_restore(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyd_op_backup *b;
	struct keyproto_restore m;
	struct keyd_op_backup_piece *p;
	int rc = 0;

	if (keyproto_restore_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (!k->store || m.size > KEYD_SNAPSHOT_SIZE_MAX)
		return k->store ? ERR_LIMIT : ERR_BADSTATE;
	b = m.offset ? keyd_op_backup_current(k, 1) : keyd_op_backup_begin(k, 1, &rc);
	if (!b || b->offset != m.offset)
		return rc < 0 ? rc : ERR_BADSTATE;
	p = keyd_op_backup_piece_new(b, m.offset, restore_work, restore_done);
	if (!p)
		return ERR_NOMEM;
	b->offset += m.data.n;
	p->n = m.data.n;
	memcpy(p->data, m.data.p, m.data.n);
	if (m.secret.n) {
		p->secret = secret_alloc(32);
		if (!p->secret) {
			keyd_op_backup_release(b);
			free(p);
			return ERR_NOMEM;
		}
		memcpy(p->secret, m.secret.p, 32);
		p->store = k->store;
		k->opening = 1;
	}
	return keyd_op_backup_piece_start(p, call);
}
