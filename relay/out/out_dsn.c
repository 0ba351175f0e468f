/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_dsn.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "relay/out/out_verdict.h"

enum { FOLD_AT = 76, ADDRESS_ROOM = 960 /* with its field name within a line of 998 */ };

static int is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return 0;
	return 1;
}

static int has_high(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return 1;
	return 0;
}

/* One UTF-8 sequence at s: its length, *c the character; 1 and the octet itself if it is none. */
static size_t take_utf8(const unsigned char *s, uint32_t *c)
{
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;

	*c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*c = s[0];
			return 1;
		}
		*c = *c << 6 | (s[i] & 0x3f);
	}
	return n;
}

/* address as it may stand in a report: ASCII, one line (RFC 6533 3, utf-8-addr-xtext). */
static const char *encode_address(char dst[ADDRESS_ROOM], const char *address)
{
	const unsigned char *s = (const unsigned char *)address;
	int ascii = is_ascii(address);
	size_t n = 0;

	while (*s && n + 12 < ADDRESS_ROOM) {
		uint32_t c;
		size_t taken = take_utf8(s, &c);
		if (c < 0x20 || c >= 0x7f || (!ascii && (c == '\\' || c == '+' || c == '=')))
			n += (size_t)snprintf(dst + n, ADDRESS_ROOM - n, "\\x{%X}", (unsigned)c);
		else
			dst[n++] = (char)c;
		s += taken;
	}
	dst[n] = '\0';
	return dst;
}

/* "Name: text", folded at spaces. Texts without a space for long are cut into pieces. */
static void put_folded(struct buf *out, const char *start, const char *text)
{
	size_t column = strlen(start);

	buf_put_str(out, start);
	while (*text) {
		size_t word = 1 + strcspn(text + 1, " ");
		if (word > FOLD_AT)
			word = FOLD_AT;
		if (column + word > FOLD_AT && column > 1) {
			buf_put_str(out, "\r\n");
			if (*text != ' ')
				buf_put_str(out, " ");
			column = 1;
		}
		buf_put(out, text, word);
		column += word;
		text += word;
	}
	buf_put_str(out, "\r\n");
}

/* --- what is told, and how */

/* By outcome: bit of NOTIFY that asks for it, whether it is told when nothing was said, Action, and the
 * words for people. */
static const struct told {
	uint32_t notify;
	int usual;
	const char *action, *subject, *text;
	const char *after; /* of text, behind the time until which is tried */
} tellings[] = {
    [SPOOL_BOUNCED] =
	{SPOOL_NOTIFY_FAILURE, 1, "failed", "Your message could not be delivered",
	 "Your message could not be delivered to the recipients below, and it will\r\n"
	 "not be tried again for them. What the servers answered is shown with each;\r\n"},
    [SPOOL_DEFERRED] =
	{SPOOL_NOTIFY_DELAY, 1, "delayed", "Your message is late",
	 "Your message could not be delivered yet to the recipients below. You need not\r\n"
	 "do anything: it is tried again until ",
	 "\r\nWhat the servers answered is shown with each;\r\n"},
    [SPOOL_DELIVERED] =
	{SPOOL_NOTIFY_SUCCESS, 0, "relayed", "Your message was handed on",
	 "Your message was handed on for the recipients below, to servers that send no\r\n"
	 "confirmations of their own: this is the last that you hear of it. What they\r\n"
	 "answered is shown with each;\r\n"},
};
/* In the order in which the parts of the text stand. */
static const uint8_t order[] = {SPOOL_BOUNCED, SPOOL_DEFERRED, SPOOL_DELIVERED};
enum { ORDERS = sizeof(order) / sizeof(order[0]) };

static unsigned kind_of(const struct queue_result *r)
{
	return r->outcome == SPOOL_EXPIRED ? SPOOL_BOUNCED : r->outcome;
}

int out_dsn_tells(const struct spool_envelope *e, const struct queue_result *r, int delay)
{
	unsigned kind = kind_of(r);
	uint32_t notify;

	if ((e->flags & SPOOL_REPORT) || r->recipient >= e->count ||
	    kind >= sizeof(tellings) / sizeof(tellings[0]) || !tellings[kind].action ||
	    (kind == SPOOL_DEFERRED && !delay) || (kind == SPOOL_DELIVERED && r->dsn_passed))
		return 0;
	notify = e->recipients[r->recipient].notify;
	if (!notify)
		return tellings[kind].usual;
	return !(notify & SPOOL_NOTIFY_NEVER) && (notify & tellings[kind].notify);
}

/* Whether result i is told, as kind (0: as any). */
static int told(const struct out_dsn *d, unsigned i, unsigned kind)
{
	return out_dsn_tells(d->envelope, &d->results[i], d->delay) &&
	       (!kind || kind_of(&d->results[i]) == kind);
}

static int told_any(const struct out_dsn *d, unsigned kind)
{
	for (unsigned i = 0; i < d->count; i++)
		if (told(d, i, kind))
			return 1;
	return 0;
}

static const char *address_of(const struct out_dsn *d, unsigned i)
{
	return d->envelope->recipients[d->results[i].recipient].address;
}

/* The one place where UTF-8 may stand as it is. */
static void put_sender(const char *sender, struct buf *out)
{
	buf_put_str(out, "To: <");
	for (; *sender; sender++)
		if ((unsigned char)*sender >= 0x20)
			buf_put(out, sender, 1);
	buf_put_str(out, ">\r\n");
}

static void put_head(const struct out_dsn *d, struct buf *out, int flags)
{
	char date[32], id[ID_TEXT_SIZE];

	clock_format_mail(date, d->now);
	id_format(id, d->id);
	buf_putf(out, "From: Mail delivery <MAILER-DAEMON@%s>\r\n", d->hostname);
	put_sender(d->envelope->sender, out);
	for (unsigned i = 0; i < ORDERS; i++)
		if (told_any(d, order[i])) {
			buf_putf(out, "Subject: %s\r\n", tellings[order[i]].subject);
			break;
		}
	buf_putf(out, "Date: %s\r\n", date);
	buf_putf(out, "Message-ID: <%s@%s>\r\n", id, d->hostname);
	buf_put_str(out, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_put_str(out, "Content-Type: multipart/report; report-type=delivery-status;\r\n");
	buf_putf(out, "\tboundary=\"%s\"\r\n", d->boundary);
	if (flags & SPOOL_8BIT)
		buf_put_str(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_put_str(out, "\r\n");
}

static void put_part(const struct out_dsn *d, struct buf *out, const char *type)
{
	buf_putf(out, "--%s\r\nContent-Type: %s\r\n", d->boundary, type);
}

static void put_reason(const struct out_dsn *d, const struct queue_result *r, struct buf *out)
{
	char line[sizeof(r->reply) + 400];

	if (r->outcome == SPOOL_EXPIRED)
		buf_put_str(out, r->reply[0]
				     ? "    Its time ran out. The last attempt failed so:\r\n"
				     : "    Its time ran out.\r\n");
	if (r->code)
		snprintf(line, sizeof(line), "%s said: %u %s",
			 d->remote && r->outcome != SPOOL_EXPIRED ? d->remote : "The server",
			 r->code, r->reply);
	else
		snprintf(line, sizeof(line), "%s", r->reply);
	if (r->code || r->reply[0])
		put_folded(out, "    ", line);
	buf_put_str(out, "\r\n");
}

static void put_kind(const struct out_dsn *d, unsigned kind, struct buf *out)
{
	char address[ADDRESS_ROOM], until[32];

	if (!told_any(d, kind))
		return;
	clock_format_mail(until, d->until);
	buf_put_str(out, tellings[kind].text);
	if (tellings[kind].after)
		buf_putf(out, "%s.%s", until, tellings[kind].after);
	buf_putf(out, "%s attached.\r\n\r\n",
		 d->full ? "your message is" : "the headers of your message are");
	for (unsigned i = 0; i < d->count; i++) {
		if (!told(d, i, kind))
			continue;
		buf_put_str(out, "<");
		buf_put_str(out, encode_address(address, address_of(d, i)));
		buf_put_str(out, ">\r\n");
		put_reason(d, &d->results[i], out);
	}
}

static void put_text(const struct out_dsn *d, struct buf *out)
{
	char id[ID_TEXT_SIZE];

	put_part(d, out, "text/plain; charset=us-ascii");
	buf_putf(out, "\r\nThis is the mail relay at %s.\r\n\r\n", d->hostname);
	for (unsigned i = 0; i < ORDERS; i++)
		put_kind(d, order[i], out);
	id_format(id, d->original);
	buf_putf(out, "For the administrator: message %s\r\n\r\n", id);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What xtext (RFC 3461 4) stands for, as one line of printable ASCII; raw: as it is. */
static const char *decode_xtext(char dst[ADDRESS_ROOM], const char *s, int raw)
{
	size_t n = 0;

	while (*s && n + 1 < ADDRESS_ROOM) {
		int high = *s == '+' && !raw ? hex_digit(s[1]) : -1;
		int low = high >= 0 ? hex_digit(s[2]) : -1;
		int c = low >= 0 ? high << 4 | low : (unsigned char)*s;
		dst[n++] = (char)(c < ' ' || c >= 0x7f ? '?' : c);
		s += low >= 0 ? 3 : 1;
	}
	dst[n] = '\0';
	return dst;
}

/* The address as the sender gave it: "rfc822;user+2Btag@example.org". utf-8 has an encoding of its own,
 * which is for here too. */
static void put_original(const char *orcpt, struct buf *out)
{
	const char *semi = orcpt ? strchr(orcpt, ';') : NULL;
	char type[ADDRESS_ROOM], address[ADDRESS_ROOM];

	if (!semi || semi == orcpt || !semi[1])
		return;
	decode_xtext(type, orcpt, 1);
	type[semi - orcpt] = '\0';
	decode_xtext(address, semi + 1, !strcasecmp(type, "utf-8"));
	if (strlen(type) + strlen(address) < ADDRESS_ROOM)
		buf_putf(out, "Original-Recipient: %s; %s\r\n", type, address);
}

static void put_status(const struct out_dsn *d, unsigned i, struct buf *out)
{
	const struct queue_result *r = &d->results[i];
	char address[ADDRESS_ROOM], status[OUT_VERDICT_STATUS], text[sizeof(r->reply) + 16];
	char until[32];
	const char *plain = address_of(d, i);

	out_verdict_status(r, status);
	buf_put_str(out, "\r\n");
	put_original(d->envelope->recipients[r->recipient].orcpt, out);
	buf_putf(out, "Final-Recipient: %s; ", is_ascii(plain) ? "rfc822" : "utf-8");
	buf_put_str(out, encode_address(address, plain));
	buf_putf(out, "\r\nAction: %s\r\nStatus: %s\r\n", tellings[kind_of(r)].action,
		 r->outcome == SPOOL_EXPIRED ? "4.4.7" : status);
	if (r->code) {
		if (d->remote && r->outcome != SPOOL_EXPIRED)
			buf_putf(out, "Remote-MTA: dns; %s\r\n", d->remote);
		snprintf(text, sizeof(text), " %u %s", r->code, r->reply);
		put_folded(out, "Diagnostic-Code: smtp;", text);
	} else if (r->reply[0]) {
		snprintf(text, sizeof(text), " %s", r->reply);
		put_folded(out, "Diagnostic-Code: x-sealpost;", text);
	}
	if (r->outcome == SPOOL_DEFERRED) {
		clock_format_mail(until, d->until);
		buf_putf(out, "Will-Retry-Until: %s\r\n", until);
	}
}

static void put_report(const struct out_dsn *d, struct buf *out)
{
	char date[32], envid[ADDRESS_ROOM];

	put_part(d, out, "message/delivery-status");
	buf_put_str(out, "\r\n");
	if (d->envelope->envid && d->envelope->envid[0])
		buf_putf(out, "Original-Envelope-Id: %s\r\n",
			 decode_xtext(envid, d->envelope->envid, 0));
	clock_format_mail(date, d->envelope->created);
	buf_putf(out, "Reporting-MTA: dns; %s\r\nArrival-Date: %s\r\n", d->hostname, date);
	for (unsigned i = 0; i < d->count; i++)
		if (told(d, i, 0))
			put_status(d, i, out);
	buf_put_str(out, "\r\n");
}

static void put_original_part(const struct out_dsn *d, struct buf *out, int high)
{
	int global = high && (d->envelope->flags & SPOOL_UTF8);

	if (d->full)
		put_part(d, out, global ? "message/global" : "message/rfc822");
	else
		put_part(d, out, global ? "message/global-headers" : "text/rfc822-headers");
	if (high)
		buf_put_str(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_put_str(out, "\r\n");
}

int out_dsn_end(const struct out_dsn *d, int whole, struct buf *out)
{
	buf_putf(out, "%s\r\n--%s--\r\n", whole ? "" : "\r\n", d->boundary);
	return buf_failed(out);
}

int out_dsn_format(const struct out_dsn *d, struct buf *out, int *flags)
{
	int high =
	    d->full ? (d->envelope->flags & (SPOOL_8BIT | SPOOL_UTF8)) != 0 : has_high(d->headers);

	*flags = high ? SPOOL_8BIT : 0;
	if (!is_ascii(d->envelope->sender))
		*flags |= SPOOL_8BIT | SPOOL_UTF8;
	put_head(d, out, *flags);
	put_text(d, out);
	put_report(d, out);
	put_original_part(d, out, high);
	if (!d->full) {
		buf_put_span(out, d->headers);
		out_dsn_end(d, 1, out);
	}
	return buf_failed(out);
}

/* --- the original's headers */

/* Cuts at the last line end after which a new header, not a continuation, may begin. */
void out_dsn_gathered(struct buf *headers)
{
	struct span s = buf_span(headers);
	size_t n = s.n;

	while (n >= 2 && !(s.p[n - 2] == '\r' && s.p[n - 1] == '\n' &&
			   (n == s.n || (s.p[n] != ' ' && s.p[n] != '\t'))))
		n--;
	if (n < 2)
		n = 0;
	headers->len -= s.n - n;
	headers->failed = 0;
}

int out_dsn_gather(struct buf *headers, struct span stretch)
{
	size_t had = buf_size(headers), room = buf_room(headers), from = had < 3 ? 0 : had - 3;
	struct span s;
	const uint8_t *end;

	if (buf_put(headers, stretch.p, stretch.n < room ? stretch.n : room) < 0) {
		out_dsn_gathered(headers);
		return 1;
	}
	s = buf_span(headers);
	if (s.n >= 2 && s.p[0] == '\r' && s.p[1] == '\n') { /* no header at all */
		buf_reset(headers);
		return 1;
	}
	end = s.n ? memmem(s.p + from, s.n - from, "\r\n\r\n", 4) : NULL;
	if (end) {
		headers->len -= s.n - (size_t)(end + 2 - s.p);
		return 1;
	}
	if (stretch.n < room)
		return 0;
	out_dsn_gathered(headers);
	return 1;
}
