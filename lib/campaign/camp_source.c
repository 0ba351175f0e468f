/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_owner.h"
#include "core/err.h"

enum form { STRING = 1, INTEGER = 2, OBJECT = 4, ARRAY = 8, BOOLEAN = 16, NUL = 32, NEEDED = 64 };

struct member {
	const char *name;
	unsigned form;
};

static const struct member top_members[] = {
	{"v", INTEGER | NEEDED},	{"customer", STRING | NEEDED}, {"campaign", STRING | NEEDED},
	{"version", INTEGER | NEEDED},	{"number", INTEGER | NEEDED},  {"author", STRING | NEEDED},
	{"from", OBJECT | NEEDED},	{"reply_to", OBJECT | NUL},    {"subject", STRING | NEEDED},
	{"list_id", STRING | NUL},	{"extra_allow", ARRAY},	       {"parts", ARRAY | NEEDED},
	{"structure", ARRAY},		{"fields", OBJECT},	       {"hosts", ARRAY | NEEDED},
	{"links", OBJECT},		{"valid", OBJECT | NEEDED},    {"max_messages", INTEGER | NEEDED},
	{"audience", OBJECT | NUL},	{"track", OBJECT | NUL},       {"mode", STRING},
	{"owned", ARRAY},		{"tracking", ARRAY},	       {NULL, 0}};
static const struct member address_members[] = {{"addr", STRING | NEEDED}, {"name", STRING | NEEDED}, {NULL, 0}};
static const struct member text_members[] = {
	{"type", STRING | NEEDED}, {"text", STRING | NEEDED}, {"flowed", BOOLEAN}, {NULL, 0}};
static const struct member file_members[] = {{"type", STRING | NEEDED}, {"name", STRING | NEEDED},
					     {"size", INTEGER | NEEDED}, {"sha256", STRING | NUL | NEEDED},
					     {"cid", STRING},		 {"disposition", STRING},
					     {NULL, 0}};
static const struct member row_members[] = {
	{"d", INTEGER | NEEDED}, {"type", STRING | NEEDED}, {"part", INTEGER}, {"optional", BOOLEAN}, {NULL, 0}};
static const struct member field_members[] = {
	{"type", STRING | NEEDED}, {"max", INTEGER}, {"min", INTEGER}, {"without", STRING}, {"values", ARRAY}, {NULL, 0}};
static const struct member links_members[] = {{"no_track", ARRAY}, {"http", BOOLEAN}, {NULL, 0}};
static const struct member valid_members[] = {{"from", STRING | NEEDED}, {"to", STRING | NEEDED}, {NULL, 0}};
static const struct member audience_members[] = {{"sha256", STRING | NEEDED}, {"count", INTEGER | NEEDED}, {NULL, 0}};
static const struct member track_members[] = {
	{"host", STRING | NEEDED}, {"pixel", BOOLEAN},		   {"clicks", BOOLEAN}, {"text", BOOLEAN},
	{"vml", BOOLEAN},	   {"unsubscribe", STRING},	   {"existing", STRING}, {"mailto_domain", STRING | NUL},
	{"feedback_id", STRING | NUL}, {"honeypot", BOOLEAN}, {"days", INTEGER},	 {"consent", STRING},
	{NULL, 0}};

static unsigned form_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING: return STRING;
	case JSON_INTEGER: return INTEGER;
	case JSON_OBJECT: return OBJECT;
	case JSON_ARRAY: return ARRAY;
	case JSON_TRUE:
	case JSON_FALSE: return BOOLEAN;
	case JSON_NULL: return NUL;
	default: return 0;
	}
}

static const char *form_name(unsigned form)
{
	static const char *const names[] = {"a text", "a whole number", "an object", "a list", "true or false", "null"};
	unsigned i;

	for (i = 0; i < 6; i++)
		if (form & (1u << i))
			return names[i];
	return "";
}

static void fault(struct camp_findings *fs, const char *rule, const char *above, const char *name, const char *text)
{
	char part[80];

	snprintf(part, sizeof(part), "%s%s%s", above, *above && *name ? "." : "", name);
	camp_finding_add(fs, CAMP_FINDING_ERROR, rule, part, span_of(NULL, 0), 0, "%s", text);
}

/* 1 if value is an object of these members. above: its name in findings. */
static int members(json_t *value, const struct member *table, const char *above, struct camp_findings *fs)
{
	unsigned before = fs->errors;
	const struct member *m;
	const char *key;
	json_t *v;
	char text[64];

	if (!json_is_object(value)) {
		fault(fs, "source-type", above, "", "must be an object");
		return 0;
	}
	json_object_foreach(value, key, v) {
		for (m = table; m->name && strcmp(m->name, key) != 0; m++)
			;
		if (!m->name)
			fault(fs, "source-unknown", above, key, "there is no such member");
		else if (!(form_of(v) & m->form)) {
			snprintf(text, sizeof(text), "must be %s", form_name(m->form));
			fault(fs, "source-type", above, key, text);
		}
	}
	for (m = table; m->name; m++)
		if ((m->form & NEEDED) && !json_object_get(value, m->name))
			fault(fs, "source-missing", above, m->name, "is missing");
	return fs->errors == before;
}

static void optional(json_t *top, const char *name, const struct member *table, struct camp_findings *fs)
{
	json_t *v = json_object_get(top, name);

	if (v && !json_is_null(v) && json_is_object(v))
		members(v, table, name, fs);
}

static void strings(json_t *list, const char *name, size_t max, struct camp_findings *fs)
{
	char part[64];
	json_t *v;
	size_t i;

	if (json_array_size(list) > max)
		fault(fs, "source-limit", name, "", "too many");
	json_array_foreach(list, i, v) {
		snprintf(part, sizeof(part), "%s[%zu]", name, i);
		if (!json_is_string(v) || !*json_string_value(v) || json_string_length(v) > CAMP_TEXT) {
			fault(fs, "source-type", part, "", "must be a text that is not empty");
			json_array_set_new(list, i, json_string("")); /* who goes on finds a text */
		}
	}
}

static void each(json_t *list, const char *name, const struct member *table, size_t max, struct camp_findings *fs)
{
	char part[96];
	json_t *v;
	size_t i;

	if (json_array_size(list) > max)
		fault(fs, "source-limit", name, "", "too many");
	json_array_foreach(list, i, v) {
		snprintf(part, sizeof(part), "%s[%zu]", name, i);
		members(v, table, part, fs);
	}
}

static void fields(json_t *all, struct camp_findings *fs)
{
	char part[80];
	const char *key;
	json_t *v;

	if (json_object_size(all) > CAMP_FIELDS)
		fault(fs, "source-limit", "fields", "", "more than 64 fields");
	json_object_foreach(all, key, v) {
		snprintf(part, sizeof(part), "fields.%s", key);
		if (members(v, field_members, part, fs))
			strings(json_object_get(v, "values"), part, CAMP_VALUES, fs);
	}
}

static struct span text_of(json_t *string)
{
	return span_of(json_string_value(string), json_string_length(string));
}

static int add_text(struct camp_source *s, json_t *text, const char *part, int html, int flowed, struct camp_findings *fs)
{
	struct camp_source_text *t = &s->text[s->n_text];

	if (s->n_text == CAMP_TEMPLATES) {
		fault(fs, "source-limit", part, "", "too many texts");
		return 0;
	}
	s->n_text++;
	snprintf(t->part, sizeof(t->part), "%s", part);
	t->html = html;
	t->flowed = flowed;
	if (!json_object_get(s->json, "fields"))
		json_object_set_new(s->json, "fields", json_object());
	return camp_source_cut(t, text_of(text), json_object_get(s->json, "fields"), fs);
}

static int parts(struct camp_source *s, json_t *list, struct camp_findings *fs)
{
	char name[80];
	json_t *v;
	size_t i;
	int rc = 0;

	if (!json_array_size(list) || json_array_size(list) > CAMP_PARTS) {
		fault(fs, "source-limit", "parts", "", "one part at least, and 64 at most");
		return 0;
	}
	json_array_foreach(list, i, v) {
		const char *type = json_string_value(json_object_get(v, "type"));
		int text = json_object_get(v, "text") != NULL, html = type && strcmp(type, "text/html") == 0;

		s->part_text[i] = CAMP_NONE;
		s->n_parts = (unsigned)i + 1;
		snprintf(name, sizeof(name), "parts[%zu]", i);
		if (!members(v, text ? text_members : file_members, name, fs) || !text)
			continue;
		if (!html && strcmp(type, "text/plain") != 0) {
			fault(fs, "part-type", name, "type", "a text is text/plain or text/html");
			continue;
		}
		s->part_text[i] = s->n_text;
		rc = add_text(s, json_object_get(v, "text"), name, html, json_is_true(json_object_get(v, "flowed")), fs);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int camp_source_parse(struct camp_source *s, struct span json, struct camp_findings *fs)
{
	json_error_t e;
	json_t *top;
	int rc;

	memset(s, 0, sizeof(*s));
	if (json.n > CAMP_SOURCE_MAX) {
		fault(fs, "source-limit", "", "", "the document is longer than 8 MiB");
		return 0;
	}
	top = s->json = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, &e);
	if (!top) {
		camp_finding_add(fs, CAMP_FINDING_ERROR, "source-json", "", json, e.position > 0 ? (size_t)e.position : 0, "%s",
				 e.text);
		return 0;
	}
	if (!members(top, top_members, "", fs))
		return 0;
	if (json_integer_value(json_object_get(top, "v")) != 1)
		fault(fs, "source-version", "v", "", "this version reads form 1");
	optional(top, "from", address_members, fs);
	optional(top, "reply_to", address_members, fs);
	optional(top, "links", links_members, fs);
	optional(top, "valid", valid_members, fs);
	optional(top, "audience", audience_members, fs);
	optional(top, "track", track_members, fs);
	strings(json_object_get(top, "hosts"), "hosts", CAMP_HOSTS, fs);
	strings(json_object_get(top, "owned"), "owned", CAMP_OWNER_DOMAINS, fs);
	strings(json_object_get(top, "tracking"), "tracking", CAMP_OWNER_DOMAINS, fs);
	strings(json_object_get(top, "extra_allow"), "extra_allow", CAMP_EXTRA, fs);
	strings(json_object_get(json_object_get(top, "links"), "no_track"), "links.no_track", CAMP_LINKS, fs);
	each(json_object_get(top, "structure"), "structure", row_members, CAMP_PARTS, fs);
	fields(json_object_get(top, "fields"), fs);
	rc = add_text(s, json_object_get(top, "subject"), "subject", 0, 0, fs);
	return rc < 0 ? rc : parts(s, json_object_get(top, "parts"), fs);
}

void camp_source_clear(struct camp_source *s)
{
	unsigned i;

	for (i = 0; i < s->n_text; i++)
		camp_source_text_clear(&s->text[i]);
	json_decref(s->json);
	memset(s, 0, sizeof(*s));
}
