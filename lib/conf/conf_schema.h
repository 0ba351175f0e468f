/* SPDX-License-Identifier: Apache-2.0 */
/* conf_schema - configuration as a table: which keys exist, what they take, where they go.
 *
 * Story:     a daemon has one struct and one table of keys for it. conf_load reads YAML with libyaml events
 *            and fills the struct through the table; anything not in the table is an error that names
 *            file, line and key. Defaults are text in the table, set by the same parsers. The same table
 *            prints the effective configuration (conf_dump) and the manual's list of keys.
 *            Lists of scalars and lists of mappings are allowed ("listen:"); so is a map with free keys
 *            ("peers:"), given to a function per entry. A duplicate key is an error. Anchors, aliases and
 *            tags are errors, except "!sealed" where a key is CONF_SECRET.
 *            Relative paths are made absolute against the file's own "state:" value.
 * Ownership: the struct owns all strings and lists; conf_free releases by the same table.
 * Errors:    ERR_CONFIG with a text in err: "FILE:LINE: KEY: what is wrong". ERR_NOTFOUND: no file.
 * Thread:    pure but for reading the file; any. */
#ifndef CONF_CONF_SCHEMA_H
#define CONF_CONF_SCHEMA_H

#include <stddef.h>

#include "core/buf.h"

enum conf_type {
	CONF_STRING,   /* char * */
	CONF_PATH,     /* char *, made absolute */
	CONF_BOOL,     /* int; yes/no/true/false */
	CONF_INT,      /* int64_t, within min..max */
	CONF_DURATION, /* int64_t microseconds, within min..max */
	CONF_SIZE,     /* uint64_t bytes, within min..max */
	CONF_RATE,     /* struct num_rate, as num_parse_rate; empty: no limit */
	CONF_ENUM,     /* int: value of a choice */
	CONF_SECRET,   /* char *: text, or a !sealed value kept as its "sp1:" text */
	CONF_MAP,      /* a nested struct, in place: sub */
	CONF_LIST,     /* struct conf_list of mappings: sub, item_size */
	CONF_STRINGS,  /* struct conf_list of char * */
	CONF_FREE_MAP  /* struct conf_list of struct conf_pair: any keys */
};

struct conf_choice {
	const char *name;
	int value;
};

/* A list: count items of item_size bytes each. For STRINGS an item is char *. */
struct conf_list {
	void *items;
	size_t count;
};
struct conf_pair {
	char *key;
	struct conf_list values; /* char *: one, or several if the value was a list */
	int line;
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset;		/* in the struct (for list items: in the item) */
	const char *fallback;	/* default as text; NULL: unset (NULL, 0, empty list) */
	int required;
	int64_t min, max;	/* INT, DURATION (usec), SIZE; both 0: unchecked */
	const struct conf_choice *choices; /* ENUM; ended by a NULL name */
	const struct conf_key *sub;	   /* MAP, LIST; ended by a NULL name */
	size_t item_size;		   /* LIST */
	int shorthand; /* LIST: a plain scalar stands for an item with only its first key */
	/* More checks on a finished scalar: NULL if good, else what is wrong (static text). */
	const char *(*check)(const char *value);
	/* LIST: the same for a finished item, whose derived members it may fill in. */
	const char *(*check_item)(void *item);
	const char *help; /* one line for the manual */
};

#define CONF_ERR_MAX 512

/* Fills s (zeroed first). err receives the text of a failure. */
int conf_load(const char *path, const struct conf_key *table, void *s, char err[CONF_ERR_MAX]);
/* Same from memory; name stands for the file in errors. */
int conf_parse(const char *name, struct span text, const struct conf_key *table, void *s,
	       char err[CONF_ERR_MAX]);
void conf_free(const struct conf_key *table, void *s);
/* For what is wrong across keys, after conf_load: writes "FILE:LINE: KEY: what" to err and returns ERR_CONFIG. key is a
 * path such as "routes[2].pool"; the line is that of its longest beginning that the file has, and is left out if it has
 * none. what must not lie in err. */
int conf_fail(char err[CONF_ERR_MAX], const char *file, const char *key, const char *what);
/* value if it is absolute (or base NULL), else base/value. Caller frees; NULL: out of memory. */
char *conf_path_join(const char *base, const char *value);

/* Effective configuration as YAML; secrets are shown as "(set)". */
int conf_dump(const struct conf_key *table, const void *s, struct buf *out);
/* 1 if the key has the same value in both structs; a key within a map is named "map.key". Secrets count as equal when
 * both are set. 0: different, or no memory to find out. */
int conf_same(const struct conf_key *table, const void *a, const void *b, const char *name);
/* The table as mdoc list items (for man pages) : name, type, default, help. */
int conf_dump_mdoc(const struct conf_key *table, struct buf *out);

#endif
