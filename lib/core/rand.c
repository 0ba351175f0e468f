/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rand.h"

#include <errno.h>
#include <sys/random.h>

#include "core/log.h"

void rand_bytes(void *dst, size_t n)
{
	uint8_t *p = dst;

	while (n) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		log_assert(got > 0);
		p += got;
		n -= (size_t)got;
	}
}

uint64_t rand_u64(void)
{
	uint64_t v;

	rand_bytes(&v, sizeof(v));
	return v;
}
