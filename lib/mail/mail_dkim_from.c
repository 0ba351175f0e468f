/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_dkim_from.h"

#include "core/err.h"

enum token { END, WORD, QUOTED, LITERAL, BAD }; /* or the octet itself, all of which are higher than these */

struct read {
	struct span rest;
	struct span word; /* of WORD and LITERAL */
	int group;
	unsigned mailboxes;
	char *domain;
};

/* --- tokens */

static int is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

/* What begins with open up to its close, both included; comments may have others in them. Its octets, 0: it has no end. */
static size_t enclosed(struct span s, uint8_t open, uint8_t close)
{
	unsigned depth = 1;

	for (size_t i = 1; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == '\\')
			i++;
		else if (c == close && --depth == 0)
			return i + 1;
		else if (c == open && open == '(')
			depth++;
	}
	return 0;
}

static int skip_blanks(struct read *r)
{
	while (r->rest.n) {
		size_t n = 1;
		if (r->rest.p[0] == '(')
			n = enclosed(r->rest, '(', ')');
		else if (r->rest.p[0] != ' ' && r->rest.p[0] != '\t')
			break;
		if (!n)
			return ERR_FORMAT;
		r->rest = span_sub(r->rest, n, r->rest.n);
	}
	return 0;
}

static int take_enclosed(struct read *r, uint8_t close, int token)
{
	size_t n = enclosed(r->rest, r->rest.p[0], close);

	r->word = span_sub(r->rest, 0, n);
	r->rest = span_sub(r->rest, n, r->rest.n);
	return n ? token : BAD;
}

static int next(struct read *r)
{
	size_t n = 0;
	uint8_t c;

	if (skip_blanks(r) < 0)
		return BAD;
	if (!r->rest.n)
		return END;
	c = r->rest.p[0];
	if (c == '"')
		return take_enclosed(r, '"', QUOTED);
	if (c == '[')
		return take_enclosed(r, ']', LITERAL);
	while (n < r->rest.n && is_word(r->rest.p[n]))
		n++;
	r->word = span_sub(r->rest, 0, n);
	r->rest = span_sub(r->rest, n ? n : 1, r->rest.n);
	if (n)
		return WORD;
	return strchr("<>@,:;", c) ? c : BAD;
}

/* --- grammar */

/* Labels with dots between; which letters a label may have is the DNS's business. */
static int domain_ok(struct span d)
{
	if (!d.n || d.p[0] == '.' || d.p[d.n - 1] == '.')
		return 0;
	for (size_t i = 0; i < d.n; i++) {
		uint8_t c = d.p[i];
		if (c == '.' ? d.p[i - 1] == '.'
			     : !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
				 c == '-' || c == '_' || c >= 0x80))
			return 0;
	}
	return 1;
}

/* Behind the "@". */
static int take_domain(struct read *r)
{
	int token = next(r);

	if (token != LITERAL && (token != WORD || !domain_ok(r->word)))
		return ERR_FORMAT;
	if (r->mailboxes++)
		return span_equal_nocase(r->word, span_str(r->domain)) ? 0 : ERR_EXISTS;
	if (span_copy_str(r->domain, MAIL_DKIM_DOMAIN, r->word) < 0)
		return ERR_LIMIT;
	for (char *p = r->domain; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	return 0;
}

/* Behind the "<". */
static int take_angle(struct read *r)
{
	int token = next(r), err;

	if ((token != WORD && token != QUOTED) || next(r) != '@')
		return ERR_FORMAT;
	err = take_domain(r);
	if (err < 0)
		return err;
	return next(r) == '>' ? 0 : ERR_FORMAT;
}

/* One mailbox, or the words before a group's colon. The token behind it, or ERR_*; *words: how many came that are no
 * address. */
static int take_mailbox(struct read *r, unsigned *words)
{
	int token, err;

	*words = 0;
	while ((token = next(r)) == WORD || token == QUOTED)
		++*words;
	if (token != '<' && token != '@')
		return token == LITERAL || token == BAD ? ERR_FORMAT : token;
	if (token == '@' && *words != 1)
		return ERR_FORMAT;
	err = token == '<' ? take_angle(r) : take_domain(r);
	*words = 0;
	return err < 0 ? err : next(r);
}

/* What a token behind a mailbox means. 1: the list goes on; 0: it is over. */
static int behind(struct read *r, int token, unsigned words, unsigned before)
{
	if (token == ':' && words && r->mailboxes == before && !r->group)
		return r->group = 1;
	if (words)
		return ERR_FORMAT;
	if (token == ',')
		return 1;
	if (token == ';' && r->group) {
		r->group = 0;
		return 1;
	}
	if (token == END && !r->group)
		return r->mailboxes ? 0 : ERR_FORMAT;
	return ERR_FORMAT;
}

int mail_dkim_from(struct span value, char domain[MAIL_DKIM_DOMAIN])
{
	struct read r = {.rest = value, .domain = domain};
	int go_on = 1;

	domain[0] = '\0';
	while (go_on == 1) {
		unsigned words, before = r.mailboxes;
		int token = take_mailbox(&r, &words);
		go_on = token < 0 ? token : behind(&r, token, words, before);
	}
	return go_on;
}
