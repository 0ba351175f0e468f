/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of key references. New ones are the greatest, nearly always. */
#include "keyd/keyd_ring_in.h"

uint32_t keyd_ring_refs_below(const struct keyd_ring_refs *l, uint32_t keyref)
{
	uint32_t low = 0, high = l->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (l->refs[middle] < keyref)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int keyd_ring_refs_reserve(struct keyd_ring_refs *l)
{
	return keyd_ring_grow((void **)&l->refs, &l->room, l->count, sizeof(l->refs[0]));
}

void keyd_ring_refs_add(struct keyd_ring_refs *l, uint32_t keyref)
{
	uint32_t at = keyd_ring_refs_below(l, keyref);

	memmove(l->refs + at + 1, l->refs + at, (l->count - at) * sizeof(l->refs[0]));
	l->refs[at] = keyref;
	l->count++;
}

void keyd_ring_refs_remove(struct keyd_ring_refs *l, uint32_t keyref)
{
	uint32_t at = keyd_ring_refs_below(l, keyref);

	if (at == l->count || l->refs[at] != keyref)
		return;
	l->count--;
	memmove(l->refs + at, l->refs + at + 1, (l->count - at) * sizeof(l->refs[0]));
}
