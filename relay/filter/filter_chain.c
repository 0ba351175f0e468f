/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_chain.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/filter/filter_chain_own.h"

#define PENDING_MAX (256u << 10)

static const char *const ask_names[] = {
    [FILTER_CONNECT] = "connect", [FILTER_HELO] = "helo", [FILTER_MAIL] = "mail",
    [FILTER_RCPT] = "rcpt",	  [FILTER_DATA] = "data", [FILTER_MESSAGE] = "message",
};

void filter_chain_wake(struct filter_chain *c, int why)
{
	c->wake |= why;
	evt_loop_defer(c->w->loop, &c->defer);
}

void filter_chain_decide(struct filter_chain *c, int code, const char *enhanced, const char *text)
{
	struct milterproto_smtp *s = &c->decision.smtp;

	c->decided = 1;
	c->decision.word = FILTER_REFUSE;
	c->decision.why = NULL;
	s->code = code;
	snprintf(s->enhanced, sizeof(s->enhanced), "%s", enhanced);
	snprintf(s->text, sizeof(s->text), "%s", text);
}

static const char *id_of(const struct filter_chain *c)
{
	return c->fact->id ? c->fact->id : c->name;
}

/* It cannot be asked: what relay.yaml says for that. */
static int judge_away(struct filter_chain *c, unsigned i)
{
	const struct relay_filter *f = c->links[i].conn.conf;

	if (c->ask == FILTER_CONNECT || c->ask == FILTER_HELO)
		return 0; /* MAIL tries again */
	if (f->away == RELAY_AWAY_ACCEPT) {
		log_event(LOG_LEVEL_INFO, id_of(c), "filter-skipped", "filter=%s at=%s", f->socket,
			  ask_names[c->ask]);
		c->links[i].missing = 1;
		return 0;
	}
	if (f->away == RELAY_AWAY_REJECT)
		filter_chain_decide(c, 550, "5.7.1", "A filter is not available, message refused");
	else
		filter_chain_decide(c, 451, "4.7.1", "A filter is not available, try again later");
	return 1;
}

int filter_chain_judge(struct filter_chain *c, unsigned i, const struct filter_verdict *v)
{
	if (v->word == FILTER_FAILED)
		return judge_away(c, i);
	if (v->word == FILTER_GO_ON || v->word == FILTER_ACCEPT)
		return 0;
	log_event(LOG_LEVEL_INFO, id_of(c), "filter-verdict", "filter=%s at=%s verdict=%s code=%d",
		  c->links[i].conn.conf->socket, ask_names[c->ask],
		  v->word == FILTER_DISCARD ? "discard" : "refuse", v->smtp.code);
	c->decision = *v;
	c->decided = 1;
	return 1;
}

/* Asks the filters from at on. 1: an answer is waited for, or decided; 0: all were asked. */
static int go_round(struct filter_chain *c)
{
	for (; c->at < c->count; c->at++) {
		struct filter_chain_link *l = &c->links[c->at];
		int rc;

		if (l->missing)
			continue;
		rc = filter_conn_ask(&l->conn, c->ask);
		if (rc == FILTER_CONN_LATER)
			return 1;
		if (rc == FILTER_CONN_NOW && filter_chain_judge(c, c->at, &l->conn.verdict)) {
			filter_chain_wake(c, FILTER_CHAIN_WAKE_ANSWER);
			return 1;
		}
	}
	c->phase = FILTER_CHAIN_QUIET;
	return 0;
}

int filter_chain_ask(struct filter_chain *c, enum filter_ask what)
{
	if (what == FILTER_MAIL)
		for (unsigned i = 0; i < c->count; i++)
			c->links[i].missing = 0;
	c->ask = what;
	c->at = 0;
	c->decided = c->answered = 0;
	c->phase = FILTER_CHAIN_ASKING;
	return go_round(c);
}

/* The filter at has answered a question, or it is decided. */
static void go_on_asking(struct filter_chain *c)
{
	struct filter_verdict v = {.word = FILTER_GO_ON};

	if (c->answered) {
		c->answered = 0;
		if (!filter_chain_judge(c, c->at, &c->word)) {
			c->at++;
			if (go_round(c))
				return;
		}
	}
	if (c->decided) {
		c->phase = FILTER_CHAIN_QUIET;
		v = c->decision;
	}
	if (c->phase == FILTER_CHAIN_QUIET)
		c->host->answer(c->arg, &v);
}

static void on_wake(void *arg)
{
	struct filter_chain *c = arg;
	int why = c->wake;

	c->wake = 0;
	if (c->phase == FILTER_CHAIN_ASKING && why & FILTER_CHAIN_WAKE_ANSWER)
		go_on_asking(c);
	else if (c->phase >= FILTER_CHAIN_HEAD)
		filter_chain_pump(c);
}

static unsigned index_of(const struct filter_chain *c, const struct filter_conn *conn)
{
	return (unsigned)(list_entry(conn, struct filter_chain_link, conn) - c->links);
}

static void on_verdict(void *arg, struct filter_conn *conn, const struct filter_verdict *v)
{
	struct filter_chain *c = arg;

	if (c->phase == FILTER_CHAIN_QUIET || index_of(c, conn) != c->at)
		return;
	c->answered = 1;
	c->word = *v;
	filter_chain_wake(c, FILTER_CHAIN_WAKE_ANSWER);
}

static int on_change(void *arg, struct filter_conn *conn, const struct milterproto_reply *r)
{
	struct filter_chain *c = arg;

	return index_of(c, conn) == c->at ? filter_chain_change(c, r) : ERR_BADSTATE;
}

static void on_room(void *arg, struct filter_conn *conn)
{
	(void)conn;
	filter_chain_wake(arg, FILTER_CHAIN_WAKE_ROOM);
}

static const struct filter_conn_host conn_host = {on_verdict, on_change, on_room};

/* The replaced body takes octets again. */
static void body_ready(void *arg)
{
	struct filter_chain *c = arg;

	if (c->at < c->count)
		filter_conn_again(&c->links[c->at].conn);
	filter_chain_wake(c, FILTER_CHAIN_WAKE_ROOM);
}

struct filter_chain *filter_chain_new(struct relay_worker *w, const struct relay_conf *conf,
				      const struct filter_chain_host *host, void *arg,
				      const struct filter_fact *fact, const char *name)
{
	const struct relay_filter *filters = conf->filters.items;
	size_t n = conf->filters.count;
	struct filter_chain *c = calloc(1, sizeof(*c) + n * sizeof(c->links[0]));

	if (!c)
		return NULL;
	c->w = w;
	c->conf = conf;
	c->host = host;
	c->arg = arg;
	c->fact = fact;
	c->name = name;
	c->count = (unsigned)n;
	c->defer.fn = on_wake;
	c->defer.arg = c;
	filter_head_init(&c->head);
	buf_init_wiped(&c->pending, PENDING_MAX);
	buf_init_wiped(&c->changes, FILTER_CHAIN_CHANGES);
	buf_init_wiped(&c->rendered, SPOOL_ENVELOPE_HEAD_MAX - SPOOL_ENVELOPE_SIGN_MAX);
	filter_body_init(&c->body, w, NULL, conf->limits.message_size, conf->dkim.count > 0, body_ready, c);
	for (unsigned i = 0; i < c->count; i++)
		filter_conn_init(&c->links[i].conn, w->loop, &conn_host, c, &filters[i], fact,
				 name);
	return c;
}

void filter_chain_forget(struct filter_chain *c)
{
	c->phase = FILTER_CHAIN_QUIET;
	c->decided = c->answered = c->wake = 0;
	evt_loop_undefer(c->w->loop, &c->defer);
	for (unsigned i = 0; i < c->count; i++) {
		filter_conn_abort(&c->links[i].conn);
		c->links[i].missing = 0;
	}
	filter_chain_message_clear(c);
	evt_loop_undefer(c->w->loop, &c->defer);
}

void filter_chain_free(struct filter_chain *c)
{
	if (!c)
		return;
	filter_chain_forget(c);
	for (unsigned i = 0; i < c->count; i++)
		filter_conn_clear(&c->links[i].conn);
	filter_body_clear(&c->body);
	evt_loop_undefer(c->w->loop, &c->defer);
	free(c);
}
