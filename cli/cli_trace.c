/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost trace: the way of one message. See sealpost-trace(8). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_trace_ledger.h"
#include "core/err.h"
#include "core/id.h"

#define LEDGER_ROWS 1000
#define LEFT 21 /* where facts begin: behind the time */

static void line(const char *name, const char *value)
{
	if (*value)
		printf("%*s%-9s %s\n", LEFT, "", name, value);
}

static void append(char dst[512], const char *between, const char *text)
{
	size_t n = strlen(dst);

	if (*text)
		snprintf(dst + n, 512 - n, "%s%s", n ? between : "", text);
}

/* What is told in lines of their own below; the rest is shown as it is called. */
static const char *const told[] = {"at",    "to",     "host",	"address",  "port",  "source", "tls", "cipher", "group",
				   "clear", "policy", "by",	"why",	    "verified", "resumed",   "ms",  "code",
				   "reason", "next in", "from",	"size",	    "client", "recipients"};

static int is_told(const char *key)
{
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (!strcmp(told[i], key))
			return 1;
	return !strncmp(key, "to ", 3);
}

static void print_rest(const json_t *facts)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)facts, key, value) if (!is_told(key)) line(key, json_string_value(value));
}

/* --- accepted */

static void print_accepted(const json_t *f)
{
	const char *key, *name = "to";
	char text[512] = "";
	json_t *value;

	line("from", cli_text(f, "from"));
	json_object_foreach((json_t *)f, key, value)
	{
		if (strncmp(key, "to", 2))
			continue;
		line(name, json_string_value(value));
		name = "";
	}
	if (*cli_text(f, "recipients")) {
		snprintf(text, sizeof(text), "... and others: %s in all", cli_text(f, "recipients"));
		line("", text);
		text[0] = '\0';
	}
	line("size", cli_text(f, "size"));
	append(text, "", cli_text(f, "client"));
	append(text, ", ", strcmp(cli_text(f, "tls"), "none") ? cli_text(f, "tls") : "without TLS");
	line("client", text);
	print_rest(f);
}

/* --- an attempt */

static void print_peer(const json_t *f)
{
	char text[512] = "";

	if (!*cli_text(f, "host"))
		return;
	snprintf(text, sizeof(text), "%s [%s]%s%s", cli_text(f, "host"), cli_text(f, "address"),
		 *cli_text(f, "port") ? ":" : "", cli_text(f, "port"));
	append(text, " from source ", cli_text(f, "source"));
	line("host", text);
	text[0] = '\0';
	if (!strcmp(cli_text(f, "tls"), "none")) {
		append(text, "", "none"); /* and no reason, where policy let no mail go */
		append(text, ": ", cli_text(f, "clear"));
	} else {
		append(text, "", cli_text(f, "tls"));
		append(text, ", ", cli_text(f, "cipher"));
		append(text, ", ", cli_text(f, "group"));
		append(text, ", ", strcmp(cli_text(f, "resumed"), "yes") ? "" : "resumed");
	}
	line("tls", text);
}

/* "verified  by dane-ee", "verified  no". */
static void print_trust(const json_t *f)
{
	const char *by = cli_text(f, "by");
	char text[512] = "";

	append(text, "", cli_text(f, "policy"));
	append(text, *text ? ": " : "", cli_text(f, "why"));
	line("policy", text);
	if (*by && strcmp(by, "none")) {
		snprintf(text, sizeof(text), "by %s", by);
		line("verified", text);
	} else if (*cli_text(f, "verified") && strcmp(cli_text(f, "tls"), "none")) {
		line("verified", cli_text(f, "verified"));
	}
}

static void print_results(const json_t *e)
{
	const json_t *f = json_object_get(e, "facts"), *results = json_object_get(e, "results");
	size_t i, n = json_array_size(results);
	char text[1200], code[16];
	json_t *r;

	for (i = 0; i < n; i++) {
		r = json_array_get(results, i);
		snprintf(code, sizeof(code), "%lld ", (long long)cli_number(r, "code"));
		snprintf(text, sizeof(text), "%s%s", cli_number(r, "code") ? code : "", cli_text(r, "reply"));
		if (n == 1)
			line("reply", text);
		else
			printf("%*s%-9s %s: %s, %s\n", LEFT, "", i ? "" : "reply", cli_text(r, "to"),
			       cli_text(r, "outcome"), text);
	}
	if (!n)
		line("code", cli_text(f, "code"));
}

static void print_attempt(const json_t *e)
{
	const json_t *f = json_object_get(e, "facts");
	char text[512] = "";

	line("to", cli_text(f, "to"));
	line("reason", cli_text(f, "reason"));
	print_peer(f);
	print_trust(f);
	print_results(e);
	append(text, "", cli_text(f, "ms"));
	append(text, " ", *text ? "ms" : "");
	line("took", text);
	line("next in", cli_text(f, "next in"));
	print_rest(f);
}

static void print_event(const json_t *e)
{
	const json_t *f = json_object_get(e, "facts");
	const char *what = cli_text(e, "what");
	char when[32];

	cli_time(when, cli_number(e, "time"));
	printf("\n%-19s  %s\n", when, what);
	if (!strcmp(what, "accepted"))
		print_accepted(f);
	else
		print_attempt(e);
}

/* *events: what spool and ledger have of the message; *head: the spool's answer, or NULL. */
static int fetch(struct cli *c, const char *id_text, json_t **head, json_t **events)
{
	json_t *question = json_pack("{s:s, s:i}", "message", id_text, "limit", LEDGER_ROWS), *rows = NULL;
	char path[64];
	int rc, of_ledger;

	snprintf(path, sizeof(path), "/v1/trace/%s", id_text);
	*head = NULL;
	rc = cli_api(c, "GET", path, 0, head);
	of_ledger = rc == 0 || rc == CLI_NOT_THERE
			? cli_api_body(c, "POST", "/v1/deliveries", question, 0, &rows)
			: rc;
	json_decref(question);
	*events = *head ? json_incref(json_object_get(*head, "events")) : json_array();
	if (of_ledger == 0)
		cli_trace_ledger_add(*events, json_object_get(rows, "items"));
	json_decref(rows);
	return rc == CLI_NOT_THERE && json_array_size(*events) ? 0 : rc;
}

int cli_trace(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 3 && !strcmp(argv[1], "--json"), rc;
	const char *id_text = argc == 2 || as_json ? argv[argc - 1] : NULL;
	uint64_t id;
	json_t *j, *events, *e;
	size_t i;

	if (!id_text)
		return cli_usage("trace");
	if (id_parse(span_str(id_text), &id) < 0)
		return cli_fail(EXIT_USAGE, "%s: not a message id (13 characters)", id_text);
	rc = fetch(c, id_text, &j, &events);
	if (rc == 0 && !j)
		j = json_pack("{s:s, s:s, s:s, s:O}", "id", id_text, "customer", "", "summary",
			      "from the ledger alone", "events", events);
	if (rc == 0 && as_json) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else if (rc == 0) {
		printf("Message %s%s%s: %s\n", id_text, *cli_text(j, "customer") ? " of customer " : "",
		       cli_text(j, "customer"), cli_text(j, "summary"));
		json_array_foreach(events, i, e) print_event(e);
	}
	json_decref(events);
	json_decref(j);
	return rc;
}
