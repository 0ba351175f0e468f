/* SPDX-License-Identifier: Apache-2.0 */
/* TLS policy: what a delivery would do now, and exceptions. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "relay/api/api_call.h"
#include "relay/tls/tls_check.h"
#include "relay/tls/tls_exception.h"

static json_t *item(const struct tls_exception *e)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "domain", e->domain, "level",
			 tls_exception_level_name(e->level), "reason", e->reason, "created", (json_int_t)e->created,
			 "until", (json_int_t)e->until, "uses", (json_int_t)e->uses, "used", (json_int_t)e->used);
}

void api_tls_exceptions(struct api_call *c)
{
	size_t most = tls_exception_count(c->relay) + 16, n;
	struct tls_exception *all = calloc(most, sizeof(*all));
	json_t *items;

	if (!all) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	n = tls_exception_list(c->relay, all, most);
	items = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(items, item(&all[i]));
	free(all);
	api_call_reply(c, 200, json_pack("{s:o}", "items", items));
}

/* NULL, or what is wrong. */
static const char *read_body(const json_t *body, struct tls_exception *e)
{
	const char *domain = json_string_value(json_object_get(body, "domain")),
		   *level = json_string_value(json_object_get(body, "level"));
	const json_t *reason = json_object_get(body, "reason"), *until = json_object_get(body, "until");

	if (!domain || tls_exception_domain(e->domain, domain) < 0)
		return "domain must be a name, or a dot and a name for all names below it";
	e->level = level ? tls_exception_level(level) : -1;
	if (e->level < 0)
		return "level must be none, opportunistic or encrypt";
	if (!json_is_string(reason) || !json_string_length(reason) ||
	    json_string_length(reason) > TLS_EXCEPTION_REASON)
		return "reason must be a text of 1 to 200 octets";
	strcpy(e->reason, json_string_value(reason));
	for (const char *p = e->reason; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return "reason must be one line";
	if (!json_is_integer(until))
		return "until must be a time, microseconds since 1970";
	e->until = json_integer_value(until);
	return NULL;
}

void api_tls_exception_add(struct api_call *c)
{
	struct tls_exception e = {.level = -1};
	const char *wrong = read_body(c->body, &e);
	int err;

	if (wrong) {
		api_call_problem(c, 400, wrong);
		return;
	}
	err = tls_exception_add(c->relay, &e);
	if (err == ERR_FORMAT)
		api_call_problem(c, 400, "until must lie ahead, and within a year");
	else if (err == ERR_LIMIT)
		api_call_problem(c, 409, "there are too many exceptions");
	else if (err < 0)
		api_call_failed(c, err);
	else
		api_call_reply(c, 200, item(&e));
}

void api_tls_exception_remove(struct api_call *c)
{
	const char *domain = json_string_value(json_object_get(c->body, "domain"));
	char name[256];
	int err;

	if (!domain || tls_exception_domain(name, domain) < 0) {
		api_call_problem(c, 400, "domain must be a name, or a dot and a name");
		return;
	}
	err = tls_exception_remove(c->relay, name);
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "there is no exception for this domain");
	else if (err < 0)
		api_call_failed(c, err);
	else
		api_call_reply(c, 200, json_pack("{s:s}", "domain", name));
}

/* --- check */

static void checked(void *arg, int err, json_t *answer)
{
	struct api_call *c = arg;

	if (err == ERR_FORMAT)
		api_call_problem(c, 400, "domain must be a name");
	else if (err < 0 || !answer)
		api_call_failed(c, err < 0 ? err : ERR_NOMEM);
	else
		api_call_reply(c, 200, answer);
}

void api_tls_check(struct api_call *c)
{
	const char *domain = json_string_value(json_object_get(c->body, "domain")),
		   *customer = json_string_value(json_object_get(c->body, "customer"));
	int err = domain ? tls_check_start(c->relay, domain, customer ? customer : "default", checked, c)
			 : ERR_FORMAT;

	if (err == ERR_BUSY)
		api_call_problem(c, 503, "other domains are being checked: try again in a moment");
	else if (err < 0)
		checked(c, err, NULL);
}
