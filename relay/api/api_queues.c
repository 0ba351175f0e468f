/* SPDX-License-Identifier: Apache-2.0 */
/* Queues as people see them (CUSTOMER:CAMPAIGN@SITE), and orders about them. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "core/num.h"
#include "relay/api/api_call.h"
#include "relay/queue/queue.h"
#include "relay/relay_order.h"

/* --- bodies */

static const struct {
	const char *name;
	json_type type;
} members[] = {{"customer", JSON_STRING}, {"campaign", JSON_STRING}, {"destination", JSON_STRING},
	       {"id", JSON_STRING},	  {"via", JSON_STRING},	     {"limit", JSON_INTEGER},
	       {"after", JSON_STRING}};

static const char *member_wrong(const json_t *body)
{
	const char *name;
	json_t *v;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)body, name, v) {
		for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
			if (!strcmp(members[i].name, name))
				break;
		if (i == sizeof(members) / sizeof(members[0]))
			return "unknown member";
		if (json_typeof(v) != members[i].type)
			return "a member has the wrong type";
	}
	return NULL;
}

/* Copies a text of the body, in lower case if lower. 1: it is there; 0; ERR_LIMIT: too long; ERR_FORMAT: control
 * characters or spaces. */
static int text(const struct api_call *c, const char *name, char *dst, size_t size, int lower)
{
	const char *v = json_string_value(json_object_get(c->body, name));
	size_t n = v ? strlen(v) : 0;

	if (!v)
		return 0;
	if (n >= size)
		return ERR_LIMIT;
	for (size_t i = 0; i <= n; i++) {
		if (v[i] && ((unsigned char)v[i] <= ' ' || v[i] == 0x7f))
			return ERR_FORMAT;
		dst[i] = lower && v[i] >= 'A' && v[i] <= 'Z' ? (char)(v[i] + 32) : v[i];
	}
	return 1;
}

/* NULL, or what is wrong. */
static const char *selector(const struct api_call *c, struct queue_selector *of)
{
	int customer = text(c, "customer", of->customer, sizeof(of->customer), 0);
	int campaign = text(c, "campaign", of->campaign, sizeof(of->campaign), 0);
	int destination = text(c, "destination", of->destination, sizeof(of->destination), 1);
	const char *id = json_string_value(json_object_get(c->body, "id"));

	if (customer < 0 || campaign < 0 || destination < 0)
		return "customer, campaign or destination is too long, or has spaces";
	if (id && id_parse(span_str(id), &of->message) < 0)
		return "id is no message id";
	if (id && (customer || campaign || destination))
		return "id stands alone";
	of->by = (uint8_t)((customer ? QUEUE_BY_CUSTOMER : 0) | (campaign ? QUEUE_BY_CAMPAIGN : 0) |
			   (destination ? QUEUE_BY_DESTINATION : 0) | (id ? QUEUE_BY_MESSAGE : 0));
	return NULL;
}

static const char *hop_wrong(const char *via)
{
	const char *colon = strrchr(via, ':');
	uint64_t port;

	if (!strcmp(via, "mx"))
		return NULL;
	if (!colon || colon == via || num_parse_u64(span_str(colon + 1), &port) < 0 || !port || port > 65535)
		return "via is mx or HOST:PORT";
	return NULL;
}

/* --- answers */

static json_t *row(const struct queue_row *r)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I, s:I, s:s}",
			 "customer", r->customer, "campaign", r->campaign, "site", r->site, "pool", r->pool,
			 "resolved", r->resolved, "domains", (json_int_t)r->domains, "recipients",
			 (json_int_t)r->recipients, "waiting", (json_int_t)r->waiting, "ready",
			 (json_int_t)r->ready, "active", (json_int_t)r->active, "held_messages",
			 (json_int_t)r->holds, "held", r->held, "suspended", r->suspended, "slow", r->slow,
			 "oldest", (json_int_t)r->oldest, "next",
			 (json_int_t)(r->next == QUEUE_NEVER ? -1 : r->next), "reason",
			 queue_reason_text(r->reason));
}

static void summed(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	const struct queue_numbers *n = &a->numbers;
	struct api_call *c = a->arg;
	json_t *list;

	(void)receiver;
	if (a->err < 0) {
		api_call_failed(c, a->err);
		queue_ask_free(a);
		return;
	}
	list = json_array();
	for (unsigned i = 0; i < a->count; i++)
		json_array_append_new(list, row(&a->rows[i]));
	api_call_reply(c, 200,
		       json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:b}", "total",
				 "queues", (json_int_t)n->lines, "recipients", (json_int_t)a->affected,
				 "messages", (json_int_t)n->messages, "active", (json_int_t)n->active,
				 "deferred", (json_int_t)n->deferred, "held_messages", (json_int_t)n->held,
				 "slow", (json_int_t)n->slow, "draining", (json_int_t)n->draining, "opening",
				 (json_int_t)n->opening, "orphans", (json_int_t)n->orphans, "queues", list,
				 "more", a->more));
	queue_ask_free(a);
}

static const struct {
	uint8_t action;
	const char *name;
} actions[] = {{QUEUE_HOLD, "hold"},	   {QUEUE_SUSPEND, "suspend"}, {QUEUE_REROUTE, "reroute"},
	       {QUEUE_BOUNCE, "bounce"},   {QUEUE_PURGE, "purge"},     {QUEUE_RELEASE, "release"},
	       {QUEUE_RESUME, "resume"},   {QUEUE_RETRY_NOW, "retry"}, {0, NULL}};

static const char *action_name(uint8_t action)
{
	for (size_t i = 0; actions[i].name; i++)
		if (actions[i].action == action)
			return actions[i].name;
	return "";
}

static void put(json_t *o, const char *name, const struct queue_selector *of, uint8_t by, const char *value)
{
	if (of->by & by)
		json_object_set_new(o, name, json_string(value));
}

static json_t *order(const struct queue_order *o)
{
	json_t *j = json_pack("{s:I, s:s, s:I, s:I}", "number", (json_int_t)o->number, "action",
			      action_name(o->action), "created", (json_int_t)o->created, "recipients",
			      (json_int_t)o->recipients);
	char id[ID_TEXT_SIZE];

	id_format(id, o->of.message);
	put(j, "customer", &o->of, QUEUE_BY_CUSTOMER, o->of.customer);
	put(j, "campaign", &o->of, QUEUE_BY_CAMPAIGN, o->of.campaign);
	put(j, "destination", &o->of, QUEUE_BY_DESTINATION, o->of.destination);
	put(j, "id", &o->of, QUEUE_BY_MESSAGE, id);
	if (o->via[0])
		json_object_set_new(j, "via", json_string(o->via));
	return j;
}

static void orders_told(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;
	json_t *list;

	(void)receiver;
	if (a->err < 0) {
		api_call_failed(c, a->err);
		queue_ask_free(a);
		return;
	}
	list = json_array();
	for (unsigned i = 0; i < a->count; i++)
		json_array_append_new(list, order(&a->orders[i]));
	api_call_reply(c, 200, json_pack("{s:o}", "orders", list));
	queue_ask_free(a);
}

static void obeyed(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;

	if (a->err < 0) {
		relay_order_refused(receiver, a);
		api_call_failed(c, a->err);
	} else {
		api_call_reply(c, 200,
			       json_pack("{s:I, s:I, s:I}", "affected", (json_int_t)a->affected, "kept",
					 (json_int_t)a->kept, "number", (json_int_t)a->order.number));
	}
	queue_ask_free(a);
}

/* --- asking */

static struct queue_ask *ask_of(struct api_call *c, uint8_t action, void (*run)(struct relay_msg *, void *))
{
	struct queue_ask *a = queue_ask_new(action);

	if (!a) {
		api_call_problem(c, 503, "out of memory");
		return NULL;
	}
	a->limit = c->limit;
	a->msg.run = run;
	a->reply = c->relay->inbox;
	a->arg = c;
	return a;
}

void api_queues_get(struct api_call *c)
{
	struct queue_ask *a = ask_of(c, QUEUE_SUMMARY, summed);

	if (a)
		queue_ask_post(c->relay->queue, a);
}

const char *api_queues_filter(struct api_call *c, struct queue_ask *a)
{
	const char *after = json_string_value(json_object_get(c->body, "after"));
	const json_t *limit = json_object_get(c->body, "limit");
	const char *wrong = member_wrong(c->body);

	if (!wrong)
		wrong = selector(c, &a->order.of);
	if (!wrong && a->order.of.by & QUEUE_BY_MESSAGE)
		wrong = "a list is not of one message";
	if (!wrong && limit && (json_integer_value(limit) < 1 || json_integer_value(limit) > 1000))
		wrong = "limit is 1 to 1000";
	if (!wrong && after && id_parse(span_str(after), &a->after) < 0)
		wrong = "after is a message id";
	if (limit)
		a->limit = (unsigned)json_integer_value(limit);
	return wrong;
}

void api_queues_summary(struct api_call *c)
{
	struct queue_ask *a = ask_of(c, QUEUE_SUMMARY, summed);
	const char *wrong = a ? api_queues_filter(c, a) : NULL;

	if (wrong) {
		queue_ask_free(a);
		api_call_problem(c, 400, wrong);
	} else if (a) {
		queue_ask_post(c->relay->queue, a);
	}
}

void api_queues_orders(struct api_call *c)
{
	struct queue_ask *a = ask_of(c, QUEUE_ORDERS, orders_told);

	if (a)
		queue_ask_post(c->relay->queue, a);
}

static uint8_t action_of(const char *name)
{
	for (size_t i = 0; actions[i].name; i++)
		if (!strcmp(actions[i].name, name))
			return actions[i].action;
	return 0;
}

/* NULL, or what is wrong with the order in the body. */
static const char *read_order(struct api_call *c, struct queue_ask *a)
{
	const char *wrong = member_wrong(c->body);
	struct queue_order *o = &a->order;
	int via;

	if (!wrong)
		wrong = selector(c, &o->of);
	if (wrong)
		return wrong;
	via = text(c, "via", o->via, sizeof(o->via), 0);
	if (via < 0 || (via > 0) != (a->action == QUEUE_REROUTE))
		return "via belongs to reroute";
	if (!o->of.by && a->action != QUEUE_RETRY_NOW)
		return "say which: customer, campaign, destination, or id";
	if (o->of.by & QUEUE_BY_MESSAGE && (a->action == QUEUE_SUSPEND || a->action == QUEUE_RESUME))
		return "one message is held and released";
	if (a->action == QUEUE_REROUTE && !o->via[0])
		a->action = QUEUE_UNROUTE;
	else if (a->action == QUEUE_REROUTE && hop_wrong(o->via))
		return hop_wrong(o->via);
	if (o->of.by & QUEUE_BY_MESSAGE && (a->action == QUEUE_PURGE || a->action == QUEUE_RETRY_NOW)) {
		a->id = o->of.message;
		a->action = a->action == QUEUE_PURGE ? QUEUE_DELETE : QUEUE_RETRY_NOW;
	}
	return NULL;
}

void api_queues_act(struct api_call *c)
{
	uint8_t action = action_of(c->name);
	struct queue_ask *a;
	const char *wrong;
	int err;

	if (!action) {
		api_call_problem(c, 404, "no such action");
		return;
	}
	a = ask_of(c, action, obeyed);
	if (!a)
		return;
	wrong = read_order(c, a);
	if (wrong) {
		queue_ask_free(a);
		api_call_problem(c, 400, wrong);
		return;
	}
	err = relay_order_give(c->relay, a);
	if (err < 0) {
		queue_ask_free(a);
		api_call_failed(c, err);
	}
}
