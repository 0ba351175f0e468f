/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_yaml.h"

#include <string.h>

#include <yaml.h>

#include "cli/cli.h"
#include "core/err.h"
#include "core/num.h"
#include "sys/sys_file.h"

#define FILE_MAX   (1u << 20)
#define DEPTH_MAX  32
#define NODES_MAX  100000

struct reader {
	const char *path;
	yaml_parser_t parser;
	yaml_event_t event;
	int have;
	unsigned nodes;
};

static json_t *refuse(const struct reader *r, const yaml_mark_t *at, const char *what)
{
	cli_fail(0, "%s:%zu: %s", r->path, at->line + 1, what);
	return NULL;
}

/* 0, or said why. */
static int next(struct reader *r)
{
	if (r->have)
		yaml_event_delete(&r->event);
	r->have = yaml_parser_parse(&r->parser, &r->event);
	if (r->have)
		return 0;
	refuse(r, &r->parser.problem_mark, r->parser.problem ? r->parser.problem : "cannot be read");
	return ERR_FORMAT;
}

static int is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(text, *words))
			return 1;
	return 0;
}

static json_t *scalar(struct reader *r)
{
	static const char *const yes[] = {"true", "yes", "on", NULL}, *const no[] = {"false", "no", "off", NULL},
				 *const null[] = {"", "null", "~", NULL};
	const char *text = (const char *)r->event.data.scalar.value;
	size_t n = r->event.data.scalar.length;
	uint64_t number;
	json_t *j;

	if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strlen(text) == n) {
		if (is_one_of(text, null))
			return json_null();
		if (is_one_of(text, yes) || is_one_of(text, no))
			return json_boolean(is_one_of(text, yes));
		if (num_parse_u64(span_of(text, n), &number) == 0 && number < INT64_MAX)
			return json_integer((json_int_t)number);
	}
	j = json_stringn(text, n);
	return j ? j : refuse(r, &r->event.start_mark, "holds what is no text");
}

static json_t *value(struct reader *r, unsigned depth);

static json_t *sequence(struct reader *r, unsigned depth)
{
	json_t *a = json_array(), *item;

	while (next(r) == 0) {
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return a;
		item = value(r, depth);
		if (!item)
			break;
		json_array_append_new(a, item);
	}
	json_decref(a);
	return NULL;
}

static json_t *mapping(struct reader *r, unsigned depth)
{
	json_t *o = json_object(), *item;
	char name[256];

	while (next(r) == 0) {
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return o;
		if (r->event.type != YAML_SCALAR_EVENT ||
		    span_copy_str(name, sizeof(name), span_of(r->event.data.scalar.value,
							      r->event.data.scalar.length)) < 0) {
			refuse(r, &r->event.start_mark, "a name must stand here");
			break;
		}
		if (json_object_get(o, name)) {
			refuse(r, &r->event.start_mark, "this stands here twice");
			break;
		}
		if (next(r) < 0)
			break;
		item = value(r, depth);
		if (!item)
			break;
		json_object_set_new(o, name, item);
	}
	json_decref(o);
	return NULL;
}

static json_t *value(struct reader *r, unsigned depth)
{
	if (depth == DEPTH_MAX || ++r->nodes > NODES_MAX)
		return refuse(r, &r->event.start_mark, "too deep, or too much");
	switch (r->event.type) {
	case YAML_SCALAR_EVENT:
		return scalar(r);
	case YAML_SEQUENCE_START_EVENT:
		return sequence(r, depth + 1);
	case YAML_MAPPING_START_EVENT:
		return mapping(r, depth + 1);
	default:
		return refuse(r, &r->event.start_mark, "no anchors or further documents here");
	}
}

static json_t *document(struct reader *r)
{
	json_t *j;

	if (next(r) < 0 || next(r) < 0) /* stream, document */
		return NULL;
	if (r->event.type != YAML_DOCUMENT_START_EVENT)
		return refuse(r, &r->event.start_mark, "is empty");
	if (next(r) < 0)
		return NULL;
	j = value(r, 0);
	if (j && !json_is_object(j)) {
		refuse(r, &r->event.start_mark, "must be names and values");
	} else if (j && next(r) == 0 && next(r) == 0) {
		if (r->event.type == YAML_STREAM_END_EVENT)
			return j;
		refuse(r, &r->event.start_mark, "no further documents here");
	}
	json_decref(j);
	return NULL;
}

json_t *cli_yaml_load(const char *path)
{
	struct reader r = {.path = path};
	struct buf text;
	json_t *j = NULL;
	int rc;

	buf_init(&text, FILE_MAX);
	rc = sys_file_read(path, &text, 0);
	if (rc < 0) {
		cli_fail(0, "%s: %s", path, err_text(rc));
	} else if (yaml_parser_initialize(&r.parser)) {
		yaml_parser_set_input_string(&r.parser, buf_ptr(&text), buf_size(&text));
		j = document(&r);
		if (r.have)
			yaml_event_delete(&r.event);
		yaml_parser_delete(&r.parser);
	}
	buf_clear(&text);
	return j;
}
