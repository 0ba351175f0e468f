/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "campaign/camp_manifest_own.h"
#include "core/err.h"

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define F(member) offsetof(struct field, member)

/* As it stands in the JSON; max and min are checked before they fit the struct. */
struct field {
	unsigned type, ctx;
	uint32_t min, max;
	char *without, **values;
	unsigned n_values;
};

static int read_type(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *names[CAMP_FIELD_TYPE_COUNT];

	for (unsigned i = 0; i < CAMP_FIELD_TYPE_COUNT; i++)
		names[i] = camp_field_type_name(i);
	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_ctx(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *names[CAMP_CTX_COUNT];

	for (unsigned i = 0; i < CAMP_CTX_COUNT; i++)
		names[i] = camp_context_name(i);
	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_without(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_text(r, v, dst);
	const char *s = *(char **)dst;

	if (ret)
		return ret;
	if (strlen(s) > 32)
		return camp_manifest_bad(r, "has more than 32 characters");
	for (; *s; s++)
		if ((uint8_t)*s > 0x7f)
			return camp_manifest_bad(r, "may have ASCII only");
	return 0;
}

static int read_value(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_text(r, v, dst);

	if (ret)
		return ret;
	if (!**(char **)dst || strlen(*(char **)dst) > CAMP_FIELD_MAX)
		return camp_manifest_bad(r, "must have 1 to %d octets", CAMP_FIELD_MAX);
	return 0;
}

static int read_values(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct field *f = dst;

	return camp_manifest_array(r, v, CAMP_VALUES, sizeof(char *), read_value,
				   (void **)&f->values, &f->n_values);
}

/* Which contexts a type may have, a bit for each. */
#define IN_TEXT (1U << CAMP_CTX_TEXT | 1U << CAMP_CTX_ATTR)
#define IN_URL	(1U << CAMP_CTX_URL_PATH | 1U << CAMP_CTX_URL_QUERY)
static const unsigned contexts[CAMP_FIELD_TYPE_COUNT] = {
    [CAMP_TYPE_NAME] = IN_TEXT,
    [CAMP_TYPE_INT] = IN_TEXT | IN_URL,
    [CAMP_TYPE_DECIMAL] = IN_TEXT | IN_URL,
    [CAMP_TYPE_MONEY] = IN_TEXT,
    [CAMP_TYPE_DATE] = IN_TEXT,
    [CAMP_TYPE_TIME] = IN_TEXT,
    [CAMP_TYPE_CODE] = IN_TEXT | IN_URL,
    [CAMP_TYPE_UUID] = IN_TEXT | IN_URL,
    [CAMP_TYPE_HEX] = IN_TEXT | IN_URL,
    [CAMP_TYPE_ENUM] = IN_TEXT | IN_URL,
    [CAMP_TYPE_RCPT_EMAIL] = IN_TEXT | IN_URL,
    [CAMP_TYPE_TEXT_NOLINK] = IN_TEXT,
    [CAMP_TYPE_URL_PATH] = 1U << CAMP_CTX_URL_PATH,
    [CAMP_TYPE_URL_QUERY] = 1U << CAMP_CTX_URL_QUERY,
    [CAMP_TYPE_TOKEN] = IN_TEXT | IN_URL,
    [CAMP_TYPE_URL_CHOICE] = 1U << CAMP_CTX_URL,
};

static int take(struct camp_manifest_reader *r, const struct field *f, struct camp_field *dst)
{
	int listed = f->type == CAMP_TYPE_ENUM || f->type == CAMP_TYPE_URL_CHOICE;

	if (!(contexts[f->type] & 1U << f->ctx))
		return camp_manifest_bad(r, "a field of type %s may not have the context %s",
					 camp_field_type_name(f->type), camp_context_name(f->ctx));
	if (f->max < 1 || f->max > CAMP_FIELD_MAX || f->min > f->max)
		return camp_manifest_bad(r, "max must be 1 to %d, min not more", CAMP_FIELD_MAX);
	if (listed != (f->n_values > 0))
		return camp_manifest_bad(r,
					 listed ? "needs values" : "has values: not of this type");
	dst->type = f->type;
	dst->ctx = f->ctx;
	dst->min = (uint16_t)f->min;
	dst->max = (uint16_t)f->max;
	dst->values = f->values;
	dst->n_values = f->n_values;
	if (f->without)
		memcpy(dst->without, f->without, strlen(f->without) + 1);
	return 0;
}

static int read_field(struct camp_manifest_reader *r, const json_t *v, struct camp_field *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"type", read_type, F(type), 0},	      {"ctx", read_ctx, F(ctx), 0},
	    {"max", camp_manifest_u32, F(max), 0},    {"min", camp_manifest_u32, F(min), 1},
	    {"without", read_without, F(without), 1}, {"values", read_values, 0, 1},
	};
	struct field f = {.min = 1};
	int ret = camp_manifest_object(r, v, members, COUNT(members), &f);

	return ret ? ret : take(r, &f, dst);
}

int camp_manifest_read_fields(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;
	const char *name;
	json_t *value;
	int ret = 0;

	if (!json_is_object(v))
		return camp_manifest_bad(r, "must be an object");
	if (json_object_size(v) > CAMP_FIELDS)
		return camp_manifest_bad(r, "has more than %d fields", CAMP_FIELDS);
	m->fields = camp_manifest_alloc(r->arena, json_object_size(v) * sizeof(*m->fields) + 1);
	if (!m->fields)
		return ERR_NOMEM;
	json_object_foreach((json_t *)v, name, value)
	{
		size_t mark = camp_manifest_enter(r, name, 0);
		json_t *as_text = json_string(name);

		ret = as_text ? camp_manifest_name(r, as_text, m->fields[m->n_fields].name)
			      : ERR_NOMEM;
		json_decref(as_text);
		if (ret == 0)
			ret = read_field(r, value, &m->fields[m->n_fields]);
		if (ret)
			return ret;
		m->n_fields++;
		camp_manifest_leave(r, mark);
	}
	return 0;
}
