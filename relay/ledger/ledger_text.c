/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_text.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/id.h"
#include "relay/bounce/bounce_class.h"
#include "relay/queue/queue.h"
#include "relay/track/track_bot.h"

static const char *const reasons[] = {
#define QUEUE_X(sym, num, text) [num] = #sym,
    QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
};

static struct span next_text(struct span *s)
{
	ptrdiff_t n = span_find(*s, 0);
	struct span out = span_sub(*s, 0, n < 0 ? s->n : (size_t)n);

	*s = span_sub(*s, out.n + 1, s->n);
	return out;
}

void ledger_text_split(struct span plain, struct ledger_text_plain *out)
{
	out->recipient = next_text(&plain);
	out->sender = next_text(&plain);
	out->reply = next_text(&plain);
	out->why = NULL;
}

/* --- CSV */

static void cell(struct buf *out, struct span s)
{
	int quote = 0;

	for (size_t i = 0; i < s.n && !quote; i++)
		quote = s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
	if (!quote) {
		buf_put_span(out, s);
		return;
	}
	buf_put(out, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			buf_put(out, "\"", 1);
		buf_put(out, s.p + i, 1);
	}
	buf_put(out, "\"", 1);
}

static void comma(struct buf *out)
{
	buf_put(out, ",", 1);
}

static void number(struct buf *out, uint64_t n)
{
	char text[24], *p = text + sizeof(text);

	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	buf_put(out, p, (size_t)(text + sizeof(text) - p));
}

/* 2026-11-22 06:16:18+0000, as PowerMTA writes it. */
static void pmta_time(struct buf *out, int64_t usec)
{
	char iso[21];

	clock_format_iso(iso, usec);
	iso[10] = ' ';
	buf_put(out, iso, 19);
	buf_put(out, "+0000", 5);
}

static const struct {
	const char *type, *action;
} kinds[] = {[LEDGER_OUTCOME_DELIVERED] = {"d", "relayed"},
	     [LEDGER_OUTCOME_DEFERRED] = {"t", "delayed"},
	     [LEDGER_OUTCOME_BOUNCED] = {"b", "failed"},
	     [LEDGER_OUTCOME_EXPIRED] = {"b", "failed"},
	     [LEDGER_OUTCOME_DELETED] = {"b", "failed"}};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static unsigned kind_of(const struct ledger_row *r)
{
	return r->outcome < KINDS && kinds[r->outcome].type ? r->outcome : LEDGER_OUTCOME_DEFERRED;
}

void ledger_text_csv_head(struct buf *out)
{
	buf_put_str(out, "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,"
			 "bounceCat,srcType,srcMta,dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,"
			 "dlvSize,vmta,jobId,envId,queue,vmtaPool,dlvTlsProtocol,dlvTlsCipher\n");
}

/* "smtp;250 2.0.0 Ok" of what a server said, the text alone where the words are ours. */
static void diagnosis(struct buf *out, const struct ledger_row *r, struct span reply)
{
	struct buf text;

	if (!reply.n) {
		return;
	}
	buf_init(&text, 1024);
	if (r->code)
		buf_putf(&text, "smtp;%u ", r->code);
	buf_put_span(&text, reply);
	cell(out, buf_span(&text));
	buf_clear(&text);
}

static void dsn_mta(struct buf *out, const struct ledger_row *r)
{
	cell(out, r->host);
	if (r->address.n) {
		buf_put(out, " (", 2);
		cell(out, r->address);
		buf_put(out, ")", 1);
	}
}

void ledger_text_csv(struct buf *out, const struct ledger_row *r, const struct ledger_text_plain *p)
{
	unsigned kind = kind_of(r);

	buf_put_str(out, kinds[kind].type);
	comma(out);
	pmta_time(out, r->at);
	comma(out);
	if (r->queued)
		pmta_time(out, r->queued);
	comma(out);
	cell(out, p->sender);
	comma(out);
	cell(out, p->recipient);
	comma(out); /* orcpt */
	comma(out);
	buf_put_str(out, kinds[kind].action);
	comma(out);
	cell(out, r->status);
	comma(out);
	diagnosis(out, r, p->reply);
	comma(out);
	dsn_mta(out, r);
	comma(out);
	if (kind != LEDGER_OUTCOME_DELIVERED)
		buf_put_str(out, bounce_class_name(r->bounce_class));
	buf_put_str(out, ",smtp,,"); /* srcMta */
	buf_put_str(out, r->flags & LEDGER_REACHED ? "smtp," : ",");
	comma(out); /* dlvSourceIp */
	cell(out, r->address);
	comma(out); /* dlvEsmtpAvailable */
	comma(out);
	number(out, r->size);
	comma(out);
	cell(out, r->source);
	comma(out);
	cell(out, r->campaign);
	comma(out); /* envId */
	comma(out);
	cell(out, r->domain);
	if (r->source.n) {
		buf_put(out, "/", 1);
		cell(out, r->source);
	}
	comma(out); /* vmtaPool */
	comma(out);
	if (r->tls)
		buf_put_str(out, ledger_word(LEDGER_WORD_TLS, r->tls));
	comma(out);
	cell(out, r->cipher);
	buf_put(out, "\n", 1);
}

/* --- JSON */

/* Octets of the UTF-8 character that s begins with; 0: it begins with none (RFC 3629). */
static size_t character(struct span s)
{
	static const struct {
		uint8_t from, to, next_from, next_to, n;
	} rows[] = {{0x00, 0x7f, 0, 0, 1},	 {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
	unsigned i = 0;

	while (i < sizeof(rows) / sizeof(*rows) && !(s.p[0] >= rows[i].from && s.p[0] <= rows[i].to))
		i++;
	if (i == sizeof(rows) / sizeof(*rows) || rows[i].n > s.n ||
	    (rows[i].n > 1 && (s.p[1] < rows[i].next_from || s.p[1] > rows[i].next_to)))
		return 0;
	for (size_t k = 2; k < rows[i].n; k++)
		if ((s.p[k] & 0xc0) != 0x80)
			return 0;
	return rows[i].n;
}

/* What other servers replied may be in any charset: octets that are no UTF-8 become U+FFFD, so that the rest can be read. */
static void quoted(struct buf *out, struct span s)
{
	static const char digits[] = "0123456789abcdef";
	size_t from = 0, n;

	buf_put(out, "\"", 1);
	for (size_t i = 0; i < s.n; i += n ? n : 1) {
		uint8_t c = s.p[i];
		char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
		n = c < 0x80 ? 1 : character(span_sub(s, i, s.n - i));
		if (n && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_put(out, s.p + from, i - from);
		buf_put(out, n ? escape : "\\ufffd", 6);
		from = i + 1;
	}
	if (s.n)
		buf_put(out, s.p + from, s.n - from);
	buf_put(out, "\"", 1);
}

static void name(struct buf *out, const char *key)
{
	buf_put(out, ",\"", 2);
	buf_put_str(out, key);
	buf_put(out, "\":", 2);
}

static void put_text(struct buf *out, const char *key, struct span s)
{
	name(out, key);
	quoted(out, s);
}

static void put_word(struct buf *out, const char *key, enum ledger_word list, unsigned n)
{
	put_text(out, key, span_str(ledger_word(list, n)));
}

static void put_number(struct buf *out, const char *key, uint64_t n)
{
	name(out, key);
	number(out, n);
}

static void put_reason(struct buf *out, unsigned reason)
{
	char text[32] = "";

	if (reason < sizeof(reasons) / sizeof(reasons[0]) && reasons[reason])
		snprintf(text, sizeof(text), "%s", reasons[reason]);
	for (char *c = text; *c; c++)
		*c |= 0x20;
	put_text(out, "reason", span_str(text));
}

static void put_plain(struct buf *out, const struct ledger_text_plain *p)
{
	if (p->recipient.p) {
		if (p->recipient.n) { /* the envelope was opened */
			put_text(out, "rcpt", p->recipient);
			put_text(out, "orig", p->sender);
		}
		put_text(out, "reply", p->reply);
	} else if (p->why) {
		put_text(out, "sealed", span_str(p->why));
	}
}

static void put_tls(struct buf *out, const struct ledger_row *r)
{
	if (r->flags & LEDGER_REACHED || r->tls)
		put_word(out, "tls", LEDGER_WORD_TLS, r->tls);
	else
		put_text(out, "tls", span_str(""));
	if (r->tls) {
		put_text(out, "cipher", r->cipher);
		put_text(out, "group", r->group);
		name(out, "resumed");
		buf_put_str(out, r->flags & LEDGER_RESUMED ? "true" : "false");
	} else if (r->clear) {
		put_word(out, "clear", LEDGER_WORD_CLEAR, r->clear);
	}
	put_word(out, "policy", LEDGER_WORD_POLICY, r->policy);
	put_word(out, "verified_by", LEDGER_WORD_BY, r->by);
	if (r->failure.n)
		put_text(out, "failure", r->failure);
	if (r->why.n)
		put_text(out, "why", r->why);
}

void ledger_text_json(struct buf *out, const struct ledger_row *r, const struct ledger_text_plain *p)
{
	char id[ID_TEXT_SIZE];

	id_format(id, r->id);
	buf_put_str(out, "{\"row\":");
	number(out, r->row);
	put_number(out, "time", (uint64_t)r->at);
	put_text(out, "message", span_str(id));
	put_number(out, "recipient", r->recipient);
	put_plain(out, p);
	put_text(out, "customer", r->customer);
	put_text(out, "campaign", r->campaign);
	put_text(out, "domain", r->domain);
	put_word(out, "outcome", LEDGER_WORD_OUTCOME, r->outcome);
	put_number(out, "code", r->code);
	put_text(out, "status", r->status);
	if (r->outcome != LEDGER_OUTCOME_DELIVERED) {
		put_reason(out, r->reason);
		put_text(out, "class", span_str(bounce_class_name(r->bounce_class)));
	}
	put_number(out, "attempts", r->attempts);
	put_text(out, "host", r->host);
	put_text(out, "address", r->address);
	put_text(out, "source", r->source);
	put_tls(out, r);
	put_number(out, "dkim", r->dkim);
	put_number(out, "ms", r->ms);
	put_number(out, "size", r->size);
	put_number(out, "queued", (uint64_t)r->queued);
	buf_put(out, "}", 1);
}

/* --- events of readers */

void ledger_text_event_csv_head(struct buf *out)
{
	buf_put_str(out, "type,timeLogged,customer,jobId,number,message,link,class,reasons,revised\n");
}

static struct span message_of(const struct ledger_event *e, char hex[HEX_SIZE(LEDGER_UUID)])
{
	hex_encode(hex, e->message, sizeof(e->message));
	return span_str(hex);
}

void ledger_text_event_csv(struct buf *out, const struct ledger_event *e)
{
	char hex[HEX_SIZE(LEDGER_UUID)], words[TRACK_BOT_TEXT];

	track_bot_reasons(words, e->reasons);
	buf_put_str(out, track_bot_kind(e->kind));
	comma(out);
	pmta_time(out, e->at);
	comma(out);
	cell(out, e->customer_text);
	comma(out);
	cell(out, e->campaign_text);
	comma(out);
	number(out, e->number);
	comma(out);
	cell(out, message_of(e, hex));
	comma(out);
	if (e->kind == TRACK_KIND_CLICK)
		number(out, e->link);
	comma(out);
	buf_put_str(out, track_bot_class(e->class));
	comma(out);
	cell(out, span_str(words));
	buf_put_str(out, e->revised ? ",1\n" : ",0\n");
}

static void put_reasons(struct buf *out, uint32_t bits)
{
	char text[TRACK_BOT_TEXT], *rest = text, *word;
	unsigned n = 0;

	track_bot_reasons(text, bits);
	name(out, "reasons");
	buf_put(out, "[", 1);
	while ((word = strsep(&rest, ",")) && *word) {
		if (n++)
			comma(out);
		quoted(out, span_str(word));
	}
	buf_put(out, "]", 1);
}

void ledger_text_event_json(struct buf *out, const struct ledger_event *e)
{
	char hex[HEX_SIZE(LEDGER_UUID)];

	buf_put_str(out, "{\"event\":");
	quoted(out, span_str(track_bot_kind(e->kind)));
	put_number(out, "time", (uint64_t)e->at);
	put_text(out, "customer", e->customer_text);
	put_text(out, "campaign", e->campaign_text);
	put_number(out, "number", e->number);
	put_text(out, "message", message_of(e, hex));
	if (e->kind == TRACK_KIND_CLICK)
		put_number(out, "link", e->link);
	put_text(out, "class", span_str(track_bot_class(e->class)));
	put_reasons(out, e->reasons);
	name(out, "revised");
	buf_put_str(out, e->revised ? "true}\n" : "false}\n");
}
