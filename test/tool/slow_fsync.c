/* SPDX-License-Identifier: Apache-2.0 */
/* slow_fsync - a shared object to preload: counts fsync and fdatasync of every program, and makes each slower.
 *
 * Story:     the constructor reads "USEC FILE" from the environment (SLOW_FSYNC) or from /etc/slow_fsync.conf; the latter
 *            also reaches programs that clean their environment or are set-user-ID (then preloaded by /etc/ld.so.preload
 *            of a private mount namespace). FILE is shared by all processes and holds struct slow_fsync. Each call first
 *            does its real work, then waits USEC. Without either setting, or if FILE cannot be mapped, calls are only passed on.
 * Thread:    any; counters are atomic.
 * Source:    test/bench/bench_mta.py, scenario S5 and the counts of all scenarios. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct slow_fsync {
	_Atomic uint64_t fsync, fdatasync; /* calls that succeeded */
	_Atomic uint64_t failed;
	_Atomic uint64_t waited;    /* usec added in all */
	_Atomic uint64_t processes; /* programs that started with this object */
};

static struct slow_fsync *count;
static long delay;

__attribute__((constructor)) static void slow_fsync_init(void)
{
	char text[512], path[480];
	const char *set = getenv("SLOW_FSYNC");
	int fd;

	if (!set) {
		ssize_t n;
		fd = open("/etc/slow_fsync.conf", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		set = text;
	}
	if (sscanf(set, "%ld %479s", &delay, path) != 2)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (count == MAP_FAILED)
		count = NULL;
	else
		atomic_fetch_add_explicit(&count->processes, 1, memory_order_relaxed);
}

static int done(long rc, _Atomic uint64_t *which)
{
	int saved = errno;
	struct timespec t = {delay / 1000000, delay % 1000000 * 1000};

	if (!count)
		return (int)rc;
	atomic_fetch_add_explicit(rc < 0 ? &count->failed : which, 1, memory_order_relaxed);
	if (delay > 0) {
		while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
			;
		atomic_fetch_add_explicit(&count->waited, (uint64_t)delay, memory_order_relaxed);
	}
	errno = saved;
	return (int)rc;
}

int fsync(int fd)
{
	return done(syscall(SYS_fsync, fd), count ? &count->fsync : NULL);
}

int fdatasync(int fd)
{
	return done(syscall(SYS_fdatasync, fd), count ? &count->fdatasync : NULL);
}
