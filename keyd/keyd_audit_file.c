/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/hex.h"
#include "keyd/keyd_audit_scan.h"
#include "sys/sys_file.h"

struct keyd_audit_file {
	char *dir;
	uint64_t size_max;
	int fd; /* -1: closed */
	uint32_t number;
	uint64_t size;
	int known; /* seq and hash are what we wrote or read last */
	struct keyd_audit_file_tail tail;
	char store[33];					     /* of the open file */
	uint8_t introduced[AUDIT_VERIFY_KEYS][AUDIT_KEY_ID]; /* in the open file */
	unsigned introduced_count;
	int reserve; /* 1 if the room is held */
	struct keyd_audit_file_news news;
	struct keyd_audit_file_news unwritten; /* news that the log itself does not tell yet */
};

static int path_of(const struct keyd_audit_file *f, uint32_t number, char path[PATH_MAX])
{
	char name[KEYD_AUDIT_SCAN_NAME];

	keyd_audit_scan_name(name, number);
	return snprintf(path, PATH_MAX, "%s/%s", f->dir, name) < PATH_MAX ? 0 : ERR_LIMIT;
}

struct keyd_audit_file *keyd_audit_file_new(const char *dir, uint64_t size_max)
{
	struct keyd_audit_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->fd = -1;
	f->size_max = size_max;
	f->dir = strdup(dir);
	if (!f->dir) {
		free(f);
		return NULL;
	}
	return f;
}

static void give_up(struct keyd_audit_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

void keyd_audit_file_free(struct keyd_audit_file *f)
{
	if (!f)
		return;
	give_up(f);
	free(f->dir);
	free(f);
}

/* --- the room for last words */

static void hold_room(struct keyd_audit_file *f)
{
	char path[PATH_MAX];
	int fd;

	if (f->reserve || snprintf(path, sizeof(path), "%s/reserve", f->dir) >= PATH_MAX)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	f->reserve = posix_fallocate(fd, 0, KEYD_AUDIT_FILE_RESERVE) == 0;
	close(fd);
	if (!f->reserve)
		unlink(path);
}

static int release_room(struct keyd_audit_file *f)
{
	char path[PATH_MAX];

	if (!f->reserve || snprintf(path, sizeof(path), "%s/reserve", f->dir) >= PATH_MAX)
		return 0;
	f->reserve = 0;
	if (unlink(path) < 0)
		return 0;
	f->news.room_gone = f->unwritten.room_gone = 1;
	return 1;
}

/* --- opening */

/* Opens a file of ours to append to it; 0 or ERR_*. */
static int open_file(struct keyd_audit_file *f, uint32_t number, int flags)
{
	char path[PATH_MAX];
	struct stat st;
	int rc = path_of(f, number, path);

	if (rc < 0)
		return rc;
	f->fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
	if (f->fd < 0)
		return err_from_errno(errno);
	if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_mode & 077) {
		give_up(f);
		return ERR_DENIED;
	}
	f->number = number;
	f->size = (uint64_t)st.st_size;
	f->introduced_count = 0;
	return 0;
}

/* Takes over where the newest good line is. */
static void adopt(struct keyd_audit_file *f, const struct keyd_audit_scan *s)
{
	f->tail.seq = s->at.seq;
	memcpy(f->tail.hash, s->at.chain, AUDIT_HASH);
	f->tail.mark = s->at.mark;
	f->tail.generation = s->at.generation;
	memcpy(f->tail.branch, s->at.branch, sizeof(f->tail.branch));
	memcpy(f->tail.store, s->at.store, sizeof(f->tail.store));
	f->known = 1;
}

static void keep_keys(struct keyd_audit_file *f, const struct audit_verify *v)
{
	for (unsigned i = 0; i < v->key_count; i++)
		memcpy(f->introduced[i], v->keys[i].id, AUDIT_KEY_ID);
	f->introduced_count = v->key_count;
}

/* What is there goes on: its last file is opened behind its last good line. */
static int go_on(struct keyd_audit_file *f, const struct keyd_audit_scan *s)
{
	int rc = open_file(f, s->newest, 0);

	if (rc < 0)
		return rc;
	if (s->cut && (ftruncate(f->fd, (off_t)s->at.good) < 0 || fdatasync(f->fd) < 0)) {
		rc = err_from_errno(errno);
		give_up(f);
		return rc;
	}
	f->size = s->at.good;
	memcpy(f->store, s->at.store, sizeof(f->store));
	keep_keys(f, &s->at);
	if (s->cut)
		f->news.cut = f->unwritten.cut = s->cut;
	return 0;
}

int keyd_audit_file_open(struct keyd_audit_file *f, int make)
{
	struct keyd_audit_scan s;
	int rc = make ? sys_file_mkdir(f->dir, 0700) : 0;

	give_up(f);
	if (rc == 0)
		rc = keyd_audit_scan(f->dir, &s);
	if (rc < 0)
		return rc;
	hold_room(f);
	if (f->known && f->tail.seq && !s.reason &&
	    (s.at.seq != f->tail.seq || memcmp(s.at.chain, f->tail.hash, AUDIT_HASH)))
		s.reason = s.newest ? "it is not what was written last" : "its files are gone";
	if (!f->known)
		adopt(f, &s);
	if (s.newest > f->number)
		f->number = s.newest;
	f->tail.file = f->number;
	if (s.newest && !s.reason)
		return go_on(f, &s);
	/* Nothing to go on with: the next append begins a file. */
	if (s.reason) {
		f->news.damaged_file = f->unwritten.damaged_file = f->number;
		f->news.damaged_line = f->unwritten.damaged_line = s.at.line;
		f->news.damage = f->unwritten.damage = s.reason;
	}
	return 0;
}

/* 1 if the open file still is the one under its name. */
static int in_place(const struct keyd_audit_file *f)
{
	char path[PATH_MAX];
	struct stat ours, named;

	return path_of(f, f->number, path) == 0 && fstat(f->fd, &ours) == 0 &&
	       lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
	       ours.st_dev == named.st_dev && (uint64_t)ours.st_size == f->size;
}

/* --- writing: lines gather in text, numbers and hashes in a copy of the tail that replaces it
 * once they are on disk. */

struct draft {
	struct buf text;
	struct keyd_audit_file_tail tail;
	int64_t wall;
};

static int add(struct draft *d, struct span body)
{
	int rc = audit_line_close(&d->text, d->tail.seq + 1, body, d->tail.hash);

	if (rc == 0)
		d->tail.seq++;
	return rc;
}

static int add_line(struct draft *d, unsigned event, const struct audit_value *values)
{
	struct buf body;
	int rc;

	buf_init(&body, AUDIT_LINE_MAX);
	rc = audit_line_body(&body, d->wall, event, values);
	if (rc == 0)
		rc = add(d, buf_span(&body));
	buf_clear(&body);
	return rc;
}
#define ADD_LINE(d, event, ...) add_line(d, event, (const struct audit_value[]){__VA_ARGS__, {0}})

static int write_out(struct keyd_audit_file *f, struct span text)
{
	size_t done = 0;
	ssize_t n;

	while (done < text.n) {
		n = pwrite(f->fd, text.p + done, text.n - done, (off_t)(f->size + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		done += (size_t)n;
	}
	return fdatasync(f->fd) < 0 ? err_from_errno(errno) : 0;
}

/* Puts the draft on disk, or takes all of it back. */
static int commit(struct keyd_audit_file *f, struct draft *d, int last_words)
{
	struct span text = buf_span(&d->text);
	int rc = write_out(f, text);

	if (rc == ERR_NOSPACE && last_words && release_room(f))
		rc = write_out(f, text);
	if (rc < 0) {
		if (ftruncate(f->fd, (off_t)f->size) < 0 || fdatasync(f->fd) < 0)
			give_up(f);
		return rc;
	}
	f->size += text.n;
	d->tail.file = f->number;
	f->tail = d->tail;
	f->known = 1;
	return 0;
}

static void draft_init(struct draft *d, const struct keyd_audit_file *f, int64_t wall)
{
	buf_init(&d->text, 4 * KEYD_AUDIT_FILE_BATCH);
	d->tail = f->tail;
	d->wall = wall;
}

/* The next file, with its first line. On failure the one before stays open, if one is. */
static int begin_file(struct keyd_audit_file *f, const struct keyd_audit_file_batch *b)
{
	char prev[HEX_SIZE(AUDIT_HASH)], path[PATH_MAX];
	int old = f->fd, rc;
	uint32_t number = f->number;
	uint64_t size = f->size;
	struct draft d;

	hex_encode(prev, f->tail.hash, AUDIT_HASH);
	rc = open_file(f, number + 1, O_CREAT | O_EXCL);
	if (rc < 0) {
		f->fd = old;
		return rc;
	}
	draft_init(&d, f, b->wall);
	if (strcmp(d.tail.store, b->store)) { /* the old one's mark says nothing of this one */
		d.tail.mark = d.tail.generation = 0;
		d.tail.branch[0] = '\0';
		memcpy(d.tail.store, b->store, sizeof(d.tail.store));
	}
	rc = ADD_LINE(&d, AUDIT_FILE, AUDIT_NUM(FILE, f->number), AUDIT_STR(PREV, prev),
		      AUDIT_STR(STORE, b->store), AUDIT_NUM(MARK, d.tail.mark),
		      AUDIT_STR(BRANCH, d.tail.branch), AUDIT_NUM(GENERATION, d.tail.generation));
	if (rc == 0)
		rc = commit(f, &d, b->last_words);
	buf_clear(&d.text);
	if (rc == 0)
		rc = sys_file_sync_dir(f->dir);
	if (rc < 0) {
		give_up(f);
		if (path_of(f, number + 1, path) == 0)
			unlink(path);
		f->fd = old;
		f->number = number;
		f->size = size;
		return rc;
	}
	if (old >= 0)
		close(old);
	memcpy(f->store, b->store, sizeof(f->store));
	return 0;
}

/* What happened to the log itself comes before anything else. */
static int add_news(struct keyd_audit_file *f, struct draft *d)
{
	const struct keyd_audit_file_news *n = &f->unwritten;
	int rc = 0;

	if (n->cut)
		rc = ADD_LINE(d, AUDIT_CUT, AUDIT_NUM(BYTES, n->cut));
	if (rc == 0 && n->damaged_file)
		rc = ADD_LINE(d, AUDIT_DAMAGE, AUDIT_NUM(FILE, n->damaged_file),
			      AUDIT_NUM(LINE, n->damaged_line), AUDIT_STR(WHY, n->damage));
	if (rc == 0 && n->room_gone)
		rc = ADD_LINE(d, AUDIT_ROOM, AUDIT_STR(STATE, "used"));
	if (rc == 0 && n->room_back)
		rc = ADD_LINE(d, AUDIT_ROOM, AUDIT_STR(STATE, "held"));
	return rc;
}

static int is_introduced(const struct keyd_audit_file *f, const uint8_t id[AUDIT_KEY_ID])
{
	for (unsigned i = 0; i < f->introduced_count; i++)
		if (memcmp(f->introduced[i], id, AUDIT_KEY_ID) == 0)
			return 1;
	return 0;
}

static int add_signature(const struct keyd_audit_file *f, struct draft *d,
			 const struct keyd_audit_file_signer *s)
{
	uint8_t id[AUDIT_KEY_ID], sig[AUDIT_SIG], data[AUDIT_SIGNED_MAX];
	char key[HEX_SIZE(AUDIT_KEY_ID)], hex[HEX_SIZE(AUDIT_SIG)];
	size_t n = audit_verify_signed(data, f->store, d->tail.seq, d->tail.hash);
	int rc = audit_verify_key_id(span_of(s->spki, AUDIT_SPKI), id);

	if (rc == 0)
		rc = s->sign(s->arg, span_of(data, n), sig);
	if (rc < 0)
		return rc;
	hex_encode(key, id, AUDIT_KEY_ID);
	hex_encode(hex, sig, AUDIT_SIG);
	return ADD_LINE(d, AUDIT_CHECKPOINT, AUDIT_NUM(UPTO, d->tail.seq), AUDIT_STR(KEY, key),
			AUDIT_STR(SIG, hex));
}

/* The key is introduced once in each file; the one before it signs that. */
static int add_key(struct keyd_audit_file *f, struct draft *d,
		   const struct keyd_audit_file_batch *b)
{
	uint8_t id[AUDIT_KEY_ID], former[AUDIT_KEY_ID];
	char key[HEX_SIZE(AUDIT_KEY_ID)], spki[HEX_SIZE(AUDIT_SPKI)];
	int rc = audit_verify_key_id(span_of(b->signer->spki, AUDIT_SPKI), id);

	if (rc < 0 || is_introduced(f, id) || f->introduced_count == AUDIT_VERIFY_KEYS)
		return rc;
	hex_encode(key, id, AUDIT_KEY_ID);
	hex_encode(spki, b->signer->spki, AUDIT_SPKI);
	rc = ADD_LINE(d, AUDIT_KEY, AUDIT_STR(KEY, key), AUDIT_STR(PUBLIC, spki));
	if (rc == 0 && b->former &&
	    audit_verify_key_id(span_of(b->former->spki, AUDIT_SPKI), former) == 0 &&
	    is_introduced(f, former))
		rc = add_signature(f, d, b->former);
	if (rc == 0)
		memcpy(f->introduced[f->introduced_count++], id, AUDIT_KEY_ID);
	return rc;
}

static int add_bodies(struct draft *d, struct span rest)
{
	ptrdiff_t n;
	int rc = 0;

	while (rc == 0 && (n = span_find(rest, '\n')) >= 0) {
		rc = add(d, span_sub(rest, 0, (size_t)n));
		rest = span_sub(rest, (size_t)n + 1, SIZE_MAX);
	}
	return rc;
}

static int compose(struct keyd_audit_file *f, struct draft *d, struct keyd_audit_file_batch *b)
{
	/* A signature names the store of the file that it stands in. */
	int sign = b->checkpoint && b->signer && !strcmp(b->store, f->store);
	int rc = add_news(f, d);

	if (rc == 0 && sign)
		rc = add_key(f, d, b);
	b->first = d->tail.seq + 1;
	if (rc == 0)
		rc = add_bodies(d, buf_span(&b->bodies));
	if (rc == 0 && sign)
		rc = add_signature(f, d, b->signer);
	return rc;
}

int keyd_audit_file_append(struct keyd_audit_file *f, struct keyd_audit_file_batch *b)
{
	struct draft d;
	unsigned keys;
	int rc = 0, held = f->reserve;

	if (f->fd >= 0 && !in_place(f))
		give_up(f);
	if (f->fd < 0)
		rc = keyd_audit_file_open(f, 0);
	if (rc < 0)
		return rc;
	if (f->fd < 0 || f->size >= f->size_max || strcmp(f->store, b->store))
		rc = begin_file(f, b);
	if (f->fd < 0)
		return rc;
	hold_room(f);
	if (!f->reserve && !b->last_words)
		return ERR_NOSPACE; /* what is left is for last words */
	if (f->reserve && !held && f->tail.seq > 1 && !f->unwritten.room_gone)
		f->news.room_back = f->unwritten.room_back = 1;
	draft_init(&d, f, b->wall);
	keys = f->introduced_count;
	rc = compose(f, &d, b);
	if (rc == 0)
		rc = commit(f, &d, b->last_words);
	if (rc == 0)
		memset(&f->unwritten, 0, sizeof(f->unwritten));
	else
		f->introduced_count = keys;
	buf_clear(&d.text);
	return rc;
}

void keyd_audit_file_tail(const struct keyd_audit_file *f, struct keyd_audit_file_tail *out)
{
	*out = f->tail;
}

void keyd_audit_file_news(struct keyd_audit_file *f, struct keyd_audit_file_news *out)
{
	*out = f->news;
	memset(&f->news, 0, sizeof(f->news));
}
