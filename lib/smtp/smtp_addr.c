/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_addr.h"

#include <arpa/inet.h>

#include "core/err.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, LABEL_MAX = 63, PATH_MAX_OCTETS = 256 };

/* What an ASCII character may be part of. */
enum { ATEXT = 1, QTEXT = 2, LETDIG = 4 };

static const uint8_t classes[128] = {
    [' '] = QTEXT,
    ['!'] = ATEXT | QTEXT,
    ['#' ... '\''] = ATEXT | QTEXT,
    ['(' ... ')'] = QTEXT,
    ['*' ... '+'] = ATEXT | QTEXT,
    [','] = QTEXT,
    ['-'] = ATEXT | QTEXT,
    ['.'] = QTEXT,
    ['/'] = ATEXT | QTEXT,
    ['0' ... '9'] = ATEXT | QTEXT | LETDIG,
    [':' ... '<'] = QTEXT,
    ['='] = ATEXT | QTEXT,
    ['>'] = QTEXT,
    ['?'] = ATEXT | QTEXT,
    ['@'] = QTEXT,
    ['A' ... 'Z'] = ATEXT | QTEXT | LETDIG,
    ['['] = QTEXT,
    [']'] = QTEXT,
    ['^'] = ATEXT | QTEXT,
    ['_'] = ATEXT | QTEXT | LETDIG,
    ['`'] = ATEXT | QTEXT,
    ['a' ... 'z'] = ATEXT | QTEXT | LETDIG,
    ['{' ... '~'] = ATEXT | QTEXT,
};

/* Length of the UTF-8 character at the start of s (2..4), or 0 if it is none: no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
static size_t utf8_char(struct span s)
{
	uint8_t a = s.p[0], low = 0x80, high = 0xbf;
	size_t n = a >= 0xc2 && a <= 0xdf   ? 2
		   : a >= 0xe0 && a <= 0xef ? 3
		   : a >= 0xf0 && a <= 0xf4 ? 4
					    : 0;

	if (n == 0 || s.n < n)
		return 0;
	if (a == 0xe0)
		low = 0xa0;
	else if (a == 0xed)
		high = 0x9f;
	else if (a == 0xf0)
		low = 0x90;
	else if (a == 0xf4)
		high = 0x8f;
	if (s.p[1] < low || s.p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* Octets of one character of a class at s[i], or 0. */
static size_t char_of(struct span s, size_t i, int class, int utf8_ok)
{
	if (i >= s.n)
		return 0;
	if (s.p[i] < 128)
		return (classes[s.p[i]] & class) != 0;
	return utf8_ok ? utf8_char(span_sub(s, i, s.n)) : 0;
}

static size_t run_of(struct span s, size_t i, int class, int utf8_ok)
{
	size_t from = i, n;

	while ((n = char_of(s, i, class, utf8_ok)))
		i += n;
	return i - from;
}

/* atom *("." atom): octets, or ERR_FORMAT. */
static int dot_string(struct span s, int utf8_ok)
{
	size_t i = 0, n;

	for (;;) {
		n = run_of(s, i, ATEXT, utf8_ok);
		if (n == 0)
			return ERR_FORMAT;
		i += n;
		if (i >= s.n || s.p[i] != '.')
			return (int)i;
		i++;
	}
}

static int quoted_string(struct span s, int utf8_ok)
{
	size_t i = 1;

	for (;;) {
		i += run_of(s, i, QTEXT, utf8_ok);
		if (i >= s.n)
			return ERR_FORMAT;
		if (s.p[i] == '"')
			return (int)i + 1;
		if (s.p[i] != '\\' || i + 1 >= s.n || s.p[i + 1] < 32 || s.p[i + 1] > 126)
			return ERR_FORMAT;
		i += 2;
	}
}

/* sub-domain *("." sub-domain): octets, or an error. */
static int domain_name(struct span s, int utf8_ok)
{
	size_t i = 0, from;

	for (;;) {
		size_t n;

		from = i;
		while ((n = char_of(s, i, LETDIG, utf8_ok)) ||
		       (i < s.n && s.p[i] == '-' && i > from))
			i += n ? n : 1;
		if (i == from || s.p[i - 1] == '-')
			return ERR_FORMAT;
		if (i - from > LABEL_MAX)
			return ERR_LIMIT;
		if (i >= s.n || s.p[i] != '.')
			break;
		i++;
	}
	return i > DOMAIN_MAX ? ERR_LIMIT : (int)i;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]": octets, or ERR_FORMAT. */
static int literal(struct span s)
{
	static const char tag[] = "IPv6:";
	ptrdiff_t end = span_find(s, ']');
	struct span inner;
	char text[INET6_ADDRSTRLEN];
	uint8_t bin[16];
	int family = AF_INET;

	if (end < 0)
		return ERR_FORMAT;
	inner = span_sub(s, 1, (size_t)end - 1);
	if (span_equal_nocase(span_sub(inner, 0, sizeof(tag) - 1), SPAN_LIT(tag))) {
		inner = span_sub(inner, sizeof(tag) - 1, inner.n);
		family = AF_INET6;
	}
	if (span_copy_str(text, sizeof(text), inner) < 0 || inet_pton(family, text, bin) != 1)
		return ERR_FORMAT;
	return (int)end + 1;
}

static int domain_or_literal(struct span s, int utf8_ok)
{
	if (!s.n)
		return ERR_FORMAT;
	return s.p[0] == '[' ? literal(s) : domain_name(s, utf8_ok);
}

static int has_high(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return 1;
	return 0;
}

/* local@domain at the start of s: octets, or an error. */
static int mailbox(struct span s, int utf8_ok, struct smtp_addr *out)
{
	int local, domain;

	if (!s.n)
		return ERR_FORMAT;
	local = s.p[0] == '"' ? quoted_string(s, utf8_ok) : dot_string(s, utf8_ok);
	if (local < 0)
		return local;
	if ((size_t)local >= s.n || s.p[local] != '@')
		return ERR_FORMAT;
	if (local > LOCAL_MAX)
		return ERR_LIMIT;
	domain = domain_or_literal(span_sub(s, (size_t)local + 1, s.n), utf8_ok);
	if (domain < 0)
		return domain;
	out->local = span_sub(s, 0, (size_t)local);
	out->domain = span_sub(s, (size_t)local + 1, (size_t)domain);
	out->utf8 = has_high(out->local) || has_high(out->domain);
	return local + 1 + domain;
}

/* "@one,@two:" in front of a mailbox: octets, 0 if there is none, or an error. */
static int source_route(struct span s, int utf8_ok)
{
	size_t i = 0;
	int n;

	if (!s.n || s.p[0] != '@')
		return 0;
	for (;;) {
		if (i >= s.n || s.p[i] != '@')
			return ERR_FORMAT;
		n = domain_or_literal(span_sub(s, i + 1, s.n), utf8_ok);
		if (n < 0)
			return n;
		i += 1 + (size_t)n;
		if (i < s.n && s.p[i] == ':')
			return (int)i + 1;
		if (i >= s.n || s.p[i] != ',')
			return ERR_FORMAT;
		i++;
	}
}

int smtp_addr_parse_path(struct span in, int flags, struct smtp_addr *out)
{
	static const char postmaster[] = "<postmaster>";
	int utf8_ok = flags & SMTP_ADDR_UTF8_OK, route, n;
	size_t end;

	memset(out, 0, sizeof(*out));
	if (in.n < 2 || in.p[0] != '<')
		return ERR_FORMAT;
	if (in.p[1] == '>')
		return flags & SMTP_ADDR_NULL_OK ? 2 : ERR_FORMAT;
	if ((flags & SMTP_ADDR_POSTMASTER_OK) &&
	    span_equal_nocase(span_sub(in, 0, sizeof(postmaster) - 1), SPAN_LIT(postmaster))) {
		out->local = span_sub(in, 1, sizeof(postmaster) - 3);
		return sizeof(postmaster) - 1;
	}
	route = source_route(span_sub(in, 1, in.n), utf8_ok);
	if (route < 0)
		return route;
	n = mailbox(span_sub(in, 1 + (size_t)route, in.n), utf8_ok, out);
	if (n < 0)
		return n;
	end = 1 + (size_t)route + (size_t)n;
	if (end >= in.n || in.p[end] != '>')
		return ERR_FORMAT;
	return end + 1 > PATH_MAX_OCTETS ? ERR_LIMIT : (int)end + 1;
}

int smtp_addr_parse(struct span in, int flags, struct smtp_addr *out)
{
	int n;

	memset(out, 0, sizeof(*out));
	if (!in.n)
		return flags & SMTP_ADDR_NULL_OK ? 0 : ERR_FORMAT;
	if ((flags & SMTP_ADDR_POSTMASTER_OK) && span_equal_nocase(in, SPAN_LIT("postmaster"))) {
		out->local = in;
		return (int)in.n;
	}
	n = mailbox(in, flags & SMTP_ADDR_UTF8_OK, out);
	if (n >= 0 && (size_t)n != in.n)
		return ERR_FORMAT;
	return n + 2 > PATH_MAX_OCTETS ? ERR_LIMIT : n;
}

int smtp_addr_format(char dst[SMTP_ADDR_MAX], const struct smtp_addr *a)
{
	size_t at = a->local.n;

	dst[0] = '\0';
	if (a->local.n + a->domain.n + 2 > SMTP_ADDR_MAX)
		return ERR_LIMIT;
	if (a->local.n)
		memcpy(dst, a->local.p, a->local.n);
	if (a->domain.n) {
		dst[at++] = '@';
		for (size_t i = 0; i < a->domain.n; i++) {
			uint8_t c = a->domain.p[i];
			dst[at++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		}
	}
	dst[at] = '\0';
	return 0;
}

int smtp_addr_domain_ok(struct span s, int utf8_ok)
{
	int n = domain_or_literal(s, utf8_ok);

	return n >= 0 && (size_t)n == s.n;
}
