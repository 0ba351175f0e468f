/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit_line.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"

#define TIME_SIZE 27 /* "2026-11-22T06:16:18.000001Z" */
#define HASH_MARK ",\"hash\":\""

static int digest(const uint8_t chain[AUDIT_HASH], struct span hashed, uint8_t out[AUDIT_HASH])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		   EVP_DigestUpdate(ctx, chain, AUDIT_HASH) &&
		   EVP_DigestUpdate(ctx, hashed.p, hashed.n) && EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return good ? 0 : ERR_CRYPTO;
}

static int is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '-' && c <= '9') ||
	       c == '_' || c == '#';
}

static int is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static int all(struct span s, size_t max, int (*is)(uint8_t c))
{
	if (s.n > max)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (!is(s.p[i]))
			return 0;
	return 1;
}

/* Whether the value is of its field's kind. */
static int suits(const struct audit_value *v)
{
	switch (audit_event_field_kind(v->field)) {
	case AUDIT_KIND_NUM:
		return v->num <= INT64_MAX;
	case AUDIT_KIND_WORD:
		return all(v->text, AUDIT_WORD_MAX, is_word);
	case AUDIT_KIND_HEX:
		return all(v->text, AUDIT_HEX_MAX, is_hex);
	default:
		return v->text.n <= AUDIT_TEXT_MAX;
	}
}

static int check(unsigned event, const struct audit_value *values)
{
	uint64_t seen = 0;
	unsigned count = 0;

	if (!audit_event_name(event))
		return ERR_DENIED;
	for (const struct audit_value *v = values; v->field; v++) {
		if (!audit_event_allows(event, v->field))
			return ERR_DENIED;
		if (seen >> v->field & 1 || ++count > AUDIT_LINE_FIELDS || !suits(v))
			return ERR_FORMAT;
		seen |= UINT64_C(1) << v->field;
	}
	return 0;
}

static void put_text(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == '"' || c == '\\')
			buf_putf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			buf_putf(out, "\\u%04x", c);
		else
			buf_put(out, &c, 1);
	}
}

int audit_line_body(struct buf *out, int64_t wall, unsigned event, const struct audit_value *values)
{
	char iso[21];
	int rc = check(event, values);

	if (rc < 0)
		return rc;
	clock_format_iso(iso, wall);
	buf_putf(out, "\"time\":\"%.19s.%06" PRId64 "Z\",\"event\":\"%s\"", iso, wall % CLOCK_SEC,
		 audit_event_name(event));
	for (const struct audit_value *v = values; v->field; v++) {
		buf_putf(out, ",\"%s\":", audit_event_field_name(v->field));
		if (audit_event_field_kind(v->field) == AUDIT_KIND_NUM) {
			buf_putf(out, "%" PRIu64, v->num);
			continue;
		}
		buf_put_str(out, "\"");
		put_text(out, v->text);
		buf_put_str(out, "\"");
	}
	return buf_failed(out);
}

int audit_line_close(struct buf *out, uint64_t seq, struct span body, uint8_t chain[AUDIT_HASH])
{
	size_t at = buf_size(out);
	uint8_t hash[AUDIT_HASH];
	char hex[HEX_SIZE(AUDIT_HASH)];
	struct span line;

	buf_putf(out, "{\"seq\":%" PRIu64 ",", seq);
	buf_put_span(out, body);
	if (buf_failed(out))
		return buf_failed(out);
	line = span_sub(buf_span(out), at, SIZE_MAX);
	if (digest(chain, line, hash) < 0)
		return ERR_CRYPTO;
	hex_encode(hex, hash, AUDIT_HASH);
	if (buf_putf(out, HASH_MARK "%s\"}\n", hex) < 0)
		return buf_failed(out);
	if (buf_size(out) - at > AUDIT_LINE_MAX) {
		out->len = out->off + at;
		return ERR_LIMIT;
	}
	memcpy(chain, hash, AUDIT_HASH);
	return 0;
}

/* --- reading: s is what is left of the line; each step takes its part off, or fails. */

static int take(struct span *s, const char *text)
{
	size_t n = strlen(text);

	if (s->n < n || memcmp(s->p, text, n))
		return 0;
	*s = span_sub(*s, n, SIZE_MAX);
	return 1;
}

static int take_num(struct span *s, uint64_t *out)
{
	size_t n = 0;

	while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
		n++;
	if (n == 0 || (n > 1 && s->p[0] == '0') || num_parse_u64(span_sub(*s, 0, n), out) < 0 ||
	    *out > INT64_MAX)
		return 0;
	*s = span_sub(*s, n, SIZE_MAX);
	return 1;
}

/* The rest of a string up to its quote, escapes as put_text writes them. */
static int take_string(struct span *s, struct span *out)
{
	size_t n = 0;

	while (n < s->n && s->p[n] != '"') {
		uint8_t c = s->p[n];
		if (c < 0x20 || c >= 0x7f)
			return 0;
		if (c != '\\') {
			n++;
		} else if (n + 1 < s->n && (s->p[n + 1] == '"' || s->p[n + 1] == '\\')) {
			n += 2;
		} else {
			struct span u = span_sub(*s, n, 6);
			uint8_t byte;
			if (u.n != 6 || memcmp(u.p, "\\u00", 4) || !is_hex(u.p[4]) ||
			    !is_hex(u.p[5]) || hex_decode(&byte, 1, span_sub(u, 4, 2)) != 1 ||
			    (byte >= 0x20 && byte < 0x7f))
				return 0;
			n += 6;
		}
	}
	*out = span_sub(*s, 0, n);
	*s = span_sub(*s, n, SIZE_MAX);
	return take(s, "\"");
}

static int take_value(struct span *s, struct audit_line *line)
{
	struct audit_value *v = &line->values[line->count];
	struct span name;

	if (line->count == AUDIT_LINE_FIELDS || !take_string(s, &name) || !take(s, ":"))
		return 0;
	*v = (struct audit_value){.field = audit_event_field_of_name(name)};
	if (!audit_event_allows(line->event, v->field) || audit_line_value(line, v->field))
		return 0;
	line->count++;
	if (audit_event_field_kind(v->field) == AUDIT_KIND_NUM)
		return take_num(s, &v->num);
	if (!take(s, "\"") || !take_string(s, &v->text))
		return 0;
	/* A text was measured before it was escaped. */
	return audit_event_field_kind(v->field) == AUDIT_KIND_TEXT
		   ? v->text.n <= (size_t)AUDIT_TEXT_MAX * 6
		   : suits(v);
}

static int time_ok(struct span t)
{
	static const char shape[] = "0000-00-00T00:00:00.000000Z";

	if (t.n != TIME_SIZE)
		return 0;
	for (size_t i = 0; i < TIME_SIZE; i++)
		if (shape[i] == '0' ? t.p[i] < '0' || t.p[i] > '9' : t.p[i] != (uint8_t)shape[i])
			return 0;
	return 1;
}

int audit_line_parse(struct span text, struct audit_line *out)
{
	struct span s = text, event, hash;

	memset(out, 0, sizeof(*out));
	if (!take(&s, "{\"seq\":") || !take_num(&s, &out->seq) || !take(&s, ",\"time\":\"") ||
	    !take_string(&s, &out->time) || !time_ok(out->time) || !take(&s, ",\"event\":\"") ||
	    !take_string(&s, &event))
		return ERR_FORMAT;
	out->event = audit_event_of_name(event);
	if (!out->event)
		return ERR_FORMAT;
	while (!take(&s, HASH_MARK))
		if (!take(&s, ",\"") || !take_value(&s, out))
			return ERR_FORMAT;
	out->hashed = span_sub(text, 0, text.n - s.n - strlen(HASH_MARK));
	if (!take_string(&s, &hash) || !take(&s, "}") || s.n || !all(hash, AUDIT_HASH * 2, is_hex))
		return ERR_FORMAT;
	return hex_decode(out->hash, AUDIT_HASH, hash) == AUDIT_HASH ? 0 : ERR_FORMAT;
}

int audit_line_follows(const struct audit_line *line, uint8_t chain[AUDIT_HASH])
{
	uint8_t hash[AUDIT_HASH];

	if (digest(chain, line->hashed, hash) < 0 || memcmp(hash, line->hash, AUDIT_HASH))
		return 0;
	memcpy(chain, hash, AUDIT_HASH);
	return 1;
}

const struct audit_value *audit_line_value(const struct audit_line *line, unsigned field)
{
	for (unsigned i = 0; i < line->count; i++)
		if (line->values[i].field == field)
			return &line->values[i];
	return NULL;
}
