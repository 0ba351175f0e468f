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

int smtp_param_body(struct span value)
{
	static const char *const names[] = {"7BIT", "8BITMIME", "BINARYMIME"};

	for (int i = 0; i < 3; i++)
		if (span_equal_nocase(value, span_str(names[i])))
			return i;
	return ERR_FORMAT;
}
