/* SPDX-License-Identifier: Apache-2.0 */
/* api_trace - the way of one message: what the spool log holds of it, opened by a worker, told in order.
 *
 * Three steps: control reads the log's heads (that may take some 10 ms a segment: workers must not); worker 0 opens
 * the envelope and the details; control answers. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "core/num.h"
#include "relay/api/api_call.h"
#include "relay/queue/queue.h"
#include "relay/spool/spool_message.h"

#define NEWS_MAX 4096

struct trace;

struct news { /* one STATE record */
	struct trace *trace;
	int64_t time;
	struct spool_place place;
	struct spool_state *states;
	unsigned count;
	char *detail; /* opened, or NULL */
};

struct trace {
	struct relay_msg msg; /* to the worker and back */
	struct api_call *call;
	struct relay_worker *worker;
	uint64_t id;
	struct spool_place commit;
	int has_commit, err;
	struct news *news;
	unsigned count, opened; /* opened: how many details were dealt with */
	struct spool_reader *reader;
};

static void trace_free(struct trace *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		free(t->news[i].states);
		if (t->news[i].detail)
			explicit_bzero(t->news[i].detail, strlen(t->news[i].detail));
		free(t->news[i].detail);
	}
	free(t->news);
	free(t);
}

static void seen(void *arg, const struct spool_seen *r)
{
	struct trace *t = arg;
	struct news *grown;

	if (r->kind == SPOOL_COMMIT) {
		t->commit = r->place;
		t->has_commit = 1;
	}
	if (r->kind != SPOOL_STATE || t->count == NEWS_MAX)
		return;
	grown = realloc(t->news, (t->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	t->news = grown;
	grown += t->count;
	memset(grown, 0, sizeof(*grown));
	grown->states = malloc(r->state_count * sizeof(*r->states));
	if (!grown->states)
		return;
	memcpy(grown->states, r->states, r->state_count * sizeof(*r->states));
	grown->count = r->state_count;
	grown->time = r->time;
	grown->place = r->place;
	t->count++;
}

static const char *outcome_text(unsigned outcome)
{
	static const char *const texts[] = {[SPOOL_DELIVERED] = "delivered", [SPOOL_DEFERRED] = "deferred",
					    [SPOOL_BOUNCED] = "bounced",     [SPOOL_EXPIRED] = "expired",
					    [SPOOL_DELETED] = "deleted",     [SPOOL_HELD] = "held"};

	return outcome < sizeof(texts) / sizeof(texts[0]) && texts[outcome] ? texts[outcome] : "unknown";
}

static void fact(json_t *facts, const char *name, const char *value)
{
	if (value && *value)
		json_object_set_new(facts, name, json_string(value));
}

/* "NUMBER OUTCOME CODE REPLY", or "NUMBER OUTCOME ditto": as the one before. */
static void add_result(json_t *results, char *text, const struct spool_envelope *e)
{
	json_t *before = json_array_get(results, json_array_size(results) - 1), *o;
	unsigned long number = strtoul(text, &text, 10);
	char *outcome = *text ? text + 1 : text, *code = strchr(outcome, ' '), *reply;

	if (!code)
		return;
	*code++ = '\0';
	if (before && !strcmp(code, "ditto")) {
		o = json_copy(before);
	} else {
		reply = strchr(code, ' ');
		o = json_pack("{s:i, s:s}", "code", atoi(code), "reply", reply ? reply + 1 : "");
	}
	if (!o) /* a reply that is not UTF-8 */
		o = json_pack("{s:i, s:s}", "code", atoi(code), "reply", "?");
	json_object_set_new(o, "outcome", json_string(outcome));
	json_object_set_new(o, "to", json_string(number < e->count ? e->recipients[number].address : "?"));
	json_array_append_new(results, o);
}

/* "key=value" lines become facts of their own. */
static void add_detail(json_t *facts, json_t *results, char *detail, const struct spool_envelope *e)
{
	char *save = NULL;

	for (char *line = detail ? strtok_r(detail, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		char *eq = strchr(line, '=');
		if (!eq)
			continue;
		*eq = '\0';
		if (!strcmp(line, "result"))
			add_result(results, eq + 1, e);
		else
			fact(facts, line, eq + 1);
	}
}

static json_t *accepted_event(const struct spool_envelope *e)
{
	json_t *facts = json_object();
	char size[16], count[16];

	num_format_size(size, e->size);
	snprintf(count, sizeof(count), "%u", e->count);
	fact(facts, "from", *e->sender ? e->sender : "<>");
	for (unsigned i = 0; i < e->count && i < 20; i++) {
		char name[16];
		snprintf(name, sizeof(name), e->count > 1 ? "to %u" : "to", i + 1);
		fact(facts, name, e->recipients[i].address);
	}
	if (e->count > 20)
		fact(facts, "recipients", count);
	fact(facts, "size", size);
	fact(facts, "client", e->client);
	fact(facts, "tls", e->tls && *e->tls ? e->tls : "none");
	return json_pack("{s:I, s:s, s:o}", "time", (json_int_t)e->created, "what", "accepted", "facts", facts);
}

static json_t *news_event(struct news *n, const struct spool_envelope *e)
{
	json_t *facts = json_object(), *results = json_array();
	const struct spool_state *s = n->states;
	char text[64];

	if (n->count == 1 && s->recipient < e->count)
		fact(facts, "to", e->recipients[s->recipient].address);
	else
		json_object_set_new(facts, "recipients", json_sprintf("%u", n->count));
	if (s->code)
		json_object_set_new(facts, "code", json_sprintf("%u", s->code));
	if (s->outcome != SPOOL_DELIVERED && s->outcome != SPOOL_DELETED)
		fact(facts, "reason", queue_reason_text(s->reason));
	if (s->outcome == SPOOL_DEFERRED && s->next > n->time) {
		num_format_duration(text, s->next - n->time);
		fact(facts, "next in", text);
	}
	add_detail(facts, results, n->detail, e);
	return json_pack("{s:I, s:s, s:o, s:o}", "time", (json_int_t)n->time, "what", outcome_text(s->outcome),
			 "facts", facts, "results", results);
}

/* How many recipients are where: the last word on each counts. */
static json_t *summary(const struct trace *t, const struct spool_envelope *e)
{
	uint8_t *last = calloc(e->count ? e->count : 1, 1);
	unsigned done = 0, failed = 0, waiting = 0;

	for (unsigned i = 0; last && i < t->count; i++)
		for (unsigned k = 0; k < t->news[i].count; k++)
			if (t->news[i].states[k].recipient < e->count)
				last[t->news[i].states[k].recipient] = t->news[i].states[k].outcome;
	for (unsigned i = 0; last && i < e->count; i++) {
		done += last[i] == SPOOL_DELIVERED;
		waiting += !spool_outcome_final(last[i]);
	}
	failed = e->count - done - waiting;
	free(last);
	return json_sprintf("%u of %u delivered%s%s", done, e->count, waiting ? ", some queued" : "",
			    failed ? ", some failed" : "");
}

static void finish_on_worker(struct relay_msg *m, void *receiver)
{
	struct trace *t = (struct trace *)m;

	(void)receiver;
	spool_reader_close(t->reader);
	trace_free(t);
}

static void answer(struct relay_msg *m, void *receiver)
{
	struct trace *t = (struct trace *)m;
	const struct spool_envelope *e;
	char id[ID_TEXT_SIZE];
	json_t *events;

	(void)receiver;
	if (t->err < 0) {
		api_call_failed(t->call, t->err);
	} else {
		e = spool_reader_envelope(t->reader);
		events = json_array();
		json_array_append_new(events, accepted_event(e));
		for (unsigned i = 0; i < t->count; i++)
			json_array_append_new(events, news_event(&t->news[i], e));
		id_format(id, t->id);
		api_call_reply(t->call, 200,
			       json_pack("{s:s, s:s, s:o, s:o}", "id", id, "customer", e->customer, "summary",
					 summary(t, e), "events", events));
	}
	t->msg.run = finish_on_worker; /* the reader is the worker's */
	evt_inbox_post(t->worker->inbox, &t->msg.msg);
}

static void back_to_control(struct trace *t)
{
	t->msg.run = answer;
	evt_inbox_post(t->worker->relay->inbox, &t->msg.msg);
}

static void detail_opened(void *arg, int result, struct span detail)
{
	struct news *n = arg; /* details come in any order */
	struct trace *t = n->trace;

	if (result == 0 && detail.n <= SPOOL_DETAIL_MAX)
		n->detail = strndup((const char *)detail.p, detail.n);
	if (++t->opened == t->count)
		back_to_control(t);
}

/* One after the other; each may be answered at once or after keyd's answer. */
static void open_details(struct trace *t)
{
	struct buf head;
	unsigned total = t->count;

	buf_init(&head, 1u << 20);
	for (unsigned i = 0; i < total; i++) {
		t->news[i].trace = t;
		buf_reset(&head);
		if (spool_log_read(t->worker->relay->spool, t->news[i].place, t->id, &head) < 0)
			buf_reset(&head);
		spool_message_detail_open(t->worker, t->id, buf_span(&head), detail_opened,
					   &t->news[i]);
	}
	buf_clear(&head);
	if (total == 0)
		back_to_control(t);
}

static void envelope_opened(void *arg, int result)
{
	struct trace *t = arg;

	t->err = result;
	if (result < 0)
		back_to_control(t);
	else
		open_details(t);
}

static void open_on_worker(struct relay_msg *m, void *receiver)
{
	struct trace *t = (struct trace *)m;

	t->worker = receiver;
	t->reader = spool_reader_open(t->worker, t->id, t->commit, NULL, envelope_opened, t);
	if (!t->reader)
		envelope_opened(t, ERR_NOMEM);
}

void api_trace_get(struct api_call *c)
{
	struct trace *t = calloc(1, sizeof(*t));
	int rc = t ? 0 : ERR_NOMEM;

	if (t) {
		t->call = c;
		t->id = c->id;
		rc = spool_log_trace(c->relay->spool, c->id, seen, t);
	}
	if (rc == 0 && t->has_commit) {
		t->msg.run = open_on_worker;
		evt_inbox_post(c->relay->workers[0].inbox, &t->msg.msg);
		return;
	}
	if (t)
		trace_free(t);
	if (rc < 0)
		api_call_failed(c, rc);
	else
		api_call_problem(c, 404, "the spool holds nothing of that message: unknown, or finished long ago (its log lines remain)");
}
