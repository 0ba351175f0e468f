/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"
#include "core/err.h"
#include "relay/in/in_cmd.h"
#include "smtp/smtp_param.h"

struct wishes {
	uint64_t size;
	int body; /* enum smtp_param_body */
	int utf8;
	int flags; /* SPOOL_RET_*, SPOOL_REQUIRETLS */
	struct span envid;
};

static enum in_reply take_ret(struct span value, struct wishes *w)
{
	if (span_equal_nocase(value, SPAN_LIT("FULL")))
		w->flags |= SPOOL_RET_FULL;
	else if (span_equal_nocase(value, SPAN_LIT("HDRS")))
		w->flags |= SPOOL_RET_HDRS;
	else
		return IN_REPLY_BAD_PARAMETER;
	return IN_REPLY_NONE;
}

/* One parameter; NONE if it is fine. */
static enum in_reply take_param(const struct smtp_param *p, void *wishes)
{
	struct wishes *w = wishes;

	switch (p->id) {
	case SMTP_PARAM_SIZE:
		return p->has_value && smtp_param_size(p->value, &w->size) == 0
			   ? IN_REPLY_NONE
			   : IN_REPLY_BAD_PARAMETER;
	case SMTP_PARAM_BODY:
		w->body = p->has_value ? smtp_param_body(p->value) : ERR_FORMAT;
		if (w->body < 0)
			return IN_REPLY_BAD_PARAMETER;
		return w->body == SMTP_BODY_BINARYMIME ? IN_REPLY_UNSUPPORTED : IN_REPLY_NONE;
	case SMTP_PARAM_RET:
		return take_ret(p->value, w);
	case SMTP_PARAM_ENVID:
		w->envid = p->value;
		return smtp_param_xtext(p->value, SMTP_ENVID_MAX) < 0 ? IN_REPLY_BAD_PARAMETER
									: IN_REPLY_NONE;
	case SMTP_PARAM_AUTH: /* who says who wrote it is believed no more than he is (RFC 4954 5) */
		return p->has_value && (span_equal(p->value, SPAN_LIT("<>")) ||
					smtp_param_xtext(p->value, 500) == 0)
			   ? IN_REPLY_NONE
			   : IN_REPLY_BAD_PARAMETER;
	case SMTP_PARAM_REQUIRETLS:
		w->flags |= SPOOL_REQUIRETLS;
		return p->has_value ? IN_REPLY_BAD_PARAMETER : IN_REPLY_NONE;
	case SMTP_PARAM_SMTPUTF8:
		w->utf8 = 1;
		return p->has_value ? IN_REPLY_BAD_PARAMETER : IN_REPLY_NONE;
	default:
		return IN_REPLY_UNSUPPORTED;
	}
}

/* "FROM:" path params, in out: what is wrong with it, or NONE. */
static enum in_reply parse(struct span args, struct smtp_addr *from, struct wishes *w,
			   struct span *params)
{
	static const char key[] = "FROM:";
	int n;

	if (!span_equal_nocase(span_sub(args, 0, sizeof(key) - 1), SPAN_LIT(key)))
		return IN_REPLY_BAD_MAIL;
	args = span_sub(args, sizeof(key) - 1, args.n);
	while (args.n && args.p[0] == ' ') /* many programs put a space there */
		args = span_sub(args, 1, args.n);
	n = smtp_addr_parse_path(args, SMTP_ADDR_NULL_OK | SMTP_ADDR_UTF8_OK, from);
	if (n < 0)
		return n == ERR_LIMIT ? IN_REPLY_LONG_SENDER : IN_REPLY_BAD_SENDER;
	args = span_sub(args, (size_t)n, args.n);
	if (args.n && args.p[0] != ' ')
		return IN_REPLY_BAD_MAIL;
	*params = args;
	return in_cmd_params(args, take_param, w);
}

void in_cmd_mail_taken(struct in_session *s)
{
	in_state_set(s, IN_STATE_MAIL, "sender");
	in_session_say(s, IN_REPLY_SENDER_OK);
}

/* Who must log in before he may send. */
static int login_missing(const struct in_session *s)
{
	if (s->login || s->peer.auth == RELAY_AUTH_NO || s->peer.auth == RELAY_AUTH_BY_MODE)
		return 0;
	return s->peer.auth == RELAY_AUTH_REQUIRED ||
	       (s->peer.mode != RELAY_SMARTHOST && !s->peer.trusted);
}

void in_cmd_mail(struct in_session *s, struct span args)
{
	struct wishes w = {.body = SMTP_BODY_7BIT};
	struct in_tx *tx = &s->tx;
	struct smtp_addr from;
	struct span params;
	enum in_reply bad = parse(args, &from, &w, &params);
	int err;

	if (bad == IN_REPLY_NONE && login_missing(s))
		bad = IN_REPLY_AUTH_FIRST;
	if (bad == IN_REPLY_NONE && (w.flags & SPOOL_REQUIRETLS) && !s->tls.version)
		bad = IN_REPLY_REQUIRETLS_IN_CLEAR;
	if (bad == IN_REPLY_NONE && from.utf8 && !w.utf8)
		bad = IN_REPLY_UTF8_SENDER;
	if (bad == IN_REPLY_NONE && w.size > s->conf->limits.message_size)
		bad = IN_REPLY_TOO_BIG;
	if (bad == IN_REPLY_NONE && (err = s->host->ready(s->arg)) < 0)
		bad = in_session_reply_of(err);
	if (bad == IN_REPLY_NONE)
		bad = s->host->allow(s->arg, 0);
	if (bad == IN_REPLY_NONE && in_tx_sender(tx, &from) < 0)
		bad = IN_REPLY_STORE_FAILED;
	if (bad == IN_REPLY_NONE && w.envid.n &&
	    !(tx->envelope.envid = in_tx_keep(tx, (const char *)w.envid.p, w.envid.n)))
		bad = IN_REPLY_STORE_FAILED;
	if (bad != IN_REPLY_NONE) {
		in_session_say(s, bad);
		return;
	}
	tx->began = clock_mono();
	tx->utf8_asked = w.utf8;
	tx->envelope.flags =
	    (w.utf8 ? SPOOL_UTF8 : 0) | (w.body == SMTP_BODY_8BITMIME ? SPOOL_8BIT : 0) |
	    w.flags;
	if (!in_ask_start(s, IN_ASK_MAIL, params))
		in_cmd_mail_taken(s);
}
