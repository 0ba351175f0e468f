/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_ask.h"

#include "relay/in/in_cmd.h"

static const char *const names[] = {
#define IN_ASK_NAME(name, text) [IN_ASK_##name] = "ask-" #name,
    IN_ASKS(IN_ASK_NAME)
#undef IN_ASK_NAME
};

int in_ask_start(struct in_session *s, enum in_ask what, struct span params)
{
	enum in_state before = s->state;

	if (!s->peer.filters)
		return 0;
	if (what >= IN_ASK_MAIL) {
		if (s->tx.discard || s->tx.intake)
			return 0;
		s->tx.asked = 1;
	}
	s->ask = what;
	s->ask_before = before;
	in_state_set(s, IN_STATE_FILTER, names[what]);
	if (s->host->ask(s->arg, what, s->ticket, params) == IN_SESSION_LATER)
		return 1;
	s->ask = IN_ASK_NOTHING;
	in_state_set(s, before, "unasked");
	return 0;
}

/* Before the greeting RFC 5321 3.1 knows 554 and 421 only; either ends the session. */
static void refuse_connect(struct in_session *s, const struct in_verdict *v)
{
	struct in_verdict own = *v;

	own.code = v->code < 500 ? 421 : 554;
	in_session_say_verdict(s, &own, 1);
}

static void refuse_helo(struct in_session *s, const struct in_verdict *v)
{
	in_session_set_helo(s, span_of(NULL, 0));
	in_state_set(s, IN_STATE_GREET, "filtered");
	in_session_say_verdict(s, v, 0);
}

static void refuse_mail(struct in_session *s, const struct in_verdict *v)
{
	in_session_drop(s);
	in_session_say_verdict(s, v, 0);
}

static void refuse_rcpt(struct in_session *s, const struct in_verdict *v)
{
	in_tx_remove(&s->tx, s->tx.envelope.count - 1);
	s->tx.refused_any = 1;
	in_session_say_verdict(s, v, 0);
}

/* DATA and END: the transaction is over. */
static void refuse_message(struct in_session *s, const struct in_verdict *v)
{
	in_session_drop(s);
	in_state_set(s, IN_STATE_READY, "filtered");
	in_session_say_verdict(s, v, 0);
}

static const struct {
	void (*go_on)(struct in_session *s);
	void (*refuse)(struct in_session *s, const struct in_verdict *v);
} rows[IN_ASK_COUNT] = {
    [IN_ASK_CONNECT] = {in_session_greet, refuse_connect},
    [IN_ASK_HELO] = {in_cmd_helo_taken, refuse_helo},
    [IN_ASK_MAIL] = {in_cmd_mail_taken, refuse_mail},
    [IN_ASK_RCPT] = {in_cmd_rcpt_taken, refuse_rcpt},
    [IN_ASK_DATA] = {in_cmd_data_taken, refuse_message},
    [IN_ASK_END] = {in_cmd_data_commit, refuse_message},
};

int in_ask_answer(struct in_session *s, uint64_t ticket, const struct in_verdict *v)
{
	enum in_ask what = s->ask;

	if (s->state != IN_STATE_FILTER || ticket != s->ticket)
		return 0;
	s->ask = IN_ASK_NOTHING;
	in_state_set(s, s->ask_before, "answered");
	if (v->word == IN_VERDICT_REFUSE) {
		rows[what].refuse(s, v);
		return 1;
	}
	if (v->word == IN_VERDICT_DISCARD && what >= IN_ASK_MAIL)
		s->tx.discard = 1;
	rows[what].go_on(s);
	return 1;
}
