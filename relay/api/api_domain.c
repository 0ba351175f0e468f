/* SPDX-License-Identifier: Apache-2.0 */
/* Domains of customers: claimed, verified, vouched for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/api/api_call.h"
#include "relay/campaign/campaign_host.h"
#include "relay/domain/domain.h"

static void failed(struct api_call *c, int err)
{
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404,
				 "the customer has no such domain: see \"sealpost domain list\"");
	else if (err == ERR_EXISTS)
		api_call_problem(c, 409,
				 "this domain, or one above or below it, is verified for another "
				 "customer, who has to "
				 "give it up first; an administrator may trust it for both");
	else if (err == ERR_BADSTATE)
		api_call_problem(c, 409, "it is verified already: nobody has to vouch for it");
	else if (err == ERR_LIMIT)
		api_call_problem(c, 409, "the customer has as many domains as one may have");
	else if (err == ERR_BUSY)
		api_call_problem(c, 503, "too many checks at once: again in a while");
	else if (err == ERR_CLOSED)
		api_call_problem(c, 503, "relay is stopping");
	else
		api_call_failed(c, err);
}

struct asked {
	const char *customer;
	char domain[MAIL_URL_HOST];
};

/* 0, or it is answered. */
static int read_body(struct api_call *c, struct asked *a)
{
	const json_t *customer = json_object_get(c->body, "customer"),
		     *domain = json_object_get(c->body, "domain");
	const char *why = NULL;

	a->customer = customer ? json_string_value(customer) : "default";
	if (!a->customer || !keyproto_name_ok(span_str(a->customer)))
		why = "customer must be the name of one";
	else if (!json_is_string(domain))
		why = "domain must be the name of one, as shop.example";
	else if (camp_owner_domain(a->domain,
				   span_of(json_string_value(domain), json_string_length(domain)),
				   &why) == 0)
		return 0;
	api_call_problem(c, 400, why);
	return ERR_FORMAT;
}

static void reply(struct api_call *c, int err, int status, const struct domain *d)
{
	if (err < 0)
		failed(c, err);
	else
		api_call_reply(c, status, domain_json(d));
}

/* --- list */

static int add_item(void *arg, const struct domain *d)
{
	return json_array_append_new(arg, domain_json(d)) < 0 ? ERR_NOMEM : 0;
}

void api_domain_list(struct api_call *c)
{
	json_t *items = json_array();
	int err = domain_each(c->relay, c->name[0] ? c->name : NULL, add_item, items);

	if (err < 0) {
		json_decref(items);
		failed(c, err);
		return;
	}
	api_call_reply(c, 200, json_pack("{s:o}", "items", items));
}

/* --- one */

/* Who would be left without a host if the domain were not his. */
static void add_uses(struct api_call *c, const struct asked *a, json_t *body)
{
	int unseen = 0;
	json_t *uses = campaign_host_uses(c->relay, a->customer, a->domain, &unseen);

	json_object_set_new(body, "campaigns", uses ? uses : json_array());
	json_object_set_new(body, "campaigns_unseen", json_integer(unseen));
}

void api_domain_show(struct api_call *c)
{
	struct asked a;
	struct domain d;
	json_t *body;
	int err;

	if (read_body(c, &a) < 0)
		return;
	err = domain_get(c->relay, a.customer, a.domain, &d);
	if (err < 0) {
		failed(c, err);
		return;
	}
	body = domain_json(&d);
	add_uses(c, &a, body);
	api_call_reply(c, 200, body);
}

void api_domain_add(struct api_call *c)
{
	struct asked a;
	struct domain d;

	if (read_body(c, &a) == 0)
		reply(c, domain_add(c->relay, a.customer, a.domain, &d), 201, &d);
}

/* Who may only register campaigns must not grant himself where they lead. */
static int may_vouch(struct api_call *c, const struct asked *a)
{
	if (c->uid == 0 || c->uid == geteuid())
		return 1;
	log_event(LOG_LEVEL_WARN, NULL, "domain-denied", "customer=%s domain=%s uid=%u", a->customer,
		  a->domain, c->uid);
	api_call_problem(c, 403, "only root and relay's own user vouch for a domain: it can be shown "
				 "by the DNS whose it is, see \"sealpost domain add\"");
	return 0;
}

void api_domain_trust(struct api_call *c)
{
	const json_t *reason = json_object_get(c->body, "reason");
	const char *text = json_string_value(reason);
	struct asked a;
	struct domain d;

	if (read_body(c, &a) < 0)
		return;
	if (!text || !*text || json_string_length(reason) > DOMAIN_REASON) {
		api_call_problem(c, 400, "reason must be a text of 1 to 200 octets");
		return;
	}
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			api_call_problem(c, 400, "reason must be one line");
			return;
		}
	if (may_vouch(c, &a))
		reply(c, domain_trust(c->relay, a.customer, a.domain, text, c->uid, &d), 200, &d);
}

void api_domain_remove(struct api_call *c)
{
	struct asked a;
	struct domain d;
	json_t *body;
	int err;

	if (read_body(c, &a) < 0)
		return;
	err = domain_get(c->relay, a.customer, a.domain, &d);
	if (err == 0)
		err = domain_remove(c->relay, a.customer, a.domain);
	if (err < 0) {
		failed(c, err);
		return;
	}
	body = domain_json(&d);
	add_uses(c, &a, body);
	api_call_reply(c, 200, body);
}

/* --- verify */

static void verified(void *arg, int err, const struct domain *d, json_t *texts)
{
	struct api_call *c = arg;
	json_t *body;

	if (err < 0) {
		failed(c, err);
		return;
	}
	body = domain_json(d);
	json_object_set(body, "texts", texts);
	api_call_reply(c, 200, body);
}

void api_domain_verify(struct api_call *c)
{
	struct asked a;
	int err;

	if (read_body(c, &a) < 0)
		return;
	err = domain_verify(c->relay, a.customer, a.domain, verified, c);
	if (err < 0)
		failed(c, err);
}
