/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_verdict.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"

/* Length of "D.D{1,3}.D{1,3}" at the start of s, 0 if it is something else. */
static size_t status_length(const char *s)
{
	size_t n = 1;

	if ((s[0] != '2' && s[0] != '4' && s[0] != '5') || s[1] != '.')
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;
		n++; /* the dot */
		while (digits < 3 && s[n] >= '0' && s[n] <= '9')
			n++, digits++;
		if (!digits || (part == 0 && s[n] != '.'))
			return 0;
	}
	return s[n] == ' ' || s[n] == '\0' ? n : 0;
}

/* Appends text at dst[at], one line of printable ASCII. */
static void put_text(char *dst, size_t size, size_t at, const char *text, size_t n)
{
	for (size_t i = 0; i < n && at + 1 < size; i++) {
		unsigned char c = (unsigned char)text[i];
		dst[at++] = c == '\n' || c == '\t' ? ' ' : c < 0x20 || c >= 0x7f ? '?' : (char)c;
	}
	dst[at] = '\0';
}

void out_verdict_ours(struct queue_result *v, int outcome, int reason, const char *enhanced,
		      const char *text)
{
	int n;

	v->outcome = (uint8_t)outcome;
	v->reason = (uint8_t)reason;
	v->code = 0;
	v->whose = QUEUE_WHOSE_SITE;
	n = snprintf(v->reply, sizeof(v->reply), "%s ", enhanced);
	put_text(v->reply, sizeof(v->reply), (size_t)n, text, strlen(text));
}

void out_verdict_local(struct queue_result *v, int err)
{
	static const struct {
		int err, reason;
		const char *text;
	} rows[] = {
	    {ERR_AWAY, QUEUE_KEYD, "the key of the message cannot be had now"},
	    {ERR_LOCKED, QUEUE_KEYD, "the key of the message cannot be had now"},
	    {ERR_BUSY, QUEUE_KEYD, "the key of the message cannot be had now"},
	    {ERR_TIMEOUT, QUEUE_KEYD, "the key of the message cannot be had now"},
	    {ERR_AUTH, QUEUE_DAMAGED, "stored message is damaged"},
	    {ERR_DAMAGED, QUEUE_DAMAGED, "stored message is damaged"},
	    {ERR_FORMAT, QUEUE_DAMAGED, "stored message is damaged"},
	    {ERR_NOTFOUND, QUEUE_DAMAGED, "stored message is gone"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err) {
			out_verdict_ours(v, SPOOL_DEFERRED, rows[i].reason, "4.3.0", rows[i].text);
			return;
		}
	out_verdict_ours(v, SPOOL_DEFERRED, QUEUE_LOCAL, "4.3.0", err_text(err));
}

static int outcome_of(int code)
{
	switch (code / 100) {
	case 2:
		return SPOOL_DELIVERED;
	case 5:
		return SPOOL_BOUNCED;
	default:
		return SPOOL_DEFERRED;
	}
}

/* The enhanced code, unless the text begins with it, and the text. */
static void put_said(char *dst, size_t size, const struct smtp_reply_in *r)
{
	size_t at = 0, n = strlen(r->enhanced);

	if (n && (r->text_len < n || memcmp(r->text, r->enhanced, n) != 0)) {
		memcpy(dst, r->enhanced, n);
		dst[n] = ' ';
		at = n + 1;
	}
	put_text(dst, size, at, r->text, r->text_len);
}

void out_verdict_said(char dst[OUT_VERDICT_SAID], const struct smtp_reply_in *r)
{
	put_said(dst, OUT_VERDICT_SAID, r);
}

void out_verdict_reply(struct queue_result *v, int reason, const struct smtp_reply_in *r)
{

	v->outcome = (uint8_t)outcome_of(r->code);
	v->reason = (uint8_t)reason;
	v->whose = QUEUE_WHOSE_SITE;
	if (v->outcome == SPOOL_DEFERRED && r->code / 100 != 4)
		v->reason = QUEUE_PROTOCOL;
	v->code = (uint16_t)r->code;
	put_said(v->reply, sizeof(v->reply), r);
}

void out_verdict_copy(struct queue_result *to, const struct queue_result *v)
{
	uint16_t recipient = to->recipient;

	*to = *v;
	to->recipient = recipient;
}

void out_verdict_status(const struct queue_result *v, char dst[OUT_VERDICT_STATUS])
{
	size_t n = status_length(v->reply);
	char want = v->outcome == SPOOL_DELIVERED ? '2' : v->outcome == SPOOL_BOUNCED ? '5' : '4';

	if (n && n < OUT_VERDICT_STATUS && v->reply[0] == want) {
		memcpy(dst, v->reply, n);
		dst[n] = '\0';
	} else if (n && n < OUT_VERDICT_STATUS && v->reply[0] == '5' && want == '4') { /* softened: subject and detail hold */
		snprintf(dst, OUT_VERDICT_STATUS, "4%.*s", (int)n - 1, v->reply + 1);
	} else {
		snprintf(dst, OUT_VERDICT_STATUS, "%c.0.0", want);
	}
}

const char *out_verdict_text(const struct queue_result *v)
{
	size_t n = status_length(v->reply);

	return v->reply + n + (n && v->reply[n] == ' ');
}

void out_verdict_soften(struct queue_result *v)
{
	if (v->outcome == SPOOL_BOUNCED)
		v->outcome = SPOOL_DEFERRED;
}
