/* SPDX-License-Identifier: Apache-2.0 */
/* One report under way, as control sees it: what was done is in the store before anything else is begun. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/sha.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/tlsrpt/tlsrpt_mail.h"
#include "relay/tlsrpt/tlsrpt_own.h"

#define GZIP_MAX (TLSRPT_MAIL_MAX / 3 * 2)
#define DIGEST	 4

static const char *host_of(const struct tlsrpt_record_uri *u, char dst[HTTPS_URL_HOST])
{
	struct https_url url = {.host = "?"};
	const char *at = strrchr(u->text, '@');

	if (!u->mail)
		https_url_parse(span_str(u->text), &url);
	snprintf(dst, HTTPS_URL_HOST, "%s", u->mail && at ? at + 1 : url.host);
	return dst;
}

void tlsrpt_job_way(char dst[TLSRPT_JOB_WAY], const struct tlsrpt_record_uri *u)
{
	char host[HTTPS_URL_HOST], hex[HEX_SIZE(DIGEST)];
	uint8_t sum[SHA256_DIGEST_LENGTH];

	SHA256((const uint8_t *)u->text, strlen(u->text), sum);
	hex_encode(hex, sum, DIGEST);
	snprintf(dst, TLSRPT_JOB_WAY, "%s:%s#%s", u->mail ? "mailto" : "https", host_of(u, host), hex);
}

/* --- life */

int tlsrpt_job_runs(const struct tlsrpt *t, int64_t report)
{
	list_each(j, &t->jobs, struct tlsrpt_job, link) if (j->id == report) return 1;
	return 0;
}

static void post_out(struct tlsrpt_job *j, void (*run)(struct relay_msg *m, void *receiver))
{
	j->msg.run = run;
	evt_inbox_post(j->t->relay->workers[0].inbox, &j->msg.msg);
}

void tlsrpt_job_start(struct tlsrpt *t, const struct store_tlsrpt_report *r)
{
	struct tlsrpt_job *j = calloc(1, sizeof(*j));

	if (!j)
		return; /* it stays due */
	j->t = t;
	j->conf = atomic_load(&t->relay->conf);
	j->id = r->id;
	j->day = r->day;
	j->part = r->part;
	j->begin = r->day * TLSRPT_DAY;
	j->end = r->end;
	j->until = r->until;
	j->tries = r->tries + 1;
	snprintf(j->domain, sizeof(j->domain), "%s", r->domain);
	snprintf(j->name, sizeof(j->name), "%s", r->name);
	tlsrpt_submitter(j->conf, j->submitter);
	buf_init(&j->gzip, GZIP_MAX);
	list_push_back(&t->jobs, &j->link);
	t->job_count++;
	post_out(j, tlsrpt_way_ask);
}

static void job_free(struct tlsrpt_job *j)
{
	list_remove(&j->link);
	j->t->job_count--;
	buf_clear(&j->gzip);
	free(j->envelope.customer);
	free(j->envelope.sender);
	free(j->recipient.address);
	free(j);
}

/* --- the end */

static void format_day(char dst[21], const struct tlsrpt_job *j)
{
	clock_format_iso(dst, j->begin);
	dst[10] = '\0';
}

static int64_t next_try(const struct tlsrpt_job *j)
{
	int64_t wait = j->conf->retry.first;

	for (int64_t i = 1; i < j->tries && wait < j->conf->retry.max; i++)
		wait *= 2;
	return clock_wall() + (wait < j->conf->retry.max ? wait : j->conf->retry.max);
}

static void settle(struct tlsrpt_job *j, int state, const char *note)
{
	struct store_tlsrpt_report r = {.id = j->id,
					.state = state,
					.due = state == STORE_TLSRPT_WAITING ? next_try(j) : clock_wall(),
					.until = j->until,
					.tries = j->tries,
					.note = note};
	char day[21];

	format_day(day, j);
	if (state == STORE_TLSRPT_WAITING && r.due > j->until)
		r.state = j->gone ? STORE_TLSRPT_SENT : STORE_TLSRPT_FAILED;
	if (r.state == STORE_TLSRPT_WAITING)
		log_event(LOG_LEVEL_INFO, NULL, "tlsrpt-deferred", "domain=%s day=%s tries=%d why=\"%s\"", j->domain,
			  day, (int)j->tries, note);
	else if (r.state == STORE_TLSRPT_FAILED)
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-failed", "domain=%s day=%s tries=%d why=\"%s\"", j->domain,
			  day, (int)j->tries, note);
	else if (r.state == STORE_TLSRPT_UNWANTED)
		log_debug("tlsrpt", NULL, "tlsrpt-unwanted", "domain=%s day=%s why=\"%s\"", j->domain, day, note);
	if (store_tlsrpt_change(j->t->relay->store, &r) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-store-failed", "why=\"what became of a report is not kept\"");
	j->t->next = 0;
	job_free(j);
}

/* --- ways */

static void next_way(struct tlsrpt_job *j)
{
	while (j->way < j->record.count && (j->gone >> j->way & 1))
		j->way++;
	if (j->way < j->record.count)
		post_out(j, tlsrpt_way_go);
	else if (j->open)
		settle(j, STORE_TLSRPT_WAITING, j->note);
	else
		settle(j, j->gone ? STORE_TLSRPT_SENT : STORE_TLSRPT_FAILED, j->gone ? "" : j->note);
}

static void log_sent(const struct tlsrpt_job *j, const struct tlsrpt_record_uri *u)
{
	char day[21], host[HTTPS_URL_HOST], message[ID_TEXT_SIZE] = "-";

	format_day(day, j);
	if (u->mail)
		id_format(message, j->message);
	log_event(LOG_LEVEL_INFO, u->mail ? message : NULL, "tlsrpt-sent", "domain=%s day=%s report=%s by=%s to=%s",
		  j->domain, day, j->name, u->mail ? "mail" : "https", host_of(u, host));
}

static void write_way(struct tlsrpt_job *j)
{
	static const int states[] = {[TLSRPT_WAY_LATER] = STORE_TLSRPT_WAITING,
				     [TLSRPT_WAY_GONE] = STORE_TLSRPT_SENT,
				     [TLSRPT_WAY_NEVER] = STORE_TLSRPT_FAILED};
	const struct tlsrpt_record_uri *u = &j->record.uris[j->way];
	char name[TLSRPT_JOB_WAY];
	struct store_tlsrpt_way w = {.uri = name,
				     .state = states[j->end_of_way],
				     .tries = j->tries,
				     .time = clock_wall(),
				     .note = j->note};

	j->answered = 0;
	tlsrpt_job_way(name, u);
	if (store_tlsrpt_way_put(j->t->relay->store, j->id, &w) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-store-failed", "why=\"what became of a report is not kept\"");
	if (j->end_of_way == TLSRPT_WAY_GONE) {
		j->gone |= 1u << j->way;
		log_sent(j, u);
	}
	j->open |= j->end_of_way == TLSRPT_WAY_LATER;
	j->way++;
}

void tlsrpt_job_went(struct relay_msg *m, void *relay)
{
	struct tlsrpt_job *j = (struct tlsrpt_job *)m;

	(void)relay;
	write_way(j);
	next_way(j);
}

void tlsrpt_job_end(struct tlsrpt_job *j)
{
	if (j->answered)
		write_way(j);
	job_free(j);
}

/* --- the record */

static int note_gone(void *arg, const struct store_tlsrpt_way *w)
{
	struct tlsrpt_job *j = arg;
	char name[TLSRPT_JOB_WAY];

	for (unsigned i = 0; w->state == STORE_TLSRPT_SENT && i < j->record.count; i++) {
		tlsrpt_job_way(name, &j->record.uris[i]);
		if (!strcmp(name, w->uri))
			j->gone |= 1u << i;
	}
	return 0;
}

static int make(struct tlsrpt_job *j)
{
	struct store_tlsrpt_report r = {.name = j->name, .end = j->end};
	json_t *report;
	int err = tlsrpt_make(j->t->relay, j->day, j->domain, &r, &report);

	if (err == 0) {
		err = tlsrpt_report_gzip(report, &j->gzip);
		json_decref(report);
	}
	return err;
}

static const struct {
	int err, state;
	const char *note;
} answers[] = {
    {ERR_NOTFOUND, STORE_TLSRPT_UNWANTED, "it does not ask for reports"},
    {ERR_EXISTS, STORE_TLSRPT_UNWANTED, "it has more than one TXT record that asks for reports"},
    {ERR_FORMAT, STORE_TLSRPT_UNWANTED, "its TXT record is malformed"},
    {ERR_AUTH, STORE_TLSRPT_WAITING, "its TXT record fails DNSSEC validation"},
};

void tlsrpt_job_asked(struct relay_msg *m, void *relay)
{
	struct tlsrpt_job *j = (struct tlsrpt_job *)m;
	struct relay *r = relay;
	int err;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].err == j->dns) {
			settle(j, answers[i].state, answers[i].note);
			return;
		}
	if (j->dns < 0) {
		settle(j, STORE_TLSRPT_WAITING, "its TXT record cannot be looked up");
		return;
	}
	if (!j->record.count) {
		settle(j, STORE_TLSRPT_FAILED, "its TXT record names no address that can be used");
		return;
	}
	err = store_tlsrpt_ways(r->store, j->id, note_gone, j);
	if (err == 0)
		err = make(j);
	if (err == ERR_NOTFOUND || err == ERR_LIMIT)
		settle(j, STORE_TLSRPT_FAILED, err == ERR_LIMIT ? "the report is too long" : "its counts are gone");
	else if (err < 0)
		settle(j, STORE_TLSRPT_WAITING, err_text(err));
	else
		next_way(j);
}
