/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of recipients: an author sends one in pieces, milter fetches what became of it. */
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/secret.h"
#include "keyproto/keyproto_msg.h"
#include "relay/api/api_which.h"

static void answered(void *arg, int err, const char *why, json_t *body)
{
	if (err < 0)
		api_which_failed(arg, err, why, body);
	else
		api_call_reply(arg, 200, body);
}

void api_audience_put(struct api_call *c)
{
	const char *lines = api_which_text(c, "lines"), *customer = api_which_text(c, "customer");
	size_t n = strlen(lines);
	uint8_t *text = malloc(n + 1);
	int got = text ? hex_b64_decode(text, n, span_str(lines)) : ERR_NOMEM;

	if (!customer[0])
		customer = "default";
	if (got < 0 || !json_is_string(json_object_get(c->body, "lines")))
		api_call_problem(c, 400, "lines must be whole lines of the list, in base64");
	else if (!keyproto_name_ok(span_str(customer)))
		api_call_problem(c, 400, "customer must be the name of one");
	else
		campaign_audience(c->relay, customer, api_which_text(c, "audience"), span_of(text, (size_t)got), answered, c);
	if (text)
		secret_wipe(text, n + 1);
	free(text);
}

static void read_some(void *arg, int err, const char *why, json_t *body)
{
	if (err == ERR_DAMAGED)
		api_call_problem(arg, 503, "what is stored of it does not hold: see relay's log");
	else
		answered(arg, err, why, body);
}

void api_audience_read(struct api_call *c)
{
	const json_t *from = json_object_get(c->body, "from");
	struct campaign_which which;

	if (api_which_read(c, &which, 1) < 0)
		return;
	if (!json_is_integer(from) || json_integer_value(from) < 0)
		api_call_problem(c, 400, "from must be a number");
	else
		campaign_audience_piece(c->relay, &which, json_integer_value(from), read_some, c);
}
