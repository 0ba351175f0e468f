/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "relay/ledger/ledger_index.h"
#include "sys/sys_file.h"
#include "sys/sys_map.h"

#define INDEX_MAX (1u << 30)

void ledger_files_path(const struct ledger_files *f, char *dst, size_t size, uint64_t first, const char *suffix)
{
	char name[LEDGER_NAME];

	ledger_record_name(name, first, suffix);
	snprintf(dst, size, "%s/%s", f->dir, name);
}

/* --- the list */

static int list_add(struct ledger_files *f, const struct ledger_file *one)
{
	struct ledger_file *all;
	int err = 0;

	pthread_mutex_lock(&f->lock);
	all = realloc(f->all, (f->count + 1) * sizeof(*all));
	if (all) {
		f->all = all;
		f->all[f->count++] = *one;
	} else {
		err = ERR_NOMEM;
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

struct ledger_file *ledger_files_snapshot(struct ledger_files *f, size_t *count)
{
	struct ledger_file *copy;

	pthread_mutex_lock(&f->lock);
	copy = malloc((f->count + 1) * sizeof(*copy));
	*count = copy ? f->count : 0;
	if (copy && f->count)
		memcpy(copy, f->all, f->count * sizeof(*copy));
	pthread_mutex_unlock(&f->lock);
	return copy;
}

/* --- indexes */

static int make_index(struct ledger_files *f, const struct ledger_file *one)
{
	struct buf bytes;
	struct span log;
	char path[4200];
	int err;

	ledger_files_path(f, path, sizeof(path), one->first, ".log");
	err = sys_map_open(path, one->size, &log);
	if (err < 0)
		return err;
	buf_init(&bytes, INDEX_MAX);
	err = ledger_index_make(log, &bytes);
	sys_map_close(&log);
	ledger_files_path(f, path, sizeof(path), one->first, ".idx");
	if (err == 0)
		err = sys_file_replace(path, buf_span(&bytes), 0600);
	buf_clear(&bytes);
	return err;
}

/* What is known of a closed file; its index is made if it is not there. */
static int note_closed(struct ledger_files *f, uint64_t first)
{
	struct ledger_file one = {.first = first, .closed = 1};
	struct ledger_index x;
	struct stat st;
	struct span bytes;
	char path[4200];
	int err;

	ledger_files_path(f, path, sizeof(path), first, ".log");
	if (stat(path, &st) < 0)
		return err_from_errno(errno);
	one.size = (uint64_t)st.st_size;
	for (int again = 0;; again++) {
		ledger_files_path(f, path, sizeof(path), first, ".idx");
		err = sys_map_open(path, 0, &bytes);
		if (err == 0)
			err = ledger_index_of(bytes, &x);
		if (err == 0 && (x.size != one.size || x.first != first))
			err = ERR_FORMAT;
		if (err == 0) {
			one.rows = x.rows;
			one.oldest = x.oldest;
			one.newest = x.newest;
			one.sealed = x.sealed;
		}
		sys_map_close(&bytes);
		if (err == 0 || again)
			break;
		err = make_index(f, &one);
		f->remade++;
		if (err < 0)
			break;
	}
	if (err == ERR_DAMAGED) /* it stays as evidence; questions pass it over */
		err = 0;
	return err < 0 ? err : list_add(f, &one);
}

/* --- the last file */

static void forget_tail(struct ledger_files *f)
{
	buf_reset(&f->tail);
}

static void note_times(struct ledger_file *one, int64_t oldest, int64_t newest, int64_t sealed)
{
	one->oldest = !one->oldest || oldest < one->oldest ? oldest : one->oldest;
	one->newest = newest > one->newest ? newest : one->newest;
	if (sealed)
		one->sealed = !one->sealed || sealed < one->sealed ? sealed : one->sealed;
}

/* Walks the good part: times, last checkpoint; the records behind that. */
static int walk(struct ledger_files *f, struct span log, struct ledger_file *one)
{
	struct ledger_checkpoint c;
	struct ledger_record r;
	struct ledger_row row;
	size_t at = 0, behind = 0;
	int n;

	for (; at < log.n; at += (size_t)n) {
		n = ledger_record_parse(span_sub(log, at, log.n), &r);
		if (n <= 0)
			return 0; /* damage in the middle: verify names it */
		if (r.kind == LEDGER_ROW && ledger_record_get_row(r.body, &row) == 0) {
			note_times(one, row.at, row.at, row.sealed.n ? row.at : 0);
			behind = 0;
		} else if (r.kind == LEDGER_CHECKPOINT &&
			   ledger_record_get_checkpoint(r.body, &c) == 0) {
			f->counter = c.counter;
			f->signed_to = c.rows;
			behind = at;
		} else if (r.kind == LEDGER_DROP || r.kind == LEDGER_EVENT) {
			behind = 0;
		}
	}
	forget_tail(f);
	return behind && log.n - behind <= 1024 ? buf_put_span(&f->tail, span_sub(log, behind, log.n)) : 0;
}

static int take_head(struct ledger_files *f, struct span log, size_t *size)
{
	struct ledger_checkpoint c;
	struct ledger_record r;
	struct ledger_head h;
	int n = ledger_record_parse(log, &r);

	if (n <= 0 || r.kind != LEDGER_HEAD || ledger_record_get_head(r.body, &h) < 0)
		return ERR_DAMAGED;
	*size = (size_t)n;
	memcpy(f->uuid, h.uuid, LEDGER_UUID);
	f->made = h.at;
	f->rows = h.first - 1;
	memcpy(f->chain.hash, h.before, LEDGER_HASH);
	if (ledger_record_parse(h.tail, &r) > 0 && r.kind == LEDGER_CHECKPOINT &&
	    ledger_record_get_checkpoint(r.body, &c) == 0) {
		f->counter = c.counter;
		f->signed_to = c.rows;
	}
	n = ledger_record_parse(log, &r);
	return ledger_chain_add(&f->chain, r.hashed);
}

/* Where the last whole batch ends. One whose records did not all reach the disk counts as torn. */
static int find_end(struct ledger_files *f, struct span log, size_t head, uint64_t *length)
{
	struct ledger_verify_tail t, before;
	uint8_t start[LEDGER_HASH];
	int err = ledger_verify_tail(log, 0, &t);

	*length = head;
	if (err == ERR_NOTFOUND || t.start < head)
		return err == ERR_NOTFOUND ? 0 : ERR_DAMAGED;
	memcpy(start, f->chain.hash, LEDGER_HASH);
	err = ledger_verify_tail(span_sub(log, 0, (size_t)t.start), 0, &before);
	if (err == 0)
		memcpy(start, before.hash, LEDGER_HASH);
	if (ledger_verify_batch(span_sub(log, (size_t)t.start, (size_t)(t.at - t.start)), start, t.before) == 0) {
		*length = t.length;
		f->rows = t.rows;
		memcpy(f->chain.hash, t.hash, LEDGER_HASH);
	} else if (err == 0) {
		*length = before.length;
		f->rows = before.rows;
		memcpy(f->chain.hash, before.hash, LEDGER_HASH);
	}
	return 0;
}

static int open_last(struct ledger_files *f, uint64_t first)
{
	struct ledger_file one = {.first = first};
	struct span log;
	size_t head = 0;
	char path[4200];
	int err;

	ledger_files_path(f, path, sizeof(path), first, ".log");
	err = sys_map_open(path, 0, &log);
	if (err < 0)
		return err;
	err = take_head(f, log, &head);
	if (err == 0)
		err = find_end(f, log, head, &one.size);
	f->torn = err == 0 ? log.n - one.size : 0;
	if (err == 0)
		err = walk(f, span_sub(log, 0, (size_t)one.size), &one);
	sys_map_close(&log);
	if (err < 0)
		return err;
	one.rows = f->rows + 1 - first;
	f->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (f->fd < 0)
		return err_from_errno(errno);
	if (f->torn && (ftruncate(f->fd, (off_t)one.size) < 0 || fdatasync(f->fd) < 0))
		return err_from_errno(errno);
	return list_add(f, &one);
}

/* --- a new file */

static int make_file(struct ledger_files *f, int64_t now)
{
	struct ledger_file one = {.first = f->rows + 1};
	struct ledger_head h = {.uuid = f->uuid, .first = f->rows + 1, .at = now, .tail = buf_span(&f->tail)};
	uint8_t before[LEDGER_HASH];
	struct buf b;
	char path[4200];
	int err, fd = -1;

	memcpy(before, f->chain.hash, LEDGER_HASH);
	h.before = before;
	buf_init(&b, LEDGER_RECORD_MAX);
	err = ledger_record_put_head(&b, &f->chain, &h);
	ledger_files_path(f, path, sizeof(path), one.first, ".log");
	if (err == 0)
		err = sys_file_replace(path, buf_span(&b), 0600);
	if (err == 0 && (fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0)
		err = err_from_errno(errno);
	one.size = buf_size(&b);
	buf_clear(&b);
	if (err == 0)
		err = list_add(f, &one);
	if (err < 0) {
		if (fd >= 0)
			close(fd);
		unlink(path);
		memcpy(f->chain.hash, before, LEDGER_HASH);
		return err;
	}
	if (f->fd >= 0)
		close(f->fd);
	f->fd = fd;
	f->made = now;
	return 0;
}

int ledger_files_next(struct ledger_files *f, int64_t now)
{
	struct ledger_file one = f->all[f->count - 1];
	size_t at = f->count - 1;
	int err = make_index(f, &one);

	if (err == 0)
		err = make_file(f, now);
	if (err < 0)
		return err;
	pthread_mutex_lock(&f->lock);
	f->all[at].closed = 1;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* --- appending */

static int write_at(int fd, struct span s, off_t at)
{
	while (s.n) {
		ssize_t n = pwrite(fd, s.p, s.n, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		s = span_sub(s, (size_t)n, s.n);
		at += n;
	}
	return fdatasync(fd) < 0 ? err_from_errno(errno) : 0;
}

int ledger_files_append(struct ledger_files *f, struct span bytes, const struct ledger_added *a)
{
	struct ledger_file *one = &f->all[f->count - 1];
	int err = write_at(f->fd, bytes, (off_t)one->size);

	if (err < 0) {
		if (ftruncate(f->fd, (off_t)one->size) < 0)
			return err; /* what is there is written over by the next try */
		return err;
	}
	pthread_mutex_lock(&f->lock);
	one->size += bytes.n;
	one->rows += a->rows;
	if (a->rows)
		note_times(one, a->oldest, a->newest, a->sealed);
	pthread_mutex_unlock(&f->lock);
	f->rows += a->rows;
	return 0;
}

unsigned ledger_files_drop(struct ledger_files *f, uint64_t through)
{
	unsigned n = 0;
	char path[4200];

	while (n + 1 < f->count && f->all[n].first + f->all[n].rows - 1 <= through) {
		ledger_files_path(f, path, sizeof(path), f->all[n].first, ".log");
		unlink(path);
		ledger_files_path(f, path, sizeof(path), f->all[n].first, ".idx");
		unlink(path);
		n++;
	}
	if (!n)
		return 0;
	sys_file_sync_dir(f->dir);
	pthread_mutex_lock(&f->lock);
	memmove(f->all, f->all + n, (f->count - n) * sizeof(*f->all));
	f->count -= n;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* --- life */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int find_files(const char *dir, uint64_t **out, size_t *count)
{
	DIR *d = opendir(dir);
	uint64_t *all = NULL, first;
	size_t n = 0;
	struct dirent *e;
	int err = d ? 0 : err_from_errno(errno);

	while (err == 0 && (e = readdir(d))) {
		uint64_t *more;
		if (ledger_record_name_parse(e->d_name, ".log", &first) < 0)
			continue;
		more = realloc(all, (n + 1) * sizeof(*all));
		if (!more) {
			err = ERR_NOMEM;
			break;
		}
		all = more;
		all[n++] = first;
	}
	if (d)
		closedir(d);
	if (n)
		qsort(all, n, sizeof(*all), by_number);
	*out = all;
	*count = n;
	return err;
}

static int open_all(struct ledger_files *f, const char **why)
{
	uint64_t *firsts = NULL;
	size_t count = 0;
	int err = find_files(f->dir, &firsts, &count);

	for (size_t i = 0; err == 0 && i + 1 < count; i++)
		err = note_closed(f, firsts[i]);
	if (err == 0 && count) {
		err = open_last(f, firsts[count - 1]);
		if (err == ERR_DAMAGED)
			*why = "the last file of the ledger has no good head: put it aside to begin another";
	} else if (err == 0) {
		rand_bytes(f->uuid, LEDGER_UUID);
		ledger_chain_clear(&f->chain);
		err = ledger_chain_init(&f->chain, f->uuid);
		if (err == 0)
			err = make_file(f, clock_wall());
	}
	free(firsts);
	return err;
}

int ledger_files_open(struct ledger_files *f, const char *dir, const char **why)
{
	int err;

	memset(f, 0, sizeof(*f));
	f->fd = -1;
	buf_init(&f->tail, 4096);
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	err = sys_file_mkdir(dir, 0700);
	*why = err_text(err);
	if (err == 0)
		err = ledger_chain_init(&f->chain, f->uuid);
	if (err == 0) {
		*why = NULL;
		err = open_all(f, why);
		if (!*why)
			*why = err_text(err);
	}
	if (err < 0)
		ledger_files_close(f);
	return err;
}

void ledger_files_close(struct ledger_files *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	free(f->all);
	f->all = NULL;
	f->count = 0;
	ledger_chain_clear(&f->chain);
	buf_clear(&f->tail);
	pthread_mutex_destroy(&f->lock);
}
