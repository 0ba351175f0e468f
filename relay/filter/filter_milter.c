/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_milter.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/filter/filter_milter_own.h"

static const struct {
	enum milterproto_command command;
	enum milterproto_stage stage;
	uint32_t no, no_reply; /* steps */
} asks[] = {
    [FILTER_CONNECT] = {MILTERPROTO_CONNECT, MILTERPROTO_AT_CONNECT, MILTERPROTO_NOCONNECT,
			MILTERPROTO_NR_CONN},
    [FILTER_HELO] = {MILTERPROTO_HELO, MILTERPROTO_AT_HELO, MILTERPROTO_NOHELO,
		     MILTERPROTO_NR_HELO},
    [FILTER_MAIL] = {MILTERPROTO_MAIL, MILTERPROTO_AT_MAIL, MILTERPROTO_NOMAIL,
		     MILTERPROTO_NR_MAIL},
    [FILTER_RCPT] = {MILTERPROTO_RCPT, MILTERPROTO_AT_RCPT, MILTERPROTO_NORCPT,
		     MILTERPROTO_NR_RCPT},
    [FILTER_DATA] = {MILTERPROTO_DATA, MILTERPROTO_AT_DATA, MILTERPROTO_NODATA,
		     MILTERPROTO_NR_DATA},
};

void filter_milter_init(struct filter_milter *m, const struct filter_milter_host *host, void *arg,
			const struct relay_filter *conf, const struct filter_fact *fact)
{
	memset(m, 0, sizeof(*m));
	m->host = host;
	m->arg = arg;
	m->conf = conf;
	m->fact = fact;
	buf_init_wiped(&m->body, MILTERPROTO_CHUNK);
	buf_init_wiped(&m->out, FILTER_MILTER_OUT_MAX);
}

void filter_milter_clear(struct filter_milter *m)
{
	for (unsigned i = 0; i < MILTERPROTO_STAGES; i++)
		free(m->macros[i]);
	buf_clear(&m->body);
	buf_clear(&m->out);
	memset(m, 0, sizeof(*m));
}

void filter_milter_become(struct filter_milter *m, enum filter_milter_state to)
{
	int64_t wait = 0;

	if (to == FILTER_MILTER_CHUNK || to == FILTER_MILTER_END)
		wait = m->conf->body;
	else if (to == FILTER_MILTER_OPTIONS || to == FILTER_MILTER_ASKED ||
		 to == FILTER_MILTER_FIELDS || to == FILTER_MILTER_EOH)
		wait = m->conf->timeout;
	m->state = to;
	m->host->timer(m->arg, wait);
}

int filter_milter_broken(struct filter_milter *m, const char *why)
{
	int owed = m->state >= FILTER_MILTER_ASKED && m->state <= FILTER_MILTER_END;
	struct filter_verdict v = {.word = FILTER_FAILED, .why = why};

	if (m->state == FILTER_MILTER_BROKEN)
		return ERR_BADSTATE;
	m->why = why;
	buf_reset(&m->body);
	filter_milter_become(m, FILTER_MILTER_BROKEN);
	if (owed)
		m->host->verdict(m->arg, &v);
	return ERR_BADSTATE;
}

void filter_milter_connected(struct filter_milter *m)
{
	milterproto_put_options(&m->out, MILTERPROTO_VERSION, MILTERPROTO_ACTIONS,
				MILTERPROTO_STEPS);
	filter_milter_become(m, FILTER_MILTER_OPTIONS);
}

void filter_milter_timeout(struct filter_milter *m)
{
	filter_milter_broken(m, "timeout");
}

void filter_milter_lost(struct filter_milter *m, const char *why)
{
	filter_milter_broken(m, why);
}

void filter_milter_macros(struct filter_milter *m, enum milterproto_command c,
			  enum milterproto_stage stage)
{
	filter_fact_macros(&m->out, m->fact, c, stage, span_str(m->macros[stage]),
			   !m->macros[stage]);
}

/* "<address>" and parameters. */
static void put_path(struct filter_milter *m, enum milterproto_command c,
		     const struct filter_fact_path *p)
{
	struct span strings[1 + FILTER_FACT_STRINGS];
	char path[400];
	size_t n = strlen(p->address);

	if (n > sizeof(path) - 2)
		n = sizeof(path) - 2;
	path[0] = '<';
	memcpy(path + 1, p->address, n);
	path[n + 1] = '>';
	strings[0] = span_of(path, n + 2);
	for (unsigned i = 0; i < p->count; i++)
		strings[1 + i] = span_str(p->params[i]);
	milterproto_put_strings(&m->out, c, strings, 1 + p->count);
}

static void put_command(struct filter_milter *m, enum filter_ask what)
{
	struct span helo = span_str(m->fact->helo);
	char client[80];

	if (what == FILTER_CONNECT) {
		filter_fact_client(m->fact, client);
		milterproto_put_connect(&m->out, client, m->fact->family, m->fact->client_port,
					m->fact->client_addr);
	} else if (what == FILTER_HELO) {
		milterproto_put_strings(&m->out, MILTERPROTO_HELO, &helo, 1);
	} else if (what == FILTER_MAIL) {
		put_path(m, MILTERPROTO_MAIL, &m->fact->mail);
	} else if (what == FILTER_RCPT) {
		put_path(m, MILTERPROTO_RCPT, &m->fact->rcpt);
	} else {
		milterproto_put(&m->out, MILTERPROTO_DATA, span_of(NULL, 0));
	}
}

int filter_milter_ask(struct filter_milter *m, enum filter_ask what)
{
	enum milterproto_command c = asks[what].command;

	if (m->over || m->state != FILTER_MILTER_IDLE)
		return 0;
	if (m->skipped != c)
		m->skipped = 0;
	if (what == FILTER_MAIL)
		m->transaction = 1;
	if (m->skipped)
		return 0;
	/* macros are told even where the command is not: later stages use them */
	filter_milter_macros(m, c, asks[what].stage);
	if (m->steps & asks[what].no)
		return 0;
	put_command(m, what);
	if (m->steps & asks[what].no_reply)
		return 0;
	m->asked = what;
	filter_milter_become(m, FILTER_MILTER_ASKED);
	return 1;
}

void filter_milter_abort(struct filter_milter *m)
{
	if (m->state == FILTER_MILTER_BROKEN || m->state < FILTER_MILTER_IDLE || m->over)
		return;
	buf_reset(&m->body);
	m->head = NULL;
	/* an answer that is still due would be taken for that of the next command */
	if (m->state >= FILTER_MILTER_ASKED && m->state <= FILTER_MILTER_END &&
	    m->state != FILTER_MILTER_BODY) {
		m->state = FILTER_MILTER_IDLE; /* nobody waits for a verdict any more */
		filter_milter_broken(m, "aborted");
		return;
	}
	if (m->transaction)
		milterproto_put(&m->out, MILTERPROTO_ABORT, span_of(NULL, 0));
	m->transaction = 0;
	m->skipped = 0;
	filter_milter_become(m, FILTER_MILTER_IDLE);
}

void filter_milter_quit(struct filter_milter *m)
{
	if (m->state > FILTER_MILTER_OPTIONS && m->state != FILTER_MILTER_BROKEN)
		milterproto_put(&m->out, MILTERPROTO_QUIT, span_of(NULL, 0));
}
