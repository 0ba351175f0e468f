/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt_record.h"

#include "core/err.h"
#include "core/hex.h"
#include "relay/https/https_url.h"
#include "smtp/smtp_addr.h"

#define ABOUT_US SPAN_LIT("v=TLSRPTv1")

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span skip_blanks(struct span s)
{
	while (s.n && is_blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	return s;
}

static struct span trim(struct span s)
{
	s = skip_blanks(s);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* The part before the first c, which is taken too; *more: c was there. */
static struct span cut(struct span *rest, uint8_t c, int *more)
{
	ptrdiff_t at = span_find(*rest, c);
	struct span part = at < 0 ? *rest : span_sub(*rest, 0, (size_t)at);

	*more = at >= 0;
	*rest = at < 0 ? span_sub(*rest, rest->n, 0) : span_sub(*rest, (size_t)at + 1, rest->n);
	return part;
}

/* --- one URI */

static int has_prefix(struct span s, const char *prefix)
{
	return span_equal_nocase(span_sub(s, 0, strlen(prefix)), span_str(prefix));
}

/* ERR_FORMAT, ERR_LIMIT. */
static int decode_percent(struct span s, char *dst, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == '%') {
			if (hex_decode(&c, 1, span_sub(s, i + 1, 2)) != 1)
				return ERR_FORMAT;
			i += 2;
		}
		if (c <= ' ' || c >= 0x7f)
			return ERR_FORMAT;
		if (n + 1 >= size)
			return ERR_LIMIT;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return 0;
}

/* mailto:ADDRESS[?...]; one address, not quoted. */
static int take_mailto(struct span s, struct tlsrpt_record_uri *out)
{
	char text[SMTP_ADDR_MAX];
	struct smtp_addr a;
	int more, err;

	s = span_sub(s, strlen("mailto:"), s.n);
	err = decode_percent(cut(&s, '?', &more), text, sizeof(text));
	if (err == 0)
		err = smtp_addr_parse(span_str(text), 0, &a);
	if (err < 0)
		return err; /* else so many octets */
	if (!a.local.n || !a.domain.n || a.local.p[0] == '"' || a.domain.p[0] == '[')
		return ERR_FORMAT;
	out->mail = 1;
	return smtp_addr_format(out->text, &a);
}

static int take_https(struct span s, struct tlsrpt_record_uri *out)
{
	struct https_url url;
	int err = https_url_parse(s, &url);

	out->mail = 0;
	return err < 0 ? err : span_copy_str(out->text, sizeof(out->text), s);
}

static void take_uri(struct span s, struct tlsrpt_record *out)
{
	struct tlsrpt_record_uri uri;
	int err = has_prefix(s, "mailto:")   ? take_mailto(s, &uri)
		  : has_prefix(s, "https://") ? take_https(s, &uri)
					      : ERR_UNSUPPORTED;

	for (unsigned i = 0; err == 0 && i < out->count; i++)
		if (out->uris[i].mail == uri.mail && !strcmp(out->uris[i].text, uri.text))
			return;
	if (err < 0 || out->count == TLSRPT_RECORD_URIS)
		out->passed_over++;
	else
		out->uris[out->count++] = uri;
}

/* --- fields */

/* RFC 3986 has neither in a URI, and RFC 8460 wants "!" written as %21. */
static int uri_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '!')
			return 0;
	return s.n && span_find(s, ':') > 0;
}

static int take_rua(struct span value, struct tlsrpt_record *out)
{
	int more;

	do {
		struct span uri = trim(cut(&value, ',', &more));
		if (!uri_ok(uri))
			return ERR_FORMAT;
		take_uri(uri, out);
	} while (more);
	return 0;
}

static int name_ok(struct span s)
{
	if (!s.n || s.n > 32)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		int sign = c == '_' || c == '-' || c == '.';
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (sign && i)))
			return 0;
	}
	return 1;
}

static int value_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '=')
			return 0;
	return s.n > 0;
}

static int take_field(struct span field, struct tlsrpt_record *out, int *asked)
{
	int more;
	struct span name = cut(&field, '=', &more);

	if (!more || !name_ok(name))
		return ERR_FORMAT;
	if (!span_equal(name, SPAN_LIT("rua")))
		return value_ok(field) ? 0 : ERR_FORMAT;
	*asked = 1;
	return take_rua(field, out);
}

int tlsrpt_record_parse(struct span txt, struct tlsrpt_record *out)
{
	struct span rest = txt;
	int more, asked = 0, err = 0;

	memset(out, 0, sizeof(*out));
	if (!span_equal(trim(cut(&rest, ';', &more)), ABOUT_US) || !more || is_blank(txt.p[0]))
		return ERR_NOTFOUND;
	while (err == 0 && more) {
		struct span field = trim(cut(&rest, ';', &more));
		if (field.n || more) /* one semicolon may be the end */
			err = take_field(field, out, &asked);
	}
	return err < 0 || !asked ? ERR_FORMAT : 0;
}

int tlsrpt_record_choose(const struct span *txts, unsigned count, struct tlsrpt_record *out)
{
	struct tlsrpt_record one;
	int result = ERR_NOTFOUND;

	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < count; i++) {
		int err = tlsrpt_record_parse(txts[i], &one);
		if (err == ERR_NOTFOUND)
			continue;
		if (result != ERR_NOTFOUND)
			return ERR_EXISTS;
		result = err;
		*out = one;
	}
	return result;
}
