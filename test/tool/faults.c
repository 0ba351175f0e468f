/* SPDX-License-Identifier: Apache-2.0 */
/* faults - a disk that fails and a wall clock that jumps, for one daemon, while it runs.
 *
 * Preloaded (LD_PRELOAD) into a daemon by test/system/faults.py, which owns the page of control: a file, named by
 * SEALPOST_FAULTS, that both sides map. A call on a file whose path contains control.path fails with the error set
 * for its kind, so often as budget says (negative: until told otherwise). While control.journal is 1 each change of
 * such a file, and each sync with what became of it, is written to the file SEALPOST_FAULTS.journal, in order: from
 * that faults.py knows which pages a power cut, or a sync that failed, would have taken away.
 *
 * A sync that fails here does not reach the disk, and the next one on the same descriptor succeeds: as on Linux, where
 * the pages of a failed write-back are clean afterwards. System calls are made directly; nothing of libc is looked up. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, SYNC, ALLOCATE, KINDS };

struct control {
	struct {
		_Atomic int64_t error, budget, failed;
	} kind[KINDS];
	_Atomic int64_t wall_usec; /* added to the wall clock */
	_Atomic int64_t torn;	   /* a write that fails has put down half of its first piece */
	_Atomic int64_t lie;	   /* a sync that fails says that it succeeded */
	_Atomic int64_t journal;
	char path[64];
};

struct entry {
	uint64_t what; /* one of JOURNAL_* */
	uint64_t inode, offset, length;
};
enum { JOURNAL_WRITE = 1, JOURNAL_BEGIN = 2, JOURNAL_SYNCED = 3, JOURNAL_FAILED = 4 };

static struct control *ctl;
static int journal = -1;

__attribute__((constructor)) static void map_control(void)
{
	const char *name = getenv("SEALPOST_FAULTS");
	char path[4096];
	int fd;

	if (!name || strlen(name) > 4000)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	ctl = mmap(NULL, sizeof(*ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (ctl == MAP_FAILED)
		ctl = NULL;
	strcpy(path, name);
	strcat(path, ".journal");
	journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
}

/* Whether the file is one of those that the test speaks of. */
static int ours(int fd)
{
	char link[64] = "/proc/self/fd/", path[4096], digits[16];
	size_t n = 0, at = strlen(link);
	long len;

	for (unsigned v = (unsigned)fd; n == 0 || v; v /= 10)
		digits[n++] = (char)('0' + v % 10);
	while (n)
		link[at++] = digits[--n];
	link[at] = 0;
	len = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	if (len <= 0)
		return 0;
	path[len] = 0;
	return strstr(path, ctl->path) != NULL;
}

static int busy(void)
{
	if (!ctl)
		return 0;
	for (int i = 0; i < KINDS; i++)
		if (atomic_load_explicit(&ctl->kind[i].error, memory_order_relaxed))
			return 1;
	return atomic_load_explicit(&ctl->journal, memory_order_relaxed) != 0;
}

/* The error this call is to fail with, or 0. */
static int due(int kind)
{
	int64_t error = atomic_load(&ctl->kind[kind].error);

	if (!error || atomic_load(&ctl->kind[kind].budget) == 0)
		return 0;
	if (atomic_load(&ctl->kind[kind].budget) > 0)
		atomic_fetch_sub(&ctl->kind[kind].budget, 1);
	atomic_fetch_add(&ctl->kind[kind].failed, 1);
	return (int)error;
}

static void note(uint64_t what, int fd, uint64_t offset, uint64_t length)
{
	struct entry e = {.what = what, .offset = offset, .length = length};
	struct stat st;

	if (!atomic_load(&ctl->journal) || journal < 0 || fstat(fd, &st) < 0)
		return;
	e.inode = st.st_ino;
	syscall(SYS_write, journal, &e, sizeof(e));
}

static uint64_t total(const struct iovec *v, int n)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += v[i].iov_len;
	return sum;
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	int mine = busy() && ours(fd), error = mine ? due(WRITE) : 0;

	if (mine)
		note(JOURNAL_WRITE, fd, (uint64_t)at, total(v, n));
	if (error) {
		if (n && atomic_load(&ctl->torn))
			syscall(SYS_pwrite64, fd, v[0].iov_base, v[0].iov_len / 2, at);
		errno = error;
		return -1;
	}
	return syscall(SYS_pwritev, fd, v, n, at, 0);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t at)
{
	return pwritev(fd, v, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return pwritev(fd, &v, 1, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	return pwrite(fd, p, n, at);
}

static int synchronise(int fd, long call)
{
	int mine = busy() && ours(fd), error = mine ? due(SYNC) : 0;
	uint64_t thread = (uint64_t)syscall(SYS_gettid);
	int rc;

	if (!mine)
		return (int)syscall(call, fd);
	if (error) {
		note(JOURNAL_FAILED, fd, thread, 0);
		errno = error;
		return atomic_load(&ctl->lie) ? 0 : -1;
	}
	note(JOURNAL_BEGIN, fd, thread, 0);
	rc = (int)syscall(call, fd);
	if (rc == 0)
		note(JOURNAL_SYNCED, fd, thread, 0);
	return rc;
}

int fdatasync(int fd)
{
	return synchronise(fd, SYS_fdatasync);
}

int fsync(int fd)
{
	return synchronise(fd, SYS_fsync);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	int error = busy() && ours(fd) ? due(ALLOCATE) : 0;

	if (error) {
		errno = error;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, at, n);
}

int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
	return fallocate(fd, mode, at, n);
}

/* --- the clock */

int clock_gettime(clockid_t which, struct timespec *ts)
{
	int64_t shift = ctl ? atomic_load_explicit(&ctl->wall_usec, memory_order_relaxed) : 0;
	int rc = (int)syscall(SYS_clock_gettime, which, ts);

	if (rc == 0 && shift && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
		int64_t usec = (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000 + shift;
		ts->tv_sec = (time_t)(usec / 1000000);
		ts->tv_nsec = (long)(usec % 1000000) * 1000;
	}
	return rc;
}

time_t time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return 0;
}
