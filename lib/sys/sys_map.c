/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"

int sys_map_open(const char *path, uint64_t most, struct span *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err = 0;
	struct stat st;
	void *p = NULL;
	size_t n = 0;

	*out = span_of(NULL, 0);
	if (fd < 0)
		return err_from_errno(errno);
	if (fstat(fd, &st) < 0)
		err = err_from_errno(errno);
	else if (!S_ISREG(st.st_mode))
		err = ERR_DENIED;
	else
		n = (size_t)st.st_size;
	if (most && n > most)
		n = (size_t)most;
	if (err == 0 && n) {
		p = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			err = err_from_errno(errno);
		else
			*out = span_of(p, n);
	}
	close(fd);
	return err;
}

void sys_map_close(struct span *s)
{
	if (s->p)
		munmap((void *)(uintptr_t)s->p, s->n);
	*s = span_of(NULL, 0);
}

void sys_map_in_order(struct span s)
{
	if (s.p)
		madvise((void *)(uintptr_t)s.p, s.n, MADV_SEQUENTIAL);
}
