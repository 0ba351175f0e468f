/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_report.h"

#include "mail/mail_header.h"
#include "mail/mail_mime.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253 };

void mail_report_init(struct mail_report *r)
{
	memset(r, 0, sizeof(*r));
	buf_init_wiped(&r->text, MAIL_REPORT_PART);
	buf_init_wiped(&r->machine, MAIL_REPORT_PART);
	buf_init_wiped(&r->original, MAIL_REPORT_PART);
}

void mail_report_clear(struct mail_report *r)
{
	buf_clear(&r->text);
	buf_clear(&r->machine);
	buf_clear(&r->original);
}

/* --- parts */

/* The first of its kind counts. */
static void take(struct buf *into, const struct mail_mime_part *p)
{
	if (buf_size(into) == 0)
		mail_mime_decode(into, p->encoding, p->body);
}

static void take_text(struct mail_report *r, const struct mail_mime_part *p)
{
	take(&r->text, p);
}

static void take_status(struct mail_report *r, const struct mail_mime_part *p)
{
	if (r->kind == MAIL_REPORT_NONE)
		r->kind = MAIL_REPORT_DSN;
	if (r->kind == MAIL_REPORT_DSN)
		take(&r->machine, p);
}

static void take_feedback(struct mail_report *r, const struct mail_mime_part *p)
{
	if (r->kind == MAIL_REPORT_DSN)
		return;
	r->kind = MAIL_REPORT_FEEDBACK;
	take(&r->machine, p);
}

static void take_original(struct mail_report *r, const struct mail_mime_part *p)
{
	size_t had = buf_size(&r->original), n;

	take(&r->original, p);
	if (!had) {
		n = mail_header_length(buf_span(&r->original));
		r->original.len = r->original.off + n;
	}
}

static const struct {
	const char *type;
	void (*take)(struct mail_report *r, const struct mail_mime_part *p);
} types[] = {
    {"message/delivery-status", take_status},
    {"message/global-delivery-status", take_status},
    {"message/feedback-report", take_feedback},
    {"message/rfc822", take_original},
    {"message/global", take_original},
    {"message/rfc822-headers", take_original},
    {"message/global-headers", take_original},
    {"text/rfc822-headers", take_original},
    {"text/rfc822", take_original},
    {"text/plain", take_text},
    {"text/html", take_text},
};

static int part(void *arg, const struct mail_mime_part *p)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(types[i].type, p->type))
			types[i].take(arg, p);
	return 0;
}

void mail_report_read(struct mail_report *r, struct span message)
{
	r->header = span_sub(message, 0, mail_header_length(message));
	mail_mime_walk(message, part, r);
}

/* --- addresses */

static int is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int is_local(uint8_t c)
{
	return is_alnum(c) || c >= 0x80 || (c && strchr(".!#$%&'*+-/=?^_`{|}~", c));
}

static int is_domain(uint8_t c)
{
	return is_alnum(c) || c >= 0x80 || c == '.' || c == '-' || c == '_';
}

/* What lies around the "@" at at, not before floor: an address, or empty. */
static struct span around(struct span s, size_t floor, size_t at)
{
	size_t from = at, to = at + 1;

	while (from > floor && at - from < LOCAL_MAX && is_local(s.p[from - 1]))
		from--;
	while (from < at && (s.p[from] == '\'' || s.p[from] == '.'))
		from++;
	while (to < s.n && to - at <= DOMAIN_MAX && is_domain(s.p[to]))
		to++;
	while (to > at + 1 && (s.p[to - 1] == '.' || s.p[to - 1] == '-'))
		to--;
	if (from == at || to == at + 1 || s.p[at + 1] == '.' || s.p[at - 1] == '.')
		return span_sub(s, 0, 0);
	return span_sub(s, from, to - from);
}

int mail_report_scan(struct span text, mail_report_address_fn fn, void *arg)
{
	size_t at = 0, floor = 0;
	int stop = 0;

	while (!stop && at < text.n) {
		ptrdiff_t next = span_find(span_sub(text, at, text.n), '@');
		struct span a;
		if (next < 0)
			break;
		at += (size_t)next;
		a = around(text, floor, at);
		if (a.n)
			stop = fn(arg, a);
		at = a.n ? (size_t)(a.p - text.p) + a.n : at + 1;
		floor = at;
	}
	return stop;
}

static const struct {
	const char *name;
	unsigned role;
} fields[] = {
    {"To", MAIL_REPORT_TO},
    {"Cc", MAIL_REPORT_TO},
    {"Delivered-To", MAIL_REPORT_TO},
    {"Envelope-To", MAIL_REPORT_TO},
    {"Original-Recipient", MAIL_REPORT_TO},
    {"Resent-To", MAIL_REPORT_TO},
    {"X-Delivered-To", MAIL_REPORT_TO},
    {"X-Envelope-To", MAIL_REPORT_TO},
    {"X-Failed-Recipients", MAIL_REPORT_TO},
    {"X-HmXmrOriginalRecipient", MAIL_REPORT_TO},
    {"X-Original-To", MAIL_REPORT_TO},
    {"X-Rcpt-To", MAIL_REPORT_TO},
    {"Received", MAIL_REPORT_TO}, /* "for <...>" */
    {"Return-Path", MAIL_REPORT_FROM},
    {"Envelope-From", MAIL_REPORT_FROM},
    {"Received-SPF", MAIL_REPORT_FROM},
    {"Authentication-Results", MAIL_REPORT_FROM},
    {"X-Envelope-From", MAIL_REPORT_FROM},
    {"X-Original-Return-Path", MAIL_REPORT_FROM},
    {"X-Sender", MAIL_REPORT_FROM},
};

static unsigned role_of(struct span name)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (span_equal_nocase(name, span_str(fields[i].name)))
			return fields[i].role;
	return 0;
}

int mail_report_addresses(struct span header, unsigned roles, mail_report_address_fn fn, void *arg)
{
	struct mail_header_field f;
	struct mail_header h;
	int stop = 0;

	mail_header_init(&h, header, 0);
	while (!stop && mail_header_next(&h, &f) == 1)
		if (role_of(f.name) & roles)
			stop = mail_report_scan(f.value, fn, arg);
	return stop;
}

static int copy_first(void *arg, struct span address)
{
	return span_copy_str(arg, MAIL_REPORT_ADDRESS, address) == 0;
}

size_t mail_report_first(char dst[MAIL_REPORT_ADDRESS], struct span text)
{
	dst[0] = '\0';
	if (mail_report_scan(text, copy_first, dst) != 1)
		dst[0] = '\0';
	return strlen(dst);
}
