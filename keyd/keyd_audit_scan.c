/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_audit_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "sys/sys_file.h"

#define PREFIX "audit-"
#define SUFFIX ".log"

void keyd_audit_scan_name(char name[KEYD_AUDIT_SCAN_NAME], uint32_t number)
{
	snprintf(name, KEYD_AUDIT_SCAN_NAME, PREFIX "%06" PRIu32 SUFFIX, number);
}

static int path_of(const char *dir, uint32_t number, char path[PATH_MAX])
{
	char name[KEYD_AUDIT_SCAN_NAME];

	keyd_audit_scan_name(name, number);
	return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? 0 : ERR_LIMIT;
}

/* Number of a file's name, or 0: not one of ours. */
static uint32_t number_of(const char *name)
{
	size_t n = strlen(name), head = strlen(PREFIX), tail = strlen(SUFFIX);
	char again[KEYD_AUDIT_SCAN_NAME];
	uint64_t number;

	if (n <= head + tail || num_parse_u64(span_of(name + head, n - head - tail), &number) < 0 ||
	    number > UINT32_MAX)
		return 0;
	keyd_audit_scan_name(again, (uint32_t)number);
	return strcmp(name, again) ? 0 : (uint32_t)number;
}

static int list(const char *dir, uint32_t *oldest, uint32_t *newest)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	*oldest = *newest = 0;
	if (!d)
		return err_from_errno(errno);
	while ((e = readdir(d))) {
		uint32_t number = number_of(e->d_name);
		if (number && (!*oldest || number < *oldest))
			*oldest = number;
		if (number > *newest)
			*newest = number;
	}
	closedir(d);
	return 0;
}

/* 1 if a crash explains what lies behind the last good line. */
static int is_torn(struct span rest)
{
	return span_find(rest, '\n') < 0 || span_find(rest, '\0') >= 0;
}

/* Verifies one file into s->at. */
static int look_at(const char *dir, uint32_t number, struct keyd_audit_scan *s)
{
	char path[PATH_MAX];
	struct buf bytes;
	int rc = path_of(dir, number, path);

	buf_init(&bytes, KEYD_AUDIT_SCAN_MAX);
	if (rc == 0)
		rc = sys_file_read(path, &bytes, 1);
	s->cut = 0;
	s->reason = NULL;
	if (rc == 0) {
		audit_verify_init(&s->at);
		s->at.no_signatures = 1;
		if (audit_verify_file(&s->at, number, buf_span(&bytes)) < 0) {
			struct span rest = span_sub(buf_span(&bytes), s->at.good, SIZE_MAX);
			if (is_torn(rest))
				s->cut = rest.n;
			else
				s->reason = s->at.reason;
		}
	}
	buf_clear(&bytes);
	return rc;
}

/* The newest file has no good line: what it continues is in the files before. */
static int look_back(const char *dir, struct keyd_audit_scan *s)
{
	const char *reason = s->reason;
	unsigned line = s->at.line;
	int rc = 0;

	for (uint32_t n = s->newest - 1; rc == 0 && n && n >= s->oldest && !s->at.good; n--) {
		rc = look_at(dir, n, s);
		if (rc == ERR_NOTFOUND)
			rc = 0;
	}
	s->cut = 0;
	s->reason = reason;
	s->at.line = line;
	return rc;
}

int keyd_audit_scan(const char *dir, struct keyd_audit_scan *out)
{
	char path[PATH_MAX];
	uint64_t never_begun = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	audit_verify_init(&out->at);
	for (;;) {
		rc = list(dir, &out->oldest, &out->newest);
		if (rc < 0 || !out->newest)
			return rc;
		rc = look_at(dir, out->newest, out);
		if (rc < 0)
			return rc;
		if (out->at.good || out->reason)
			break;
		never_begun += out->cut;
		rc = path_of(dir, out->newest, path);
		if (rc < 0 || unlink(path) < 0)
			return rc < 0 ? rc : err_from_errno(errno);
		audit_verify_init(&out->at);
		out->cut = 0;
	}
	out->cut += never_begun;
	return out->at.good ? 0 : look_back(dir, out);
}

/* Bytes of an open file, at most max. */
static int read_part(int fd, uint64_t offset, size_t max, struct buf *out)
{
	uint8_t *room = buf_reserve(out, max);
	ssize_t n;

	if (!room)
		return buf_failed(out);
	n = pread(fd, room, max, (off_t)offset);
	if (n < 0)
		return err_from_errno(errno);
	buf_commit(out, (size_t)n);
	return (int)n;
}

int keyd_audit_scan_read(const char *dir, uint32_t *file, uint64_t *offset, size_t max,
			 struct buf *out)
{
	uint32_t oldest, newest;
	char path[PATH_MAX];
	int fd, n, rc = list(dir, &oldest, &newest);

	if (rc < 0)
		return rc;
	if (!*file)
		*file = oldest;
	if (!*file)
		return 0;
	rc = path_of(dir, *file, path);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_from_errno(errno);
	n = read_part(fd, *offset, max, out);
	close(fd);
	if (n < 0)
		return n;
	*offset += (uint64_t)n;
	if (n > 0)
		return 0;
	*file = *file < newest ? *file + 1 : 0;
	*offset = 0;
	return 0;
}
