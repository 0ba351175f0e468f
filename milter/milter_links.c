/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_links.h"

#include <stdio.h>
#include <strings.h>

#include "core/err.h"
#include "mail/mail_url.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* What looks like a host within one link's path and query: more of them are no link but an attempt. */
#define INNER_MAX 64

const char milter_links_memory[] = "memory";

int milter_links_host(const struct milter_stream *links, const char *host)
{
	char *const *all = links->hosts.items;
	size_t n = strlen(host);

	for (size_t i = 0; i < links->hosts.count; i++) {
		size_t want = strlen(all[i]);
		if (all[i][0] != '.' ? span_equal_nocase(span_str(host), span_str(all[i]))
				     : n > want && span_equal_nocase(span_str(host + n - want), span_str(all[i])))
			return 1;
	}
	return 0;
}

/* --- text */

static int begins(struct span s, const char *with)
{
	return span_equal_nocase(span_sub(s, 0, strlen(with)), span_str(with));
}

/* "@host": nobody's address. */
static int is_mail(struct span text, const struct mail_url_mention *m)
{
	const char *last = strrchr(m->host, '.');

	if (m->kind == MAIL_URL_M_URL) {
		struct span s = span_sub(text, m->from, m->to - m->from);
		return begins(s, "mailto:") || begins(s, "tel:");
	}
	if (m->kind != MAIL_URL_M_MAIL)
		return 0;
	return text.p[m->from] != '@' || !last || !mail_url_is_tld(last + 1);
}

/* Whether a mail program could let a link end before it, and begin another: it is not what paths and queries are made of. */
static int apart(struct span text, size_t at)
{
	uint8_t c = at ? text.p[at - 1] : ' ';

	return !((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || strchr("-._~/%+=&?#:@", c));
}

static int fine(const struct milter_stream *links, struct span text, const struct mail_url_mention *m)
{
	return is_mail(text, m) || (!m->odd && m->host[0] && milter_links_host(links, m->host));
}

static const char *judge_links(const struct milter_stream *links, struct span text, size_t *where)
{
	struct mail_url_mention m;
	size_t at = 0, outer = 0;
	unsigned inner = 0;

	while (mail_url_find(text, at, &m)) {
		int within = m.from < outer;
		*where = m.from;
		at = m.behind > at ? m.behind : at + 1;
		inner = within ? inner + 1 : 0;
		if (inner > INNER_MAX)
			return "text-link";
		if (within && !apart(text, m.from))
			continue;
		if (m.no_memory)
			return milter_links_memory;
		if (!fine(links, text, &m))
			return "text-link";
		if (!is_mail(text, &m) && m.to > outer)
			outer = m.to;
	}
	return NULL;
}

/* "begin 644 name" at the start of a line: mail programs show a file there. */
static int is_uuencode(struct span line)
{
	size_t digits = 0;

	if (!span_equal(span_sub(line, 0, 6), SPAN_LIT("begin ")))
		return 0;
	line = span_sub(line, 6, line.n);
	while (digits < line.n && line.p[digits] >= '0' && line.p[digits] <= '7')
		digits++;
	return digits >= 3 && digits <= 4 && digits < line.n && line.p[digits] == ' ';
}

static const char *judge_lines(struct span text, size_t *where)
{
	size_t line = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		*where = i;
		if (c == 0x7f || (c < ' ' && (!c || !strchr("\t\n\f\r", c))))
			return "text-control";
		if (i == line && c == 'b' && is_uuencode(span_sub(text, i, 16)))
			return "uuencode";
		if (c == '\n')
			line = i + 1;
	}
	return NULL;
}

const char *milter_links_text(const struct milter_stream *links, struct span text, size_t *at)
{
	const char *rule = judge_lines(text, at);

	return rule ? rule : judge_links(links, text, at);
}

/* --- files */

/* Archives have many types: any but those of pictures and documents. */
#define ARCHIVE "application/x-archive"

/* The type by which a file of that name is opened. */
static const struct {
	const char *endings, *type;
} ENDINGS[] = {
    {" html htm shtml xhtml xht mht mhtml hta htt htc ", "text/html"},
    {" svg svgz ", "image/svg+xml"},
    {" ics ical ifb vcs ", "text/calendar"},
    {" eml msg mbox ", "message/rfc822"},
    {" docm dotm ", "application/vnd.ms-word.document.macroenabled.12"},
    {" xlsm xltm xlam xlsb xll ", "application/vnd.ms-excel.sheet.macroenabled.12"},
    {" pptm potm ppam ppsm ", "application/vnd.ms-powerpoint.presentation.macroenabled.12"},
    {" zip 7z rar gz tgz bz2 xz zst tar cab arj lzh ace z iso img vhd vhdx dmg udf ", ARCHIVE},
    {" exe com scr pif bat cmd cpl dll msi msp msix appx appinstaller lnk url website webloc js jse mjs vbs vbe wsf wsh ps1 "
     "psm1 jar jnlp reg inf chm hlp one application gadget sh bash command desktop app pkg deb rpm apk ipa scf xsl "
     "library-ms search-ms settingcontent-ms rdp sct ws py pyw rb pl php swf crx xpi ",
     "application/x-msdownload"},
};

/* Types that need to be listed by their whole name. */
static const char *const ACTIVE[] = {"image/svg+xml", "text/html", "application/xhtml+xml", "text/calendar", "message/rfc822",
				     "application/x-msdownload", "application/ms-tnef", "application/vnd.ms-tnef"};

static int is_active(const char *type)
{
	for (size_t i = 0; i < COUNT(ACTIVE); i++)
		if (!strcasecmp(type, ACTIVE[i]))
			return 1;
	return 0;
}

static int type_listed(const struct milter_stream *links, const char *type)
{
	char *const *all = links->attachments.items;

	for (size_t i = 0; i < links->attachments.count; i++) {
		size_t n = strlen(all[i]);
		struct span have = span_str(type);
		if (n > 2 && !strcmp(all[i] + n - 2, "/*")) {
			if (is_active(type))
				continue;
			have = span_sub(have, 0, --n); /* "image/" */
		}
		if (span_equal_nocase(have, span_of(all[i], n)))
			return 1;
	}
	return 0;
}

/* The type that a name stands for, or NULL. Blanks and dots at its end are dropped, as systems do. */
static const char *type_of_name(const char *name)
{
	char ending[24];
	size_t n = strlen(name), from, k = 0;

	while (n && (name[n - 1] == ' ' || name[n - 1] == '.'))
		n--;
	for (from = n; from && name[from - 1] != '.'; from--)
		;
	if (n == 11 && !strncasecmp(name, "winmail.dat", n))
		return "application/ms-tnef";
	if (!from || n - from > sizeof(ending) - 3)
		return NULL;
	ending[k++] = ' ';
	for (; from < n; from++)
		ending[k++] = (char)(name[from] >= 'A' && name[from] <= 'Z' ? name[from] | 0x20 : name[from]);
	ending[k++] = ' ';
	ending[k] = '\0';
	for (size_t i = 0; k > 2 && i < COUNT(ENDINGS); i++)
		if (strstr(ENDINGS[i].endings, ending))
			return ENDINGS[i].type;
	return NULL;
}

static int name_allowed(const struct milter_stream *links, const struct mail_gate_part *part, int body, const char *name)
{
	const char *type = type_of_name(name);

	if (type && !strcmp(type, ARCHIVE))
		return !body && !strncmp(part->type, "application/", 12) && strcmp(part->type, "application/pdf") != 0;
	/* a body that is called what it is was judged as that */
	return !type || (body && !strcmp(type, part->type)) || type_listed(links, type);
}

const char *milter_links_file(const struct milter_stream *links, const struct mail_gate_part *part, int body)
{
	if (!body && !type_listed(links, part->type))
		return "attachment-type";
	if (!name_allowed(links, part, body, part->filename) || !name_allowed(links, part, body, part->name))
		return "attachment-name";
	return NULL;
}

/* --- header fields */

const char *milter_links_field(const struct milter_stream *links, struct span name, struct span value)
{
	static const char *const names[] = {"list-unsubscribe", "list-help",    "list-subscribe", "list-owner",
					    "list-post",	"list-archive", "archived-at"};
	const char *rule;
	size_t at;

	for (size_t i = 0; i < COUNT(names); i++) {
		if (!span_equal_nocase(name, span_str(names[i])))
			continue;
		rule = judge_links(links, value, &at);
		return rule && rule != milter_links_memory ? "header-link" : rule;
	}
	return NULL;
}
