/* SPDX-License-Identifier: Apache-2.0 */
/* Campaigns, for people. Who asks is known by his uid: the author of what he adds. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/hex.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/api/api_call.h"
#include "relay/api/api_which.h"

/* --- answers */

static const struct {
	int err, status;
	const char *detail; /* if nothing better is known */
} answers[] = {
    {ERR_FORMAT, 400, "malformed"},
    {ERR_DENIED, 403, "not permitted"},
    {ERR_NOTFOUND, 404, "no such campaign"},
    {ERR_BADSTATE, 409, "not in the state that it is in"},
    {ERR_EXISTS, 409, "it exists already"},
    {ERR_GONE, 410, "the customer's keys were destroyed"},
    {ERR_LIMIT, 413, "it is too large"},
    {ERR_UNSUPPORTED, 422, "it is refused"},
    {ERR_CLOSED, 500, "it failed: see relay's log"},
    {ERR_DAMAGED, 500, "what is stored of it does not hold: see relay's log"},
    {ERR_BUSY, 503, "too much at once: again in a moment"},
    {ERR_AWAY, 503, "keyd is away or locked: campaigns lie sealed, and nothing can be signed now"},
    {ERR_LOCKED, 503, "keyd is away or locked: campaigns lie sealed, and nothing can be signed now"},
    {ERR_TIMEOUT, 503, "keyd does not answer"},
};

void api_which_failed(struct api_call *c, int err, const char *why, json_t *body)
{
	int status = 500;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].err == err) {
			status = answers[i].status;
			why = why ? why : answers[i].detail;
		}
	if (!body) {
		api_call_problem(c, status, why ? why : err_text(err));
		return;
	}
	json_object_set_new(body, "type", json_string("about:blank"));
	json_object_set_new(body, "status", json_integer(status));
	json_object_set_new(body, "detail", json_string(why));
	api_call_reply(c, status, body);
}

static void answered(void *arg, int err, const char *why, json_t *body)
{
	if (err < 0)
		api_which_failed(arg, err, why, body);
	else
		api_call_reply(arg, 200, body);
}

static void added(void *arg, int err, const char *why, json_t *body)
{
	if (err < 0)
		api_which_failed(arg, err, why, body);
	else
		api_call_reply(arg, 201, body);
}

/* --- requests */

const char *api_which_text(const struct api_call *c, const char *member)
{
	const char *v = json_string_value(json_object_get(c->body, member));

	return v ? v : "";
}

int api_which_read(struct api_call *c, struct campaign_which *which, int exact)
{
	const json_t *customer = json_object_get(c->body, "customer"), *version = json_object_get(c->body, "version");

	*which = (struct campaign_which){customer ? api_which_text(c, "customer") : "default",
					 api_which_text(c, "campaign"), json_integer_value(version)};
	if (!keyproto_name_ok(span_str(which->customer)) ||
	    !keyproto_manifest_campaign_ok(span_str(which->campaign)) || (version && !json_is_integer(version)) ||
	    (!version && exact) || (version && (which->version < 1 || which->version > UINT32_MAX))) {
		api_call_problem(c, 400, "customer and campaign must be names, version a number from 1");
		return ERR_FORMAT;
	}
	return 0;
}

/* Login name of who asks, or his number. */
static void principal(const struct api_call *c, char out[65])
{
	struct passwd p, *found = NULL;
	char room[4096];

	if (getpwuid_r(c->uid, &p, room, sizeof(room), &found) == 0 && found && strlen(p.pw_name) < 65)
		strcpy(out, p.pw_name);
	else
		snprintf(out, 65, "%u", c->uid);
}

/* Root and relay's own user may act for somebody (a dashboard's server does): others are who they are. */
static int author_of(struct api_call *c, char out[65])
{
	const json_t *given = json_object_get(c->body, "author");

	principal(c, out);
	if (!given)
		return 0;
	if (json_is_string(given) && !strcmp(json_string_value(given), out))
		return 0;
	if (c->uid != 0 && c->uid != geteuid())
		api_call_problem(c, 403, "you may not name another author than yourself");
	else if (!json_is_string(given) || json_string_length(given) > 64)
		api_call_problem(c, 400, "author must be a name");
	else
		return strcpy(out, json_string_value(given)) ? 0 : ERR_FORMAT;
	return ERR_DENIED;
}

static int has_body(struct api_call *c)
{
	if (c->body)
		return 1;
	api_call_problem(c, 400, "a JSON object must come with it");
	return 0;
}

/* --- handlers */

static void list(struct api_call *c, const char *customer, const char *campaign)
{
	json_t *all = campaign_list(c->relay, customer, campaign);

	if (!all)
		api_call_problem(c, 500, "relay.db cannot be read");
	else if (campaign && !json_array_size(json_object_get(all, "items"))) {
		json_decref(all);
		api_call_problem(c, 404, "no such campaign");
	} else
		api_call_reply(c, 200, all);
}

void api_campaign_list(struct api_call *c)
{
	list(c, c->name[0] ? c->name : NULL, NULL);
}

void api_campaign_versions(struct api_call *c)
{
	list(c, NULL, c->name);
}

void api_campaign_show(struct api_call *c)
{
	struct campaign_which which;

	if (api_which_read(c, &which, 0) == 0)
		campaign_show(c->relay, &which, answered, c);
}

void api_campaign_add(struct api_call *c)
{
	char author[65];

	if (has_body(c) && author_of(c, author) == 0)
		campaign_add(c->relay, c->body, author, added, c);
}

void api_campaign_lint(struct api_call *c)
{
	char author[65];

	if (has_body(c) && author_of(c, author) == 0)
		campaign_lint_only(c->relay, c->body, author, answered, c);
}

void api_campaign_test(struct api_call *c)
{
	const char *text = api_which_text(c, "message"), *rcpt = api_which_text(c, "rcpt");
	struct campaign_which which;
	uint8_t *message;
	int n;

	if (api_which_read(c, &which, 0) < 0)
		return;
	message = malloc(strlen(text) + 1);
	n = message ? hex_b64_decode(message, strlen(text), span_str(text)) : ERR_NOMEM;
	if (n <= 0)
		api_call_problem(c, 400, "message must be base64");
	else if (!rcpt[0])
		api_call_problem(c, 400, "rcpt must be the recipient's address");
	else
		campaign_test(c->relay, &which, span_of(message, (size_t)n), rcpt, answered, c);
	free(message);
}

void api_campaign_approve(struct api_call *c)
{
	const char *hash = api_which_text(c, "hash"), *signature = api_which_text(c, "signature");
	uint8_t digest[KEYPROTO_MANIFEST_HASH], bytes[KEYPROTO_MANIFEST_SIG_MAX];
	struct campaign_which which;
	int n;

	if (api_which_read(c, &which, 1) < 0)
		return;
	n = hex_b64_decode(bytes, sizeof(bytes), span_str(signature));
	if (hex_decode(digest, sizeof(digest), span_str(hash)) != (int)sizeof(digest) || n <= 0)
		api_call_problem(c, 400, "hash must be 64 hexadecimal digits, signature base64");
	else
		campaign_approve(c->relay, &which, digest, api_which_text(c, "approver"),
				 span_of(bytes, (size_t)n), answered, c);
}

void api_campaign_activate(struct api_call *c)
{
	struct campaign_which which;

	if (api_which_read(c, &which, 1) == 0)
		campaign_activate(c->relay, &which, json_is_true(json_object_get(c->body, "keep")), answered, c);
}

static void set_paused(struct api_call *c, int yes)
{
	struct campaign_which which;

	if (api_which_read(c, &which, 1) == 0)
		campaign_pause(c->relay, &which, yes, answered, c);
}

void api_campaign_pause(struct api_call *c)
{
	set_paused(c, 1);
}

void api_campaign_resume(struct api_call *c)
{
	set_paused(c, 0);
}

void api_campaign_revoke(struct api_call *c)
{
	struct campaign_which which;

	if (api_which_read(c, &which, 0) == 0)
		campaign_revoke(c->relay, &which, answered, c);
}

void api_campaign_rejection(struct api_call *c)
{
	json_t *report;
	int err = campaign_report(c->relay, c->name, &report);

	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no such report: they are kept for 30 days");
	else
		answered(c, err, NULL, report);
}
