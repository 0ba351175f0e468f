/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_names.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"

void keyd_names_init(struct keyd_names *n, struct span (*name)(const void *arg, uint32_t number),
		     const void *arg)
{
	memset(n, 0, sizeof(*n));
	n->seed = rand_u64();
	n->name = name;
	n->arg = arg;
}

void keyd_names_clear(struct keyd_names *n)
{
	free(n->slots);
	n->slots = NULL;
	n->size = n->count = 0;
}

/* FNV-1a with a seed and a final mix: names come from administrators, floods are not the fear. */
static size_t place(const struct keyd_names *n, struct span name)
{
	uint64_t h = n->seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * UINT64_C(0x100000001b3);
	h ^= h >> 32;
	return (size_t)h & (n->size - 1);
}

uint32_t keyd_names_find(const struct keyd_names *n, struct span name)
{
	if (n->size == 0)
		return KEYD_NAMES_NONE;
	for (size_t i = place(n, name); n->slots[i]; i = (i + 1) & (n->size - 1))
		if (span_equal(n->name(n->arg, n->slots[i] - 1), name))
			return n->slots[i] - 1;
	return KEYD_NAMES_NONE;
}

static void put(struct keyd_names *n, uint32_t number)
{
	size_t i = place(n, n->name(n->arg, number));

	while (n->slots[i])
		i = (i + 1) & (n->size - 1);
	n->slots[i] = number + 1;
}

int keyd_names_reserve(struct keyd_names *n)
{
	uint32_t *old = n->slots, *fresh;
	size_t size = n->size;

	if ((n->count + 1) * 4 <= size * 3)
		return 0;
	fresh = calloc(size ? size * 2 : 64, sizeof(*fresh));
	if (!fresh)
		return ERR_NOMEM;
	n->slots = fresh;
	n->size = size ? size * 2 : 64;
	for (size_t i = 0; i < size; i++)
		if (old[i])
			put(n, old[i] - 1);
	free(old);
	return 0;
}

void keyd_names_add(struct keyd_names *n, uint32_t number)
{
	put(n, number);
	n->count++;
}
