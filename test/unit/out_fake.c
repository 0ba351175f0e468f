/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/out_fake.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/list.h"
#include "relay/track/track.h"
#include "relay/keys/keys_cred.h"
#include "relay/keys/keys_field.h"
#include "relay/ledger/ledger.h"

struct out_fake fake;

/* --- the ledger: what was posted last, and how often */

void track_note_delivered(struct relay *r, uint64_t tid, int64_t at)
{
	(void)r;
	(void)tid;
	(void)at;
}

void ledger_post(struct ledger *l, const struct ledger_attempt *a)
{
	struct out_fake_row *r = &fake.rows[fake.row_count++ % OUT_FAKE_ROWS];

	(void)l;
	*r = (struct out_fake_row){.outcome = a->outcome, .recipient = a->recipient, .code = a->code,
				   .attempts = a->attempts, .reached = a->reached};
	snprintf(r->address, sizeof(r->address), "%s", a->address ? a->address : "");
	snprintf(r->tls, sizeof(r->tls), "%s", a->tls ? a->tls : "");
	snprintf(r->by, sizeof(r->by), "%s", a->verified_by ? a->verified_by : "");
	snprintf(r->status, sizeof(r->status), "%s", a->status);
}

/* --- answers at the end of the turn */

struct later {
	struct list_link link;
	struct evt_defer defer;
	void (*fn)(struct later *l);
	void *arg;
	void (*opened)(void *arg, int result);
	void (*written)(void *arg, int result);
	struct spool_reader *reader;
	struct spool_writer *writer;
	spool_writer_done_fn committed;
	struct spool_envelope envelope;
	struct queue_job *job;
	int result;
};
static struct list held;

static void run_later(void *arg)
{
	struct later *l = arg;

	l->fn(l);
	free(l);
}
static void post(struct later *l, int hold)
{
	l->defer.fn = run_later;
	l->defer.arg = l;
	if (hold)
		list_push_back(&held, &l->link);
	else
		evt_loop_defer(fake.loop, &l->defer);
}
void out_fake_release(void)
{
	struct list_link *k;

	while ((k = list_pop_front(&held))) {
		struct later *l = list_entry(k, struct later, link);
		evt_loop_defer(fake.loop, &l->defer);
	}
}
static void trail(char c)
{
	size_t n = strlen(fake.trail);

	if (n + 1 < sizeof(fake.trail))
		fake.trail[n] = c;
}

void out_fake_reset(struct evt_loop *l)
{
	free(fake.report);
	for (unsigned i = 0; i < fake.done_count; i++)
		if (fake.done[i].opened) {
			free(fake.done[i].opened->block);
			free(fake.done[i].opened);
		}
	memset(&fake, 0, sizeof(fake));
	fake.loop = l;
	list_init(&held);
}

/* --- reader */

struct spool_reader {
	struct out_fake_message *m;
	size_t at;
	struct later *later;
};

static void tell_opened(struct later *l)
{
	l->reader->later = NULL;
	if (!l->result)
		trail('O');
	l->opened(l->arg, l->result);
}
struct spool_reader *spool_reader_open(struct relay_worker *w, uint64_t id, struct spool_place at,
				       struct spool_fresh *fresh, spool_reader_open_fn opened,
				       void *arg)
{
	struct spool_reader *r = calloc(1, sizeof(*r));
	struct later *l = calloc(1, sizeof(*l));

	(void)w;
	(void)at;
	(void)fresh;
	fake.readers++;
	r->m = &fake.messages[id - 1];
	r->later = l;
	*l = (struct later){
	    .fn = tell_opened, .arg = arg, .opened = opened, .reader = r, .result = r->m->open_err};
	post(l, r->m->hold_open);
	return r;
}
const struct spool_envelope *spool_reader_envelope(const struct spool_reader *r)
{
	return &r->m->envelope;
}
uint64_t spool_reader_size(const struct spool_reader *r)
{
	return r->m->size;
}
int spool_reader_next(struct spool_reader *r, struct span *out)
{
	size_t n = r->m->piece ? r->m->piece : 65536;

	if (r->m->read_err && r->at >= r->m->read_err_at)
		return r->m->read_err;
	if (r->at == r->m->size)
		return 0;
	if (n > r->m->size - r->at)
		n = r->m->size - r->at;
	*out = span_of(r->m->body + r->at, n);
	r->at += n;
	return 1;
}
int spool_reader_rewind(struct spool_reader *r)
{
	r->at = 0;
	return 0;
}
void spool_reader_close(struct spool_reader *r)
{
	if (!r)
		return;
	fake.readers--;
	if (r->later) {
		if (list_linked(&r->later->link))
			list_remove(&r->later->link);
		evt_loop_undefer(fake.loop, &r->later->defer);
		free(r->later);
	}
	free(r);
}

/* --- writer */

struct spool_writer {
	struct buf text;
	uint64_t id;
};

int spool_writer_begin(struct relay_worker *w, const char *customer, struct spool_writer **out,
		       uint64_t *id)
{
	(void)w;
	if (fake.begin_err)
		return fake.begin_err;
	snprintf(fake.report_customer, sizeof(fake.report_customer), "%s", customer);
	*out = calloc(1, sizeof(**out));
	buf_init(&(*out)->text, 1u << 20);
	*id = (*out)->id = 1000 + fake.reports;
	return 0;
}
int spool_writer_write(struct spool_writer *sw, const uint8_t *p, size_t n)
{
	return buf_put(&sw->text, p, n);
}
void spool_writer_abort(struct spool_writer *sw)
{
	buf_clear(&sw->text);
	free(sw);
}
static void tell_committed(struct later *l)
{
	int err = fake.commit_err;

	if (!err) {
		trail('D');
		fake.reports++;
		free(fake.report);
		buf_put(&l->writer->text, "", 1);
		fake.report = strdup((const char *)buf_ptr(&l->writer->text));
	}
	spool_writer_abort(l->writer);
	l->committed(l->arg, err, (struct spool_place){0}, NULL);
}
void spool_writer_commit(struct spool_writer *sw, const struct spool_envelope *e,
			 spool_writer_done_fn done, void *arg)
{
	struct later *l = calloc(1, sizeof(*l));

	snprintf(fake.report_to, sizeof(fake.report_to), "%s", e->recipients[0].address);
	snprintf(fake.report_from, sizeof(fake.report_from), "<%s>", e->sender);
	*l = (struct later){.fn = tell_committed, .arg = arg, .writer = sw, .committed = done};
	post(l, 0);
}
void spool_fresh_free(struct spool_fresh *f)
{
	(void)f;
}

/* --- outcomes */

static void tell_written(struct later *l)
{
	if (!l->result)
		trail('S');
	l->written(l->arg, l->result);
}
int spool_message_state(struct relay_worker *w, uint64_t id, const struct spool_reader *r,
			const struct spool_state *states, unsigned count, struct span detail,
			void (*done)(void *arg, int result), void *arg)
{
	struct later *l = calloc(1, sizeof(*l));

	(void)w;
	(void)r;
	*l = (struct later){.fn = tell_written, .arg = arg, .written = done};
	if (fake.state_errs > 0) {
		fake.state_errs--;
		l->result = ERR_NOSPACE;
	}
	for (unsigned i = 0; i < count && !l->result; i++) {
		struct out_fake_state *s = &fake.states[fake.state_count++];
		s->id = id;
		s->state = states[i];
		snprintf(s->detail, sizeof(s->detail), "%.*s", (int)detail.n,
			 (const char *)detail.p);
	}
	post(l, fake.hold_states);
	return 0;
}

/* --- envelope, as the address of a copy */

int spool_envelope_put(struct buf *b, const struct spool_envelope *e)
{
	return buf_put(b, e, sizeof(*e));
}
int spool_envelope_get(struct span s, struct spool_envelope *e)
{
	memcpy(e, s.p, sizeof(*e));
	e->block = malloc(1);
	return 0;
}

/* --- queue */

int queue_add(struct queue *q, uint64_t id, const struct spool_envelope *e, struct spool_place at,
	      struct spool_fresh *fresh)
{
	(void)q;
	(void)id;
	(void)e;
	(void)at;
	(void)fresh;
	fake.queued++;
	return 0;
}
void queue_job_done(struct queue *q, struct queue_job *j)
{
	struct out_fake_job *d = &fake.done[fake.done_count++];

	(void)q;
	trail('J');
	d->id = j->id;
	d->count = j->count;
	d->opened = j->opened;
	d->err = j->err;
	d->site_ttl = j->site_ttl;
	memcpy(d->site, j->site, sizeof(d->site));
	memcpy(d->results, j->results, sizeof(d->results[0]) * j->count);
	free(j->results);
	free(j->recipients);
	free(j);
}
void out_fake_job(struct relay_worker *w, uint8_t kind, uint64_t id, const char *destination)
{
	struct queue_job *j = calloc(1, sizeof(*j));

	j->kind = kind;
	j->id = id;
	snprintf(j->destination, sizeof(j->destination), "%s", destination);
	j->lane = fake.lane;
	snprintf(j->site, sizeof(j->site), "%s", fake.site ? fake.site : "");
	j->count = (uint16_t)fake.messages[id - 1].envelope.count;
	j->recipients = calloc(j->count, sizeof(*j->recipients));
	j->results = calloc(j->count, sizeof(*j->results));
	for (uint16_t i = 0; i < j->count; i++) {
		j->recipients[i] = i;
		strcpy(j->results[i].reply, "4.7.1 last answer");
		j->results[i].code = 451;
	}
	out_worker_job(&j->msg, w);
}

/* --- logins */

struct keys_cred_query {
	keys_cred_fn fn;
	void *arg;
};
static struct keys_cred_query *asked[8];

unsigned out_fake_login(void)
{
	unsigned n = 0;

	for (int i = 0; i < 8; i++) {
		struct keys_cred_query *q = asked[i];
		asked[i] = NULL;
		if (q) {
			q->fn(q->arg, 0, span_str(fake.user), span_str(fake.password));
			free(q);
			n++;
		}
	}
	return n;
}

struct keys_cred_query *keys_cred_get(struct keys_cred *k, const char *name, keys_cred_fn fn, void *arg)
{
	(void)k;
	(void)name;
	for (int i = 0; fake.hold_login && i < 8; i++)
		if (!asked[i]) {
			asked[i] = calloc(1, sizeof(*asked[i]));
			*asked[i] = (struct keys_cred_query){fn, arg};
			return asked[i];
		}
	if (fake.user)
		fn(arg, 0, span_str(fake.user), span_str(fake.password));
	else
		fn(arg, fake.login_err ? fake.login_err : ERR_NOTFOUND, span_of(NULL, 0), span_of(NULL, 0));
	return NULL;
}
void keys_cred_cancel(struct keys_cred_query *q)
{
	for (int i = 0; q && i < 8; i++)
		if (asked[i] == q) {
			asked[i] = NULL;
			free(q);
			return;
		}
}

/* --- keyd: the index of a value is a sum of it */

static struct {
	keys_field_fn fn;
	void *arg;
	unsigned count;
	uint8_t index[KEYS_FIELD_BATCH][32];
} indexed;

static void tell_index(struct later *l)
{
	struct keyproto_result results[KEYS_FIELD_BATCH];

	(void)l;
	for (unsigned i = 0; i < indexed.count; i++)
		results[i] = (struct keyproto_result){0, span_of(indexed.index[i], 32)};
	indexed.fn(indexed.arg, fake.index_err, results, fake.index_err ? 0 : indexed.count);
}
int keys_field_index(struct keyproto_client_ev *c, const char *customer, const struct keyproto_field *items,
		     unsigned count, keys_field_fn fn, void *arg)
{
	struct later *l;

	(void)c;
	(void)customer;
	trail('I');
	if (fake.index_refused)
		return fake.index_refused;
	indexed.fn = fn;
	indexed.arg = arg;
	indexed.count = count;
	memset(indexed.index, 0, sizeof(indexed.index));
	for (unsigned i = 0; i < count; i++)
		for (size_t k = 0; k < items[i].data.n; k++)
			indexed.index[i][k % 10] = (uint8_t)(indexed.index[i][(k + 9) % 10] * 31 +
							     items[i].data.p[k]);
	l = calloc(1, sizeof(*l));
	l->fn = tell_index;
	post(l, fake.hold_index);
	return 0;
}

/* --- DNS */

struct out_dns {
	int unused;
};
static void fill_tlsa(struct out_dnsmsg_tlsa *t, const char *item)
{
	unsigned usage, selector, match;
	int at = 0;

	if (sscanf(item, "%u %u %u %n", &usage, &selector, &match, &at) != 3)
		abort();
	t->usage = (uint8_t)usage;
	t->selector = (uint8_t)selector;
	t->match = (uint8_t)match;
	t->len = (uint16_t)hex_decode(t->data, sizeof(t->data), span_str(item + at));
}
static void fill(struct out_dnsmsg *m, int type, const char *data)
{
	while (data && *data) {
		char item[4200];
		unsigned preference;
		size_t n = strcspn(data, ",");
		snprintf(item, sizeof(item), "%.*s", (int)n, data);
		if (type == OUT_DNSMSG_MX) {
			sscanf(item, "%u %100s", &preference, m->mx[m->count].name);
			m->mx[m->count].preference = (uint16_t)preference;
		} else if (type == OUT_DNSMSG_TLSA) {
			fill_tlsa(&m->tlsa[m->count], item);
		} else if (type == OUT_DNSMSG_CNAME) {
			; /* canonical says it */
		} else if (inet_pton(type == OUT_DNSMSG_A ? AF_INET : AF_INET6, item,
				     m->addresses[m->count]) != 1) {
			abort();
		}
		m->count++;
		data += n + (data[n] == ',');
	}
	m->ttl = 60;
}
struct out_dns_query {
	out_dns_fn fn;
	void *arg;
};
static struct out_dns_query *unanswered[16];

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	static struct out_dnsmsg m;
	const struct out_fake_name *n = fake.names;

	(void)d;
	fake.questions++;
	for (int i = 0; fake.hold_dns && !strcmp(fake.hold_dns, name) && i < 16; i++)
		if (!unanswered[i]) {
			unanswered[i] = calloc(1, sizeof(*unanswered[i]));
			*unanswered[i] = (struct out_dns_query){fn, arg};
			return unanswered[i];
		}
	memset(&m, 0, sizeof(m));
	while (n && n->name && (strcmp(n->name, name) || n->type != type))
		n++;
	if (n && n->name) {
		fill(&m, type, n->data);
		snprintf(m.canonical, sizeof(m.canonical), "%s", n->canonical ? n->canonical : "");
		fn(arg, n->result, &m,
		   n->secure && (!fake.insecure_after || fake.questions <= fake.insecure_after));
	} else {
		fn(arg, 0, &m, fake.secure_none);
	}
	return NULL;
}
void out_dns_cancel(struct out_dns_query *q)
{
	for (int i = 0; q && i < 16; i++)
		if (unanswered[i] == q) {
			unanswered[i] = NULL;
			free(q);
			return;
		}
}
struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why)
{
	(void)l;
	(void)c;
	*why = "";
	return calloc(1, sizeof(struct out_dns));
}
void out_dns_free(struct out_dns *d)
{
	free(d);
}
