/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks: who is told of events. */
#include <string.h>

#include "core/err.h"
#include "keyproto/keyproto_msg.h"
#include "relay/api/api_track.h"
#include "relay/https/https_url.h"
#include "relay/track/track_hook.h"

void api_webhook_list(struct api_call *c)
{
	struct track_ask *a = api_track_ask(c, TRACK_ASK_HOOK_LIST);

	if (!a)
		return;
	strcpy(a->customer, c->name);
	api_track_post(c, a, NULL);
}

void api_webhook_add(struct api_call *c)
{
	struct track_ask *a = api_track_ask(c, TRACK_ASK_HOOK_ADD);
	char kinds[TRACK_HOOK_KINDS];
	struct https_url url;
	const char *wrong = NULL;

	if (!a)
		return;
	if (api_track_text(c, "customer", a->customer, sizeof(a->customer)) < 0 ||
	    (a->customer[0] && !keyproto_name_ok(span_str(a->customer))))
		wrong = "customer must be a name";
	if (!a->customer[0])
		strcpy(a->customer, "default");
	if (api_track_text(c, "url", a->url, sizeof(a->url)) < 0 || https_url_parse(span_str(a->url), &url) < 0)
		wrong = "url must be https://HOST/..., of a host with a name";
	if (api_track_text(c, "events", kinds, sizeof(kinds)) < 0 ||
	    !(a->kinds = track_hook_kinds(span_str(kinds[0] ? kinds : "click,open,unsubscribe"))))
		wrong = "events must be some of click,open,unsubscribe";
	api_track_post(c, a, wrong);
}

static void act(struct api_call *c, enum track_ask_kind kind)
{
	const json_t *id = json_object_get(c->body, "id");
	struct track_ask *a = api_track_ask(c, kind);

	if (!a)
		return;
	a->id = json_integer_value(id);
	api_track_post(c, a, json_is_integer(id) && a->id > 0 ? NULL : "id must be a number");
}

void api_webhook_remove(struct api_call *c)
{
	act(c, TRACK_ASK_HOOK_REMOVE);
}

void api_webhook_test(struct api_call *c)
{
	act(c, TRACK_ASK_HOOK_TEST);
}

void api_webhook_secret(struct api_call *c)
{
	act(c, TRACK_ASK_HOOK_SECRET);
}
