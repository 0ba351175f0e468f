/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_param.h"

#include "core/err.h"
#include "core/num.h"

static const struct {
	const char *name;
	enum smtp_param_id id;
} known[] = {
#define PARAM_ROW(p) {#p, SMTP_PARAM_##p},
    SMTP_PARAMS(PARAM_ROW)
#undef PARAM_ROW
};

static int keyword_char(uint8_t c, int first)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c == '-' && !first);
}

/* esmtp-value: printable ASCII without "="; RFC 6531 3.3 adds UTF-8, which callers judge. */
static int value_char(uint8_t c)
{
	return c > 32 && c != '=' && c != 127;
}

static enum smtp_param_id id_of(struct span name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_equal_nocase(name, span_str(known[i].name)))
			return known[i].id;
	return SMTP_PARAM_UNKNOWN;
}

int smtp_param_next(struct span *rest, struct smtp_param *out)
{
	struct span s = *rest;
	size_t n = 0, from;

	while (s.n && s.p[0] == ' ')
		s = span_sub(s, 1, s.n);
	if (!s.n) {
		*rest = s;
		return 0;
	}
	while (n < s.n && keyword_char(s.p[n], n == 0))
		n++;
	if (n == 0)
		return ERR_FORMAT;
	out->name = span_sub(s, 0, n);
	out->value = span_of(NULL, 0);
	out->has_value = n < s.n && s.p[n] == '=';
	if (out->has_value) {
		from = ++n;
		while (n < s.n && value_char(s.p[n]))
			n++;
		out->value = span_sub(s, from, n - from);
		if (!out->value.n)
			return ERR_FORMAT;
	}
	if (n < s.n && s.p[n] != ' ')
		return ERR_FORMAT;
	out->id = id_of(out->name);
	*rest = span_sub(s, n, s.n);
	return 1;
}

int smtp_param_size(struct span value, uint64_t *size)
{
	int rc;

	if (value.n > 20)
		return ERR_FORMAT;
	rc = num_parse_u64(value, size);
	if (rc == ERR_LIMIT) {
		*size = UINT64_MAX;
		rc = 0;
	}
	return rc;
}

int smtp_param_notify(struct span value)
{
	static const struct {
		const char *name;
		int bit;
	} words[] = {{"NEVER", SMTP_NOTIFY_NEVER},
		     {"SUCCESS", SMTP_NOTIFY_SUCCESS},
		     {"FAILURE", SMTP_NOTIFY_FAILURE},
		     {"DELAY", SMTP_NOTIFY_DELAY}};
	int bits = 0;

	for (;;) {
		ptrdiff_t comma = span_find(value, ',');
		struct span word = comma < 0 ? value : span_sub(value, 0, (size_t)comma);
		size_t i = 0;
		while (i < 4 && !span_equal_nocase(word, span_str(words[i].name)))
			i++;
		if (i == 4 || (bits & words[i].bit))
			return ERR_FORMAT;
		bits |= words[i].bit;
		if (comma < 0)
			break;
		value = span_sub(value, (size_t)comma + 1, value.n);
	}
	return (bits & SMTP_NOTIFY_NEVER) && bits != SMTP_NOTIFY_NEVER ? ERR_FORMAT : bits;
}

static int upper_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

int smtp_param_xtext(struct span value, size_t max)
{
	if (value.n > max)
		return ERR_LIMIT;
	for (size_t i = 0; i < value.n; i++) {
		uint8_t c = value.p[i];
		if (c < 33 || c > 126 || c == '=')
			return ERR_FORMAT;
		if (c == '+') {
			if (i + 2 >= value.n || !upper_hex(value.p[i + 1]) || !upper_hex(value.p[i + 2]))
				return ERR_FORMAT;
			i += 2;
		}
	}
	return value.n ? 0 : ERR_FORMAT;
}

int smtp_param_orcpt(struct span value)
{
	ptrdiff_t semicolon = span_find(value, ';');
	int utf8;

	if (value.n > SMTP_ORCPT_MAX)
		return ERR_LIMIT;
	if (semicolon < 1)
		return ERR_FORMAT;
	for (size_t i = 0; i < (size_t)semicolon; i++)
		if (!keyword_char(value.p[i], i == 0))
			return ERR_FORMAT;
	utf8 = span_equal_nocase(span_sub(value, 0, (size_t)semicolon), SPAN_LIT("utf-8"));
	value = span_sub(value, (size_t)semicolon + 1, value.n);
	for (size_t i = 0; utf8 && i < value.n; i++) /* RFC 6533 3: its own escapes, or UTF-8 itself */
		if (value.p[i] < 33 || value.p[i] == 127 || value.p[i] == '=')
			return ERR_FORMAT;
	return utf8 ? (value.n ? 0 : ERR_FORMAT) : smtp_param_xtext(value, SMTP_ORCPT_MAX);
}

int smtp_param_body(struct span value)
{
	static const char *const names[] = {"7BIT", "8BITMIME", "BINARYMIME"};

	for (int i = 0; i < 3; i++)
		if (span_equal_nocase(value, span_str(names[i])))
			return i;
	return ERR_FORMAT;
}
