/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_filter.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "evt/evt_listen.h"
#include "relay/filter/filter_chain.h"

#define PARAMS_MAX 2048

struct in_filter {
	struct relay_worker *w;
	const struct relay_conf *conf;
	struct in_session *s;
	struct spool_writer **sw;
	const struct in_filter_host *host;
	void *arg;
	struct filter_chain *chain;
	struct filter_fact fact;
	enum in_ask what;
	uint64_t ticket;
	const uint8_t *body_hash;
	char listen_address[64];
	char told[64]; /* the client's address as the filters know it */
	char params[PARAMS_MAX];
};

static unsigned port_of(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)a)->sin_port);
	if (a->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
	return 0;
}

/* --- facts */

static void tell_client(struct in_filter *f)
{
	struct filter_fact *fact = &f->fact;

	snprintf(f->told, sizeof(f->told), "%s", f->s->peer.address);
	fact->client_addr = f->told;
	fact->family = strchr(f->told, ':') ? '6' : strchr(f->told, '.') ? '4' : 'U';
}

static const char *if_any(const char *s)
{
	return s && *s ? s : NULL;
}

static void tell_session(struct in_filter *f)
{
	const struct in_session *s = f->s;
	struct filter_fact *fact = &f->fact;

	fact->helo = if_any(s->helo);
	fact->tls_version = s->tls.version;
	fact->cipher = s->tls.version ? s->tls.cipher : NULL;
	fact->cipher_bits = s->tls.version ? s->tls.bits : 0;
	fact->auth_name = s->login ? s->login->credential : NULL;
	fact->auth_type = s->login ? s->login->mechanism : NULL;
}

/* Parameters as they were said, each a string of its own. */
static void tell_params(struct in_filter *f, struct filter_fact_path *p, struct span params)
{
	char *at = f->params, *word, *save = NULL;
	size_t n = params.n < sizeof(f->params) ? params.n : 0;

	if (n)
		memcpy(at, params.p, n);
	at[n] = '\0';
	p->count = 0;
	for (word = strtok_r(at, " ", &save); word && p->count < FILTER_FACT_STRINGS;
	     word = strtok_r(NULL, " ", &save))
		p->params[p->count++] = word;
}

static void tell_tx(struct in_filter *f, struct span params)
{
	const struct in_tx *tx = &f->s->tx;
	struct filter_fact *fact = &f->fact;

	if (f->what == IN_ASK_MAIL) {
		fact->mail.address = tx->envelope.sender;
		tell_params(f, &fact->mail, params);
	} else if (f->what == IN_ASK_RCPT) {
		fact->rcpt.address = tx->envelope.recipients[tx->envelope.count - 1].address;
		tell_params(f, &fact->rcpt, params);
	}
	fact->id = if_any(tx->name);
}

/* --- what the chain asks for */

static int parse(struct span address, struct smtp_addr *a)
{
	*a = (struct smtp_addr){0};
	return address.n ? smtp_addr_parse(address, SMTP_ADDR_UTF8_OK, a) : 0;
}

static int add_recipient(void *arg, struct span address)
{
	struct in_filter *f = arg;
	struct smtp_addr a;
	int err = parse(address, &a);

	if (err >= 0)
		err = in_tx_add(&f->s->tx, &a);
	return err < 0 ? err : 0;
}

static int remove_recipient(void *arg, struct span address)
{
	struct in_filter *f = arg;
	char text[SMTP_ADDR_MAX];
	struct smtp_addr a;
	int i;

	if (parse(address, &a) < 0 || smtp_addr_format(text, &a) < 0)
		return ERR_FORMAT;
	i = in_tx_find(&f->s->tx, text);
	if (i >= 0)
		in_tx_remove(&f->s->tx, (unsigned)i);
	return 0;
}

static int set_sender(void *arg, struct span address)
{
	struct in_filter *f = arg;
	struct smtp_addr a;
	int err = parse(address, &a);

	return err < 0 ? err : in_tx_sender(&f->s->tx, &a);
}

static int high(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return 1;
	return 0;
}

/* The message passes: what filters made of it. */
static void take_result(struct in_filter *f)
{
	struct in_tx *tx = &f->s->tx;
	struct filter_chain_result r;

	filter_chain_result(f->chain, &r);
	tx->envelope.head = r.head;
	tx->envelope.skip = r.skip;
	if (r.head.n) { /* what counts is the header that is sent */
		in_campaign_init(&tx->campaign);
		in_campaign_feed(&tx->campaign, r.head);
		in_mark_init(&tx->mark);
		in_mark_feed(&tx->mark, r.head);
		tx->mark.by_filter = r.mark;
		in_required_init(&tx->required);
		in_required_feed(&tx->required, r.head);
	}
	if (high(r.head))
		tx->envelope.flags |= SPOOL_8BIT;
	if (r.quarantine)
		tx->envelope.flags |= SPOOL_HOLD;
	f->body_hash = r.hash;
	if (!r.writer)
		return;
	spool_writer_abort(*f->sw);
	*f->sw = r.writer;
	tx->id = r.id;
	id_format(tx->name, r.id);
}

static void answer(void *arg, const struct filter_verdict *v)
{
	static const enum in_verdict_word words[] = {[FILTER_GO_ON] = IN_VERDICT_GO_ON,
						     [FILTER_ACCEPT] = IN_VERDICT_GO_ON,
						     [FILTER_DISCARD] = IN_VERDICT_DISCARD,
						     [FILTER_REFUSE] = IN_VERDICT_REFUSE};
	struct in_filter *f = arg;
	struct in_verdict own = {.word = words[v->word],
				 .code = v->smtp.code,
				 .enhanced = v->smtp.enhanced,
				 .text = v->smtp.text};

	if (f->what == IN_ASK_END && own.word == IN_VERDICT_GO_ON) {
		take_result(f);
		if (!f->s->tx.envelope.count) /* filters took every recipient away */
			own.word = IN_VERDICT_DISCARD;
	}
	f->host->answer(f->arg, f->ticket, &own);
}

static void room(void *arg)
{
	struct in_filter *f = arg;

	f->host->room(f->arg);
}

static const struct filter_chain_host chain_host = {answer, room, add_recipient, remove_recipient,
						    set_sender};

/* --- what in_session asks for */

static int make_chain(struct in_filter *f)
{
	filter_chain_free(f->chain);
	tell_client(f);
	f->chain = filter_chain_new(f->w, f->conf, &chain_host, f, &f->fact, f->s->name);
	return f->chain ? 0 : ERR_NOMEM;
}

struct in_filter *in_filter_new(struct relay_worker *w, const struct relay_conf *conf,
				const struct relay_listen *listen,
				const struct sockaddr_storage *peer, struct in_session *s,
				struct spool_writer **sw, const struct in_filter_host *host,
				void *arg)
{
	static const char *const modes[] = {[RELAY_SMARTHOST] = "smarthost",
					    [RELAY_SUBMISSION] = "submission",
					    [RELAY_SUBMISSIONS] = "submissions"};
	struct in_filter *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->w = w;
	f->conf = conf;
	f->s = s;
	f->sw = sw;
	f->host = host;
	f->arg = arg;
	evt_listen_format(f->listen_address, &listen->address);
	f->fact.hostname = conf->hostname;
	f->fact.version = "Sealpost " PACKAGE_VERSION;
	f->fact.daemon = modes[listen->mode];
	f->fact.daemon_addr = f->listen_address;
	f->fact.daemon_port = port_of(&listen->address);
	f->fact.client_port = port_of(peer);
	if (make_chain(f) < 0) {
		free(f);
		return NULL;
	}
	return f;
}

void in_filter_free(struct in_filter *f)
{
	if (!f)
		return;
	filter_chain_free(f->chain);
	secret_wipe(f->params, sizeof(f->params));
	free(f);
}

int in_filter_ask(struct in_filter *f, enum in_ask what, uint64_t ticket, struct span params)
{
	static const enum filter_ask asks[IN_ASK_COUNT] = {[IN_ASK_CONNECT] = FILTER_CONNECT,
							   [IN_ASK_HELO] = FILTER_HELO,
							   [IN_ASK_MAIL] = FILTER_MAIL,
							   [IN_ASK_RCPT] = FILTER_RCPT,
							   [IN_ASK_DATA] = FILTER_DATA};

	f->what = what;
	f->ticket = ticket;
	if (what <= IN_ASK_HELO && strcmp(f->told, f->s->peer.address) && make_chain(f) < 0)
		return 0; /* the old one is gone: MAIL will find none, and say so */
	if (!f->chain)
		return 0;
	tell_session(f);
	tell_tx(f, params);
	if (what == IN_ASK_END)
		return filter_chain_end(f->chain, *f->sw) ? IN_SESSION_LATER : 0;
	return filter_chain_ask(f->chain, asks[what]) ? IN_SESSION_LATER : 0;
}

int in_filter_show(struct in_filter *f, struct span s)
{
	return f->chain ? filter_chain_show(f->chain, s) : ERR_NOMEM;
}

int in_filter_room(const struct in_filter *f)
{
	return !f->chain || filter_chain_room(f->chain);
}

void in_filter_forget(struct in_filter *f)
{
	if (f->chain)
		filter_chain_forget(f->chain);
	f->body_hash = NULL;
	f->fact.id = NULL;
	f->fact.mail = f->fact.rcpt = (struct filter_fact_path){0};
	secret_wipe(f->params, sizeof(f->params));
}

const uint8_t *in_filter_body_hash(const struct in_filter *f)
{
	return f->body_hash;
}

int in_filter_trace(struct in_filter *f, struct span received)
{
	return f->chain ? filter_chain_trace(f->chain, f->s->peer.customer, received) : 0;
}
