/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "campaign/camp_manifest_own.h"
#include "core/err.h"
#include "core/hex.h"

#define CHUNK 16384

struct camp_manifest_chunk {
	struct camp_manifest_chunk *next;
	size_t used, size;
	_Alignas(max_align_t) uint8_t data[];
};

void *camp_manifest_alloc(struct camp_manifest_arena *a, size_t n)
{
	struct camp_manifest_chunk *c = a->chunks;
	size_t need = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);

	if (!c || c->size - c->used < need) {
		size_t size = need > CHUNK ? need : CHUNK;

		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = a->chunks;
		a->chunks = c;
	}
	c->used += need;
	return c->data + c->used - need;
}

void camp_manifest_drop(struct camp_manifest_arena *a)
{
	while (a->chunks) {
		struct camp_manifest_chunk *next = a->chunks->next;

		free(a->chunks);
		a->chunks = next;
	}
}

int camp_manifest_bad(struct camp_manifest_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (r->e) {
		snprintf(r->e->place, sizeof(r->e->place), "%s", r->place);
		va_start(ap, fmt);
		vsnprintf(r->e->text, sizeof(r->e->text), fmt, ap);
		va_end(ap);
	}
	return ERR_FORMAT;
}

size_t camp_manifest_enter(struct camp_manifest_reader *r, const char *name, size_t index)
{
	size_t mark = strlen(r->place), room = sizeof(r->place) - mark;

	if (name)
		snprintf(r->place + mark, room, "%s%.64s", mark ? "." : "", name);
	else
		snprintf(r->place + mark, room, "[%zu]", index);
	return mark;
}

void camp_manifest_leave(struct camp_manifest_reader *r, size_t mark)
{
	r->place[mark] = 0;
}

static int no_others(struct camp_manifest_reader *r, const json_t *v,
		     const struct camp_manifest_member *members, size_t n)
{
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach((json_t *)v, name, value)
	{
		for (i = 0; i < n && strcmp(members[i].name, name) != 0; i++)
			;
		if (i == n) {
			camp_manifest_enter(r, name, 0);
			return camp_manifest_bad(r, "no member of that name is known");
		}
	}
	return 0;
}

int camp_manifest_object(struct camp_manifest_reader *r, const json_t *v,
			 const struct camp_manifest_member *members, size_t n, void *base)
{
	int ret;

	if (!json_is_object(v))
		return camp_manifest_bad(r, "must be an object");
	ret = no_others(r, v, members, n);
	for (size_t i = 0; i < n && ret == 0; i++) {
		const json_t *value = json_object_get(v, members[i].name);
		size_t mark = camp_manifest_enter(r, members[i].name, 0);

		if (!value && members[i].optional != 1)
			ret = camp_manifest_bad(r, "is missing");
		else if (value && !(members[i].optional == 2 && json_is_null(value)))
			ret = members[i].read(r, value, (uint8_t *)base + members[i].offset);
		if (ret == 0)
			camp_manifest_leave(r, mark);
	}
	return ret;
}

int camp_manifest_array(struct camp_manifest_reader *r, const json_t *v, size_t max, size_t size,
			camp_manifest_read_fn read, void **dst, unsigned *count)
{
	size_t n = json_array_size(v);
	int ret = 0;

	if (!json_is_array(v))
		return camp_manifest_bad(r, "must be an array");
	if (n > max)
		return camp_manifest_bad(r, "has %zu elements, at most %zu are allowed", n, max);
	*dst = camp_manifest_alloc(r->arena, n * size + 1);
	if (!*dst)
		return ERR_NOMEM;
	for (size_t i = 0; i < n && ret == 0; i++) {
		size_t mark = camp_manifest_enter(r, NULL, i);

		/* the count is how far it is read: elements may look at those before them */
		*count = (unsigned)i;
		ret = read(r, json_array_get(v, i), (uint8_t *)*dst + i * size);
		if (ret == 0)
			camp_manifest_leave(r, mark);
	}
	*count = (unsigned)n;
	return ret;
}

/* A string without NUL (the parser refuses those) and control characters. */
static int string(struct camp_manifest_reader *r, const json_t *v, const char **s, size_t max)
{
	size_t n = json_string_length(v);

	if (!json_is_string(v))
		return camp_manifest_bad(r, "must be a string");
	*s = json_string_value(v);
	if (n > max)
		return camp_manifest_bad(r, "has %zu octets, at most %zu are allowed", n, max);
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)(*s)[i] < 0x20 || (*s)[i] == 0x7f)
			return camp_manifest_bad(r, "has a control character");
	return 0;
}

int camp_manifest_name(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *s;
	int ret = string(r, v, &s, CAMP_NAME);

	if (ret)
		return ret;
	if (!*s)
		return camp_manifest_bad(r, "is empty");
	for (size_t i = 0; s[i]; i++)
		if (!isalnum((uint8_t)s[i]) && !strchr("_.:-", s[i]))
			return camp_manifest_bad(r, "may have letters, digits and _ . : - only");
	memcpy(dst, s, strlen(s) + 1);
	return 0;
}

int camp_manifest_text(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *s;
	int ret = string(r, v, &s, CAMP_TEXT);
	char *copy;

	if (ret)
		return ret;
	copy = camp_manifest_alloc(r->arena, strlen(s) + 1);
	if (!copy)
		return ERR_NOMEM;
	memcpy(copy, s, strlen(s) + 1);
	*(char **)dst = copy;
	return 0;
}

int camp_manifest_lower(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_text(r, v, dst);
	const char *s = *(char **)dst;

	if (ret)
		return ret;
	if (!*s)
		return camp_manifest_bad(r, "is empty");
	for (; *s; s++)
		if ((uint8_t)*s <= ' ' || (uint8_t)*s > '~' || isupper((uint8_t)*s))
			return camp_manifest_bad(r, "must be ASCII in lower case, without blanks");
	return 0;
}

int camp_manifest_host(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_lower(r, v, dst);
	const char *s = *(char **)dst;

	if (ret)
		return ret;
	if (strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(s) || strlen(s) > 253 ||
	    *s == '.' || s[strlen(s) - 1] == '.' || strstr(s, ".."))
		return camp_manifest_bad(r, "is no host name");
	return 0;
}

int camp_manifest_u64(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return camp_manifest_bad(r, "must be an integer of 0 or more");
	*(uint64_t *)dst = (uint64_t)json_integer_value(v);
	return 0;
}

int camp_manifest_u32(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	uint64_t u = 0;
	int ret = camp_manifest_u64(r, v, &u);

	if (ret)
		return ret;
	if (u >= UINT32_MAX)
		return camp_manifest_bad(r, "is too large");
	*(uint32_t *)dst = (uint32_t)u;
	return 0;
}

int camp_manifest_bool(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	if (!json_is_boolean(v))
		return camp_manifest_bad(r, "must be true or false");
	*(int *)dst = json_is_true(v);
	return 0;
}

int camp_manifest_sha256(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *s;
	int ret = string(r, v, &s, 2 * CAMP_HASH);

	if (ret)
		return ret;
	if (strspn(s, "0123456789abcdef") != strlen(s) ||
	    hex_decode(dst, CAMP_HASH, span_str(s)) != CAMP_HASH)
		return camp_manifest_bad(r, "must be 64 hexadecimal digits in lower case");
	return 0;
}

int camp_manifest_time(const char *text, int64_t *seconds)
{
	struct tm tm = {0};
	char again[32];
	time_t t;

	if (strlen(text) != 20 || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon,
					 &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return ERR_FORMAT;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	t = timegm(&tm);
	/* the one way to write it: no 31st of June, no blanks where digits belong */
	if (strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm)) != 20 ||
	    strcmp(again, text) != 0)
		return ERR_FORMAT;
	*seconds = t;
	return 0;
}

int camp_manifest_instant(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *s;
	int ret = string(r, v, &s, 32);

	if (ret)
		return ret;
	if (camp_manifest_time(s, dst) != 0)
		return camp_manifest_bad(r, "must be a time such as 2026-01-10T00:00:00Z");
	return 0;
}

int camp_manifest_choice(struct camp_manifest_reader *r, const json_t *v, const char *const *names,
			 size_t n, unsigned *out)
{
	const char *s;
	int ret = string(r, v, &s, CAMP_NAME);

	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], s) == 0) {
			*out = (unsigned)i;
			return 0;
		}
	return camp_manifest_bad(r, "\"%.40s\" is not known here", s);
}
