/* SPDX-License-Identifier: Apache-2.0 */
#include "core/secret.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CLASS_MIN_SHIFT 5  /* 32 bytes */
#define CLASS_MAX_SHIFT 16 /* 64 KiB */
#define CLASSES (CLASS_MAX_SHIFT - CLASS_MIN_SHIFT + 1)
#define CHUNK (128u * 1024)

struct piece {
	struct piece *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct piece *free_list[CLASSES];
static uint8_t *chunk_at;
static size_t chunk_left, total_taken, total_used;

static int class_of(size_t n)
{
	int c = 0;

	while (((size_t)1 << (CLASS_MIN_SHIFT + c)) < n)
		c++;
	return c;
}

/* A new stretch of locked pages between two guard pages. */
static int take_chunk(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *base = mmap(NULL, CHUNK + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return -1;
	if (mprotect(base + page, CHUNK, PROT_READ | PROT_WRITE) < 0 ||
	    mlock(base + page, CHUNK) < 0) {
		munmap(base, CHUNK + 2 * page);
		return -1;
	}
	/* Both are advice: older kernels lack WIPEONFORK, and we never fork after keys exist. */
	madvise(base + page, CHUNK, MADV_DONTDUMP);
	madvise(base + page, CHUNK, MADV_WIPEONFORK);
	chunk_at = base + page;
	chunk_left = CHUNK;
	total_taken += CHUNK;
	return 0;
}

void *secret_alloc(size_t n)
{
	int c = class_of(n ? n : 1);
	size_t size = (size_t)1 << (CLASS_MIN_SHIFT + c);
	void *p = NULL;

	if (n > ((size_t)1 << CLASS_MAX_SHIFT))
		return NULL;
	pthread_mutex_lock(&lock);
	if (free_list[c]) {
		struct piece *piece = free_list[c];
		free_list[c] = piece->next;
		p = piece;
	} else if (chunk_left >= size || take_chunk() == 0) {
		p = chunk_at;
		chunk_at += size;
		chunk_left -= size;
	}
	if (p)
		total_used += size;
	pthread_mutex_unlock(&lock);
	if (p)
		memset(p, 0, size);
	return p;
}

void secret_free(void *p, size_t n)
{
	int c = class_of(n ? n : 1);
	size_t size = (size_t)1 << (CLASS_MIN_SHIFT + c);
	struct piece *piece = p;

	if (!p)
		return;
	secret_wipe(p, size);
	pthread_mutex_lock(&lock);
	piece->next = free_list[c];
	free_list[c] = piece;
	total_used -= size;
	pthread_mutex_unlock(&lock);
}

void secret_usage(size_t *in_use, size_t *taken)
{
	pthread_mutex_lock(&lock);
	*in_use = total_used;
	*taken = total_taken;
	pthread_mutex_unlock(&lock);
}

static int all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return 0;
	return 1;
}

int secret_check(size_t *checked)
{
	int clean = 1;

	*checked = 0;
	pthread_mutex_lock(&lock);
	for (int c = 0; c < CLASSES; c++) {
		size_t size = (size_t)1 << (CLASS_MIN_SHIFT + c);
		for (const struct piece *p = free_list[c]; p; p = p->next) {
			clean &= all_zero((const uint8_t *)(p + 1), size - sizeof(*p));
			*checked += size;
		}
	}
	if (chunk_left)
		clean &= all_zero(chunk_at, chunk_left);
	*checked += chunk_left;
	pthread_mutex_unlock(&lock);
	return clean ? 0 : -1;
}

void secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

int secret_equal(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t diff = 0;

	for (size_t i = 0; i < n; i++)
		diff |= (uint8_t)(x[i] ^ y[i]);
	return diff == 0;
}
