/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_names - finds the number of a name: an open-addressed index beside an array of things.
 *
 * Story:     the array stays with its owner, who also tells the name of each number; the index
 *            holds numbers only (4 bytes a name, at most three quarters full). Numbers are never
 *            taken out.
 * Ownership: owns the table alone.
 * Thread:    one. */
#ifndef KEYD_KEYD_NAMES_H
#define KEYD_KEYD_NAMES_H

#include "core/span.h"

#define KEYD_NAMES_NONE UINT32_MAX

struct keyd_names {
	uint32_t *slots; /* number + 1; 0: free */
	size_t size, count;
	uint64_t seed;
	struct span (*name)(const void *arg, uint32_t number);
	const void *arg;
};

void keyd_names_init(struct keyd_names *n, struct span (*name)(const void *arg, uint32_t number),
		     const void *arg);
void keyd_names_clear(struct keyd_names *n);
/* The number, or KEYD_NAMES_NONE. */
uint32_t keyd_names_find(const struct keyd_names *n, struct span name);
/* Makes room for one more, so that the next add cannot fail. ERR_NOMEM. */
int keyd_names_reserve(struct keyd_names *n);
/* number's name must be tellable and not in yet. */
void keyd_names_add(struct keyd_names *n, uint32_t number);

#endif
