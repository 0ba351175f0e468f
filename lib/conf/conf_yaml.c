/* SPDX-License-Identifier: Apache-2.0 */
/* The reader: libyaml's events walked against a table. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "conf/conf_schema.h"
#include "conf/conf_value.h"
#include "core/err.h"

#define KEYS_MAX 64	/* in one mapping of a table */
#define ITEMS_MAX 10000 /* in one list */

struct reader {
	yaml_parser_t yaml;
	yaml_event_t ev;
	int have_event;
	const char *file;
	char *err;
	char path[256]; /* of the key at hand: "listen[0].mode" */
};

static int fail_at(struct reader *r, size_t line, const char *what)
{
	snprintf(r->err, CONF_ERR_MAX, "%s:%zu: %s%s%s", r->file, line + 1, r->path,
		 r->path[0] ? ": " : "", what);
	return ERR_CONFIG;
}

static int fail(struct reader *r, const char *what)
{
	return fail_at(r, r->ev.start_mark.line, what);
}

/* A mapping or list that begins. */
static int plain(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return fail(r, "anchors are not used here");
	return tag ? fail(r, "tags are not used here") : 0;
}

static int next(struct reader *r)
{
	if (r->have_event)
		yaml_event_delete(&r->ev);
	r->have_event = 0;
	if (!yaml_parser_parse(&r->yaml, &r->ev)) {
		snprintf(r->err, CONF_ERR_MAX, "%s:%zu: %s", r->file, r->yaml.problem_mark.line + 1,
			 r->yaml.problem ? r->yaml.problem : "not YAML");
		return ERR_CONFIG;
	}
	r->have_event = 1;
	if (r->ev.type == YAML_ALIAS_EVENT)
		return fail(r, "aliases are not used here");
	if (r->ev.type == YAML_MAPPING_START_EVENT)
		return plain(r, r->ev.data.mapping_start.anchor, r->ev.data.mapping_start.tag);
	if (r->ev.type == YAML_SEQUENCE_START_EVENT)
		return plain(r, r->ev.data.sequence_start.anchor, r->ev.data.sequence_start.tag);
	return 0;
}

/* Appends a name, or an index if name is NULL, to the key path; returns the length to cut it back to. */
static size_t descend(struct reader *r, const char *name, size_t index)
{
	size_t at = strlen(r->path);

	if (name)
		snprintf(r->path + at, sizeof(r->path) - at, "%s%s", at ? "." : "", name);
	else
		snprintf(r->path + at, sizeof(r->path) - at, "[%zu]", index);
	return at;
}

/* The present event as a scalar: its text, or NULL with the error set. */
static const char *scalar(struct reader *r, int secret)
{
	const char *tag;
	const char *text;

	if (r->ev.type != YAML_SCALAR_EVENT) {
		fail(r, r->ev.type == YAML_MAPPING_START_EVENT ? "takes one value, not a mapping"
							       : "takes one value, not a list");
		return NULL;
	}
	tag = (const char *)r->ev.data.scalar.tag;
	text = (const char *)r->ev.data.scalar.value;
	if (tag && !(secret && !strcmp(tag, "!sealed"))) {
		fail(r, secret ? "the only tag here is !sealed" : "tags are not used here");
		return NULL;
	}
	if (tag && strncmp(text, "sp1:", 4)) {
		fail(r, "a !sealed value begins with sp1:");
		return NULL;
	}
	if (strlen(text) != r->ev.data.scalar.length) {
		fail(r, "holds a NUL");
		return NULL;
	}
	if (r->ev.data.scalar.anchor) {
		fail(r, "anchors are not used here");
		return NULL;
	}
	return text;
}

static void *grow(struct reader *r, struct conf_list *l, size_t item_size)
{
	char *items = l->count < ITEMS_MAX ? realloc(l->items, (l->count + 1) * item_size) : NULL;

	if (!items) {
		fail(r, "too many entries");
		return NULL;
	}
	l->items = items;
	memset(items + l->count * item_size, 0, item_size);
	return items + l->count++ * item_size;
}

static int read_strings(struct reader *r, struct conf_list *l, const struct conf_key *k)
{
	if (r->ev.type != YAML_SEQUENCE_START_EVENT)
		return fail(r, "takes a list");
	for (size_t i = 0;; i++) {
		size_t at = descend(r, NULL, i);
		const char *text, *wrong;
		char **item;
		int rc = next(r);

		if (rc < 0)
			return rc;
		if (r->ev.type == YAML_SEQUENCE_END_EVENT) {
			r->path[at] = '\0';
			return 0;
		}
		text = scalar(r, 0);
		if (!text)
			return ERR_CONFIG;
		wrong = k && k->check ? k->check(text) : *text ? NULL : "must not be empty";
		if (wrong)
			return fail(r, wrong);
		item = grow(r, l, sizeof(*item));
		if (!item)
			return ERR_CONFIG;
		*item = strdup(text);
		if (!*item)
			return fail(r, "out of memory");
		r->path[at] = '\0';
	}
}

static int read_free_map(struct reader *r, struct conf_list *l)
{
	if (r->ev.type != YAML_MAPPING_START_EVENT)
		return fail(r, "takes a mapping");
	for (;;) {
		struct conf_pair *pair;
		const char *text;
		size_t at;
		int rc = next(r);

		if (rc < 0 || r->ev.type == YAML_MAPPING_END_EVENT)
			return rc;
		text = scalar(r, 0);
		if (!text)
			return ERR_CONFIG;
		for (size_t i = 0; i < l->count; i++)
			if (!strcmp(((struct conf_pair *)l->items)[i].key, text))
				return fail(r, "the same key twice");
		at = descend(r, text, 0);
		pair = grow(r, l, sizeof(*pair));
		if (!pair)
			return ERR_CONFIG;
		pair->key = strdup(text);
		pair->line = (int)r->ev.start_mark.line + 1;
		if (!pair->key)
			return fail(r, "out of memory");
		rc = next(r);
		if (rc < 0)
			return rc;
		if (r->ev.type == YAML_SEQUENCE_START_EVENT) {
			rc = read_strings(r, &pair->values, NULL);
			if (rc < 0)
				return rc;
		} else {
			char **item;
			text = scalar(r, 0);
			item = text ? grow(r, &pair->values, sizeof(*item)) : NULL;
			if (!item || !(*item = strdup(text)))
				return text ? fail(r, "out of memory") : ERR_CONFIG;
		}
		r->path[at] = '\0';
	}
}

static int read_map(struct reader *r, const struct conf_key *table, void *s);
static int read_value(struct reader *r, const struct conf_key *k, void *s);

/* An item as a mapping, or, where that is allowed, as the value of its first key. */
static int read_item(struct reader *r, const struct conf_key *k, void *item)
{
	if (k->shorthand && r->ev.type == YAML_SCALAR_EVENT)
		return read_value(r, k->sub, item);
	return read_map(r, k->sub, item);
}

static int read_list(struct reader *r, const struct conf_key *k, struct conf_list *l)
{
	if (r->ev.type != YAML_SEQUENCE_START_EVENT)
		return fail(r, "takes a list");
	for (size_t i = 0;; i++) {
		size_t at = descend(r, NULL, i), line;
		const char *wrong;
		void *item;
		int rc = next(r);

		if (rc < 0)
			return rc;
		if (r->ev.type == YAML_SEQUENCE_END_EVENT) {
			r->path[at] = '\0';
			return 0;
		}
		item = grow(r, l, k->item_size);
		if (!item)
			return ERR_CONFIG;
		if (conf_value_defaults(k->sub, item) < 0)
			return fail(r, "out of memory");
		line = r->ev.start_mark.line;
		rc = read_item(r, k, item);
		if (rc < 0)
			return rc;
		wrong = k->check_item ? k->check_item(item) : NULL;
		if (wrong)
			return fail_at(r, line, wrong);
		r->path[at] = '\0';
	}
}

static int read_value(struct reader *r, const struct conf_key *k, void *s)
{
	void *place = (char *)s + k->offset;
	char why[CONF_ERR_MAX];
	const char *text, *wrong;

	switch (k->type) {
	case CONF_MAP:
		return read_map(r, k->sub, place);
	case CONF_LIST:
		return read_list(r, k, place);
	case CONF_STRINGS:
		return read_strings(r, place, k);
	case CONF_FREE_MAP:
		return read_free_map(r, place);
	default:
		text = scalar(r, k->type == CONF_SECRET);
		if (!text)
			return ERR_CONFIG;
		wrong = conf_value_set(k, s, text, why);
		return wrong ? fail(r, wrong) : 0;
	}
}

static size_t distance(const char *a, const char *b)
{
	size_t row[33], la = strlen(a), lb = strlen(b);

	if (la > 32 || lb > 32)
		return 99;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

static int unknown_key(struct reader *r, const struct conf_key *table, const char *name)
{
	const char *near = NULL;
	char what[128];
	size_t best = 3;

	for (const struct conf_key *k = table; k->name; k++) {
		size_t d = distance(name, k->name);
		if (d < best) {
			best = d;
			near = k->name;
		}
	}
	if (!near)
		return fail(r, "unknown key");
	snprintf(what, sizeof(what), "unknown key; did you mean \"%s\"?", near);
	return fail(r, what);
}

static int read_map(struct reader *r, const struct conf_key *table, void *s)
{
	unsigned char seen[KEYS_MAX] = {0};
	const struct conf_key *k;

	if (r->ev.type != YAML_MAPPING_START_EVENT)
		return fail(r, "takes a mapping of keys");
	for (;;) {
		const char *name;
		size_t at;
		int rc = next(r);

		if (rc < 0)
			return rc;
		if (r->ev.type == YAML_MAPPING_END_EVENT)
			break;
		name = scalar(r, 0);
		if (!name)
			return ERR_CONFIG;
		at = descend(r, name, 0);
		for (k = table; k->name && strcmp(k->name, name); k++)
			;
		if (!k->name)
			return unknown_key(r, table, name);
		if (seen[k - table]++)
			return fail(r, "the same key twice");
		rc = next(r);
		if (rc == 0)
			rc = read_value(r, k, s);
		if (rc < 0)
			return rc;
		r->path[at] = '\0';
	}
	for (k = table; k->name; k++)
		if (k->required && !seen[k - table]) {
			char what[128];
			snprintf(what, sizeof(what), "key \"%s\" is missing", k->name);
			return fail(r, what);
		}
	return 0;
}

static int read_document(struct reader *r, const struct conf_key *table, void *s)
{
	int rc;

	if ((rc = next(r)) < 0 || (rc = next(r)) < 0)
		return rc;
	if (r->ev.type != YAML_DOCUMENT_START_EVENT)
		return fail(r, "the file is empty");
	if ((rc = next(r)) < 0 || (rc = read_map(r, table, s)) < 0)
		return rc;
	if ((rc = next(r)) < 0 || (rc = next(r)) < 0)
		return rc;
	return r->ev.type == YAML_STREAM_END_EVENT ? 0 : fail(r, "one document only");
}

int conf_parse(const char *name, struct span text, const struct conf_key *table, void *s,
	       char err[CONF_ERR_MAX])
{
	struct reader r = {.file = name, .err = err};
	int rc;

	err[0] = '\0';
	if (conf_value_defaults(table, s) < 0) {
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", name);
		return ERR_NOMEM;
	}
	if (!yaml_parser_initialize(&r.yaml)) {
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", name);
		conf_free(table, s);
		return ERR_NOMEM;
	}
	yaml_parser_set_input_string(&r.yaml, text.p, text.n);
	rc = read_document(&r, table, s);
	if (r.have_event)
		yaml_event_delete(&r.ev);
	yaml_parser_delete(&r.yaml);
	if (rc < 0)
		conf_free(table, s);
	return rc;
}
