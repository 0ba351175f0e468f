/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "relay/api/api_call.h"
#include "relay/bounce/bounce_list.h"
#include "smtp/smtp_addr.h"

static void failed(struct api_call *c, int err)
{
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "keyd knows no such customer");
	else if (err == ERR_BUSY)
		api_call_problem(c, 503, "the list of suppressed recipients is being opened; keyd has to be "
					 "unlocked for that");
	else
		api_call_failed(c, err);
}

/* --- list */

static void listed(void *arg, int err, const struct bounce_list_item *items, unsigned count)
{
	struct api_call *c = arg;
	json_t *list = json_array();
	char next[ID_TEXT_SIZE] = "";

	if (err < 0) {
		json_decref(list);
		failed(c, err);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:I, s:I}", "address", items[i].address, "reason",
				    store_suppression_reason_name(items[i].reason), "created",
				    (json_int_t)items[i].created, "expires", (json_int_t)items[i].expires));
	if (count == KEYS_FIELD_BATCH)
		id_format(next, (uint64_t)items[count - 1].id);
	api_call_reply(c, 200, json_pack("{s:o, s:s}", "items", list, "next", next));
}

void api_suppression_list(struct api_call *c)
{
	int err = bounce_list_read(c->relay->suppressed, c->name[0] ? c->name : "default", (int64_t)c->after,
				   listed, c);

	if (err < 0)
		failed(c, err);
}

/* --- {"customer": ..., "addresses": [...]} */

struct asked {
	const char *customer;
	struct span addresses[BOUNCE_LIST_BATCH];
	unsigned count;
	json_t *refused; /* what is no address */
};

static void asked_free(struct asked *a)
{
	if (a)
		json_decref(a->refused);
	free(a);
}

static struct asked *read_body(const struct api_call *c)
{
	json_t *list = json_object_get(c->body, "addresses"), *item;
	json_t *customer = json_object_get(c->body, "customer");
	struct asked *a = calloc(1, sizeof(*a));
	struct smtp_addr parts;
	size_t i;

	if (!a || !(a->refused = json_array()) || !json_is_array(list) ||
	    json_array_size(list) > BOUNCE_LIST_BATCH || (customer && !json_is_string(customer))) {
		asked_free(a);
		return NULL;
	}
	a->customer = customer ? json_string_value(customer) : "default";
	json_array_foreach(list, i, item)
	{
		struct span s = span_of(json_string_value(item), json_string_length(item));
		if (json_is_string(item) && smtp_addr_parse(s, SMTP_ADDR_UTF8_OK, &parts) >= 0)
			a->addresses[a->count++] = s;
		else
			json_array_append(a->refused, item);
	}
	return a;
}

static void malformed(struct api_call *c)
{
	api_call_problem(c, 400, "wanted: {\"customer\": NAME, \"addresses\": [at most 1000]}");
}

/* --- add */

struct adding {
	struct api_call *call;
	json_t *refused;
};

static void added(void *arg, int err, unsigned n, unsigned known)
{
	struct adding a = *(struct adding *)arg;

	free(arg);
	if (err < 0) {
		json_decref(a.refused);
		failed(a.call, err);
		return;
	}
	api_call_reply(a.call, 200, json_pack("{s:i, s:i, s:o}", "added", (int)n, "known", (int)known,
					      "refused", a.refused));
}

static int reason_of(const json_t *body)
{
	json_t *reason = json_object_get(body, "reason");

	if (!reason)
		return STORE_SUPPRESSION_MANUAL;
	return store_suppression_reason(span_str(json_is_string(reason) ? json_string_value(reason) : ""));
}

void api_suppression_add(struct api_call *c)
{
	json_t *expires = json_object_get(c->body, "expires");
	struct asked *a = read_body(c);
	struct adding *to = a ? malloc(sizeof(*to)) : NULL;
	int reason = reason_of(c->body), err;

	if (!to || !reason || (expires && !json_is_integer(expires))) {
		free(to);
		asked_free(a);
		malformed(c);
		return;
	}
	*to = (struct adding){c, json_incref(a->refused)};
	if (a->count) {
		err = bounce_list_add(c->relay->suppressed, a->customer, a->addresses, a->count, reason,
				      json_integer_value(expires), added, to);
		if (err < 0)
			added(to, err, 0, 0);
	} else {
		added(to, 0, 0, 0);
	}
	asked_free(a);
}

/* --- remove, check */

void api_suppression_remove(struct api_call *c)
{
	struct asked *a = read_body(c);
	int n;

	if (!a) {
		malformed(c);
		return;
	}
	n = bounce_list_remove(c->relay->suppressed, a->customer, a->addresses, a->count);
	asked_free(a);
	if (n < 0)
		failed(c, n);
	else
		api_call_reply(c, 200, json_pack("{s:i}", "removed", n));
}

void api_suppression_check(struct api_call *c)
{
	struct asked *a = read_body(c);
	json_t *items = json_array();
	int is = 0;

	for (unsigned i = 0; a && is >= 0 && i < a->count; i++) {
		is = bounce_list_check(c->relay->suppressed, a->customer, a->addresses[i]);
		json_array_append_new(
		    items, json_pack("{s:s%, s:b}", "address", (const char *)a->addresses[i].p,
				     a->addresses[i].n, "suppressed", is > 0));
	}
	if (a && is >= 0) {
		api_call_reply(c, 200, json_pack("{s:o, s:O}", "items", items, "refused", a->refused));
	} else {
		json_decref(items);
		if (a)
			failed(c, is);
		else
			malformed(c);
	}
	asked_free(a);
}
