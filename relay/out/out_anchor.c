/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_anchor.h"

#include <unistd.h>

#include "core/err.h"
#include "sys/sys_file.h"

#define ROOT_KEY "/usr/share/dns/root.key" /* Debian: dns-root-data */
#define FILE_MAX (256u << 10)

const char *out_anchor_path(const struct relay_conf *c)
{
	if (c->dns.trust_anchor)
		return c->dns.trust_anchor;
	return access(ROOT_KEY, R_OK) == 0 ? ROOT_KEY : NULL;
}

/* --- the text: records of words; parentheses join lines, a semicolon begins a comment */

struct scan {
	struct span text;
	size_t at;
	int depth;
};

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Up to the next word; 0 at the end of a record (or of the text). */
static int skip(struct scan *s)
{
	for (; s->at < s->text.n; s->at++) {
		uint8_t c = s->text.p[s->at];
		if (c == ';') {
			while (s->at + 1 < s->text.n && s->text.p[s->at + 1] != '\n')
				s->at++;
		} else if (c == '(') {
			s->depth++;
		} else if (c == ')') {
			s->depth -= s->depth > 0;
		} else if (c == '\n') {
			if (!s->depth)
				return 0;
		} else if (!is_blank(c)) {
			return 1;
		}
	}
	return 0;
}

static struct span word(struct scan *s)
{
	size_t from = s->at;

	while (s->at < s->text.n && !is_blank(s->text.p[s->at]) && !memchr("\n;()", s->text.p[s->at], 4))
		s->at++;
	return span_sub(s->text, from, s->at - from);
}

/* In lower case, without the dot at the end; 0 if it is no name of a zone. */
static int zone_name(char dst[OUT_MX_NAME], struct span owner)
{
	if (owner.n > 1 && owner.p[owner.n - 1] == '.')
		owner.n--;
	if (!owner.n || span_copy_str(dst, OUT_MX_NAME, owner) < 0)
		return 0;
	for (char *p = dst; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
		else if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '$' || *p == '@')
			return 0;
	return 1;
}

static void add(struct out_anchor *out, struct span owner)
{
	char *name = out->zones[out->count < OUT_ANCHOR_ZONES ? out->count : OUT_ANCHOR_ZONES - 1];

	if (out->count == OUT_ANCHOR_ZONES || !zone_name(name, owner))
		return;
	for (unsigned i = 0; i < out->count; i++)
		if (!strcmp(out->zones[i], name))
			return;
	out->count++;
}

static int is_anchor_type(struct span w)
{
	return span_equal_nocase(w, span_str("DNSKEY")) || span_equal_nocase(w, span_str("DS"));
}

unsigned out_anchor_zones(struct span text, struct out_anchor *out)
{
	struct scan s = {.text = text};
	struct span owner = {NULL, 0};

	out->count = 0;
	while (s.at < text.n) {
		int named = !is_blank(text.p[s.at]), words = 0, found = 0;
		while (skip(&s)) {
			struct span w = word(&s);
			if (words++ == 0 && named)
				owner = w;
			else if (words <= 4) /* owner, TTL, class, type */
				found |= is_anchor_type(w);
		}
		s.at++; /* the end of the line */
		if (found)
			add(out, owner);
	}
	return out->count;
}

int out_anchor_read(const struct relay_conf *c, struct out_anchor *out)
{
	const char *path = out_anchor_path(c);
	struct buf text;
	int err;

	out->count = 0;
	if (!path)
		return ERR_NOTFOUND;
	buf_init(&text, FILE_MAX);
	err = sys_file_read(path, &text, 0);
	if (err == 0 && out_anchor_zones(buf_span(&text), out) == 0)
		err = ERR_FORMAT;
	buf_clear(&text);
	return err;
}
