/* SPDX-License-Identifier: Apache-2.0 */
/* A mistake across keys: found once the file is read, so its line is looked up by the key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "conf/conf_schema.h"
#include "core/err.h"

/* The value of a key, *line set to the key's; NULL: there is none. */
static yaml_node_t *member(yaml_document_t *d, const yaml_node_t *map, struct span name, size_t *line)
{
	if (map->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = yaml_document_get_node(d, p->key);
		if (k->type != YAML_SCALAR_NODE ||
		    !span_equal(span_of(k->data.scalar.value, k->data.scalar.length), name))
			continue;
		*line = k->start_mark.line + 1;
		return yaml_document_get_node(d, p->value);
	}
	return NULL;
}

static yaml_node_t *item(yaml_document_t *d, const yaml_node_t *list, size_t index, size_t *line)
{
	yaml_node_t *n;

	if (list->type != YAML_SEQUENCE_NODE ||
	    index >= (size_t)(list->data.sequence.items.top - list->data.sequence.items.start))
		return NULL;
	n = yaml_document_get_node(d, list->data.sequence.items.start[index]);
	if (n)
		*line = n->start_mark.line + 1;
	return n;
}

/* Walks "a.b[2].c" as far as it goes; 0: not even one step. */
static size_t walk(yaml_document_t *d, const char *key)
{
	yaml_node_t *n = yaml_document_get_root_node(d);
	size_t line = 0;

	while (n && *key) {
		size_t len = strcspn(key, ".[");
		if (*key == '[') {
			char *end;
			n = item(d, n, strtoul(key + 1, &end, 10), &line);
			key = *end == ']' ? end + 1 : "";
		} else {
			n = member(d, n, span_of(key, len), &line);
			key += len;
		}
		key += *key == '.';
	}
	return line;
}

static size_t line_of(const char *file, const char *key)
{
	FILE *f = fopen(file, "rbe");
	yaml_document_t d;
	yaml_parser_t p;
	size_t line = 0;

	if (f && yaml_parser_initialize(&p)) {
		yaml_parser_set_input_file(&p, f);
		if (yaml_parser_load(&p, &d)) {
			line = walk(&d, key);
			yaml_document_delete(&d);
		}
		yaml_parser_delete(&p);
	}
	if (f)
		fclose(f);
	return line;
}

int conf_fail(char err[CONF_ERR_MAX], const char *file, const char *key, const char *what)
{
	size_t line = line_of(file, key);

	if (line)
		snprintf(err, CONF_ERR_MAX, "%s:%zu: %s: %s", file, line, key, what);
	else
		snprintf(err, CONF_ERR_MAX, "%s: %s: %s", file, key, what);
	return ERR_CONFIG;
}
