/* SPDX-License-Identifier: Apache-2.0 */
/* What of a text mail clients would turn into links: read around each ":", ".", "@" and "\". */
#include <idn2.h>

#include "core/err.h"
#include "mail/mail_script.h"
#include "mail/mail_url.h"

#define LABEL	63
#define WORD	253 /* as far as is looked back */
#define BAD_ONE 0xfffffffful

/* The character at i, with those that clients take for ASCII made ASCII; n: its octets. */
static uint32_t look(struct span s, size_t i, size_t *n)
{
	uint32_t cp;

	*n = mail_script_decode(span_sub(s, i, 4), &cp);
	if (!*n) {
		*n = 1;
		return BAD_ONE;
	}
	if (cp >= 0xff01 && cp <= 0xff5e)
		return cp - 0xfee0;
	if (cp == 0x3002 || cp == 0xff61 || cp == 0x2024 || cp == 0xfe52)
		return '.';
	if (cp == 0xfe55 || cp == 0x2236)
		return ':';
	return cp == 0xfe6b ? '@' : cp;
}

/* Where the character before i begins. */
static size_t before(struct span s, size_t i)
{
	size_t n = 1;

	while (n < 4 && n < i && (s.p[i - n] & 0xc0) == 0x80)
		n++;
	return i - n;
}

static int in_label(uint32_t c)
{
	if (c < 0x80)
		return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
	/* hosts of symbols are registered, and made links: a heart before ".ws" */
	if ((c >= 0x2190 && c <= 0x2bff) || c == 0xfe0f || (c >= 0x1f000 && c <= 0x1faff))
		return 1;
	return c != BAD_ONE && mail_script_of(c) != MAIL_SCRIPT_COMMON;
}

static int in_word(uint32_t c)
{
	return in_label(c) || c == '.' || c == '+' || c == '%';
}

static int blank(uint32_t c)
{
	return c <= ' ' || c == 0xa0 || c == 0x3000 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029;
}

static size_t back_over(struct span s, size_t i, int (*in)(uint32_t))
{
	size_t least = i > WORD ? i - WORD : 0, n;

	while (i > least && in(look(s, before(s, i), &n)))
		i = before(s, i);
	return i;
}

static size_t on_over(struct span s, size_t i, size_t most, int (*in)(uint32_t))
{
	size_t end = i + most < s.n ? i + most : s.n, n;

	while (i < end && in(look(s, i, &n)))
		i += n;
	return i < s.n ? i : s.n;
}

static int in_host(uint32_t c)
{
	return in_label(c) || c == '.';
}

static int in_link(uint32_t c)
{
	return !blank(c) && c != '<' && c != '>' && c != '"' && c != BAD_ONE;
}

/* Behind what a link would take, from at: without closing punctuation. */
static size_t link_end(struct span s, size_t at)
{
	size_t end = on_over(s, at, MAIL_URL_MAX, in_link);

	while (end > at && strchr(".,;:!?)]}'*_~", s.p[end - 1]) && s.p[end - 1])
		end--;
	return end;
}

/* As ASCII, what clients take for ASCII; ERR_LIMIT. */
static int fold(char *dst, size_t room, struct span s)
{
	size_t i, n, len = 0;

	for (i = 0; i < s.n; i += n) {
		uint32_t c = look(s, i, &n);
		if (len + n >= room)
			return ERR_LIMIT;
		if (c < 0x80)
			dst[len++] = (char)((c >= 'A' && c <= 'Z') ? c + 32 : c);
		else
			memcpy(dst + len, s.p + i, n), len += n;
	}
	dst[len] = '\0';
	return (int)len;
}

static void host_of(struct mail_url_mention *m, struct span host)
{
	enum mail_url_kind kind;
	char text[2 * MAIL_URL_HOST];
	int n;

	while (host.n && host.p[host.n - 1] == '.')
		host.n--;
	n = fold(text, sizeof(text), host);
	if (n <= 0)
		m->host[0] = '\0';
	else if (mail_url_host(m->host, &kind, &m->odd, span_of(text, (size_t)n)) == ERR_NOMEM)
		m->no_memory = 1;
}

/* One label, maybe of another script, in the list of suffixes? ERR_NOMEM. */
static int is_suffix(struct span label)
{
	char text[LABEL * 4 + 1], *ascii = NULL;
	int yes, rc, n = fold(text, sizeof(text), label);

	if (n <= 0)
		return 0;
	if (label.n == (size_t)n && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_") == (size_t)n)
		return mail_url_is_tld(text);
	rc = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc != IDN2_OK)
		return rc == IDN2_MALLOC ? ERR_NOMEM : 0;
	yes = mail_url_is_tld(ascii);
	idn2_free(ascii);
	return yes;
}

/* The label at at, or its front up to a hyphen, is a suffix: clients end a host at either. */
static int suffix_at(struct span s, size_t at)
{
	size_t end = on_over(s, at, LABEL * 3, in_label), cut = at;
	int yes;

	if (end == at)
		return 0;
	yes = is_suffix(span_sub(s, at, end - at));
	if (yes)
		return yes;
	while (cut < end && s.p[cut] != '-' && s.p[cut] != '_')
		cut++;
	return cut > at && cut < end ? is_suffix(span_sub(s, at, cut - at)) : 0;
}

/* Four numbers up to 255 with dots, that begin at at. Behind them, or 0. */
static size_t dotted(struct span s, size_t at)
{
	unsigned part, v, digits;
	size_t n;

	for (part = 0; part < 4; part++) {
		for (v = 0, digits = 0; at < s.n && digits < 4; digits++, at += n) {
			uint32_t c = look(s, at, &n);
			if (c < '0' || c > '9')
				break;
			v = v * 10 + (unsigned)(c - '0');
		}
		if (!digits || v > 255)
			return 0;
		if (part < 3) {
			if (at >= s.n || look(s, at, &n) != '.')
				return 0;
			at += n;
		}
	}
	return at;
}

static int by_dot(struct span s, size_t dot, size_t n, struct mail_url_mention *m)
{
	int suffix = dot ? suffix_at(s, dot + n) : 0;
	size_t from, end, prior;
	uint32_t c = dot ? look(s, before(s, dot), &prior) : ' ';
	char word[8];

	/* most dots end here */
	if (!in_label(c) || (!suffix && c != 'w' && c != 'W' && !(c >= '0' && c <= '9')))
		return 0;
	from = back_over(s, dot, in_host);
	end = on_over(s, dot + n, WORD, in_host);
	if (dot - from <= 12 && fold(word, sizeof(word), span_sub(s, from, dot - from)) == 3 && strcmp(word, "www") == 0 &&
	    end > dot + n)
		m->kind = MAIL_URL_M_WWW;
	else if (dotted(s, from) && !in_host(from ? look(s, before(s, from), &(size_t){0}) : ' '))
		m->kind = MAIL_URL_M_IPV4;
	else if (suffix)
		m->kind = MAIL_URL_M_DOMAIN;
	else
		return 0;
	host_of(m, span_sub(s, from, end - from));
	m->no_memory |= suffix < 0;
	m->from = from;
	m->behind = end;
	m->to = link_end(s, end);
	if (m->to < end)
		m->to = end;
	while (m->to > dot + n && s.p[m->to - 1] == '.')
		m->to--;
	return 1;
}

static int by_sign(struct span s, size_t sign, size_t n, struct mail_url_mention *m)
{
	size_t end = on_over(s, sign + n, WORD, in_host);

	m->kind = MAIL_URL_M_MAIL;
	m->from = back_over(s, sign, in_word);
	host_of(m, span_sub(s, sign + n, end - sign - n));
	m->behind = end > sign + n ? end : sign + n;
	while (end > sign + n && s.p[end - 1] == '.')
		end--;
	m->to = end;
	return 1;
}

static int slashes(struct span s, size_t i)
{
	size_t a, b;

	if (i >= s.n || (look(s, i, &a) != '/' && look(s, i, &a) != '\\') || i + a >= s.n)
		return 0;
	return look(s, i + a, &b) == '/' || look(s, i + a, &b) == '\\';
}

static int by_colon(struct span s, size_t colon, size_t n, struct mail_url_mention *m)
{
	static const char *const linked[] = {"mailto", "tel", "sms", "callto", "skype", "file", "javascript", "vbscript",
					     "ftp", "news", "sip", "xmpp", "geo", "magnet", "bitcoin", "http", "https"};
	size_t from = back_over(s, colon, in_label), i;
	struct mail_url u;
	char word[16];
	int rc;

	if (colon + n >= s.n || blank(look(s, colon + n, &i)))
		return 0;
	if (!slashes(s, colon + n)) {
		if (from == colon || fold(word, sizeof(word), span_sub(s, from, colon - from)) <= 0)
			return 0;
		for (i = 0; i < sizeof(linked) / sizeof(*linked) && strcmp(word, linked[i]) != 0; i++)
			;
		if (i == sizeof(linked) / sizeof(*linked))
			return 0;
	}
	m->kind = MAIL_URL_M_URL;
	m->from = from;
	m->behind = colon + n;
	m->to = link_end(s, colon + n);
	if (m->to < colon + n)
		m->to = colon + n;
	rc = mail_url_parse(&u, span_sub(s, from, m->to - from));
	m->no_memory |= rc == ERR_NOMEM;
	if (rc == 0) {
		memcpy(m->host, u.host, sizeof(m->host));
		m->odd |= u.odd & ~MAIL_URL_ODD(CHARACTER);
	}
	return 1;
}

static int by_backslash(struct span s, size_t at, size_t n, struct mail_url_mention *m)
{
	size_t more, host = at + n, end;

	if (host >= s.n || look(s, host, &more) != '\\')
		return 0;
	host += more;
	end = on_over(s, host, WORD, in_host);
	if (end == host)
		return 0;
	m->kind = MAIL_URL_M_PATH;
	m->from = at;
	m->behind = end;
	m->to = link_end(s, end);
	host_of(m, span_sub(s, host, end - host));
	return 1;
}

int mail_url_find(struct span text, size_t from, struct mail_url_mention *m)
{
	static int (*const by[])(struct span, size_t, size_t, struct mail_url_mention *) = {
		['.'] = by_dot, ['@'] = by_sign, [':'] = by_colon, ['\\'] = by_backslash};
	size_t i, n;

	for (i = from; i < text.n; i += n) {
		uint32_t c = look(text, i, &n);
		if (c >= sizeof(by) / sizeof(*by) || !by[c])
			continue;
		memset(m, 0, sizeof(*m));
		if (by[c](text, i, n, m)) {
			/* what was told already is not told again */
			m->from = m->from < from ? from : m->from;
			m->to = m->to < i + n ? i + n : m->to;
			return 1;
		}
	}
	return 0;
}

int mail_url_autolink(struct span text)
{
	struct mail_url_mention m;
	size_t n = 0;

	if (mail_url_find(text, 0, &m))
		return m.no_memory ? ERR_NOMEM : 1;
	/* ".com" is the end of what may stand before it */
	return text.n && look(text, 0, &n) == '.' ? suffix_at(text, n) : 0;
}
