/* SPDX-License-Identifier: Apache-2.0 */
/* mail_dsn's tables: reports that are only text. */
#include "core/err.h"
#include "mail/mail_dsn.h"
#include "mail/mail_header.h"

/* begin: words that stand in front of the list of recipients, in any case; white space in the text counts
 * as one blank. end: where the list is over, NULL: with the text. The first row that is found counts. */
static const struct {
	const char *dialect, *begin, *end;
	enum mail_dsn_action action;
} dialects[] = {
    {"qmail", "this is the qmail-send program", "--- below this line is", MAIL_DSN_FAILED},
    {"qmail", "i wasn't able to deliver your message to the following address",
     "--- below this line is", MAIL_DSN_FAILED},
    {"exim", "has not yet been delivered to one or more of its recipients", "no action is required",
     MAIL_DSN_DELAYED},
    {"exim", "could not be delivered to one or more of its recipients", "------ this is a copy",
     MAIL_DSN_FAILED},
    {"exim", "could not be delivered to all of its recipients", "------ this is a copy",
     MAIL_DSN_FAILED},
    {"sendmail", "warning: message still undelivered", "----- transcript of session",
     MAIL_DSN_DELAYED},
    {"sendmail", "the following addresses had transient non-fatal errors",
     "----- transcript of session", MAIL_DSN_DELAYED},
    {"sendmail", "the following addresses had permanent fatal errors",
     "----- original message follows", MAIL_DSN_FAILED},
    {"gmx", "could not be delivered to one or more of the following", "--- the header",
     MAIL_DSN_FAILED},
    {"gmx", "the following address failed", "--- the header", MAIL_DSN_FAILED},
    {"gmx", "the following addresses failed", "--- the header", MAIL_DSN_FAILED},
    {"postfix", "your message could not be delivered for more than", "--- below is a copy",
     MAIL_DSN_DELAYED},
    {"postfix", "could not be delivered to one or more recipients", "--- below is a copy",
     MAIL_DSN_FAILED},
    {"postfix", "your message could not be delivered", "--- below is a copy", MAIL_DSN_FAILED},
    {"exchange", "the following recipient(s) could not be reached", NULL, MAIL_DSN_FAILED},
    {"exchange", "the following recipient(s) cannot be reached", NULL, MAIL_DSN_FAILED},
    {"exchange", "delivery is delayed to these recipients", "original message headers",
     MAIL_DSN_DELAYED},
    {"exchange", "delivery has failed to these recipients", "original message headers",
     MAIL_DSN_FAILED},
    {"exchange", "your message wasn't delivered to", "original message headers", MAIL_DSN_FAILED},
    {"exchange", "your message to the following recipients cannot be delivered", NULL,
     MAIL_DSN_FAILED},
    {"opensmtpd", "a message is delayed for more than", "below is a copy of the original",
     MAIL_DSN_DELAYED},
    {"opensmtpd", "an error has occurred while attempting to deliver a message for",
     "below is a copy of the original", MAIL_DSN_FAILED},
    {"gmail", "delivery to the following recipient has been delayed", "----- original message",
     MAIL_DSN_DELAYED},
    {"gmail", "delivery to the following recipient failed permanently", "----- original message",
     MAIL_DSN_FAILED},
    {"gmail", "delivery to the following recipients failed permanently", "----- original message",
     MAIL_DSN_FAILED},
    {"yahoo", "we were unable to deliver your message to the following address",
     "--- below this line is", MAIL_DSN_FAILED},
    {"domino", "was not delivered to", NULL, MAIL_DSN_FAILED},
    {"other", "the following recipients did not receive", NULL, MAIL_DSN_FAILED},
    {"other", "undeliverable to the following", NULL, MAIL_DSN_FAILED},
};
enum { DIALECTS = sizeof(dialects) / sizeof(dialects[0]) };

static int is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '>' || c == '|';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Bytes of s that words take at its start, or 0. */
static size_t words_at(struct span s, const char *words)
{
	size_t i = 0;

	for (; *words; words++) {
		size_t had = i;
		if (*words != ' ') {
			if (i >= s.n || lower(s.p[i++]) != (uint8_t)*words)
				return 0;
			continue;
		}
		while (i < s.n && is_space(s.p[i]) && i - had < 80)
			i++;
		if (i == had)
			return 0;
	}
	return i;
}

/* Where words begin in s, *len what they take; -1. */
static ptrdiff_t words_find(struct span s, const char *words, size_t *len)
{
	for (size_t i = 0; i < s.n; i++) {
		if (lower(s.p[i]) != (uint8_t)words[0])
			continue;
		*len = words_at(span_sub(s, i, s.n), words);
		if (*len)
			return (ptrdiff_t)i;
	}
	return -1;
}

/* --- the list */

/* The address with which a line begins, bullets and brackets aside. */
static size_t leading_address(char dst[MAIL_REPORT_ADDRESS], struct span line)
{
	static const char opening[] = " \t<('\"*:";
	struct span word;
	size_t i = 0, n;

	while (i < line.n && line.p[i] && strchr(opening, line.p[i]))
		i++;
	word = span_sub(line, i, line.n);
	if (word.n > 5 && span_equal_nocase(span_sub(word, 0, 4), SPAN_LIT("SMTP")) &&
	    word.p[4] == ':')
		word = span_sub(word, 5, word.n);
	n = 0;
	while (n < word.n && word.p[n] > ' ')
		n++;
	word = span_sub(word, 0, n);
	n = mail_report_first(dst, word);
	return n && !memcmp(dst, word.p, n) ? n : 0;
}

/* "Name (user@example.org)", "Name <user@example.org>" alone on a line, as Exchange writes it. */
static size_t named_address(char dst[MAIL_REPORT_ADDRESS], struct span line)
{
	size_t n = mail_report_first(dst, line);
	struct span rest = line;

	while (rest.n && (is_space(rest.p[rest.n - 1]) || rest.p[rest.n - 1] == ')'))
		rest.n--;
	if (!n || rest.n <= n || memcmp(rest.p + rest.n - n, dst, n) != 0)
		return 0;
	rest.n -= n;
	return rest.p[rest.n - 1] == '(' || rest.p[rest.n - 1] == '<' ? n : 0;
}

static void add_text(struct mail_dsn_recipient *r, struct span line)
{
	size_t n = strlen(r->text);

	if (n && n + 2 < sizeof(r->text))
		r->text[n++] = ' ';
	mail_header_unfold(r->text + n, sizeof(r->text) - n, line);
	if (n && !r->text[n])
		r->text[n - 1] = '\0';
}

/* The line names somebody new: he is the one that what follows is about. */
static struct mail_dsn_recipient *begin(struct mail_dsn *d, const char *address, struct span line,
					enum mail_dsn_action action)
{
	struct mail_dsn_recipient *r = d->count ? &d->recipients[d->count - 1] : NULL;
	ptrdiff_t at;

	if (r && !strcmp(r->address, address)) {
		add_text(r, line);
		return r;
	}
	if (d->count == MAIL_DSN_RECIPIENTS)
		return NULL;
	r = &d->recipients[d->count++];
	r->action = action;
	memcpy(r->address, address, strlen(address) + 1);
	at = (const uint8_t *)memmem(line.p, line.n, address, strlen(address)) - line.p;
	line = span_sub(line, (size_t)at + strlen(address), line.n);
	while (line.n && strchr(">)'\": \t", line.p[0]) && line.p[0])
		line = span_sub(line, 1, line.n);
	add_text(r, line);
	return r;
}

static void read_list(struct span s, struct mail_dsn *d, enum mail_dsn_action action)
{
	struct mail_dsn_recipient *r = NULL;
	char address[MAIL_REPORT_ADDRESS];

	while (s.n) {
		ptrdiff_t lf = span_find(s, '\n');
		struct span line = span_sub(s, 0, lf < 0 ? s.n : (size_t)lf + 1);
		s = span_sub(s, line.n, s.n);
		if (leading_address(address, line) || named_address(address, line))
			r = begin(d, address, line, action);
		else if (r)
			add_text(r, line);
	}
	for (unsigned i = 0; i < d->count; i++)
		mail_dsn_codes(d->recipients[i].text, &d->recipients[i].code,
			       d->recipients[i].status);
}

int mail_dsn_text(struct span text, struct mail_dsn *d)
{
	for (unsigned i = 0; i < DIALECTS; i++) {
		size_t len = 0;
		ptrdiff_t at = words_find(text, dialects[i].begin, &len);
		struct span list;
		if (at < 0)
			continue;
		list = span_sub(text, (size_t)at + len, text.n);
		at = dialects[i].end ? words_find(list, dialects[i].end, &len) : -1;
		if (at >= 0)
			list.n = (size_t)at;
		d->dialect = dialects[i].dialect;
		read_list(list, d, dialects[i].action);
		if (d->count)
			return 0;
	}
	return ERR_NOTFOUND;
}
