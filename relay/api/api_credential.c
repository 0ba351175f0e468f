/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyproto/keyproto_msg.h"
#include "relay/api/api_call.h"
#include "relay/relay_credential.h"
#include "smtp/smtp_auth.h"

static const char *const kinds[] = {
    [STORE_CREDENTIAL_INBOUND] = "inbound", [STORE_CREDENTIAL_UPSTREAM] = "upstream"};

/* Texts of the body; "" if it has none. What is no text where one belongs is found by member_wrong. */
static const char *text(const struct api_call *c, const char *name)
{
	const char *v = json_string_value(json_object_get(c->body, name));

	return v ? v : "";
}

/* Passwords do not outlive the request. */
static void wipe(struct api_call *c, const char *name)
{
	const char *v = json_string_value(json_object_get(c->body, name));

	if (v)
		secret_wipe((char *)(uintptr_t)v, strlen(v));
}

static const struct {
	const char *name;
	json_type type;
} members[] = {{"kind", JSON_STRING},	   {"name", JSON_STRING},	{"customer", JSON_STRING},
	       {"login", JSON_STRING},	   {"password", JSON_STRING},	{"fingerprint", JSON_STRING},
	       {"messages", JSON_STRING},  {"recipients", JSON_STRING}, {"connections", JSON_INTEGER},
	       {"disabled", JSON_TRUE}};

/* NULL, or what is wrong with the body's members. */
static const char *member_wrong(const struct api_call *c)
{
	const char *name;
	json_t *v;
	size_t i;

	json_object_foreach(c->body, name, v) {
		for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
			if (!strcmp(members[i].name, name))
				break;
		if (i == sizeof(members) / sizeof(members[0]))
			return "unknown member";
		if (json_typeof(v) != members[i].type && !(members[i].type == JSON_TRUE && json_is_false(v)))
			return "a member has the wrong type";
	}
	return NULL;
}

static int kind_of(const char *name)
{
	for (int k = STORE_CREDENTIAL_INBOUND; k <= STORE_CREDENTIAL_UPSTREAM; k++)
		if (!strcmp(kinds[k], name))
			return k;
	return 0;
}

static const char *password_wrong(const struct api_call *c, const char *name)
{
	const char *v = text(c, name);

	if (*v && smtp_auth_field_ok(span_str(v)) < 0)
		return "login and password have at most 255 octets";
	return NULL;
}

static const char *rate_wrong(const char *v)
{
	struct num_rate r;

	return num_parse_rate(span_str(v), &r) < 0 ? "messages and recipients are rates such as 100/15m" : NULL;
}

/* Fills row from the body. NULL, or what is wrong. */
static const char *read_row(const struct api_call *c, struct store_credential *row, uint8_t fingerprint[32])
{
	const char *wrong = member_wrong(c);

	if (wrong)
		return wrong;
	*row = (struct store_credential){
	    .kind = kind_of(text(c, "kind")),
	    .name = text(c, "name"),
	    .customer = *text(c, "customer") ? text(c, "customer") : "default",
	    .messages = text(c, "messages"),
	    .recipients = text(c, "recipients"),
	    .connections = json_integer_value(json_object_get(c->body, "connections"))};
	if (!row->kind)
		return "kind is inbound or upstream";
	if (!keyproto_name_ok(span_str(row->name)) || !keyproto_name_ok(span_str(row->customer)))
		return "name and customer have 1 to 64 of a-z 0-9 . _ / -";
	if (row->connections < 0 || row->connections > 100000)
		return "connections is a number up to 100000; 0 is no limit";
	if ((wrong = rate_wrong(row->messages)) || (wrong = rate_wrong(row->recipients)) ||
	    (wrong = password_wrong(c, "password")) || (wrong = password_wrong(c, "login")))
		return wrong;
	if (*text(c, "fingerprint")) {
		if (hex_decode(fingerprint, 32, span_str(text(c, "fingerprint"))) != 32)
			return "fingerprint is SHA-256 in hexadecimal";
		row->fingerprint = span_of(fingerprint, 32);
	}
	if (row->kind == STORE_CREDENTIAL_UPSTREAM && (!*text(c, "login") || !*text(c, "password")))
		return "an upstream credential needs login and password";
	if (row->kind == STORE_CREDENTIAL_INBOUND && !*text(c, "password") && !row->fingerprint.n)
		return "an inbound credential needs a password or a certificate";
	if (row->kind == STORE_CREDENTIAL_INBOUND && *text(c, "login"))
		return "only an upstream credential has a login";
	return NULL;
}

static void changed(void *arg, int err, int64_t id)
{
	struct api_call *c = arg;

	(void)id;
	wipe(c, "password");
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no such customer in keyd");
	else if (err < 0)
		api_call_failed(c, err);
	else
		api_call_reply(c, 200, json_object());
}

static void failed(struct api_call *c, int err)
{
	if (err == ERR_EXISTS)
		api_call_problem(c, 409, "a credential of this kind and name, or this certificate, is there already");
	else if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no such credential");
	else
		api_call_failed(c, err);
}

static void settle(struct api_call *c, int err)
{
	if (err == 0)
		return;
	wipe(c, "password");
	failed(c, err);
}

void api_credential_add(struct api_call *c)
{
	struct store_credential row;
	uint8_t fingerprint[32];
	const char *wrong = c->body ? read_row(c, &row, fingerprint) : "a body is needed";

	if (wrong) {
		wipe(c, "password");
		api_call_problem(c, 422, wrong);
		return;
	}
	settle(c, relay_credential_add(c->relay, &row, span_str(text(c, "login")),
				       span_str(text(c, "password")), changed, c));
}

static void change(struct api_call *c, int kind)
{
	json_t *disabled = json_object_get(c->body, "disabled");
	const char *wrong = c->body ? member_wrong(c) : "a body is needed";
	int err;

	if (!wrong && !(wrong = password_wrong(c, "password")))
		wrong = password_wrong(c, "login");
	if (!wrong && !disabled && !*text(c, "password"))
		wrong = "password or disabled is needed";
	if (!wrong && kind == STORE_CREDENTIAL_INBOUND && *text(c, "login"))
		wrong = "only an upstream credential has a login";
	if (wrong) {
		wipe(c, "password");
		api_call_problem(c, 422, wrong);
		return;
	}
	err = disabled ? relay_credential_disable(c->relay, kind, c->name, json_is_true(disabled)) : 0;
	if (err < 0)
		failed(c, err);
	else if (!*text(c, "password"))
		api_call_reply(c, 200, json_object());
	else
		settle(c, relay_credential_change(c->relay, kind, c->name, span_str(text(c, "login")),
						  span_str(text(c, "password")), changed, c));
}

void api_credential_change_inbound(struct api_call *c)
{
	change(c, STORE_CREDENTIAL_INBOUND);
}

void api_credential_change_upstream(struct api_call *c)
{
	change(c, STORE_CREDENTIAL_UPSTREAM);
}

static void removed(struct api_call *c, int kind)
{
	int err = relay_credential_remove(c->relay, kind, c->name);

	if (err < 0)
		failed(c, err);
	else
		api_call_reply(c, 200, json_object());
}

void api_credential_remove_inbound(struct api_call *c)
{
	removed(c, STORE_CREDENTIAL_INBOUND);
}

void api_credential_remove_upstream(struct api_call *c)
{
	removed(c, STORE_CREDENTIAL_UPSTREAM);
}

static int list_one(void *arg, const struct store_credential *r)
{
	char fingerprint[HEX_SIZE(32)] = "";

	if (r->fingerprint.n == 32)
		hex_encode(fingerprint, r->fingerprint.p, 32);
	return json_array_append_new(
	    arg, json_pack("{s:s, s:s, s:s, s:b, s:s, s:s, s:s, s:I, s:b, s:I, s:I}", "kind", kinds[r->kind],
			   "name", r->name, "customer", r->customer, "password", r->secret.n > 0, "fingerprint",
			   fingerprint, "messages", r->messages, "recipients", r->recipients, "connections",
			   (json_int_t)r->connections, "disabled", r->disabled, "created",
			   (json_int_t)r->created, "changed", (json_int_t)r->changed));
}

void api_credential_list(struct api_call *c)
{
	json_t *items = json_array();
	int err = store_credential_each(c->relay->store, list_one, items);

	if (err < 0) {
		json_decref(items);
		api_call_failed(c, err);
		return;
	}
	api_call_reply(c, 200, json_pack("{s:o}", "items", items));
}
