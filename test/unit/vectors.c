/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/hex.h"

void vectors_open(struct vectors *v, const char *name)
{
	const char *srcdir = getenv("srcdir");
	char path[512];

	memset(v, 0, sizeof(*v));
	snprintf(path, sizeof(path), "%s/test/vectors/%s", srcdir ? srcdir : ".", name);
	v->f = fopen(path, "r");
	if (!v->f)
		fail_msg("%s: cannot open", path);
}

static void drop(struct vectors *v)
{
	for (unsigned i = 0; i < v->count; i++)
		free(v->values[i]);
	v->count = 0;
}

/* One line without its newline: "name = value". */
static void take(struct vectors *v, char *line)
{
	char *value = strstr(line, " = ");
	size_t room;
	int n;

	if (!value || value - line >= (ptrdiff_t)sizeof(v->names[0]) || v->count == VECTORS_FIELDS)
		fail_msg("line %u: not a value", v->line);
	*value = '\0';
	value += 3;
	strcpy(v->names[v->count], line);
	room = strlen(value);
	v->values[v->count] = malloc(room + 1);
	if (value[0] == '"') {
		if (room < 2 || value[room - 1] != '"')
			fail_msg("line %u: text does not end", v->line);
		n = (int)room - 2;
		memcpy(v->values[v->count], value + 1, (size_t)n);
	} else {
		n = hex_decode(v->values[v->count], room + 1, span_of(value, room));
		if (n < 0)
			fail_msg("line %u: not hex", v->line);
	}
	v->sizes[v->count++] = (size_t)n;
}

int vectors_next(struct vectors *v)
{
	static char line[65536];

	drop(v);
	while (fgets(line, sizeof(line), v->f)) {
		line[strcspn(line, "\n")] = '\0';
		v->line++;
		if (line[0] && line[0] != '#')
			take(v, line);
		else if (!line[0] && v->count)
			return 1;
	}
	if (v->count)
		return 1;
	fclose(v->f);
	return 0;
}

static int find(const struct vectors *v, const char *name, unsigned nth)
{
	for (unsigned i = 0; i < v->count; i++)
		if (!strcmp(v->names[i], name) && nth-- == 0)
			return (int)i;
	return -1;
}

int vectors_has(const struct vectors *v, const char *name)
{
	return find(v, name, 0) >= 0;
}

struct span vectors_nth(const struct vectors *v, const char *name, unsigned nth)
{
	int i = find(v, name, nth);

	if (i < 0)
		fail_msg("record before line %u has no %s", v->line, name);
	return span_of(v->values[i], v->sizes[i]);
}

struct span vectors_get(const struct vectors *v, const char *name)
{
	return vectors_nth(v, name, 0);
}

json_t *vectors_wycheproof(const char *file)
{
	const char *folder = getenv("SEALPOST_VECTORS");
	json_error_t why;
	char path[512];
	json_t *root;

	if (!folder || !*folder)
		return NULL;
	snprintf(path, sizeof(path), "%s/wycheproof/%s", folder, file);
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		fail_msg("%s: %s", path, why.text);
	return root;
}

uint8_t *vectors_json_hex(const json_t *object, const char *name, size_t *size)
{
	const char *text = json_string_value(json_object_get(object, name));
	uint8_t *p;
	int n;

	if (!text)
		fail_msg("a vector has no %s", name);
	p = malloc(strlen(text) / 2 + 1);
	n = hex_decode(p, strlen(text) / 2 + 1, span_str(text));
	if (n < 0)
		fail_msg("%s of a vector is not hex", name);
	*size = (size_t)n;
	return p;
}

static struct span member(struct vectors_case *c, const json_t *object, const char *name)
{
	size_t n;

	if (c->count == VECTORS_FIELDS)
		fail_msg("more than %d values of one vector", VECTORS_FIELDS);
	c->values[c->count] = vectors_json_hex(object, name, &n);
	return span_of(c->values[c->count++], n);
}

struct span vectors_case_get(struct vectors_case *c, const char *name)
{
	return member(c, c->test, name);
}

struct span vectors_group_get(struct vectors_case *c, const char *name)
{
	return member(c, c->group, name);
}

unsigned vectors_group_number(const struct vectors_case *c, const char *name)
{
	return (unsigned)json_integer_value(json_object_get(c->group, name));
}

const char *vectors_group_text(const struct vectors_case *c, const char *name)
{
	const char *text = json_string_value(json_object_get(c->group, name));

	return text ? text : "";
}

unsigned vectors_each(const char *file, void (*fn)(struct vectors_case *c, void *arg), void *arg)
{
	json_t *root = vectors_wycheproof(file), *group, *test;
	unsigned count = 0;
	size_t i, j;

	if (!root)
		return 0;
	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			struct vectors_case c = {.group = group, .test = test};
			const char *result = json_string_value(json_object_get(test, "result"));

			c.valid = result && !strcmp(result, "valid");
			c.acceptable = result && !strcmp(result, "acceptable");
			fn(&c, arg);
			while (c.count)
				free(c.values[--c.count]);
			count++;
		}
	}
	if (count == 0 || json_integer_value(json_object_get(root, "numberOfTests")) != count)
		fail_msg("%s: %u tests, which is not what it says", file, count);
	json_decref(root);
	return count;
}
