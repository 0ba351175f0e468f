/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_json.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "core/err.h"

#define I_JSON 9007199254740991LL /* 2^53 - 1 */

static int put_value(const json_t *v, struct buf *out, unsigned depth);

/* The escape of an octet: 0 if it stands for itself. */
static const char *const escapes[] = {
    ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",  ['\f'] = "\\f",
    ['\r'] = "\\r", ['"'] = "\\\"", ['\\'] = "\\\\",
};

static const char *escape_of(uint8_t c, char room[8])
{
	if (c < sizeof(escapes) / sizeof(escapes[0]) && escapes[c])
		return escapes[c];
	if (c >= 0x20)
		return NULL;
	snprintf(room, 8, "\\u%04x", c);
	return room;
}

static int put_string(struct span s, struct buf *out)
{
	size_t from = 0;

	buf_put(out, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		char room[8];
		const char *escape = escape_of(s.p[i], room);

		if (!escape)
			continue;
		buf_put(out, s.p + from, i - from);
		buf_put_str(out, escape);
		from = i + 1;
	}
	buf_put(out, s.p + from, s.n - from);
	return buf_put(out, "\"", 1);
}

/* UTF-8 sorts by code points; UTF-16 has the supplementary ones (F0.. and up) before U+E000 and what
 * follows. */
static int utf16_rank(uint8_t lead)
{
	return lead >= 0xf0 ? 1 : lead >= 0xee ? 2 : 0;
}

static int by_name(const void *pa, const void *pb)
{
	const uint8_t *a = *(const uint8_t *const *)pa, *b = *(const uint8_t *const *)pb;

	while (*a && *a == *b)
		a++, b++;
	if (*a >= 0xee && *b >= 0xee && utf16_rank(*a) != utf16_rank(*b))
		return utf16_rank(*a) - utf16_rank(*b);
	return *a - *b;
}

static int put_object(const json_t *v, struct buf *out, unsigned depth)
{
	size_t n = json_object_size(v), i = 0;
	const char **names = malloc((n ? n : 1) * sizeof(*names)), *name;
	json_t *value;
	int r = 0;

	if (!names)
		return ERR_NOMEM;
	json_object_foreach((json_t *)v, name, value) names[i++] = name;
	qsort(names, n, sizeof(*names), by_name);
	buf_put(out, "{", 1);
	for (i = 0; i < n && r == 0; i++) {
		if (i)
			buf_put(out, ",", 1);
		put_string(span_str(names[i]), out);
		buf_put(out, ":", 1);
		r = put_value(json_object_get(v, names[i]), out, depth + 1);
	}
	free(names);
	return r ? r : buf_put(out, "}", 1);
}

static int put_array(const json_t *v, struct buf *out, unsigned depth)
{
	int r = 0;

	buf_put(out, "[", 1);
	for (size_t i = 0; i < json_array_size(v) && r == 0; i++) {
		if (i)
			buf_put(out, ",", 1);
		r = put_value(json_array_get(v, i), out, depth + 1);
	}
	return r ? r : buf_put(out, "]", 1);
}

static int put_integer(const json_t *v, struct buf *out)
{
	json_int_t i = json_integer_value(v);

	if (i > I_JSON || i < -I_JSON)
		return ERR_FORMAT;
	return buf_putf(out, "%lld", (long long)i);
}

static int put_value(const json_t *v, struct buf *out, unsigned depth)
{
	if (depth > CAMP_JSON_DEPTH)
		return ERR_LIMIT;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return put_object(v, out, depth);
	case JSON_ARRAY:
		return put_array(v, out, depth);
	case JSON_STRING:
		return put_string(span_of(json_string_value(v), json_string_length(v)), out);
	case JSON_INTEGER:
		return put_integer(v, out);
	case JSON_TRUE:
		return buf_put_str(out, "true");
	case JSON_FALSE:
		return buf_put_str(out, "false");
	case JSON_NULL:
		return buf_put_str(out, "null");
	default:
		return ERR_FORMAT;
	}
}

int camp_json_canonical(const json_t *value, struct buf *out)
{
	int r = put_value(value, out, 0);

	return r ? r : buf_failed(out);
}

json_t *camp_json_parse(struct span text, int *line, int *column)
{
	json_error_t e;
	json_t *v = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &e);

	if (!v) {
		*line = e.line;
		*column = e.column;
	}
	return v;
}

int camp_json_hash(struct span bytes, uint8_t hash[32])
{
	return EVP_Digest(bytes.p, bytes.n, hash, NULL, EVP_sha256(), NULL) == 1 ? 0 : ERR_CRYPTO;
}
