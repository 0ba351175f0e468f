/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_bed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

#define CREATED(id) (INT64_C(1700000000000000) + (int64_t)(id))

static void die(const char *what)
{
	fprintf(stderr, "spool_bed: %s: %s\n", what, strerror(errno));
	abort();
}

/* --- the bed */

void bed_init(struct bed *b, int fast)
{
	memset(b, 0, sizeof(*b));
	b->options = spool_options_default;
	b->options.segment_size = 64u << 10;
	b->options.io = &bed_io;
	bed_disk_reset();
	bed_disk.lazy = fast;
	snprintf(b->base, sizeof(b->base), "%s/sealpost-spool-XXXXXX",
		 fast && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(b->base))
		die(b->base);
	snprintf(b->dir, sizeof(b->dir), "%s/spool", b->base);
	if (mkdir(b->dir, 0700) < 0)
		die(b->dir);
	b->in = evt_inbox_new(NULL, NULL, NULL);
	b->found = malloc(BED_FOUND_MAX * sizeof(*b->found));
	if (!b->in || !b->found)
		die("memory");
}

static void on_found(void *arg, const struct spool_found *f)
{
	struct bed *b = arg;
	struct bed_found *to = &b->found[b->found_count];

	if (b->found_count++ >= BED_FOUND_MAX)
		die("too many found");
	memset(to, 0, sizeof(*to));
	to->id = f->id;
	to->created = f->created;
	to->place = f->place;
	to->recipients = f->recipients;
	for (unsigned i = 0; i < f->recipients && i < 4; i++)
		to->states[i] = f->states[i];
}

int bed_open(struct bed *b)
{
	b->found_count = 0;
	b->log =
	    spool_log_open_with(b->dir, b->floor, on_found, b, &b->report, &b->err, &b->options);
	return b->log ? 0 : b->err;
}

void bed_close(struct bed *b)
{
	spool_log_close(b->log);
	b->log = NULL;
}

void bed_stop(struct bed *b)
{
	int before = b->options.no_final_check;

	if (b->log)
		b->log->options.no_final_check = 1;
	bed_close(b);
	b->options.no_final_check = before;
}

static int remove_any(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void bed_clear(struct bed *b)
{
	bed_disk_reset();
	if (b->log)
		bed_stop(b);
	nftw(b->base, remove_any, 8, FTW_DEPTH | FTW_PHYS);
	evt_inbox_free(b->in);
	free(b->found);
}

const struct bed_found *bed_find(const struct bed *b, uint64_t id)
{
	for (size_t i = 0; i < b->found_count; i++)
		if (b->found[i].id == id)
			return &b->found[i];
	return NULL;
}

/* --- jobs */

void bed_fill(uint8_t *p, size_t n, uint64_t id, unsigned which)
{
	uint64_t v = id * 1000 + which + 1;

	for (size_t i = 0; i < n; i++) {
		v = v * UINT64_C(6364136223846793005) + 1442695040888963407u;
		p[i] = (uint8_t)(v >> 33);
	}
}

static int post_and_wait(struct bed *b, struct spool_job *j)
{
	struct evt_msg *m;

	j->reply = b->in;
	spool_log_post(b->log, j);
	m = evt_inbox_wait(b->in, -1);
	if (m != &j->msg.msg || m->next)
		die("not the job that was posted");
	return j->result;
}

/* The head is a tenth of the data, so that both pieces are used. */
static int post_data(struct bed *b, struct spool_job *j, unsigned which, size_t n,
		     struct spool_place *at)
{
	uint8_t *p = malloc(n + 1);
	int result;

	bed_fill(p, n, j->id, which);
	j->head = span_of(p, n / 10);
	j->body = span_of(p + n / 10, n - n / 10);
	result = post_and_wait(b, j);
	free(p);
	if (at)
		*at = j->place;
	return result;
}

int bed_part(struct bed *b, uint64_t id, unsigned which, size_t n, struct spool_place *at)
{
	struct spool_job j = {.kind = SPOOL_PART, .id = id};

	return post_data(b, &j, which, n, at);
}

int bed_commit_parts(struct bed *b, uint64_t id, size_t n, const struct spool_place *parts,
		     unsigned part_count, struct spool_place *at)
{
	struct spool_job j = {.kind = SPOOL_COMMIT,
			      .id = id,
			      .recipients = 1,
			      .parts = parts,
			      .part_count = part_count,
			      .created = CREATED(id)};

	return post_data(b, &j, 0, n, at);
}

int bed_commit(struct bed *b, uint64_t id, uint16_t recipients, size_t n, struct spool_place *at)
{
	struct spool_job j = {
	    .kind = SPOOL_COMMIT, .id = id, .recipients = recipients, .created = CREATED(id)};

	return post_data(b, &j, 0, n, at);
}

int bed_states(struct bed *b, uint64_t id, const struct spool_state *states, unsigned count)
{
	struct spool_job j = {.kind = SPOOL_STATE, .id = id, .states = states, .state_count = count};

	return post_data(b, &j, 0, 40, NULL);
}

int bed_state(struct bed *b, uint64_t id, uint16_t recipient, int outcome, uint16_t attempts)
{
	struct spool_state st = {.recipient = recipient,
				 .outcome = (uint8_t)outcome,
				 .reason = 7,
				 .code = 450,
				 .attempts = attempts,
				 .next = 1000 + attempts};

	return bed_states(b, id, &st, 1);
}

int bed_drop(struct bed *b, uint64_t id)
{
	struct spool_job j = {.kind = SPOOL_DROP, .id = id};

	return post_and_wait(b, &j);
}

unsigned bed_commit_many(struct bed *b, uint64_t first, unsigned count, size_t n)
{
	struct spool_job *jobs = calloc(count, sizeof(*jobs));
	uint8_t *p = malloc(count * n + 1);
	unsigned good = 0, back = 0;

	for (unsigned i = 0; i < count; i++) {
		bed_fill(p + i * n, n, first + i, 0);
		jobs[i].kind = SPOOL_COMMIT;
		jobs[i].id = first + i;
		jobs[i].recipients = 1;
		jobs[i].created = CREATED(first + i);
		jobs[i].head = span_of(p + i * n, n);
		jobs[i].reply = b->in;
		if (i)
			jobs[i - 1].msg.msg.next = &jobs[i].msg.msg;
	}
	evt_inbox_post_chain(b->log->inbox, &jobs[0].msg.msg, &jobs[count - 1].msg.msg);
	while (back < count)
		for (struct evt_msg *m = evt_inbox_wait(b->in, -1); m; m = m->next) {
			good += ((struct spool_job *)m)->result == 0;
			back++;
		}
	free(jobs);
	free(p);
	return good;
}

int bed_check(struct bed *b, uint64_t id, unsigned which, size_t n, struct spool_place at)
{
	uint8_t *want = malloc(n + 1);
	struct spool_place *parts = NULL;
	unsigned count = 0;
	struct buf out;
	int err;

	buf_init(&out, SPOOL_RECORD_MAX);
	bed_fill(want, n, id, which);
	err = spool_log_read(b->log, at, id, &out);
	/* a PART may move while we look for it */
	for (int i = 0; i < 3 && err == ERR_NOTFOUND; i++) {
		buf_reset(&out);
		err = spool_log_read_commit(b->log, at, id, &out, &parts, &count);
		if (!err && which && which <= count) { /* the PART was moved */
			buf_reset(&out);
			err = spool_log_read(b->log, parts[which - 1], id, &out);
		}
		free(parts);
	}
	if (!err && !span_equal(buf_span(&out), span_of(want, n)))
		err = ERR_FORMAT;
	buf_clear(&out);
	free(want);
	return err;
}

/* --- files */

static void each_file(const char *dir, void (*fn)(const char *dir, const char *name, void *arg),
		      void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		die(dir);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			fn(dir, e->d_name, arg);
	closedir(d);
}

uint8_t *bed_load(const char *dir, const char *name, size_t *n)
{
	char path[400];
	struct stat st;
	uint8_t *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	p = malloc((size_t)st.st_size + 1);
	if (!p || read(fd, p, (size_t)st.st_size) != st.st_size)
		die(path);
	close(fd);
	*n = (size_t)st.st_size;
	return p;
}

void bed_save(const char *dir, const char *name, const uint8_t *p, size_t n)
{
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)n) < 0)
		die(path);
	for (size_t at = 0; at < n; at += 4096) { /* zeros stay holes */
		size_t step = n - at < 4096 ? n - at : 4096;
		if ((p[at] || memcmp(p + at, p + at + 1, step - 1)) &&
		    pwrite(fd, p + at, step, (off_t)at) != (ssize_t)step)
			die(path);
	}
	close(fd);
}

static void copy_one(const char *dir, const char *name, void *arg)
{
	size_t n;
	uint8_t *p = bed_load(dir, name, &n);

	bed_save(arg, name, p, n);
	free(p);
}

void bed_copy(const char *from, const char *to)
{
	bed_empty(to);
	each_file(from, copy_one, (void *)(uintptr_t)to);
}

static void remove_one(const char *dir, const char *name, void *arg)
{
	char path[400];

	(void)arg;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

void bed_empty(const char *dir)
{
	each_file(dir, remove_one, NULL);
}

struct counting {
	const char *suffix;
	int n;
};

static void count_one(const char *dir, const char *name, void *arg)
{
	struct counting *c = arg;
	uint32_t number;

	(void)dir;
	c->n += spool_segment_number(name, c->suffix, &number);
}

int bed_count(const char *dir, const char *suffix)
{
	struct counting c = {suffix, 0};

	each_file(dir, count_one, &c);
	return c.n;
}

/* --- setup and teardown of a test, and its log */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_lines[1 << 16];

static void keep_line(void *arg, const char *line)
{
	size_t n;

	(void)arg;
	pthread_mutex_lock(&log_lock);
	n = strlen(log_lines);
	snprintf(log_lines + n, sizeof(log_lines) - n, "%s\n", line);
	pthread_mutex_unlock(&log_lock);
}

int bed_setup(void **state)
{
	struct bed *b = malloc(sizeof(*b));

	log_lines[0] = '\0';
	log_capture(keep_line, NULL);
	bed_init(b, 1);
	*state = b;
	return 0;
}

int bed_teardown(void **state)
{
	struct bed *b = *state;

	bed_disk_reset();
	if (b->log)
		bed_stop(b);
	umount2(b->dir, MNT_DETACH); /* of the test that mounts, if it failed */
	bed_clear(b);
	free(*state);
	log_capture(NULL, NULL);
	return 0;
}

int bed_logged(const char *text)
{
	int found;

	pthread_mutex_lock(&log_lock);
	found = strstr(log_lines, text) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

void bed_reopen(struct bed *b, int orderly)
{
	if (orderly)
		bed_close(b);
	else
		bed_stop(b);
	if (bed_open(b))
		die("reopen");
}

/* --- the disk */

struct bed_disk bed_disk;

void bed_disk_reset(void)
{
	bed_disk.kinds = bed_disk.calls = bed_disk.fail_at = bed_disk.fail_count = 0;
	bed_disk.fail_errno = bed_disk.writes = bed_disk.syncs = bed_disk.tear = 0;
	bed_disk.space = bed_disk.inodes = bed_disk.bytes_read = 0;
	bed_disk.on_sync = NULL;
	bed_disk.on_write = NULL;
	bed_disk.on_unlink = NULL;
	bed_disk.on_rename = NULL;
}

static int fails(int kind)
{
	int n, at = bed_disk.fail_at;

	if (!(bed_disk.kinds & kind))
		return 0;
	n = atomic_fetch_add(&bed_disk.calls, 1) + 1;
	if (!at || n < at || n - at >= bed_disk.fail_count)
		return 0;
	errno = bed_disk.fail_errno;
	return 1;
}

static int disk_open(int dir, const char *name, int flags, mode_t mode)
{
	return fails(BED_OPEN) ? -1 : spool_io_system.open(dir, name, flags, mode);
}

static ssize_t disk_read(int fd, const struct iovec *v, int count, off_t at)
{
	ssize_t n = fails(BED_READ) ? -1 : spool_io_system.preadv(fd, v, count, at);

	if (n > 0)
		bed_disk.bytes_read += (uint64_t)n;
	return n;
}

static ssize_t disk_write(int fd, const struct iovec *v, int count, off_t at)
{
	ssize_t (*on_write)(int, const struct iovec *, int, off_t);

	bed_disk.writes++;
	if (bed_disk.tear == 2) { /* the second half */
		bed_disk.tear = 1;
		errno = bed_disk.fail_errno;
		return -1;
	}
	if (fails(BED_WRITE)) {
		if (!bed_disk.tear || count < 2)
			return -1;
		bed_disk.tear = 2;
		return pwritev(fd, v, count / 2, at);
	}
	on_write = bed_disk.on_write;
	if (on_write)
		return on_write(fd, v, count, at);
	return spool_io_system.pwritev(fd, v, count, at);
}

static int disk_sync(int fd)
{
	int (*on_sync)(int);

	bed_disk.syncs++;
	if (fails(BED_SYNC))
		return -1;
	on_sync = bed_disk.on_sync;
	if (on_sync)
		return on_sync(fd);
	return bed_disk.lazy ? 0 : fdatasync(fd);
}

static int disk_full_sync(int fd)
{
	int (*on_sync)(int);

	if (fails(BED_SYNC))
		return -1;
	on_sync = bed_disk.on_sync;
	if (on_sync)
		return on_sync(fd);
	return bed_disk.lazy ? 0 : fsync(fd);
}

static int disk_allocate(int fd, off_t size)
{
	return fails(BED_ALLOCATE) ? -1 : spool_io_system.allocate(fd, size);
}

static int disk_rename(int dir, const char *from, const char *to)
{
	int (*on_rename)(int, const char *, const char *) = bed_disk.on_rename;

	if (fails(BED_NAME))
		return -1;
	return on_rename ? on_rename(dir, from, to) : spool_io_system.rename(dir, from, to);
}

static int disk_unlink(int dir, const char *name)
{
	int (*on_unlink)(int, const char *) = bed_disk.on_unlink;

	if (fails(BED_NAME))
		return -1;
	return on_unlink ? on_unlink(dir, name) : spool_io_system.unlink(dir, name);
}

static int disk_space(int dir, struct spool_space *room)
{
	if (fails(BED_SPACE) || spool_io_system.space(dir, room) < 0)
		return -1;
	if (bed_disk.space)
		room->bytes = bed_disk.space;
	if (bed_disk.inodes)
		room->inodes = bed_disk.inodes;
	return 0;
}

const struct spool_io bed_io = {
    .open = disk_open,
    .preadv = disk_read,
    .pwritev = disk_write,
    .fdatasync = disk_sync,
    .fsync = disk_full_sync,
    .allocate = disk_allocate,
    .rename = disk_rename,
    .unlink = disk_unlink,
    .space = disk_space,
};
