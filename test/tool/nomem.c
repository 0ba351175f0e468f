/* SPDX-License-Identifier: Apache-2.0 */
/* nomem - memory that runs out, for one program, at an allocation that a test names.
 *
 * Preloaded (LD_PRELOAD). Either a test owns the page of control: a file, named by SEALPOST_NOMEM, that both sides map;
 * while control.at is not 0, allocations are counted, and the at-th fails, with all that follow it if control.all is
 * set; or the environment says "SEALPOST_NOMEM_AT=N", and with SEALPOST_NOMEM_ALL=1 all that follow: counted from the
 * time when the program begins to read its standard input. Counted are those of all threads: the heap's, and anonymous
 * pages. Libraries of the system are served like the program.
 * Thread: any; counters are atomic. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct control {
	_Atomic int64_t at; /* 0: nothing is counted, and nothing fails */
	_Atomic int64_t all;
	_Atomic int64_t count, failed;
};

/* glibc's own, behind the names below */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

static struct control own, *ctl;
static int64_t when_read;

__attribute__((constructor)) static void map_control(void)
{
	const char *name = getenv("SEALPOST_NOMEM"), *at = getenv("SEALPOST_NOMEM_AT");
	int fd;

	if (at) {
		own.all = getenv("SEALPOST_NOMEM_ALL") != NULL;
		when_read = atoll(at);
		ctl = &own;
	}
	if (!name)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	ctl = (void *)syscall(SYS_mmap, NULL, sizeof(*ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (ctl == MAP_FAILED)
		ctl = NULL;
}

static int none_left(void)
{
	int64_t at = ctl ? atomic_load(&ctl->at) : 0, n;

	if (!at)
		return 0;
	n = atomic_fetch_add(&ctl->count, 1) + 1;
	if (n != at && !(n > at && atomic_load(&ctl->all)))
		return 0;
	atomic_fetch_add(&ctl->failed, 1);
	errno = ENOMEM;
	return 1;
}

ssize_t read(int fd, void *p, size_t n)
{
	if (fd == STDIN_FILENO && when_read)
		atomic_store(&own.at, when_read);
	return syscall(SYS_read, fd, p, n);
}

void *malloc(size_t n)
{
	return none_left() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return none_left() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return none_left() ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return none_left() ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	void *p = none_left() ? NULL : __libc_memalign(alignment, n);

	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
	if (flags & MAP_ANONYMOUS && none_left())
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off64_t offset)
{
	return mmap(at, n, protection, flags, fd, offset);
}
