/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_schema.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define FILE_MAX (1u << 20)

char *conf_path_join(const char *base, const char *value)
{
	char *joined;

	if (value[0] == '/' || !base)
		return strdup(value);
	if (asprintf(&joined, "%s/%s", base, value) < 0)
		return NULL;
	return joined;
}

static int make_absolute(const struct conf_key *table, void *s, const char *base)
{
	for (const struct conf_key *k = table; k->name; k++) {
		void *place = (char *)s + k->offset;
		int rc = 0;

		if (k->type == CONF_PATH && *(char **)place) {
			char *full = conf_path_join(base, *(char **)place);
			if (!full)
				return ERR_NOMEM;
			free(*(char **)place);
			*(char **)place = full;
		} else if (k->type == CONF_MAP) {
			rc = make_absolute(k->sub, place, base);
		} else if (k->type == CONF_LIST) {
			struct conf_list *l = place;
			for (size_t i = 0; i < l->count && rc == 0; i++)
				rc = make_absolute(k->sub, (char *)l->items + i * k->item_size,
						   base);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* state: is relative to the folder of the file, everything else to state:. */
static int resolve_paths(const char *path, const struct conf_key *table, void *s)
{
	char *file = realpath(path, NULL), *slash;
	const char *base = NULL;
	int rc;

	if (!file)
		return ERR_NOTFOUND;
	slash = strrchr(file, '/');
	if (slash == file)
		slash[1] = '\0';
	else
		*slash = '\0';
	for (const struct conf_key *k = table; k->name; k++) {
		char **state = (char **)(void *)((char *)s + k->offset);
		if (strcmp(k->name, "state") || k->type != CONF_PATH || !*state)
			continue;
		if ((*state)[0] != '/') {
			char *full = conf_path_join(file, *state);
			if (!full) {
				free(file);
				return ERR_NOMEM;
			}
			free(*state);
			*state = full;
		}
		base = *state;
	}
	base = strdup(base ? base : file);
	free(file);
	if (!base)
		return ERR_NOMEM;
	rc = make_absolute(table, s, base);
	free((char *)base);
	return rc;
}

int conf_load(const char *path, const struct conf_key *table, void *s, char err[CONF_ERR_MAX])
{
	FILE *f = fopen(path, "re");
	struct buf text;
	uint8_t *p;
	int rc;

	if (!f) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", path, strerror(errno));
		return ERR_NOTFOUND;
	}
	buf_init(&text, FILE_MAX);
	while ((p = buf_reserve(&text, 4096))) {
		size_t n = fread(p, 1, 4096, f);
		buf_commit(&text, n);
		if (n == 0)
			break;
	}
	rc = ferror(f) ? ERR_IO : buf_failed(&text);
	fclose(f);
	if (rc < 0) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", path, err_text(rc));
		buf_clear(&text);
		return rc;
	}
	rc = conf_parse(path, buf_span(&text), table, s, err);
	buf_clear(&text);
	if (rc < 0)
		return rc;
	rc = resolve_paths(path, table, s);
	if (rc < 0) {
		snprintf(err, CONF_ERR_MAX, "%s: %s", path, err_text(rc));
		conf_free(table, s);
	}
	return rc;
}

static void free_strings(struct conf_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(((char **)l->items)[i]);
	free(l->items);
	l->items = NULL;
	l->count = 0;
}

static void free_place(const struct conf_key *k, void *place)
{
	struct conf_list *l = place;

	switch (k->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_SECRET:
		free(*(char **)place);
		*(char **)place = NULL;
		break;
	case CONF_MAP:
		conf_free(k->sub, place);
		break;
	case CONF_STRINGS:
		free_strings(l);
		break;
	case CONF_LIST:
		for (size_t i = 0; i < l->count; i++)
			conf_free(k->sub, (char *)l->items + i * k->item_size);
		free(l->items);
		l->items = NULL;
		l->count = 0;
		break;
	case CONF_FREE_MAP:
		for (size_t i = 0; i < l->count; i++) {
			struct conf_pair *pair = (struct conf_pair *)l->items + i;
			free(pair->key);
			free_strings(&pair->values);
		}
		free(l->items);
		l->items = NULL;
		l->count = 0;
		break;
	default:
		break;
	}
}

void conf_free(const struct conf_key *table, void *s)
{
	for (const struct conf_key *k = table; k->name; k++)
		free_place(k, (char *)s + k->offset);
}
