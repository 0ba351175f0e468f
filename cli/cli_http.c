/* SPDX-License-Identifier: Apache-2.0 */
/* cli_http - asks relay's local API: one request a connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "http/http_client.h"

#define ANSWER_MAX (64u << 20)
#define WAIT	   (30 * CLOCK_SEC)

/* The answer as JSON; a problem (RFC 9457) becomes a message and exit code 1. */
static int judge(const char *path, int status, struct span body, json_t **out)
{
	json_error_t e;
	json_t *j = body.n ? json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &e)
			   : json_object();

	if (!j)
		return cli_fail(EXIT_ENVIRONMENT, "%s: the answer is not JSON", path);
	if (status >= 400) {
		const char *detail = json_string_value(json_object_get(j, "detail"));
		cli_fail(0, "%s", detail ? detail : "relay refuses");
		if (json_object_get(j, "findings")) /* who asks wants to see them */
			*out = j;
		else
			json_decref(j);
		return status == 404 ? CLI_NOT_THERE : EXIT_ENVIRONMENT;
	}
	*out = j;
	return 0;
}

/* What was said may hold addresses and passwords. */
static void forget(char *text, size_t size)
{
	if (text)
		secret_wipe(text, size);
	free(text);
}

int cli_api(const struct cli *c, const char *method, const char *path, int quiet_away, json_t **out)
{
	return cli_api_body(c, method, path, NULL, quiet_away, out);
}

int cli_api_body(const struct cli *c, const char *method, const char *path, const json_t *body,
		 int quiet_away, json_t **out)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;
	int status = 0, rc;
	struct buf in;
	char sock[4200];

	*out = NULL;
	snprintf(sock, sizeof(sock), "%s/api.sock", c->run_dir);
	buf_init_wiped(&in, ANSWER_MAX);
	rc = http_client_ask(sock, method, path, span_of(text, size), WAIT, &status, &in);
	forget(text, size);
	if (rc == 0)
		rc = judge(path, status, buf_span(&in), out);
	else if (quiet_away && (rc == ERR_AWAY || rc == ERR_DENIED))
		rc = ERR_AWAY;
	else if (rc == ERR_AWAY || rc == ERR_DENIED)
		rc = cli_fail(EXIT_ENVIRONMENT, "relay does not answer at %s: %s", sock, err_text(rc));
	else
		rc = cli_fail(EXIT_ENVIRONMENT, "%s: %s", sock, err_text(rc));
	buf_clear(&in);
	return rc;
}
