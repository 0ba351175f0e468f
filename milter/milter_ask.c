/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_ask.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "http/http_client.h"

#define ANSWER_WAIT (5 * CLOCK_SEC)
#define ANSWER_MAX  (64u << 20)

int milter_ask(const char *socket, const char *method, const char *target, struct span body,
	       json_t **out)
{
	int status = 0, err;
	struct buf in;

	*out = NULL;
	buf_init(&in, ANSWER_MAX);
	err = http_client_ask(socket, method, target, body, ANSWER_WAIT, &status, &in);
	if (err == 0 && status >= 400)
		err = status == 404 ? ERR_NOTFOUND : status >= 500 ? ERR_BUSY : ERR_DENIED;
	if (err == 0) {
		*out = buf_size(&in) ? json_loadb((const char *)buf_ptr(&in), buf_size(&in),
						  JSON_REJECT_DUPLICATES, NULL)
				     : json_object();
		err = *out ? 0 : ERR_FORMAT;
	}
	buf_clear(&in);
	return err;
}

int milter_ask_post(const char *socket, const char *target, json_t *body, json_t **out)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int err = ERR_NOMEM;

	*out = NULL;
	if (text)
		err = milter_ask(socket, "POST", target, span_str(text), out);
	free(text);
	json_decref(body);
	return err;
}
