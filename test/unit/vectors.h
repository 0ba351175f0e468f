/* SPDX-License-Identifier: Apache-2.0 */
/* vectors - reads test vectors: our own small text files, and Wycheproof's JSON where it is present.
 *
 * Story:     a text file is records with blank lines between them; a line is `name = hex` or
 *            `name = "text"`, `#` begins a comment. vectors_next fails the test on anything else, so a
 *            broken file cannot pass. vectors_wycheproof gives a file below $SEALPOST_VECTORS,
 *            vectors_each runs a function for each test in one.
 * Ownership: a record's values live until the next vectors_next; a case's until its function returns.
 * Thread:    tests only. */
#ifndef TEST_UNIT_VECTORS_H
#define TEST_UNIT_VECTORS_H

#include <jansson.h>
#include <stdio.h>

#include "core/span.h"

#define VECTORS_FIELDS 16

struct vectors {
	FILE *f;
	unsigned line, count;
	char names[VECTORS_FIELDS][16];
	uint8_t *values[VECTORS_FIELDS];
	size_t sizes[VECTORS_FIELDS];
};

/* Opens test/vectors/NAME of the source tree ($srcdir). */
void vectors_open(struct vectors *v, const char *name);
/* 1: a record is there; 0: the end, all is closed. */
int vectors_next(struct vectors *v);
int vectors_has(const struct vectors *v, const char *name);
/* The nth value of that name (0: the first); fails the test if there is none. */
struct span vectors_nth(const struct vectors *v, const char *name, unsigned nth);
struct span vectors_get(const struct vectors *v, const char *name);

/* A file of Wycheproof, or NULL if the folder is not there (the test then skips). json_decref it. */
json_t *vectors_wycheproof(const char *file);
/* One test of such a file. */
struct vectors_case {
	const json_t *group, *test;
	int valid, acceptable; /* neither: invalid */
	unsigned count;
	uint8_t *values[VECTORS_FIELDS];
};
/* Runs fn for every test of the file, and fails if they are not as many as the file says. Returns
 * how many; 0 if the folder is not there. */
unsigned vectors_each(const char *file, void (*fn)(struct vectors_case *c, void *arg), void *arg);
/* A hex member of the test, or of its group. */
struct span vectors_case_get(struct vectors_case *c, const char *name);
struct span vectors_group_get(struct vectors_case *c, const char *name);
/* Numbers and texts of the group; 0 and "" if absent. */
unsigned vectors_group_number(const struct vectors_case *c, const char *name);
const char *vectors_group_text(const struct vectors_case *c, const char *name);

/* A hex member of a JSON object in memory of its own (free it); fails the test if absent. */
uint8_t *vectors_json_hex(const json_t *object, const char *name, size_t *size);

#endif
