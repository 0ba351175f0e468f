/* SPDX-License-Identifier: Apache-2.0 */
/* vectors - reads test vectors: our own small text files, and Wycheproof's JSON where it is present.
 *
 * Story:     a text file is records with blank lines between them; a line is `name = hex` or
 *            `name = "text"`, `#` begins a comment. vectors_next fails the test on anything else, so a
 *            broken file cannot pass. vectors_wycheproof gives a file below $SEALPOST_VECTORS.
 * Ownership: a record's values live until the next vectors_next.
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
/* A hex member of a JSON object in memory of its own (free it); fails the test if absent. */
uint8_t *vectors_json_hex(const json_t *object, const char *name, size_t *size);

#endif
