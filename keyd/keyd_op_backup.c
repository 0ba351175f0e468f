/* SPDX-License-Identifier: Apache-2.0 */
/* BACKUP and BACKUP_FORGET. Bytes go through a file without a name: what is in it is sealed, and a
 * store of a million customers does not lie in memory while somebody fetches it. */
#include "keyd/keyd_op_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_backup.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_backup.h"
#include "keyproto/keyproto_backup.h"

#define IDLE	 (600 * CLOCK_SEC)
#define JSON_MAX (60 * 1024)

void keyd_op_backup_release(struct keyd_op_backup *b)
{
	if (!b || --b->refs)
		return;
	close(b->fd);
	free(b);
}

void keyd_op_backup_end(struct keyd *k)
{
	keyd_op_backup_release(k->backup);
	k->backup = NULL;
}

/* A file that has no name any more when this returns. */
static int open_nameless(const char *dir)
{
	char path[PATH_MAX];
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/backup.part", dir) >= sizeof(path))
		return ERR_LIMIT;
	unlink(path); /* a crash came between the next two */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	unlink(path);
	return fd;
}

struct keyd_op_backup *keyd_op_backup_begin(struct keyd *k, int restoring, int *rc)
{
	struct keyd_op_backup *b = calloc(1, sizeof(*b));

	keyd_op_backup_end(k);
	*rc = b ? open_nameless(k->conf->state) : ERR_NOMEM;
	if (*rc < 0) {
		free(b);
		return NULL;
	}
	b->fd = *rc;
	*rc = 0;
	b->refs = 1;
	b->restoring = restoring;
	b->handle = rand_u64() | 1;
	b->used = clock_mono();
	k->backup = b;
	return b;
}

struct keyd_op_backup *keyd_op_backup_current(struct keyd *k, int restoring)
{
	struct keyd_op_backup *b = k->backup;

	if (b && clock_mono() - b->used > IDLE) {
		keyd_op_backup_end(k);
		return NULL;
	}
	if (!b || b->restoring != restoring)
		return NULL;
	b->used = clock_mono();
	return b;
}

/* --- BEGIN: two changes, so that the backup knows its own key: its record, then the bytes. */

struct making {
	struct keyd_op_change op;
	struct keyd_change seal;
	struct keyd_op_backup *backup;
	int new_key;
	uint8_t *secret; /* 32 bytes, secret memory */
	struct keyd_backup_head head;
	int64_t size;
};

static void making_end(struct making *m, int rc, struct span reply)
{
	if (rc < 0 && rc != ERR_LOCKED && rc != ERR_NOTFOUND)
		log_event(LOG_LEVEL_ERROR, m->op.late.session->name, "backup-failed",
			  "error=\"%s\"", err_text(rc));
	keyd_op_late_answer(&m->op.late, rc, reply);
	keyd_op_backup_release(m->backup);
	secret_free(m->secret, 32);
	free(m);
}

static struct making *of_seal(struct keyd_change *c)
{
	return (struct making *)((char *)c - offsetof(struct making, seal));
}

static int put_key(struct keyd_change *c, int64_t at, unsigned state, int made)
{
	struct buf b;
	int rc;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	if (at < 0)
		rc = keyd_ring_backup_make(c->keyd->ring, keyd_generation(c->keyd), clock_wall(),
					   &b);
	else
		rc = keyd_ring_backup_step(c->keyd->ring, (uint32_t)at, state, made, clock_wall(),
					   &b);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_BACKUP, buf_span(&b));
	buf_clear(&b);
	return rc;
}

/* ERR_NOTFOUND: there is no key whose secret somebody has. */
static int key_make(struct keyd_change *c)
{
	const struct making *m = (struct making *)c;
	int64_t at = keyd_ring_backup_current(c->keyd->ring);
	int rc = 0;

	if (!m->new_key)
		return at < 0 ? ERR_NOTFOUND : put_key(c, at, KEYD_RECORD_BACKUP_CURRENT, 1);
	if (at >= 0)
		rc = put_key(c, at, KEYD_RECORD_BACKUP_REPLACED, 0);
	return rc == 0 ? put_key(c, -1, 0, 0) : rc;
}

static int seal_make(struct keyd_change *c)
{
	struct making *m = of_seal(c);
	const struct keyd_ring *r = c->keyd->ring;
	const struct keyd_snapshot_head *store = keyd_store_head(c->keyd->store);
	int64_t at = keyd_ring_backup_current(r);
	struct keyd_ring_backup key;

	if (at < 0) /* a customer's destruction has just replaced it */
		return ERR_BUSY;
	keyd_ring_backup_at(r, (uint32_t)at, &key);
	memcpy(m->secret, keyd_ring_backup_secret(r, (uint32_t)at), 32);
	memcpy(m->head.store, store->id, sizeof(m->head.store));
	m->head.generation = store->generation;
	m->head.sequence = keyd_ring_sequence(r);
	m->head.made = clock_wall();
	m->head.key = key.id;
	/* A new key is used from here on. */
	return m->new_key ? put_key(c, at, KEYD_RECORD_BACKUP_CURRENT, 1) : 0;
}

static int seal_work(struct keyd_change *c)
{
	struct making *m = of_seal(c);
	struct buf snapshot;
	int rc;

	buf_init(&snapshot, KEYD_SNAPSHOT_SIZE_MAX);
	rc = keyd_store_work_backup(c->keyd->store, c->keyd->ring, &c->keyd->changes.cancel,
				    &snapshot);
	if (rc == 0) {
		m->size = keyd_backup_seal(&m->head, m->secret, buf_span(&snapshot), m->backup->fd);
		rc = m->size < 0 ? (int)m->size : 0;
	}
	buf_clear(&snapshot);
	return rc;
}

static void seal_done(struct keyd_change *c, int rc)
{
	struct making *m = of_seal(c);
	struct keyproto_backup_begun reply = {.key = m->head.key};
	struct buf body;

	buf_init_wiped(&body, 256);
	if (rc == 0) {
		m->backup->size = (uint64_t)m->size;
		reply.handle = m->backup->handle;
		reply.size = m->backup->size;
		reply.secret = span_of(m->secret, m->new_key ? 32 : 0);
		rc = keyproto_backup_begun_put(&body, &reply);
		log_event(LOG_LEVEL_INFO, m->op.late.session->name, "backup-made",
			  "key=%" PRIu32 " bytes=%" PRId64 " generation=%" PRIu64, m->head.key,
			  m->size, m->head.generation);
		keyd_audit_event(c->keyd, AUDIT_BACKUP, AUDIT_NUM(BACKUP, m->head.key),
				 AUDIT_NUM(BYTES, (uint64_t)m->size));
	}
	making_end(m, rc, buf_span(&body));
	buf_clear(&body);
}

static void key_done(struct keyd_change *c, int rc)
{
	struct making *m = (struct making *)c;

	if (rc < 0) {
		making_end(m, rc, span_of(NULL, 0));
		return;
	}
	m->seal.make = seal_make;
	m->seal.work = seal_work;
	m->seal.done = seal_done;
	keyd_change_start(c->keyd, &m->seal);
}

static int backup_begin(struct keyd_op_call *call, const struct keyproto_backup *req)
{
	struct making *m;
	int rc;

	if (!call->keyd->store)
		return ERR_BADSTATE;
	/* Nobody takes all keys away unseen. */
	if (call->keyd->audit && !keyd_audit_writable(call->keyd))
		return ERR_IO;
	m = calloc(1, sizeof(*m));
	if (!m)
		return ERR_NOMEM;
	m->secret = secret_alloc(32);
	m->backup = m->secret ? keyd_op_backup_begin(call->keyd, 0, &rc) : NULL;
	if (!m->backup) {
		rc = m->secret ? rc : ERR_NOMEM;
		secret_free(m->secret, 32);
		free(m);
		return rc;
	}
	m->backup->refs++;
	m->new_key = req->new_key;
	m->op.change.make = key_make;
	m->op.change.done = key_done;
	return keyd_op_change_start(&m->op, call);
}

/* --- READ: one job on the disk thread each. */

void keyd_op_backup_piece_end(struct keyd_op_backup_piece *p, int rc, struct span body)
{
	keyd_op_late_answer(&p->late, rc, body);
	keyd_op_backup_release(p->backup);
	secret_free(p->secret, 32);
	free(p);
}

struct keyd_op_backup_piece *keyd_op_backup_piece_new(struct keyd_op_backup *b, uint64_t offset,
						      void (*work)(struct keyd_pool_job *),
						      void (*done)(struct keyd_pool_job *))
{
	struct keyd_op_backup_piece *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->backup = b;
	b->refs++;
	p->offset = offset;
	p->job.work = work;
	p->job.done = done;
	return p;
}

int keyd_op_backup_piece_start(struct keyd_op_backup_piece *p, struct keyd_op_call *call)
{
	keyd_op_late_begin(&p->late, call);
	keyd_pool_run(call->keyd->disk, &p->job);
	return KEYD_OP_LATER;
}

static void read_work(struct keyd_pool_job *job)
{
	struct keyd_op_backup_piece *p = (struct keyd_op_backup_piece *)job;

	while (p->n < sizeof(p->data)) {
		ssize_t n = pread(p->backup->fd, p->data + p->n, sizeof(p->data) - p->n,
				  (off_t)(p->offset + p->n));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			p->result = err_from_errno(errno);
		if (n <= 0)
			return;
		p->n += (size_t)n;
	}
}

static void read_done(struct keyd_pool_job *job)
{
	struct keyd_op_backup_piece *p = (struct keyd_op_backup_piece *)job;
	struct buf body;
	int rc = p->result;

	buf_init(&body, KEYPROTO_BACKUP_PIECE + 16);
	if (rc == 0)
		rc = keyproto_bytes_put(&body, span_of(p->data, p->n));
	keyd_op_backup_piece_end(p, rc, buf_span(&body));
	buf_clear(&body);
}

static int backup_read(struct keyd_op_call *call, const struct keyproto_backup *req)
{
	struct keyd_op_backup *b = keyd_op_backup_current(call->keyd, 0);
	struct keyd_op_backup_piece *p;

	if (!b || b->handle != req->handle || !b->size)
		return ERR_NOTFOUND;
	p = keyd_op_backup_piece_new(b, req->offset, read_work, read_done);
	return p ? keyd_op_backup_piece_start(p, call) : ERR_NOMEM;
}

static int backup_end(struct keyd_op_call *call, const struct keyproto_backup *req)
{
	struct keyd_op_backup *b = keyd_op_backup_current(call->keyd, 0);

	if (!b || b->handle != req->handle)
		return ERR_NOTFOUND;
	keyd_op_backup_end(call->keyd);
	return 0;
}

static int backup_list(struct keyd_op_call *call, const struct keyproto_backup *req)
{
	const struct keyd_ring *r = call->keyd->ring;
	uint32_t count = keyd_ring_backup_count(r);
	struct keyd_ring_backup b;
	struct buf out;
	int rc;

	(void)req;
	buf_init(&out, JSON_MAX);
	buf_put_str(&out, "{\"keys\":[");
	/* The newest first: the oldest are cut if there are hundreds. */
	for (uint32_t i = count; i > 0 && buf_size(&out) < JSON_MAX - 256; i--) {
		keyd_ring_backup_at(r, i - 1, &b);
		buf_putf(&out,
			 "%s{\"id\":%" PRIu32 ",\"state\":\"%s\",\"created\":%" PRId64
			 ",\"used\":%" PRId64 ",\"changed\":%" PRId64 "}",
			 i < count ? "," : "", b.id, keyd_record_backup_state_name(b.state),
			 b.created / CLOCK_SEC, b.used / CLOCK_SEC, b.changed / CLOCK_SEC);
	}
	buf_put_str(&out, "]}");
	rc = buf_failed(&out) ? buf_failed(&out) : buf_put_span(call->reply, buf_span(&out));
	buf_clear(&out);
	return rc;
}

int keyd_op_backup(struct keyd_op_call *call)
{
	static int (*const by_what[])(struct keyd_op_call * call,
				      const struct keyproto_backup *req) = {
	    [KEYPROTO_BACKUP_BEGIN] = backup_begin,
	    [KEYPROTO_BACKUP_READ] = backup_read,
	    [KEYPROTO_BACKUP_END] = backup_end,
	    [KEYPROTO_BACKUP_LIST] = backup_list};
	struct keyproto_backup m;

	if (keyproto_backup_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	return by_what[m.what](call, &m);
}

/* --- BACKUP_FORGET */

struct forget {
	struct keyd_op_change op;
	uint32_t id;
};

static int forget_make(struct keyd_change *c)
{
	const struct forget *f = (struct forget *)c;
	struct keyd_ring_backup b;

	for (uint32_t i = 0; i < keyd_ring_backup_count(c->keyd->ring); i++) {
		keyd_ring_backup_at(c->keyd->ring, i, &b);
		if (b.id == f->id)
			return put_key(c, i, KEYD_RECORD_BACKUP_FORGOTTEN, 0);
	}
	return ERR_NOTFOUND;
}

static void forget_done(struct keyd_change *c, int rc)
{
	struct forget *f = (struct forget *)c;

	if (rc == 0) {
		log_event(LOG_LEVEL_WARN, f->op.late.session->name, "backup-key-forgotten",
			  "key=%" PRIu32, f->id);
		keyd_shred_look(c->keyd->shred);
	}
	keyd_op_late_answer(&f->op.late, rc, span_of(NULL, 0));
	free(f);
}

int keyd_op_backup_forget(struct keyd_op_call *call)
{
	struct forget *f;
	uint32_t id;

	if (keyproto_backup_forget_get(call->body, &id) < 0)
		return KEYD_OP_MALFORMED;
	f = calloc(1, sizeof(*f));
	if (!f)
		return ERR_NOMEM;
	f->id = id;
	f->op.change.make = forget_make;
	f->op.change.done = forget_done;
	return keyd_op_change_start(&f->op, call);
}
