/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

/* keyd's own account, or NULL after saying why in away. */
static json_t *ask_keyd(const struct cli *c)
{
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	json_t *j;
	int code;

	if (!k)
		return NULL;
	keyproto_client_sync_begin(k);
	j = cli_keyd_json(k, KEYPROTO_STATUS, &code);
	keyproto_client_sync_free(k);
	return j;
}

static void print_keyd(const json_t *k)
{
	const json_t *u = json_object_get(k, "unseal");
	char up[24];
	size_t i;
	json_t *s;

	num_format_duration(up, cli_number(k, "uptime_s") * CLOCK_SEC);
	printf("keyd    %s, up %s, generation %lld, %lld customer%s, self-test %s\n", cli_text(k, "state"), up,
	       (long long)cli_number(k, "generation"), (long long)cli_number(k, "customers"),
	       cli_number(k, "customers") == 1 ? "" : "s", cli_text(k, "selftest"));
	printf("        slots:");
	json_array_foreach(json_object_get(k, "slots"), i, s)
		printf(" %s%s", cli_text(s, "method"), json_is_false(json_object_get(s, "safe")) ? " (unsafe)" : "");
	printf("\n");
	if (json_is_object(u))
		printf("        unsealing: %lld of %lld shares are there; uid %lld began %lld s ago\n",
		       (long long)cli_number(u, "have"), (long long)cli_number(u, "need"),
		       (long long)cli_number(u, "uid"), (long long)cli_number(u, "age_s"));
}

/* "validated from /usr/share/dns/root.key, tested 3m ago" */
static void print_dns(const json_t *r)
{
	const json_t *d = json_object_get(r, "dns");
	const char *result = cli_text(d, "selftest");
	json_int_t exceptions = cli_number(r, "tls_exceptions");
	char ago[24], since[24];

	num_format_duration(ago, clock_wall() - cli_number(d, "tested"));
	num_format_duration(since, clock_wall() - cli_number(d, "since"));
	if (!strcmp(result, "validates"))
		printf("dns     answers are validated from %s; tested %s ago\n", cli_text(d, "anchor"), ago);
	else if (!cli_number(d, "tested"))
		printf("dns     %s\n", cli_text(d, "what"));
	else if (!strcmp(result, "unneeded"))
		printf("dns     not used: all next hops are addresses\n");
	else
		printf("dns     %s for %s; tested %s ago\n", result, since, ago);
	if (exceptions)
		printf("tls     %lld exception%s from policy in force\n", (long long)exceptions,
		       exceptions == 1 ? "" : "s");
}

/* Nothing, while no domain has a policy. */
static void print_sts(const json_t *r)
{
	const json_t *p = json_object_get(r, "mta_sts");
	json_int_t n = cli_number(p, "policies"), failing = cli_number(p, "failing");

	if (!n)
		return;
	printf("sts     %lld MTA-STS %s cached: %lld enforced, %lld in testing", (long long)n,
	       n == 1 ? "policy" : "policies", (long long)cli_number(p, "enforce"),
	       (long long)cli_number(p, "testing"));
	if (failing)
		printf("; %lld could not be renewed", (long long)failing);
	printf("\n");
}

static void print_ledger(const json_t *r)
{
	const json_t *l = json_object_get(r, "ledger");
	char size[16];

	num_format_size(size, (uint64_t)cli_number(l, "bytes"));
	printf("ledger  %lld rows, %s; signed by keyd up to row %lld", (long long)cli_number(l, "rows"), size,
	       (long long)cli_number(l, "signed"));
	if (cli_number(l, "waiting"))
		printf("; %lld to be written", (long long)cli_number(l, "waiting"));
	printf("\n");
}

/* Nothing where nothing is tracked. */
static void print_tracking(const json_t *r)
{
	const json_t *t = json_object_get(r, "tracking");

	if (!t)
		return;
	printf("track   %lld hits, %lld unsubscribed; %lld requests, %lld of them refused", (long long)cli_number(t, "hits"),
	       (long long)cli_number(t, "unsubscribed"), (long long)cli_number(t, "requests"),
	       (long long)cli_number(t, "refused"));
	if (cli_number(t, "webhooks_waiting"))
		printf("; webhooks are still to be told %lld", (long long)cli_number(t, "webhooks_waiting"));
	printf("\n");
}

static void print_relay(const json_t *r)
{
	const json_t *q = json_object_get(r, "queue"), *s = json_object_get(r, "spool"),
		     *n = json_object_get(r, "counters");
	char up[24], used[16], free_space[16], oldest[24];

	num_format_duration(up, cli_number(r, "uptime_s") * CLOCK_SEC);
	num_format_size(used, (uint64_t)cli_number(s, "bytes_used"));
	num_format_size(free_space, (uint64_t)cli_number(s, "bytes_free"));
	num_format_duration(oldest, cli_number(q, "oldest") ? clock_wall() - cli_number(q, "oldest") : 0);
	printf("relay   %s, up %s, keyd %s, %lld workers\n", cli_text(r, "hostname"), up, cli_text(r, "keyd"),
	       (long long)cli_number(r, "workers"));
	printf("queue   %lld recipients of %lld messages: %lld under way, %lld deferred; oldest %s\n",
	       (long long)cli_number(q, "recipients"), (long long)cli_number(q, "messages"),
	       (long long)cli_number(q, "active"), (long long)cli_number(q, "deferred"), oldest);
	printf("spool   %lld segment%s, %s used, %s free on disk\n", (long long)cli_number(s, "segments"),
	       cli_number(s, "segments") == 1 ? "" : "s", used, free_space);
	print_ledger(r);
	print_tracking(r);
	print_dns(r);
	print_sts(r);
	printf("mail    %lld accepted, %lld delivered, %lld deferrals, %lld bounced, %lld expired\n",
	       (long long)cli_number(n, "messages_in"), (long long)cli_number(n, "deliveries"),
	       (long long)cli_number(n, "deferrals"), (long long)cli_number(n, "bounces"),
	       (long long)cli_number(n, "expired"));
	printf("        deliveries over TLS %lld, in clear %lld; sessions open in %lld, out %lld\n",
	       (long long)cli_number(n, "tls_out"), (long long)cli_number(n, "clear_out"),
	       (long long)cli_number(n, "sessions_open"), (long long)cli_number(n, "connections_open"));
}

static int print_warnings(const json_t *o)
{
	size_t i;
	json_t *w;

	json_array_foreach(json_object_get(o, "warnings"), i, w)
		printf("warning: %s\n", json_string_value(w));
	return json_array_size(json_object_get(o, "warnings")) > 0;
}

int cli_status(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 2 && !strcmp(argv[1], "--json"), rc, bad = 0;
	json_t *keyd, *relay = NULL;

	if (argc > 1 && !as_json)
		return cli_usage("status");
	keyd = ask_keyd(c);
	rc = cli_api(c, "GET", "/v1/status", 0, &relay);
	if (as_json) {
		json_t *both = json_pack("{s:o?, s:o?}", "keyd", keyd, "relay", relay);
		json_dumpf(both, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
		bad = !keyd || !relay;
		json_decref(both);
		return bad ? EXIT_ENVIRONMENT : 0;
	}
	if (keyd)
		print_keyd(keyd);
	if (relay)
		print_relay(relay);
	if (keyd)
		bad |= print_warnings(keyd);
	if (relay)
		bad |= print_warnings(relay);
	bad |= keyd && strcmp(cli_text(keyd, "state"), "ready");
	json_decref(keyd);
	json_decref(relay);
	return !keyd ? EXIT_ENVIRONMENT : rc ? rc : bad ? CLI_NOT_THERE : 0;
}
