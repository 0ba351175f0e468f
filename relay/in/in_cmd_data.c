/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "campaign/camp_consent.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/in/in_cmd.h"
#include "relay/in/in_trace.h"

/* Back to where MAIL may come, with a reply. The transaction is over. */
static void end(struct in_session *s, enum in_reply r, const char *param)
{
	char keep[ID_TEXT_SIZE] = "";

	if (param)
		snprintf(keep, sizeof(keep), "%s", param); /* it may live in the transaction */
	in_session_drop(s);
	in_state_set(s, IN_STATE_READY, in_reply_row(r)->name);
	if (param)
		in_session_say_param(s, r, keep);
	else
		in_session_say(s, r);
}

void in_cmd_data(struct in_session *s, struct span args)
{
	(void)args;
	if (s->state == IN_STATE_MAIL)
		in_session_say(s, s->tx.refused_any ? IN_REPLY_NO_RECIPIENTS : IN_REPLY_RCPT_FIRST);
	else
		in_cmd_data_begin(s);
}

void in_cmd_data_begin(struct in_session *s)
{
	uint64_t id = 0;
	int err;

	in_state_set(s, IN_STATE_BEGIN, "data");
	s->tx.begun = 1;
	err = s->host->begin(s->arg, s->ticket, &id);
	if (err != IN_SESSION_LATER)
		in_cmd_data_begun(s, err, id);
}

/* The first bytes of the message: our own trace field. */
static int put_trace(struct in_session *s)
{
	const struct in_trace t = {.helo = s->helo,
				   .address = s->peer.address,
				   .hostname = s->conf->hostname,
				   .id = s->tx.name,
				   .tls_version = s->tls.version,
				   .tls_cipher = s->tls.cipher,
				   .tls_group = s->tls.group,
				   .tls_bits = s->tls.bits,
				   .esmtp = s->esmtp,
				   .utf8 = s->tx.utf8_asked,
				   .login = s->login != NULL,
				   .when = s->tx.envelope.created};
	char field[IN_TRACE_MAX];
	size_t n = in_trace_format(field, &t);

	s->tx.envelope.size = n;
	return s->host->body(s->arg, span_of(field, n));
}

void in_cmd_data_taken(struct in_session *s)
{
	if (s->tx.chunks) {
		in_cmd_bdat_taken(s);
		return;
	}
	in_state_set(s, IN_STATE_DATA, "begun");
	in_session_say(s, IN_REPLY_START_DATA);
}

void in_cmd_data_begun(struct in_session *s, int err, uint64_t id)
{
	struct in_tx *tx = &s->tx;

	if (err == 0) {
		tx->id = id;
		id_format(tx->name, id);
		tx->envelope.created = clock_wall();
		if (tx->chunks)
			smtp_data_in_init_raw(&tx->data);
		else
			smtp_data_in_init(&tx->data);
		in_hops_init(&tx->hops);
		in_campaign_init(&tx->campaign);
		in_mark_init(&tx->mark);
		in_required_init(&tx->required);
		err = put_trace(s);
	} else {
		tx->begun = 0; /* nothing was begun */
	}
	if (err < 0) {
		end(s, in_session_reply_of(err), NULL);
		return;
	}
	if (!in_ask_start(s, IN_ASK_DATA, span_of(NULL, 0)))
		in_cmd_data_taken(s);
}

/* Its memory is given back now, its bytes are read on and dropped. */
static void give_back(struct in_session *s)
{
	if (s->tx.begun)
		s->host->abort(s->arg);
	s->tx.begun = 0;
}

/* What bounce_intake says is about the message; anybody else's error is about us. */
static enum in_reply reply_of(const struct in_session *s, int err)
{
	if (s->tx.intake && err == ERR_LIMIT)
		return IN_REPLY_TOO_BIG;
	if (s->tx.intake && err == ERR_NOTFOUND)
		return IN_REPLY_NO_MAILBOX;
	return in_session_reply_of(err);
}

/* The message will be refused. */
static void give_up(struct in_session *s, enum in_reply why)
{
	s->tx.refusal = why;
	give_back(s);
}

static void show_filters(struct in_session *s, struct span body)
{
	int rc = s->host->show(s->arg, body);

	if (rc < 0) {
		give_up(s, rc == ERR_LIMIT ? IN_REPLY_LONG_HEADER : in_session_reply_of(rc));
	} else if (rc > 0) {
		s->tx.decided = 1;
		give_back(s);
	}
}

static void take_body(struct in_session *s, struct span body)
{
	struct in_tx *tx = &s->tx;
	int err;

	tx->size += body.n;
	if (tx->refusal)
		return;
	if (tx->size > s->conf->limits.message_size) {
		give_up(s, IN_REPLY_TOO_BIG);
		return;
	}
	in_hops_feed(&tx->hops, body);
	in_campaign_feed(&tx->campaign, body);
	in_mark_feed(&tx->mark, body);
	in_required_feed(&tx->required, body);
	if (tx->hops.count > IN_HOPS_MAX) {
		give_up(s, IN_REPLY_LOOP);
		return;
	}
	if (tx->discard || tx->decided)
		return;
	err = s->host->body(s->arg, body);
	if (err < 0)
		give_up(s, reply_of(s, err));
	else if (s->peer.filters && !tx->intake)
		show_filters(s, body);
}

static enum in_reply fault_reply(enum smtp_data_fault f)
{
	static const enum in_reply replies[] = {
	    [SMTP_DATA_BARE_LF] = IN_REPLY_BARE_LF,
	    [SMTP_DATA_BARE_CR] = IN_REPLY_BARE_CR,
	    [SMTP_DATA_NUL] = IN_REPLY_NUL,
	    [SMTP_DATA_LONG_LINE] = IN_REPLY_LONG_TEXT,
	    [SMTP_DATA_NO_END] = IN_REPLY_NO_END,
	};

	return replies[f];
}

static char *keep_tls(struct in_session *s)
{
	char text[128];
	int n = s->tls.version
		    ? snprintf(text, sizeof(text), "%s %s", s->tls.version, s->tls.cipher)
		    : 0;

	return in_tx_keep(&s->tx, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Whom the milter's word says it is of. Who logged in speaks for nobody but himself. */
static struct span owner_of(const struct in_session *s, const struct mail_trace *t)
{
	return s->tx.mark.by_filter || !s->login ? t->customer : span_str(s->peer.customer);
}

/* What our milter says of it counts from a filter, and from a peer that has the milter itself. */
static void heed_mark(struct in_session *s, char campaign[IN_CAMPAIGN_ID])
{
	struct spool_envelope *e = &s->tx.envelope;
	struct mail_trace t;

	if (!s->tx.mark.by_filter &&
	    (s->peer.mode != RELAY_SMARTHOST || (!s->peer.trusted && !s->login)))
		return;
	if (in_mark_get(&s->tx.mark, &t) < 0)
		return;
	span_copy_str(s->tx.owner, sizeof(s->tx.owner), owner_of(s, &t));
	if (t.campaign.n)
		span_copy_str(campaign, IN_CAMPAIGN_ID, t.campaign);
	e->flags |= t.verify ? SPOOL_VERIFIED : 0;
	if (t.tid && e->count == 1) {
		e->tid = t.tid;
		e->number = t.number;
		e->consent = camp_consent_parse(t.consent);
		if (e->consent < 0)
			e->consent = CAMP_CONSENT_NONE;
	}
}

static char *keep_campaign(struct in_session *s)
{
	char id[IN_CAMPAIGN_ID];

	in_campaign_id(&s->tx.campaign, id);
	heed_mark(s, id);
	return in_tx_keep(&s->tx, id, strlen(id));
}

/* RCPT asked by the session's customer. Whose message it is has been known only since its header section was read. */
static enum in_reply suppressed(struct in_session *s)
{
	const struct spool_envelope *e = &s->tx.envelope;

	if (!s->host->suppressed || !strcmp(s->tx.owner, s->peer.customer))
		return IN_REPLY_NONE;
	for (unsigned i = 0; i < e->count; i++) {
		int is = s->host->suppressed(s->arg, s->tx.owner, e->recipients[i].address);
		if (is)
			return is < 0 ? IN_REPLY_KEYS_AWAY : IN_REPLY_SUPPRESSED;
	}
	return IN_REPLY_NONE;
}

static char *keep_client(struct in_session *s)
{
	char text[256 + sizeof(s->peer.address) + 4];
	int n = snprintf(text, sizeof(text), "%s [%s]", s->helo, s->peer.address);

	return in_tx_keep(&s->tx, text, (size_t)n);
}

/* Accepted, and thrown away as a filter wished: its client hears no difference. */
static void discard(struct in_session *s)
{
	s->errors = 0;
	s->accepted_all++;
	log_event(LOG_LEVEL_INFO, s->tx.name, "discarded", "session=%s customer=%s by=filter", s->name,
		  s->peer.customer);
	end(s, IN_REPLY_QUEUED, s->tx.name);
}

int in_cmd_data_refused(struct in_session *s)
{
	struct in_tx *tx = &s->tx;

	/* A fault is the client's and lasting: it goes before whatever else went wrong on the way.
	 */
	if (!tx->data.fault && !tx->refusal)
		return 0;
	end(s, tx->data.fault ? fault_reply(tx->data.fault) : tx->refusal, NULL);
	return 1;
}

void in_cmd_data_finish(struct in_session *s)
{
	struct in_tx *tx = &s->tx;

	if (in_cmd_data_refused(s))
		return;
	tx->envelope.size += tx->size;
	if (!in_ask_start(s, IN_ASK_END, span_of(NULL, 0)))
		in_cmd_data_commit(s);
}

void in_cmd_data_commit(struct in_session *s)
{
	struct in_tx *tx = &s->tx;
	struct spool_envelope *e = &tx->envelope;
	enum in_reply refusal;

	if (tx->discard) {
		discard(s);
		return;
	}
	span_copy_str(tx->owner, sizeof(tx->owner), span_str(s->peer.customer));
	e->customer = in_tx_keep(tx, s->peer.customer, strlen(s->peer.customer));
	e->credential = s->login ? s->login->credential : NULL; /* the session outlives the answer */
	e->client = keep_client(s);
	e->tls = keep_tls(s);
	e->campaign = keep_campaign(s);
	if (in_required_no(&s->tx.required))
		e->flags |= SPOOL_TLS_OPTIONAL;
	e->flags |= tx->data.high ? SPOOL_8BIT : 0;
	if (!e->customer || !e->client || !e->tls || !e->campaign) {
		end(s, IN_REPLY_STORE_FAILED, NULL);
		return;
	}
	refusal = suppressed(s);
	if (refusal != IN_REPLY_NONE) {
		end(s, refusal, NULL);
		return;
	}
	tx->begun = 0; /* from here on it is the spool's: nothing calls it back */
	in_state_set(s, IN_STATE_COMMIT, "end-of-data");
	s->host->commit(s->arg, s->ticket, e);
}

size_t in_cmd_data_take(struct in_session *s, struct span in)
{
	struct in_tx *tx = &s->tx;
	struct span body;
	size_t used;

	if (!tx->refusal && !tx->decided && !tx->discard && !s->host->room(s->arg))
		return 0;
	used = smtp_data_in_feed(&tx->data, in, &body);
	if (tx->data.fault && tx->begun)
		give_up(s, fault_reply(tx->data.fault));
	if (body.n)
		take_body(s, body);
	return used;
}

size_t in_cmd_data_input(struct in_session *s, struct span in)
{
	size_t used = in_cmd_data_take(s, in);

	if (s->tx.data.done)
		in_cmd_data_finish(s);
	return used;
}

void in_cmd_data_committed(struct in_session *s, int err)
{
	struct in_tx *tx = &s->tx;

	if (err < 0) {
		end(s, tx->refusal ? tx->refusal : reply_of(s, err), NULL);
		return;
	}
	s->errors = 0;
	if (tx->intake) { /* bounce_intake has said what came of it */
		end(s, IN_REPLY_OK, NULL);
		return;
	}
	s->accepted_all++;
	s->count.accepted++;
	s->count.bytes += tx->size;
	log_event(LOG_LEVEL_INFO, tx->name, "accepted",
		  "session=%s customer=%s size=%llu recipients=%u tls=%s dkim=%s msec=%lld", s->name,
		  tx->envelope.customer, (unsigned long long)tx->envelope.size, tx->envelope.count,
		  s->tls.version ? s->tls.version : "no", tx->dkim ? tx->dkim : "no",
		  (long long)((clock_mono() - tx->began) / 1000));
	end(s, IN_REPLY_QUEUED, tx->name);
}
