/* SPDX-License-Identifier: Apache-2.0 */
/* What milter asks: which campaigns there are, their bundles, how many messages may still go, and which of them do not; and what
 * it refused.
 * Whatever fails here is a reason for it to let campaign mail wait. */
#include "core/err.h"
#include "relay/api/api_which.h"

#define TAKE_MAX 10000

void api_milter_campaigns(struct api_call *c)
{
	json_t *feed = NULL;
	int err = campaign_feed(c->relay, &feed);

	if (err == ERR_DAMAGED)
		api_call_problem(c, 503, "the list of the revoked is not what keyd signed: see relay's log");
	else if (err < 0)
		api_call_problem(c, 503, "keyd has not vouched for the list of the revoked yet");
	else
		api_call_reply(c, 200, feed);
}

static void bundle(void *arg, int err, const char *why, json_t *body)
{
	if (err == ERR_DAMAGED)
		api_call_problem(arg, 503, "what is stored of it does not hold: see relay's log");
	else if (err < 0)
		api_which_failed(arg, err, why, body);
	else
		api_call_reply(arg, 200, body);
}

void api_milter_bundle(struct api_call *c)
{
	struct campaign_which which;

	if (api_which_read(c, &which, 1) == 0)
		campaign_bundle(c->relay, &which, bundle, c);
}

void api_milter_take(struct api_call *c)
{
	const json_t *count = json_object_get(c->body, "count");
	struct campaign_which which;
	json_t *answer = NULL;
	int err;

	if (api_which_read(c, &which, 1) < 0)
		return;
	if (!json_is_integer(count) || json_integer_value(count) < 1 || json_integer_value(count) > TAKE_MAX) {
		api_call_problem(c, 400, "count must be a number from 1 to 10000");
		return;
	}
	err = campaign_take(c->relay, &which, json_integer_value(count), json_object_get(c->body, "spent"), &answer);
	if (err == ERR_FORMAT)
		api_call_problem(c, 400, "spent must be a grant");
	else if (err < 0)
		api_which_failed(c, err, err == ERR_BADSTATE ? "it is not active" : NULL, NULL);
	else
		api_call_reply(c, 200, answer);
}

void api_milter_return(struct api_call *c)
{
	int64_t returned;
	int err = campaign_return(c->relay, json_object_get(c->body, "items"), &returned);

	if (err == ERR_FORMAT)
		api_call_problem(c, 400, "items must be at most 1000, each with grant and unused");
	else if (err < 0)
		api_which_failed(c, err, NULL, NULL);
	else
		api_call_reply(c, 200, json_pack("{s:I}", "returned", (json_int_t)returned));
}

void api_milter_reports(struct api_call *c)
{
	int n = campaign_reports(c->relay, json_object_get(c->body, "items"));

	if (n == ERR_FORMAT)
		api_call_problem(c, 400, "items must be at most 1000 reports, each with id and verdict");
	else if (n < 0)
		api_which_failed(c, n, NULL, NULL);
	else
		api_call_reply(c, 200, json_pack("{s:i}", "taken", n));
}
