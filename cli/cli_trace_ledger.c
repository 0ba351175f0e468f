/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_trace_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"

#define MATCHED "ledger" /* member of a result that has its row; not in the end */
#define NEAR (5 * CLOCK_SEC) /* spool and ledger write of the same attempt */

static void fact(json_t *facts, const char *name, const char *value)
{
	if (*value && !json_object_get(facts, name))
		json_object_set_new(facts, name, json_string(value));
}

/* A row in the words of the trace. */
static void add_facts(json_t *facts, const json_t *row)
{
	const json_t *resumed = json_object_get(row, "resumed");

	if (*cli_text(row, "host")) {
		fact(facts, "host", cli_text(row, "host"));
		fact(facts, "address", cli_text(row, "address"));
		fact(facts, "source", cli_text(row, "source"));
		fact(facts, "tls", cli_text(row, "tls"));
		fact(facts, "cipher", cli_text(row, "cipher"));
		fact(facts, "group", cli_text(row, "group"));
		fact(facts, "clear", cli_text(row, "clear"));
	}
	if (resumed)
		fact(facts, "resumed", json_is_true(resumed) ? "yes" : "no");
	fact(facts, "policy", cli_text(row, "policy"));
	fact(facts, "by", cli_text(row, "verified_by"));
	fact(facts, "failure", cli_text(row, "failure"));
	fact(facts, "why", cli_text(row, "why"));
	fact(facts, "reason", cli_text(row, "reason"));
	if (cli_number(row, "ms") && !json_object_get(facts, "ms"))
		json_object_set_new(facts, "ms", json_sprintf("%lld", (long long)cli_number(row, "ms")));
}

static json_t *result_of(const json_t *row)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:b}", "to", cli_text(row, "rcpt"), "outcome",
			 cli_text(row, "outcome"), "code", cli_number(row, "code"), "reply", cli_text(row, "reply"),
			 MATCHED, 1);
}

/* 1: the event is about the row's recipient, or about several, and nothing was added for him. */
static int is_about(const json_t *event, const json_t *row)
{
	const char *to = cli_text(json_object_get(event, "facts"), "to"), *rcpt = cli_text(row, "rcpt");
	json_t *r;
	size_t i;

	if (strcmp(cli_text(event, "what"), cli_text(row, "outcome")) || (*to && *rcpt && strcmp(to, rcpt)))
		return 0;
	json_array_foreach(json_object_get(event, "results"), i, r) if (!strcmp(cli_text(r, "to"), rcpt)) return 0;
	return 1;
}

/* 1: what the spool has of this attempt says it all. */
static int is_told(const json_t *event, const json_t *row)
{
	json_t *r;
	size_t i;

	if (strcmp(cli_text(event, "what"), cli_text(row, "outcome")) ||
	    llabs(cli_number(event, "time") - cli_number(row, "time")) > NEAR)
		return 0;
	json_array_foreach(json_object_get(event, "results"), i, r)
	{
		if (json_object_get(r, MATCHED) || strcmp(cli_text(r, "to"), cli_text(row, "rcpt")) ||
		    cli_number(r, "code") != cli_number(row, "code"))
			continue;
		json_object_set_new(r, MATCHED, json_true());
		return 1;
	}
	return 0;
}

static json_t *event_of(json_t *events, const json_t *row)
{
	json_t *e, *nearest = NULL;
	long long least = NEAR + 1;
	size_t i;

	json_array_foreach(events, i, e)
	{
		long long away = llabs(cli_number(e, "time") - cli_number(row, "time"));
		if (away < least && is_about(e, row)) {
			nearest = e;
			least = away;
		}
	}
	return nearest;
}

static json_t *make_event(json_t *events, const json_t *row)
{
	json_t *e = json_pack("{s:I, s:s, s:{}, s:[]}", "time", cli_number(row, "time"), "what",
			      cli_text(row, "outcome"), "facts", "results");
	size_t at = json_array_size(events);

	while (at > 0 && cli_number(json_array_get(events, at - 1), "time") > cli_number(row, "time"))
		at--;
	fact(json_object_get(e, "facts"), "to", cli_text(row, "rcpt"));
	json_array_insert_new(events, at, e);
	return e;
}

static void add(json_t *events, const json_t *row)
{
	json_t *e;
	size_t i;

	json_array_foreach(events, i, e) if (is_told(e, row)) return;
	e = event_of(events, row);
	if (!e)
		e = make_event(events, row);
	add_facts(json_object_get(e, "facts"), row);
	json_array_append_new(json_object_get(e, "results"), result_of(row));
}

void cli_trace_ledger_add(json_t *events, const json_t *rows)
{
	json_t *e, *r;
	size_t n, k;

	for (size_t i = json_array_size(rows); i-- > 0;) /* newest first, as the ledger gives them */
		add(events, json_array_get(rows, i));
	json_array_foreach(events, n, e)
		json_array_foreach(json_object_get(e, "results"), k, r) json_object_del(r, MATCHED);
}
