/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_fault.h"
#include "keyd/keyd_scrub.h"
#include "sys/sys_file.h"
#include "wire/wire_put.h"

#define JOURNAL_LONG (1024 * 1024)

struct keys {
	uint8_t snapshot[32], journal[32];
};

struct keyd_store {
	int lock;
	char *snap, *fresh, *journal;
	int there;
	struct keyd_snapshot_head head;
	uint64_t size;	   /* of the snapshot */
	struct keys *keys; /* secret; NULL while locked */
	struct keyd_journal log;
	/* What the loop sees, while a _work function may be changing the above. */
	struct {
		struct keyd_snapshot_head head;
		int there, open, broken;
		uint64_t size, journal, records;
	} seen;
};

void keyd_store_settle(struct keyd_store *s)
{
	s->seen.head = s->head;
	s->seen.there = s->there;
	s->seen.open = s->keys != NULL;
	s->seen.broken = s->log.fd < 0;
	s->seen.size = s->size;
	s->seen.journal = s->log.at.end;
	s->seen.records = s->log.at.number;
}

static void say(const char **why, const char *text)
{
	if (why)
		*why = text;
}

static char *join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* The one instance: a lock that ends with the process, however it ends. */
static int take_lock(const char *dir, const char **why)
{
	char path[PATH_MAX];
	int fd, rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/store.lock", dir) >= sizeof(path))
		return ERR_LIMIT;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		say(why, "cannot open the lock file");
		return errno == ELOOP ? ERR_DENIED : err_from_errno(errno);
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		rc = errno == EWOULDBLOCK ? ERR_BUSY : err_from_errno(errno);
		say(why, "another keyd uses this state directory");
		close(fd);
		return rc;
	}
	return fd;
}

static int read_file(const char *path, struct buf *out, const char **why)
{
	int rc = sys_file_read(path, out, 1);

	if (rc == ERR_DENIED)
		say(why, "a store file is not private: wrong owner or mode, or a symbolic link");
	else if (rc < 0 && rc != ERR_NOTFOUND)
		say(why, "a store file cannot be read");
	return rc;
}

/* Slots and identity, for which no key is needed. */
static int peek(struct keyd_store *s, const char **why)
{
	struct stat st;
	struct buf b;
	int rc;

	buf_init(&b, KEYD_SNAPSHOT_SIZE_MAX);
	rc = read_file(s->snap, &b, why);
	if (rc == ERR_NOTFOUND) {
		rc = lstat(s->journal, &st) < 0 ? 0 : ERR_DAMAGED;
		say(why, "there is a journal but no snapshot");
	} else if (rc == 0) {
		int64_t n = keyd_snapshot_head_parse(buf_span(&b), &s->head);
		s->there = n > 0;
		s->size = buf_size(&b);
		rc = n > 0 ? 0 : (int)n;
		say(why, n == ERR_UNSUPPORTED ? "the snapshot is of a format that is not read here"
					      : "the snapshot is not one");
	}
	buf_clear(&b);
	return rc;
}

int keyd_store_open(const char *dir, struct keyd_store **out, const char **why)
{
	struct keyd_store *s = calloc(1, sizeof(*s));
	int rc;

	*out = NULL;
	if (!s)
		return ERR_NOMEM;
	s->lock = -1;
	keyd_journal_init(&s->log);
	s->snap = join(dir, "store.snap");
	s->fresh = join(dir, "store.snap.new");
	s->journal = join(dir, "store.journal");
	rc = s->snap && s->fresh && s->journal ? sys_file_mkdir(dir, 0700) : ERR_NOMEM;
	if (rc < 0)
		say(why, "the state directory is not a private one of our own");
	if (rc == 0)
		rc = s->lock = take_lock(dir, why);
	if (rc >= 0) {
		keyd_scrub_remove(s->fresh); /* left by a crash before it counted */
		keyd_scrub_leftovers(dir, "store.snap.new");
		keyd_scrub_leftovers(dir, "store.journal");
		rc = peek(s, why);
	}
	if (rc < 0) {
		keyd_store_close(s);
		return rc;
	}
	keyd_store_settle(s);
	*out = s;
	return 0;
}

void keyd_store_close(struct keyd_store *s)
{
	if (!s)
		return;
	keyd_store_seal(s);
	if (s->lock >= 0)
		close(s->lock);
	free(s->snap);
	free(s->fresh);
	free(s->journal);
	free(s);
}

const struct keyd_snapshot_head *keyd_store_head(const struct keyd_store *s)
{
	return s->seen.there ? &s->seen.head : NULL;
}

void keyd_store_seal(struct keyd_store *s)
{
	keyd_journal_close(&s->log);
	secret_free(s->keys, sizeof(*s->keys));
	s->keys = NULL;
	keyd_store_settle(s);
}

static int keep_keys(struct keyd_store *s, const struct keyd_root_keys *keys)
{
	if (!s->keys && !(s->keys = secret_alloc(sizeof(*s->keys))))
		return ERR_NOMEM;
	memcpy(s->keys->snapshot, keys->snapshot, 32);
	memcpy(s->keys->journal, keys->journal, 32);
	return 0;
}

/* A journal of its header alone takes the place of whatever is there. */
static int begin_journal(struct keyd_store *s, const uint8_t tag[32])
{
	struct keyd_journal_base base = {s->keys->journal, s->head.id, s->head.generation, tag};
	struct keyd_journal_read at = {.end = KEYD_JOURNAL_HEADER};
	uint8_t header[KEYD_JOURNAL_HEADER];
	int rc = keyd_journal_header(&base, header);

	keyd_journal_close(&s->log);
	if (rc == 0)
		rc = sys_file_replace(s->journal, span_of(header, sizeof(header)), 0600);
	if (rc < 0)
		return rc;
	memcpy(at.tag, header + sizeof(header) - 32, 32);
	return keyd_journal_open(&s->log, s->journal, s->keys->journal, &at);
}

static int same_as_written(const char *path, struct span data)
{
	struct buf back;
	int rc;

	buf_init(&back, data.n + 1);
	rc = sys_file_read(path, &back, 1);
	if (rc == 0 && !span_equal(buf_span(&back), data))
		rc = ERR_IO;
	buf_clear(&back);
	return rc;
}

/* A file whose place another one has taken, for good if rc is 0. It may hold slots that were removed
 * and keys that were destroyed. */
static void replaced(int fd, int rc)
{
	if (rc == 0)
		keyd_scrub_close(fd);
	else
		keyd_scrub_keep(fd);
}

/* Writes a snapshot with head and begins its journal. Until the rename the old one stands; from
 * then on the old journal is known for stale by its generation. */
static int write_snapshot(struct keyd_store *s, const struct keyd_snapshot_head *head,
			  const struct keyd_ring *ring, const int *cancel)
{
	int old_snap = keyd_scrub_open(s->snap), old_journal = keyd_scrub_open(s->journal);
	struct buf b;
	char dir[PATH_MAX];
	int rc;

	buf_init(&b, KEYD_SNAPSHOT_SIZE_MAX);
	rc = keyd_snapshot_format(head, ring, s->keys->snapshot, cancel, &b);
	keyd_fault("snapshot-write");
	if (rc == 0)
		rc = sys_file_replace(s->fresh, buf_span(&b), 0600);
	if (rc == 0)
		rc = same_as_written(s->fresh, buf_span(&b));
	keyd_fault("snapshot-rename");
	if (rc == 0 && rename(s->fresh, s->snap) < 0)
		rc = err_from_errno(errno);
	keyd_fault("snapshot-renamed");
	if (rc < 0) {
		keyd_scrub_remove(s->fresh);
	} else {
		s->head = *head;
		s->there = 1;
		s->size = buf_size(&b);
		*strrchr(strcpy(dir, s->snap), '/') = '\0';
		rc = sys_file_sync_dir(dir);
		if (rc == 0)
			rc = begin_journal(s, buf_ptr(&b) + buf_size(&b) - 32);
		if (rc < 0) /* the old journal no longer counts */
			keyd_journal_close(&s->log);
		keyd_fault("snapshot-done");
	}
	replaced(old_snap, rc);
	replaced(old_journal, rc);
	buf_clear(&b);
	return rc;
}

int keyd_store_create(struct keyd_store *s, const struct keyd_snapshot_head *head,
		      const struct keyd_root_keys *keys, const struct keyd_ring *ring)
{
	struct keyd_snapshot_head h = *head;
	int rc = s->there ? ERR_BADSTATE : keep_keys(s, keys);

	if (rc < 0)
		return rc;
	h.generation = 1;
	h.made = clock_wall();
	rc = write_snapshot(s, &h, ring, NULL);
	/* Once more, so that only a store whose creation was cut short is of generation 1: it may
	 * lack its journal, and no other may. */
	if (rc == 0)
		rc = keyd_store_snapshot(s, ring);
	if (rc < 0)
		keyd_store_seal(s);
	return rc;
}

int keyd_store_work_snapshot(struct keyd_store *s, const struct keyd_snapshot_head *head,
			     const struct keyd_ring *ring, const int *cancel)
{
	struct keyd_snapshot_head h = *head;

	if (!s->keys)
		return ERR_LOCKED;
	h.generation = s->head.generation + 1;
	h.made = clock_wall();
	return write_snapshot(s, &h, ring, cancel);
}

int keyd_store_snapshot(struct keyd_store *s, const struct keyd_ring *ring)
{
	int rc = keyd_store_work_snapshot(s, &s->head, ring, NULL);

	keyd_store_settle(s);
	return rc;
}

struct load {
	struct keyd_ring *ring;
	int fresh;
};

static int take_record(void *arg, unsigned type, struct span body)
{
	struct load *l = arg;

	return keyd_ring_apply(l->ring, type, body, l->fresh);
}

static int load_journal(struct keyd_store *s, struct keyd_ring *ring, const uint8_t *tag,
			const char **why)
{
	struct keyd_journal_base base = {s->keys->journal, s->head.id, s->head.generation, tag};
	struct load l = {ring, 1};
	struct keyd_journal_read at;
	struct buf b;
	int rc;

	buf_init(&b, KEYD_SNAPSHOT_SIZE_MAX);
	rc = read_file(s->journal, &b, why);
	if (rc == 0)
		rc = keyd_journal_replay(buf_span(&b), &base, take_record, &l, &at);
	if (rc == 0 && at.end < buf_size(&b) + !at.end)
		log_event(LOG_LEVEL_WARN, NULL, "journal-tail-cut",
			  "bytes=%" PRIu64 " kept=%" PRIu64, buf_size(&b) - at.end, at.end);
	if (rc == 0 && at.end)
		rc = keyd_journal_open(&s->log, s->journal, s->keys->journal, &at);
	else if (rc == 0 || rc == ERR_BADSTATE ||
		 (rc == ERR_NOTFOUND && (s->head.generation == 1 || s->head.restored)))
		rc = begin_journal(s, tag);
	else if (rc == ERR_DAMAGED)
		say(why, "the journal does not verify");
	else if (rc == ERR_NOTFOUND) {
		rc = ERR_DAMAGED;
		say(why, "there is a snapshot but no journal");
	}
	buf_clear(&b);
	return rc;
}

int keyd_store_load(struct keyd_store *s, const struct keyd_root_keys *keys, struct keyd_ring *ring,
		    const char **why)
{
	struct load l = {ring, 0};
	const uint8_t *tag = NULL;
	struct buf b;
	int rc = keep_keys(s, keys);

	buf_init(&b, KEYD_SNAPSHOT_SIZE_MAX);
	if (rc == 0)
		rc = read_file(s->snap, &b, why);
	if (rc == 0) {
		rc = keyd_snapshot_parse(buf_span(&b), keys->snapshot, take_record, &l, &tag);
		if (rc < 0)
			say(why, "the snapshot does not verify");
	}
	/* The head was read at open, without the key: it must be the one that now verified. */
	if (rc == 0 && keyd_snapshot_head_parse(buf_span(&b), &s->head) < 0)
		rc = ERR_DAMAGED;
	if (rc == 0)
		rc = load_journal(s, ring, tag, why);
	buf_clear(&b);
	if (rc < 0)
		keyd_store_seal(s);
	keyd_store_settle(s);
	return rc;
}

int keyd_store_work_append(struct keyd_store *s, struct span records)
{
	return s->keys ? keyd_journal_append(&s->log, records) : ERR_LOCKED;
}

int keyd_store_append(struct keyd_store *s, unsigned type, struct span body)
{
	struct buf b;
	int rc;

	buf_init(&b, KEYD_JOURNAL_BODY_MAX + 16);
	wire_put_u8(&b, (uint8_t)type);
	wire_put_bytes32(&b, body);
	rc = buf_failed(&b) ? ERR_LIMIT : keyd_store_work_append(s, buf_span(&b));
	buf_clear(&b);
	keyd_store_settle(s);
	return rc;
}

void keyd_store_distrust(struct keyd_store *s)
{
	keyd_journal_close(&s->log);
	keyd_store_settle(s);
}

int keyd_store_wants_snapshot(const struct keyd_store *s)
{
	uint64_t bound = s->seen.size / 2 > JOURNAL_LONG ? s->seen.size / 2 : JOURNAL_LONG;

	return s->seen.open && (s->seen.broken || s->seen.journal > bound);
}

int keyd_store_writable(const struct keyd_store *s)
{
	return s->seen.open && !s->seen.broken;
}

int keyd_store_changed(const struct keyd_store *s)
{
	return s->seen.open && (s->seen.broken || s->seen.records > 0);
}

int keyd_store_work_backup(const struct keyd_store *s, const struct keyd_ring *ring,
			   const int *cancel, struct buf *out)
{
	if (!s->keys)
		return ERR_LOCKED;
	return keyd_snapshot_format_bare(&s->head, ring, s->keys->snapshot, cancel, out);
}

int keyd_store_work_restore(struct keyd_store *s, struct span snapshot)
{
	struct keyd_snapshot_head head;
	int rc;

	if (s->there)
		return ERR_BADSTATE;
	if (keyd_snapshot_head_parse(snapshot, &head) < 0 || !head.restored)
		return ERR_FORMAT;
	keyd_fault("restore-write");
	rc = sys_file_replace(s->snap, snapshot, 0600);
	keyd_fault("restore-done");
	if (rc < 0)
		return rc;
	s->head = head;
	s->there = 1;
	s->size = snapshot.n;
	return 0;
}
