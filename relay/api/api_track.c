/* SPDX-License-Identifier: Apache-2.0 */
/* What readers did: statistics, events; what is known of one recipient, and its erasure. Webhooks are in api_webhook.c. */
#include <string.h>

#include "core/err.h"
#include "relay/api/api_track.h"
#include "smtp/smtp_addr.h"

static void told(struct track_ask *a)
{
	struct api_call *c = a->arg;
	json_t *answer = a->answer;
	int err = a->err;

	a->answer = NULL;
	track_ask_free(a);
	if (err == 0) {
		api_call_reply(c, 200, answer);
		return;
	}
	json_decref(answer);
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "keyd knows no such customer, or there is no such webhook");
	else if (err == ERR_LIMIT)
		api_call_problem(c, 409, "there are as many webhooks, or as much that one is still to be told, as there can be");
	else
		api_call_failed(c, err);
}

struct track_ask *api_track_ask(struct api_call *c, enum track_ask_kind kind)
{
	struct track_ask *a;

	if (!c->relay->track) {
		api_call_problem(c, 409, "tracking is not configured: see tracking in sealpost-relay.yaml(5)");
		return NULL;
	}
	a = track_ask_new(kind);
	if (!a) {
		api_call_problem(c, 503, "out of memory");
		return NULL;
	}
	a->arg = c;
	a->told = told;
	return a;
}

int api_track_text(const struct api_call *c, const char *name, char *dst, size_t size)
{
	const json_t *v = json_object_get(c->body, name);

	dst[0] = '\0';
	if (!v)
		return 0;
	if (!json_is_string(v))
		return ERR_FORMAT;
	return span_copy_str(dst, size, span_of(json_string_value(v), json_string_length(v)));
}

static const char *read_names(const struct api_call *c, struct track_ask *a)
{
	if (api_track_text(c, "customer", a->customer, sizeof(a->customer)) < 0)
		return "customer must be a name";
	return api_track_text(c, "campaign", a->campaign, sizeof(a->campaign)) < 0 ? "campaign must be a name" : NULL;
}

void api_track_post(struct api_call *c, struct track_ask *a, const char *wrong)
{
	if (wrong) {
		track_ask_free(a);
		api_call_problem(c, 400, wrong);
		return;
	}
	track_ask_post(c->relay->track, a);
}

void api_track_stats(struct api_call *c)
{
	struct track_ask *a = api_track_ask(c, TRACK_ASK_STATS);

	if (a)
		api_track_post(c, a, read_names(c, a));
}

void api_track_events(struct api_call *c)
{
	struct track_ask *a = api_track_ask(c, TRACK_ASK_EVENTS_OF);
	const json_t *after = json_object_get(c->body, "after"), *limit = json_object_get(c->body, "limit");
	const char *wrong;

	if (!a)
		return;
	wrong = read_names(c, a);
	if ((after && (!json_is_integer(after) || json_integer_value(after) < 0)) ||
	    (limit && (!json_is_integer(limit) || json_integer_value(limit) < 1)))
		wrong = "after and limit must be numbers";
	a->id = json_integer_value(after);
	a->limit = limit && json_integer_value(limit) < TRACK_ASK_EVENTS ? (unsigned)json_integer_value(limit) : 0;
	api_track_post(c, a, wrong);
}

/* --- one recipient */

static void recipient(struct api_call *c, enum track_ask_kind kind)
{
	struct track_ask *a = api_track_ask(c, kind);
	struct smtp_addr parts;
	const char *wrong;

	if (!a)
		return;
	wrong = read_names(c, a);
	if (!wrong && !a->customer[0])
		strcpy(a->customer, "default");
	if (!wrong && (api_track_text(c, "address", a->address, sizeof(a->address)) < 0 ||
		       smtp_addr_parse(span_str(a->address), SMTP_ADDR_UTF8_OK, &parts) <= 0))
		wrong = "address must be one of mail";
	api_track_post(c, a, wrong);
}

void api_track_export(struct api_call *c)
{
	recipient(c, TRACK_ASK_EXPORT);
}

void api_track_erase(struct api_call *c)
{
	recipient(c, TRACK_ASK_ERASE);
}
