/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_url.h"

#include "core/err.h"

static const struct {
	const char *name, *text;
} odds[] = {
#define MAIL_URL_X(sym, name, text) {name, text},
	MAIL_URL_ODDS(MAIL_URL_X)
#undef MAIL_URL_X
};

const char *mail_url_odd_name(enum mail_url_bit bit)
{
	return (unsigned)bit < MAIL_URL_BIT_COUNT ? odds[bit].name : "url";
}

const char *mail_url_odd_text(enum mail_url_bit bit)
{
	return (unsigned)bit < MAIL_URL_BIT_COUNT ? odds[bit].text : "";
}

/* The URL as browsers take it: nothing below a blank at its ends, no tab and line end within. at: where each octet stands
 * in what was given. */
struct clean {
	struct span given, s;
	uint8_t octet[MAIL_URL_MAX];
	uint16_t at[MAIL_URL_MAX + 1];
};

static int clean_of(struct clean *c, struct span url, unsigned *odd)
{
	size_t from = 0, to = url.n, i, n = 0;

	if (url.n > MAIL_URL_MAX)
		return ERR_LIMIT;
	while (from < to && url.p[from] <= ' ')
		from++;
	while (to > from && url.p[to - 1] <= ' ')
		to--;
	for (i = from; i < to; i++) {
		if (url.p[i] == '\t' || url.p[i] == '\n' || url.p[i] == '\r')
			continue;
		c->at[n] = (uint16_t)i;
		c->octet[n++] = url.p[i];
	}
	c->at[n] = (uint16_t)to;
	if (n != url.n)
		*odd |= MAIL_URL_ODD(BLANK);
	c->given = url;
	c->s = span_of(c->octet, n);
	return 0;
}

/* Octets from..to of the clean form, as given. */
static struct span written(const struct clean *c, size_t from, size_t to)
{
	return span_sub(c->given, c->at[from], (size_t)(c->at[to] - c->at[from]));
}

static int letter(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Octets of a scheme and its colon; 0: there is none. */
static size_t scheme_of(struct span s)
{
	size_t i;

	if (!s.n || !letter(s.p[0]))
		return 0;
	for (i = 1; i < s.n; i++)
		if (!letter(s.p[i]) && !digit(s.p[i]) && s.p[i] != '+' && s.p[i] != '-' && s.p[i] != '.')
			break;
	return i < s.n && s.p[i] == ':' ? i + 1 : 0;
}

static size_t find_any(struct span s, size_t from, const char *set)
{
	while (from < s.n && (!s.p[from] || !strchr(set, s.p[from])))
		from++;
	return from;
}

/* From the path on. */
static void tail(struct mail_url *u, const struct clean *c, size_t at)
{
	struct span s = c->s;
	size_t query = find_any(s, at, "?#"), fragment = find_any(s, at, "#"), i;

	for (i = at; i < s.n; i++) {
		if (s.p[i] < ' ' || s.p[i] == 0x7f)
			u->odd |= MAIL_URL_ODD(BLANK);
		if (s.p[i] == ' ' || s.p[i] >= 0x80 || (s.p[i] && strchr("\"<>`{}|^", s.p[i])))
			u->odd |= MAIL_URL_ODD(CHARACTER);
		if (s.p[i] == '\\')
			u->odd |= MAIL_URL_ODD(BACKSLASH);
	}
	u->path = written(c, at, query);
	u->query = query < fragment ? written(c, query + 1, fragment) : span_of(NULL, 0);
	u->fragment = fragment < s.n ? written(c, fragment + 1, s.n) : span_of(NULL, 0);
}

static int port_of(struct mail_url *u, struct span text)
{
	size_t i;

	u->odd |= MAIL_URL_ODD(PORT);
	for (i = 0; i < text.n; i++) {
		if (!digit(text.p[i]) || u->port > 65535)
			return ERR_FORMAT;
		u->port = u->port * 10 + (unsigned)(text.p[i] - '0');
	}
	return u->port > 65535 ? ERR_FORMAT : 0;
}

/* userinfo@host:port */
static int authority(struct mail_url *u, struct span a)
{
	size_t at = a.n, colon;

	while (at && a.p[at - 1] != '@')
		at--;
	if (at)
		u->odd |= MAIL_URL_ODD(USERINFO);
	a = span_sub(a, at, a.n);
	for (colon = 0; colon < a.n && a.p[colon] != ':';)
		colon = a.p[colon] == '[' ? find_any(a, colon, "]") : colon + 1;
	if (colon < a.n && port_of(u, span_sub(a, colon + 1, a.n)) < 0)
		return ERR_FORMAT;
	return mail_url_host(u->host, &u->kind, &u->odd, span_sub(a, 0, colon));
}

/* Special schemes: any number of slashes of both kinds, then an authority. */
static int web(struct mail_url *u, const struct clean *c, size_t at)
{
	size_t from = at, end;

	while (at < c->s.n && (c->s.p[at] == '/' || c->s.p[at] == '\\')) {
		if (c->s.p[at] == '\\')
			u->odd |= MAIL_URL_ODD(BACKSLASH);
		at++;
	}
	if (at - from != 2)
		u->odd |= MAIL_URL_ODD(SLASHES);
	end = find_any(c->s, at, "/\\?#");
	tail(u, c, end);
	return authority(u, span_sub(c->s, at, end - at));
}

static int names_others(struct span query)
{
	static const char *const fields[] = {"to=", "cc=", "bcc="};
	size_t i, at = 0;

	while (at < query.n) {
		for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
			if (span_equal_nocase(span_sub(query, at, strlen(fields[i])), span_str(fields[i])))
				return 1;
		at = find_any(query, at, "&;") + 1;
	}
	return 0;
}

static int mail(struct mail_url *u, const struct clean *c, size_t at)
{
	size_t end, sign, comma;

	tail(u, c, at);
	end = find_any(c->s, at, "?#");
	comma = find_any(c->s, at, ",");
	u->more = comma < end || names_others(u->query) || find_any(u->path, 0, "%") < u->path.n;
	end = comma < end ? comma : end;
	sign = find_any(c->s, at, "@");
	if (sign == at || sign >= end)
		return ERR_FORMAT;
	return mail_url_host(u->host, &u->kind, &u->odd, span_sub(c->s, sign + 1, end - sign - 1));
}

static int phone(struct mail_url *u, const struct clean *c, size_t at)
{
	size_t i, digits = 0;

	tail(u, c, at);
	for (i = at; i < c->s.n; i++) {
		digits += (size_t)digit(c->s.p[i]);
		if (!digit(c->s.p[i]) && !strchr("+-.()", c->s.p[i]))
			return ERR_FORMAT;
	}
	return digits ? 0 : ERR_FORMAT;
}

static const struct {
	const char *name;
	enum mail_url_scheme scheme;
	int (*parse)(struct mail_url *u, const struct clean *c, size_t at);
} schemes[] = {
	{"https:", MAIL_URL_HTTPS, web},
	{"http:", MAIL_URL_HTTP, web},
	{"mailto:", MAIL_URL_MAILTO, mail},
	{"tel:", MAIL_URL_TEL, phone},
};

int mail_url_parse(struct mail_url *u, struct span url)
{
	struct clean c;
	size_t n, i;
	int rc;

	memset(u, 0, sizeof(*u));
	rc = clean_of(&c, url, &u->odd);
	if (rc < 0)
		return rc;
	n = scheme_of(c.s);
	if (!n)
		return ERR_NOTFOUND;
	for (i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
		if (!span_equal_nocase(span_sub(c.s, 0, n), span_str(schemes[i].name)))
			continue;
		u->scheme = schemes[i].scheme;
		return schemes[i].parse(u, &c, n);
	}
	return ERR_UNSUPPORTED;
}
