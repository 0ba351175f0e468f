/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "campaign/camp_check_own.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "mail/mail_url.h"
#include "mail/mail_word.h"

/* The fixed list: a field that is not in it needs extra_allow. name with "-" at its end: all that begin so. */
enum seen {
	SEEN_NONE,
	SEEN_FROM,
	SEEN_TO,
	SEEN_SUBJECT,
	SEEN_REPLY_TO,
	SEEN_LIST_ID,
	SEEN_DATE,
	SEEN_MESSAGE_ID
};
static int judge_from(struct camp_check *k, struct span value);
static int judge_reply_to(struct camp_check *k, struct span value);
static int judge_to(struct camp_check *k, struct span value);
static int judge_subject(struct camp_check *k, struct span value);
static int judge_date(struct camp_check *k, struct span value);
static int judge_list_id(struct camp_check *k, struct span value);
static int judge_urls(struct camp_check *k, struct span value);
static int judge_part(struct camp_check *k, struct span value);
static int judge_never(struct camp_check *k, struct span value);

static const struct {
	const char *name;
	int (*judge)(struct camp_check *k, struct span value);
	enum seen seen;
	int extra; /* only if the manifest allows it */
} fields[] = {
    {"from", judge_from, SEEN_FROM, 0},
    {"to", judge_to, SEEN_TO, 0},
    {"subject", judge_subject, SEEN_SUBJECT, 0},
    {"reply-to", judge_reply_to, SEEN_REPLY_TO, 0},
    {"date", judge_date, SEEN_DATE, 0},
    {"message-id", NULL, SEEN_MESSAGE_ID, 0},
    {"list-id", judge_list_id, SEEN_LIST_ID, 0},
    {"list-unsubscribe", judge_urls, SEEN_NONE, 1},
    {"list-help", judge_urls, SEEN_NONE, 1},
    {"list-subscribe", judge_urls, SEEN_NONE, 1},
    {"list-owner", judge_urls, SEEN_NONE, 1},
    {"list-archive", judge_urls, SEEN_NONE, 1},
    {"archived-at", judge_urls, SEEN_NONE, 1},
    {"mime-version", NULL, SEEN_NONE, 0},
    {"content-type", NULL, SEEN_NONE, 0},
    {"content-transfer-encoding", NULL, SEEN_NONE, 0},
    {"content-disposition", NULL, SEEN_NONE, 0},
    {"content-id", NULL, SEEN_NONE, 0},
    {"received", NULL, SEEN_NONE, 0},
    {"return-path", NULL, SEEN_NONE, 0},
    {"x-doposta-part", judge_part, SEEN_NONE, 0},
    {"x-doposta-campaign", NULL, SEEN_NONE, 0},
    {"x-doposta-consent", NULL, SEEN_NONE, 0},
    {"sender", judge_never, SEEN_NONE, 0},
    {"cc", judge_never, SEEN_NONE, 0},
    {"bcc", judge_never, SEEN_NONE, 0},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Its name may be anything: what a report shows of it is safe in a terminal and in JSON. */
static void note_header(struct camp_check *k, struct span name)
{
	char *dst = k->result.header;
	size_t n = name.n < CAMP_HEADER_SHOWN - 1 ? name.n : CAMP_HEADER_SHOWN - 1;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = name.p[i];
		dst[i] = c == '-' || (c < 0x80 && isalnum(c)) ? (char)tolower(c) : '?';
	}
	dst[n] = '\0';
}

static int fail_header(struct camp_check *k, const char *name, enum camp_verdict v)
{
	note_header(k, span_str(name));
	return camp_check_fail(k, v);
}

static int is_allowed(const struct camp_check *k, struct span name)
{
	for (unsigned i = 0; i < k->m->n_extra; i++)
		if (span_equal_nocase(name, span_str(k->m->extra_allow[i])))
			return 1;
	return 0;
}

int camp_check_field(struct camp_check *k, struct span name, struct span value)
{
	for (size_t i = 0; i < COUNT(fields); i++) {
		if (!span_equal_nocase(name, span_str(fields[i].name)))
			continue;
		if (fields[i].extra && !is_allowed(k, name))
			return fail_header(k, fields[i].name, CAMP_HEADER_FOREIGN);
		if (fields[i].seen && k->seen & 1U << fields[i].seen)
			return fail_header(k, fields[i].name, CAMP_HEADER_FOREIGN);
		k->name = fields[i].name;
		k->seen |= fields[i].seen ? 1U << fields[i].seen : 0;
		return fields[i].judge ? fields[i].judge(k, value) : 0;
	}
	for (unsigned i = 0; i < k->m->n_extra; i++)
		if (span_equal_nocase(name, span_str(k->m->extra_allow[i])))
			return 0;
	note_header(k, name);
	return camp_check_fail(k, CAMP_HEADER_FOREIGN);
}

int camp_check_fields(struct camp_check *k)
{
	static const struct {
		enum seen seen;
		const char *name;
	} needed[] = {{SEEN_FROM, "from"},
		      {SEEN_TO, "to"},
		      {SEEN_SUBJECT, "subject"},
		      {SEEN_DATE, "date"},
		      {SEEN_MESSAGE_ID, "message-id"}};

	for (size_t i = 0; i < COUNT(needed); i++)
		if (!(k->seen & 1U << needed[i].seen))
			return fail_header(k, needed[i].name, CAMP_HEADER_MISSING);
	if (k->m->reply_to.addr && !(k->seen & 1U << SEEN_REPLY_TO))
		return fail_header(k, "reply-to", CAMP_HEADER_MISSING);
	if (k->m->list_id && !(k->seen & 1U << SEEN_LIST_ID))
		return fail_header(k, "list-id", CAMP_HEADER_MISSING);
	return 0;
}

static int judge_never(struct camp_check *k, struct span value)
{
	(void)value;
	return fail_header(k, k->name, CAMP_HEADER_FOREIGN);
}

/* Equal, letters of the domain in either case. */
static int same_address(const char *a, const char *b)
{
	const char *at = strrchr(a, '@');

	return at && strncmp(a, b, (size_t)(at - a) + 1) == 0 && strcasecmp(at, b + (at - a)) == 0;
}

static int is_mailbox(struct span value, const struct camp_address *want)
{
	struct mail_word_mailbox m;

	return mail_word_mailbox(&m, value) == 0 && same_address(want->addr, m.address) &&
	       strcmp(want->name, m.display) == 0;
}

static int judge_from(struct camp_check *k, struct span value)
{
	return is_mailbox(value, &k->m->from) ? 0 : fail_header(k, "from", CAMP_HEADER_FROM);
}

static int judge_reply_to(struct camp_check *k, struct span value)
{
	if (!k->m->reply_to.addr || !is_mailbox(value, &k->m->reply_to))
		return fail_header(k, "reply-to", CAMP_HEADER_REPLY_TO);
	return 0;
}

static int judge_to(struct camp_check *k, struct span value)
{
	struct mail_word_mailbox m;

	if (mail_word_mailbox(&m, value) != 0 || !same_address(k->rcpt, m.address))
		return fail_header(k, "to", CAMP_HEADER_TO);
	/* the recipient reads the name: no place for a message of its own. An address alone is common there */
	if (*m.display && !same_address(k->rcpt, m.display) &&
	    (camp_field_text(span_str(m.display)) != CAMP_PASS || camp_field_is_sentence(span_str(m.display))))
		return fail_header(k, "to", CAMP_HEADER_TO);
	return 0;
}

/* Behind what has that shape, or NULL. "A" is a letter, "9" a digit, " " one blank or more, all else itself. */
static const char *behind(const char *s, const char *shape)
{
	for (; *shape; shape++, s++) {
		if (*shape == 'A'   ? !isalpha((uint8_t)*s)
		    : *shape == '9' ? !isdigit((uint8_t)*s)
				    : *s != *shape && !(*shape == ' ' && *s == '\t'))
			return NULL;
		while (*shape == ' ' && (s[1] == ' ' || s[1] == '\t'))
			s++;
	}
	return s;
}

/* The date that programs write, with no room for words: some mail programs show it as it stands. */
static int is_date(const char *s)
{
	static const char *const shapes[][3] = {
	    {"AAA, ", "AAA,", ""},     {"99 AAA 9999 99:99", "9 AAA 9999 99:99", NULL},
	    {":99", "", NULL},	       {" +9999", " -9999", " AAA"},
	    {" (AAAA)", " (AAA)", ""},
	};

	for (size_t i = 0; i < COUNT(shapes); i++) {
		const char *next = NULL;

		for (size_t j = 0; !next && j < 3 && shapes[i][j]; j++)
			next = behind(s, shapes[i][j]);
		if (!next)
			return 0;
		s = next;
	}
	return *s == 0;
}

static int judge_date(struct camp_check *k, struct span value)
{
	char text[64];

	if (mail_word_decode(text, sizeof(text), value) < 0 || !is_date(text))
		return fail_header(k, "date", CAMP_HEADER_DATE);
	return 0;
}

static int judge_list_id(struct camp_check *k, struct span value)
{
	char text[1024];

	if (!k->m->list_id)
		return fail_header(k, "list-id", CAMP_HEADER_LIST_ID);
	if (mail_word_decode(text, sizeof(text), value) < 0 || strcmp(text, k->m->list_id) != 0)
		return fail_header(k, "list-id", CAMP_HEADER_LIST_ID);
	return 0;
}

static int judge_subject(struct camp_check *k, struct span value)
{
	struct camp_match_params params = {.rcpt = span_str(k->rcpt)};
	char text[4096];
	int n = mail_word_decode(text, sizeof(text), value);

	if (n < 0)
		return fail_header(k, "subject", CAMP_HEADER_SUBJECT);
	camp_match_begin(&k->match, k->c, k->m->subject, &params);
	if (camp_match_feed(&k->match, span_of(text, (size_t)n)) == 0 &&
	    camp_match_end(&k->match) == 0)
		return 0;
	k->result.offset = k->match.canonical;
	k->result.tpl = k->m->subject;
	k->result.tpl_offset = k->match.blob;
	k->result.field = k->match.field;
	return fail_header(k, "subject", k->match.verdict);
}

/* --- List-Unsubscribe ------------------------------------------------------------------------ */

static int is_host(const struct camp_manifest *m, const char *host, size_t n)
{
	for (unsigned i = 0; i < m->n_hosts; i++)
		if (strlen(m->hosts[i]) == n && strncasecmp(m->hosts[i], host, n) == 0)
			return 1;
	return 0;
}

static int same_site(const char *a, const char *b)
{
	char of_a[MAIL_URL_HOST], of_b[MAIL_URL_HOST];

	return mail_url_registrable(of_a, a) == 0 && mail_url_registrable(of_b, b) == 0 && strcmp(of_a, of_b) == 0;
}

/* To one address, at a domain that is registered by whom a host, From or Reply-To is. */
static int is_own_mail(const struct camp_manifest *m, struct span url)
{
	const char *from = strrchr(m->from.addr, '@'), *reply = m->reply_to.addr ? strrchr(m->reply_to.addr, '@') : NULL;
	struct mail_url u;
	int rc = mail_url_parse(&u, url);

	if (rc < 0 || u.odd & ~MAIL_URL_ODD(CHARACTER) || u.more)
		return rc == ERR_NOMEM ? rc : 0;
	for (unsigned i = 0; i < m->n_hosts; i++)
		if (same_site(m->hosts[i], u.host))
			return 1;
	return (from && same_site(from + 1, u.host)) || (reply && same_site(reply + 1, u.host));
}

/* A URL as simple as it must be: https, a host of the manifest, no user, no port; or mailto. */
static int is_own_url(const struct camp_manifest *m, const char *url, size_t n)
{
	size_t host = 0;

	for (size_t i = 0; i < n; i++)
		if ((uint8_t)url[i] <= ' ' || (uint8_t)url[i] > '~' || url[i] == '\\')
			return 0;
	if (n > 7 && strncasecmp(url, "mailto:", 7) == 0)
		return is_own_mail(m, span_of(url, n));
	if (n < 9 || strncasecmp(url, "https://", 8) != 0)
		return 0;
	while (8 + host < n && (isalnum((uint8_t)url[8 + host]) || strchr(".-", url[8 + host])))
		host++;
	return is_host(m, url + 8, host) && (8 + host == n || strchr("/?#", url[8 + host]));
}

/* List-Unsubscribe and its kind: mail programs make buttons of them. */
static int judge_urls(struct camp_check *k, struct span value)
{
	char text[2048], *at = text;
	unsigned urls = 0;

	if (mail_word_decode(text, sizeof(text), value) < 0)
		return fail_header(k, k->name, CAMP_HEADER_URL);
	for (;; urls++) {
		char *close;
		int own;

		at += strspn(at, " \t,");
		if (*at != '<')
			break;
		close = strchr(at, '>');
		own = close ? is_own_url(k->m, at + 1, (size_t)(close - at - 1)) : 0;
		if (own <= 0)
			return fail_header(k, k->name, own < 0 ? CAMP_MEMORY : CAMP_HEADER_URL);
		at = close + 1;
	}
	return *at == 0 && urls ? 0 : fail_header(k, k->name, CAMP_HEADER_URL);
}

/* --- X-DoPosta-Part -------------------------------------------------------------------------- */

static int take(struct span *rest, const char *label, struct span *value)
{
	size_t n = strlen(label);
	ptrdiff_t end;

	while (rest->n && strchr(" \t\r\n", rest->p[0]))
		*rest = span_sub(*rest, 1, rest->n);
	if (!span_equal(span_sub(*rest, 0, n), span_str(label)))
		return ERR_FORMAT;
	*rest = span_sub(*rest, n, rest->n);
	end = span_find(*rest, ';');
	*value = span_sub(*rest, 0, end < 0 ? rest->n : (size_t)end);
	*rest = span_sub(*rest, value->n + (end >= 0), rest->n);
	while (value->n && end < 0 && strchr(" \t\r\n", value->p[value->n - 1]))
		value->n--;
	return 0;
}

static int parse_part(struct camp_check_signed_part *s, struct span value)
{
	struct span v;
	uint64_t n;

	if (take(&value, "v=", &v) != 0 || !span_equal(v, SPAN_LIT("1")) ||
	    take(&value, "n=", &v) != 0 || num_parse_u64(v, &n) != 0 || n > CAMP_PARTS)
		return ERR_FORMAT;
	s->part = (unsigned)n;
	if (take(&value, "sha256=", &v) != 0 || v.n != 64 ||
	    hex_decode(s->sha256, sizeof(s->sha256), v) != CAMP_HASH)
		return ERR_FORMAT;
	if (take(&value, "size=", &v) != 0 || num_parse_u64(v, &s->size) != 0)
		return ERR_FORMAT;
	if (take(&value, "mac=", &v) != 0 || value.n != 0 ||
	    hex_b64url_decode(s->mac, sizeof(s->mac), v) != CAMP_PART_MAC)
		return ERR_FORMAT;
	return 0;
}

static int judge_part(struct camp_check *k, struct span value)
{
	struct camp_check_signed_part s = {.part = 0};

	if (!k->m->signed_part || k->n_signed == CAMP_ATTACHMENTS || parse_part(&s, value) != 0 ||
	    camp_check_part_of(k, s.part))
		return fail_header(k, "x-doposta-part", CAMP_PART_SIGNED);
	k->signed_part[k->n_signed++] = s;
	return 0;
}

struct camp_check_signed_part *camp_check_part_of(struct camp_check *k, unsigned part)
{
	for (unsigned i = 0; i < k->n_signed; i++)
		if (k->signed_part[i].part == part)
			return &k->signed_part[i];
	return NULL;
}

int camp_check_signed(const struct camp_check *k, size_t i, struct span message_id, struct buf *out,
		      const uint8_t **mac)
{
	char digest[HEX_SIZE(CAMP_HASH)];
	const struct camp_check_signed_part *s = &k->signed_part[i];

	if (i >= k->n_signed)
		return ERR_NOTFOUND;
	while (message_id.n && strchr(" \t\r\n", message_id.p[0])) /* as the MTA hands it on */
		message_id = span_sub(message_id, 1, message_id.n);
	while (message_id.n && strchr(" \t\r\n", message_id.p[message_id.n - 1]))
		message_id.n--;
	hex_encode(digest, s->sha256, CAMP_HASH);
	buf_putf(out, "dp-part-1\n%s\n%u\n", k->m->campaign, k->m->version);
	buf_put_span(out, message_id);
	buf_putf(out, "\n%u\n%llu\n%s", s->part, (unsigned long long)s->size, digest);
	*mac = s->mac;
	return buf_failed(out);
}
