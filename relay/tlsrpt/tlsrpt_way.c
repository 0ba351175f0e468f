/* SPDX-License-Identifier: Apache-2.0 */
/* A report's way out, on worker 0: the TXT record, then mail or HTTPS. */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/rand.h"
#include "relay/dkim/dkim_sign.h"
#include "relay/out/out_worker.h"
#include "relay/queue/queue.h"
#include "relay/tlsrpt/tlsrpt_mail.h"
#include "relay/tlsrpt/tlsrpt_own.h"

/* --- the record */

static void go_home(struct tlsrpt_job *j, void (*run)(struct relay_msg *m, void *receiver))
{
	j->msg.run = run;
	evt_inbox_post(j->t->relay->inbox, &j->msg.msg);
}

static void on_txt(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct tlsrpt_job *j = arg;
	struct span texts[OUT_DNSMSG_TXTS];
	unsigned n = 0;

	(void)secure; /* RFC 8460 3 does not ask for DNSSEC; what fails it is no answer */
	for (; result == 0 && n < msg->count; n++)
		texts[n] = span_of(msg->txt[n].text, msg->txt[n].len);
	j->dns = result == 0 ? tlsrpt_record_choose(texts, n, &j->record) : result;
	go_home(j, tlsrpt_job_asked);
}

void tlsrpt_way_ask(struct relay_msg *m, void *worker)
{
	struct tlsrpt_job *j = (struct tlsrpt_job *)m;
	struct relay_worker *w = worker;
	char name[300];

	snprintf(name, sizeof(name), "_smtp._tls.%s", j->domain);
	out_dns_ask(out_worker_dns(w->out), name, OUT_DNSMSG_TXT, on_txt, j);
}

/* --- the end of a way */

static void went(struct tlsrpt_job *j, enum tlsrpt_way_end end, const char *note)
{
	j->end_of_way = end;
	snprintf(j->note, sizeof(j->note), "%s", note);
	j->answered = 1;
	go_home(j, tlsrpt_job_went);
}

/* --- mail */

static void mail_clear(struct tlsrpt_job *j)
{
	dkim_sign_free(j->dkim);
	j->dkim = NULL;
	free(j->envelope.customer);
	free(j->envelope.sender);
	free(j->recipient.address);
	j->envelope = (struct spool_envelope){.flags = 0};
	j->recipient = (struct spool_recipient){.address = NULL};
}

static void mail_failed(struct tlsrpt_job *j, enum tlsrpt_way_end end, const char *why)
{
	if (j->writer)
		spool_writer_abort(j->writer);
	j->writer = NULL;
	mail_clear(j);
	went(j, end, why);
}

static void committed(void *arg, int result, struct spool_place at, struct spool_fresh *fresh)
{
	struct tlsrpt_job *j = arg;

	tlsrpt_spare(j->t, strrchr(j->recipient.address, '@') + 1);
	if (result == 0) /* without memory it is found at the next start: it is in the log */
		queue_add(j->t->relay->queue, j->message, &j->envelope, at, fresh);
	else
		spool_fresh_free(fresh);
	mail_clear(j);
	went(j, result == 0 ? TLSRPT_WAY_GONE : TLSRPT_WAY_LATER, result == 0 ? "" : err_text(result));
}

static void has_signed(void *arg, int err, struct span head, const char *domain)
{
	struct tlsrpt_job *j = arg;
	struct spool_writer *sw = j->writer;

	(void)domain;
	if (err < 0) {
		mail_failed(j, err == ERR_LIMIT ? TLSRPT_WAY_NEVER : TLSRPT_WAY_LATER, "it cannot be signed (DKIM)");
		return;
	}
	j->envelope.head = head;
	j->envelope.flags |= SPOOL_DKIM;
	j->writer = NULL;
	spool_writer_commit(sw, &j->envelope, committed, j);
}

static const char *customer(const struct relay_conf *conf)
{
	const struct relay_listen *l = conf->listen.items;

	if (conf->tlsrpt.customer)
		return conf->tlsrpt.customer;
	return conf->listen.count ? l[0].customer : "default";
}

static int address(struct tlsrpt_job *j, struct relay_worker *w)
{
	static char none[] = "", client[] = "TLS report";

	j->worker = w;
	j->recipient.address = strdup(j->record.uris[j->way].text);
	j->envelope = (struct spool_envelope){.customer = strdup(customer(j->conf)),
					      .sender = strdup(j->conf->tlsrpt.from),
					      .created = clock_wall(),
					      .client = client,
					      .tls = none,
					      .campaign = none,
					      .credential = none,
					      .envid = none,
					      .flags = SPOOL_REPORT | SPOOL_TLS_OPTIONAL,
					      .recipients = &j->recipient,
					      .count = 1};
	return j->recipient.address && j->envelope.customer && j->envelope.sender ? 0 : ERR_NOMEM;
}

static int write_out(struct tlsrpt_job *j, const char *id, struct buf *text)
{
	char boundary[3 + HEX_SIZE(16)] = "=_";
	uint8_t random[16];
	struct tlsrpt_report_head h = {.submitter = j->submitter,
				       .id = j->name,
				       .domain = j->domain,
				       .begin = j->begin,
				       .end = j->end};
	struct tlsrpt_mail m = {.head = &h,
				.from = j->conf->tlsrpt.from,
				.to = j->recipient.address,
				.hostname = j->conf->hostname,
				.id = id,
				.boundary = boundary,
				.now = j->envelope.created,
				.gzip = buf_span(&j->gzip)};
	int err;

	rand_bytes(random, sizeof(random));
	hex_encode(boundary + 2, random, sizeof(random));
	err = tlsrpt_mail_format(&m, text);
	if (err == 0)
		err = spool_writer_write(j->writer, buf_ptr(text), buf_size(text));
	j->envelope.size = buf_size(text);
	return err;
}

/* Receivers must ignore an unsigned report (RFC 8460 3): it is not worth sending. */
static void sign(struct tlsrpt_job *j, const char *id, struct span text)
{
	int rc = dkim_sign_whole(j->worker, j->conf, id, text, has_signed, j, &j->dkim);

	if (rc == 1)
		mail_failed(j, TLSRPT_WAY_NEVER, "nothing signs for the domain of tlsrpt.from (dkim)");
	else if (rc < 0)
		mail_failed(j, TLSRPT_WAY_LATER, err_text(rc));
}

static void mail(struct tlsrpt_job *j, struct relay_worker *w)
{
	char id[ID_TEXT_SIZE];
	struct buf text;
	int err = address(j, w);

	if (err == 0)
		err = spool_writer_begin(w, j->envelope.customer, &j->writer, &j->message);
	if (err < 0) {
		j->writer = NULL;
		mail_failed(j, TLSRPT_WAY_LATER, err_text(err));
		return;
	}
	id_format(id, j->message);
	buf_init(&text, TLSRPT_MAIL_MAX);
	err = write_out(j, id, &text);
	if (err < 0)
		mail_failed(j, TLSRPT_WAY_LATER, err_text(err));
	else
		sign(j, id, buf_span(&text));
	buf_clear(&text);
}

/* --- HTTPS */

static void fetched(struct relay_msg *m, void *worker)
{
	struct https_job *h = (struct https_job *)m;
	struct tlsrpt_job *j = h->arg;
	char why[TLSRPT_NOTE];

	(void)worker;
	if (h->err == 0 && h->status >= 200 && h->status < 300) {
		went(j, TLSRPT_WAY_GONE, "");
	} else {
		if (h->err == 0)
			snprintf(why, sizeof(why), "HTTP status %ld", h->status);
		else
			snprintf(why, sizeof(why), "%s", https_fail_text(h->fail));
		went(j, TLSRPT_WAY_LATER, why);
	}
	https_job_free(h);
}

static void post(struct tlsrpt_job *j, struct relay_worker *w)
{
	struct https_job *h = https_job_new(w->relay->https);
	int err = h ? https_url_parse(span_str(j->record.uris[j->way].text), &h->url) : ERR_NOMEM;

	if (err == 0)
		err = buf_put_span(&h->body, buf_span(&j->gzip));
	if (err < 0) {
		https_job_free(h);
		went(j, TLSRPT_WAY_LATER, err_text(err));
		return;
	}
	h->msg.run = fetched;
	h->arg = j;
	h->post = 1;
	snprintf(h->type, sizeof(h->type), "application/tlsrpt+gzip");
	https_ask(w, out_worker_dns(w->out), h);
}

void tlsrpt_way_go(struct relay_msg *m, void *worker)
{
	struct tlsrpt_job *j = (struct tlsrpt_job *)m;

	if (j->record.uris[j->way].mail)
		mail(j, worker);
	else
		post(j, worker);
}
