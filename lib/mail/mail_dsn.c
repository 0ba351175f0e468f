/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_dsn.h"

#include "core/err.h"
#include "mail/mail_header.h"

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- codes in a text */

static size_t digits(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && is_digit(s[n]))
		n++;
	return n;
}

/* Length of "5.1.1" at s, or 0. Part of a longer number (an address, a version) is none. */
static size_t status_at(const char *s)
{
	size_t n = 2, more;

	if ((*s != '2' && *s != '4' && *s != '5') || s[1] != '.')
		return 0;
	more = digits(s + n, 3);
	if (!more || s[n + more] != '.')
		return 0;
	n += more + 1;
	more = digits(s + n, 3);
	n += more;
	if (!more || is_alnum(s[n]) || (s[n] == '.' && is_digit(s[n + 1])))
		return 0;
	return n;
}

static unsigned code_at(const char *s)
{
	if ((*s != '4' && *s != '5') || s[1] < '0' || s[1] > '5' || !is_digit(s[2]))
		return 0;
	if (s[3] && s[3] != ' ' && s[3] != '-' && s[3] != ',' && s[3] != ':' && s[3] != ';')
		return 0;
	return (unsigned)(s[0] - '0') * 100 + (unsigned)(s[1] - '0') * 10 + (unsigned)(s[2] - '0');
}

void mail_dsn_codes(const char *text, unsigned *code, char status[MAIL_DSN_STATUS])
{
	char before = ' ';

	*code = 0;
	status[0] = '\0';
	for (const char *s = text; *s; before = *s++) {
		size_t n;
		if (is_alnum(before) || before == '.')
			continue;
		if (!*code && before != '-')
			*code = code_at(s);
		n = status[0] ? 0 : status_at(s);
		if (n) {
			memcpy(status, s, n);
			status[n] = '\0';
		}
		if (*code && status[0])
			return;
	}
}

/* --- RFC 3464 */

/* "\x{E9}" in a utf-8 address (RFC 6533 3) becomes the character. */
static void undo_escapes(char *s)
{
	char *to = s;

	while (*s) {
		uint32_t c = 0;
		char *end = s + 3;
		if (strncmp(s, "\\x{", 3)) {
			*to++ = *s++;
			continue;
		}
		while (end < s + 9 && (is_digit(*end) || (*end >= 'A' && *end <= 'F')))
			c = c << 4 | (uint32_t)(*end <= '9' ? *end - '0' : *end - 'A' + 10), end++;
		if (*end != '}' || c < ' ' || c == 0x7f || c > 0x10ffff) {
			*to++ = *s++;
			continue;
		}
		if (c < 0x80) {
			*to++ = (char)c;
		} else {
			int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
			*to++ = (char)(c >> 6 * more | (0xff00u >> (more + 1) & 0xff));
			while (more--)
				*to++ = (char)(0x80 | (c >> 6 * more & 0x3f));
		}
		s = end + 1;
	}
	*to = '\0';
}

/* "rfc822; user@example.org" */
static void put_address(char dst[MAIL_REPORT_ADDRESS], struct span value)
{
	char line[MAIL_REPORT_ADDRESS * 3];
	ptrdiff_t semi = span_find(value, ';');

	mail_header_unfold(line, sizeof(line), span_sub(value, (size_t)(semi + 1), value.n));
	undo_escapes(line);
	mail_report_first(dst, span_str(line));
}

static void put_action(struct mail_dsn_recipient *r, struct span value)
{
	static const struct {
		const char *name;
		enum mail_dsn_action action;
	} actions[] = {{"failed", MAIL_DSN_FAILED},	  {"delayed", MAIL_DSN_DELAYED},
		       {"delivered", MAIL_DSN_DELIVERED}, {"relayed", MAIL_DSN_RELAYED},
		       {"expanded", MAIL_DSN_EXPANDED},	  {"failure", MAIL_DSN_FAILED}};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		size_t n = strlen(actions[i].name);
		if (value.n >= n && !(value.n > n && is_alnum((char)value.p[n])) &&
		    span_equal_nocase(span_sub(value, 0, n), span_of(actions[i].name, n)))
			r->action = actions[i].action;
	}
}

static void take_original(struct mail_dsn_recipient *r, struct span value)
{
	put_address(r->original, value);
}

static void take_final(struct mail_dsn_recipient *r, struct span value)
{
	put_address(r->address, value);
}

static void take_status(struct mail_dsn_recipient *r, struct span value)
{
	char line[64];
	size_t n;

	mail_header_unfold(line, sizeof(line), value);
	n = status_at(line);
	if (n) {
		memcpy(r->status, line, n);
		r->status[n] = '\0';
	}
}

static void take_diagnostic(struct mail_dsn_recipient *r, struct span value)
{
	ptrdiff_t semi = span_find(span_sub(value, 0, 20), ';');

	mail_header_unfold(r->text, sizeof(r->text), span_sub(value, (size_t)(semi + 1), value.n));
}

static const struct {
	const char *name;
	void (*take)(struct mail_dsn_recipient *r, struct span value);
} fields[] = {
    {"Original-Recipient", take_original},
    {"Final-Recipient", take_final},
    {"Action", put_action},
    {"Status", take_status},
    {"Diagnostic-Code", take_diagnostic},
};

/* One block: 1 if it is about a recipient. */
static int read_block(struct mail_header *h, struct mail_dsn_recipient *r)
{
	struct mail_header_field f;
	char status[MAIL_DSN_STATUS];

	memset(r, 0, sizeof(*r));
	while (mail_header_next(h, &f) == 1)
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (span_equal_nocase(f.name, span_str(fields[i].name)))
				fields[i].take(r, f.value);
	mail_dsn_codes(r->text, &r->code, status);
	if (!r->status[0])
		memcpy(r->status, status, sizeof(status));
	return r->action != MAIL_DSN_UNKNOWN || r->address[0];
}

static void read_message_block(struct span block, struct mail_dsn *d)
{
	struct span value;

	if (mail_header_find(block, "Original-Envelope-Id", &value))
		mail_header_unfold(d->envid, sizeof(d->envid), value);
}

static int read_status(struct span s, struct mail_dsn *d)
{
	struct mail_header h;

	read_message_block(s, d);
	while (s.n && d->count < MAIL_DSN_RECIPIENTS) {
		mail_header_init(&h, s, 0);
		d->count += (unsigned)read_block(&h, &d->recipients[d->count]);
		s = h.rest;
	}
	return d->count ? 0 : ERR_NOTFOUND;
}

/* A block that names nobody, in a report about one: some write the address in their header alone. */
static void complete(const struct mail_report *r, struct mail_dsn *d)
{
	struct span value;

	if (d->count == 1 && !d->recipients[0].address[0] &&
	    mail_header_find(r->header, "X-Failed-Recipients", &value))
		mail_report_first(d->recipients[0].address, value);
}

int mail_dsn_read(const struct mail_report *r, struct mail_dsn *d)
{
	struct span value;
	int rc = ERR_NOTFOUND;

	memset(d, 0, sizeof(*d));
	d->dialect = "rfc3464";
	if (r->kind == MAIL_REPORT_FEEDBACK)
		return ERR_NOTFOUND;
	if (r->kind == MAIL_REPORT_DSN)
		rc = read_status(buf_span(&r->machine), d);
	if (rc < 0)
		rc = mail_dsn_text(buf_span(&r->text), d);
	if (rc < 0 && mail_header_find(r->header, "X-Failed-Recipients", &value)) {
		d->dialect = "exim";
		d->recipients[0].action = MAIL_DSN_FAILED;
		d->count = mail_report_first(d->recipients[0].address, value) != 0;
		rc = d->count ? 0 : ERR_NOTFOUND;
	}
	if (rc == 0)
		complete(r, d);
	return rc;
}
