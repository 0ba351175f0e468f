/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "relay/api/api_call.h"
#include "relay/api/api_envelope.h"
#include "relay/queue/queue.h"

static json_t *item(const struct queue_item *i)
{
	char id[ID_TEXT_SIZE];

	id_format(id, i->id);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:s, s:I, s:I, s:I}", "id", id,
			 "customer", i->customer, "campaign", i->campaign, "destination", i->destination, "site",
			 i->site, "recipients",
			 (json_int_t)i->recipients, "attempts", (json_int_t)i->attempts, "reason",
			 queue_reason_text(i->reason), "code", (json_int_t)i->code, "reply", i->reply,
			 "size", (json_int_t)i->size, "created", (json_int_t)i->created, "next",
			 (json_int_t)(i->next == QUEUE_NEVER ? -1 : i->next));
}

static json_t *items(const struct queue_ask *a)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < a->count; i++)
		json_array_append_new(list, item(&a->items[i]));
	return list;
}

static void ask(struct api_call *c, uint8_t action, void (*run)(struct relay_msg *, void *))
{
	struct queue_ask *a = queue_ask_new(action);

	if (!a) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	a->id = c->id;
	a->after = c->after;
	a->limit = c->limit;
	a->msg.run = run;
	a->reply = c->relay->inbox;
	a->arg = c;
	queue_ask_post(c->relay->queue, a);
}

static void listed(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;
	char after[ID_TEXT_SIZE];

	(void)receiver;
	id_format(after, a->after);
	if (a->err < 0)
		api_call_failed(c, a->err);
	else
		api_call_reply(c, 200, json_pack("{s:o, s:b, s:s}", "items", items(a), "more", a->more, "after", after));
	queue_ask_free(a);
}

/* As list, of what the body names. */
void api_queue_find(struct api_call *c)
{
	struct queue_ask *a = queue_ask_new(QUEUE_LIST);
	const char *wrong;

	if (!a) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	a->limit = c->limit;
	wrong = api_queues_filter(c, a);
	if (wrong) {
		queue_ask_free(a);
		api_call_problem(c, 400, wrong);
		return;
	}
	a->msg.run = listed;
	a->reply = c->relay->inbox;
	a->arg = c;
	queue_ask_post(c->relay->queue, a);
}

void api_queue_list(struct api_call *c)
{
	ask(c, QUEUE_LIST, listed);
}

/* show: the queue knows the plan, the spool knows the envelope. */
struct show {
	struct api_call *call;
	struct queue_ask *ask;
};

static void show_with_envelope(void *arg, int err, const struct spool_envelope *e)
{
	struct show *s = arg;
	struct queue_ask *a = s->ask;
	struct api_call *c = s->call;
	json_t *recipients;
	char id[ID_TEXT_SIZE];

	free(s);
	if (err < 0) {
		api_call_failed(c, err);
		queue_ask_free(a);
		return;
	}
	id_format(id, a->id);
	recipients = json_array();
	for (unsigned i = 0; i < e->count; i++)
		json_array_append_new(recipients, json_string(e->recipients[i].address));
	api_call_reply(c, 200,
		       json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:o, s:o}", "id", id,
				 "customer", e->customer, "created", (json_int_t)e->created, "size",
				 (json_int_t)e->size, "sender", e->sender, "client",
				 e->client ? e->client : "", "tls", e->tls ? e->tls : "",
				 "destinations", items(a), "recipients", recipients));
	queue_ask_free(a);
}

static void shown(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;
	struct show *s = NULL;
	int rc = a->err;

	if (rc == 0 && a->count == 0)
		rc = ERR_NOTFOUND;
	if (rc == 0 && !(s = calloc(1, sizeof(*s))))
		rc = ERR_NOMEM;
	if (rc == 0) {
		s->call = c;
		s->ask = a;
		rc = api_envelope_open(receiver, a->id, a->items[0].at, show_with_envelope, s);
	}
	if (rc < 0) {
		free(s);
		queue_ask_free(a);
		api_call_failed(c, rc);
	}
}

void api_queue_show(struct api_call *c)
{
	ask(c, QUEUE_SHOW, shown);
}

static void acted(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;

	(void)receiver;
	if (a->err < 0)
		api_call_failed(c, a->err);
	else
		api_call_reply(c, 200, json_pack("{s:I}", "affected", (json_int_t)a->affected));
	queue_ask_free(a);
}

void api_queue_retry(struct api_call *c)
{
	ask(c, QUEUE_RETRY_NOW, acted);
}

void api_queue_retry_all(struct api_call *c)
{
	c->id = 0;
	ask(c, QUEUE_RETRY_NOW, acted);
}

void api_queue_delete(struct api_call *c)
{
	ask(c, QUEUE_DELETE, acted);
}
