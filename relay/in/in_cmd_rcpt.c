/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "relay/bounce/bounce_intake.h"
#include "relay/in/in_cmd.h"
#include "smtp/smtp_param.h"

struct wishes { /* RFC 3461 */
	uint32_t notify;
	struct span orcpt, params;
};

static enum in_reply take_param(const struct smtp_param *p, void *wishes)
{
	struct wishes *w = wishes;
	int bits;

	switch (p->id) {
	case SMTP_PARAM_NOTIFY:
		bits = smtp_param_notify(p->value);
		w->notify = bits < 0 ? 0 : (uint32_t)bits;
		return bits < 0 ? IN_REPLY_BAD_PARAMETER : IN_REPLY_NONE;
	case SMTP_PARAM_ORCPT:
		w->orcpt = p->value;
		return smtp_param_orcpt(p->value) < 0 ? IN_REPLY_BAD_PARAMETER : IN_REPLY_NONE;
	default:
		return IN_REPLY_UNSUPPORTED;
	}
}

/* "TO:" path params: what is wrong with it, or NONE. */
static enum in_reply parse(struct span args, struct smtp_addr *to, struct wishes *w)
{
	static const char key[] = "TO:";
	int n;

	if (!span_equal_nocase(span_sub(args, 0, sizeof(key) - 1), SPAN_LIT(key)))
		return IN_REPLY_BAD_RCPT;
	args = span_sub(args, sizeof(key) - 1, args.n);
	while (args.n && args.p[0] == ' ')
		args = span_sub(args, 1, args.n);
	n = smtp_addr_parse_path(args, SMTP_ADDR_POSTMASTER_OK | SMTP_ADDR_UTF8_OK, to);
	if (n < 0)
		return n == ERR_LIMIT ? IN_REPLY_LONG_RECIPIENT : IN_REPLY_BAD_RECIPIENT;
	args = span_sub(args, (size_t)n, args.n);
	if (args.n && args.p[0] != ' ')
		return IN_REPLY_BAD_RCPT;
	w->params = args;
	return in_cmd_params(args, take_param, w);
}

/* Whether there is a way for it. The domain counts in lower case, as routes are written. */
static int routed(const struct in_session *s, const struct smtp_addr *to)
{
	char address[SMTP_ADDR_MAX];
	struct smtp_addr domain = {.domain = to->domain};

	if (smtp_addr_format(address, &domain) < 0)
		return 0;
	return relay_conf_route(s->conf, s->peer.customer, span_str(address + 1)) != NULL;
}

/* <postmaster> means the postmaster of this host (RFC 5321 4.5.1). */
static void complete(const struct relay_conf *conf, struct smtp_addr *to)
{
	if (!to->domain.n)
		to->domain = span_str(conf->hostname);
}

/* The one added last goes again if the customer's mail is not taken for it. */
static enum in_reply suppressed(struct in_session *s)
{
	const struct spool_envelope *e = &s->tx.envelope;
	int is = s->host->suppressed ? s->host->suppressed(s->arg, s->peer.customer,
							   e->recipients[e->count - 1].address)
				     : 0;

	if (is == 0)
		return IN_REPLY_NONE;
	in_tx_remove(&s->tx, e->count - 1);
	return is < 0 ? IN_REPLY_KEYS_AWAY : IN_REPLY_SUPPRESSED;
}

/* Bounces and reports come from anybody, one at a time, and with nothing else. */
static enum in_reply add_intake(struct in_session *s, const struct smtp_addr *to, int kind, int *added)
{
	int n;

	if (kind < 0)
		return IN_REPLY_NO_MAILBOX;
	if (s->tx.envelope.count)
		return IN_REPLY_TOO_MANY_RECIPIENTS;
	n = in_tx_add(&s->tx, to);
	*added = 0; /* the filters are not asked */
	s->tx.intake = n > 0;
	return n < 0 ? IN_REPLY_STORE_FAILED : IN_REPLY_NONE;
}

static enum in_reply add(struct in_session *s, struct smtp_addr *to, const struct wishes *w, int *added)
{
	struct in_tx *tx = &s->tx;
	enum in_reply limit;
	int kind = bounce_intake_kind(s->conf, to->local, to->domain, NULL);

	if (kind != BOUNCE_INTAKE_NONE)
		return add_intake(s, to, kind, added);
	if (tx->intake)
		return IN_REPLY_TOO_MANY_RECIPIENTS;
	if (!s->peer.trusted && !s->login)
		return IN_REPLY_RELAY_REFUSED;
	if (to->utf8 && !tx->utf8_asked)
		return IN_REPLY_UTF8_RECIPIENT;
	complete(s->conf, to);
	if (!routed(s, to))
		return IN_REPLY_NO_ROUTE;
	if (tx->envelope.count >= (unsigned)s->conf->limits.recipients)
		return IN_REPLY_TOO_MANY_RECIPIENTS;
	limit = s->host->allow(s->arg, 1);
	if (limit != IN_REPLY_NONE)
		return limit;
	*added = in_tx_add(tx, to);
	if (*added < 0 || (*added && in_tx_notify(tx, w->notify, w->orcpt) < 0))
		return IN_REPLY_STORE_FAILED;
	return *added ? suppressed(s) : IN_REPLY_NONE;
}

void in_cmd_rcpt_taken(struct in_session *s)
{
	if (s->state != IN_STATE_RCPT)
		in_state_set(s, IN_STATE_RCPT, "recipient");
	in_session_say(s, IN_REPLY_RECIPIENT_OK);
}

void in_cmd_rcpt(struct in_session *s, struct span args)
{
	struct smtp_addr to;
	struct wishes w = {0};
	int added = 0;
	enum in_reply bad = parse(args, &to, &w);

	if (bad == IN_REPLY_NONE)
		bad = add(s, &to, &w, &added);
	if (bad != IN_REPLY_NONE) {
		s->tx.refused_any = 1;
		in_session_say(s, bad);
		return;
	}
	/* one that is there already was asked about */
	if (!added || !in_ask_start(s, IN_ASK_RCPT, w.params))
		in_cmd_rcpt_taken(s);
}
