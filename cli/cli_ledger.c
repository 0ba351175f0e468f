/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost ledger: the record of all attempts. See sealpost-ledger(8). */
#include "cli/cli_ledger.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_when.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

/* --- status */

static void thousands(char dst[40], json_int_t n)
{
	char plain[24];
	size_t size = (size_t)snprintf(plain, sizeof(plain), "%lld", (long long)n), at = 0;

	for (size_t i = 0; i < size; i++) {
		if (i && (size - i) % 3 == 0)
			dst[at++] = ',';
		dst[at++] = plain[i];
	}
	dst[at] = '\0';
}

static void print_status(const json_t *s)
{
	char rows[40], signed_to[40], first[40], oldest[32], newest[32], size[16];

	thousands(rows, cli_number(s, "rows"));
	thousands(first, cli_number(s, "first"));
	thousands(signed_to, cli_number(s, "signed"));
	cli_time(oldest, cli_number(s, "oldest"));
	cli_time(newest, cli_number(s, "newest"));
	num_format_size(size, (uint64_t)cli_number(s, "bytes"));
	if (cli_number(s, "first"))
		printf("rows        %s to %s, from %s to %s\n", first, rows, oldest, newest);
	else
		printf("rows        none yet\n");
	printf("signed      up to row %s, checkpoint %lld\n", signed_to, (long long)cli_number(s, "checkpoint"));
	printf("waiting     %lld%s%s\n", (long long)cli_number(s, "waiting"), *cli_text(s, "stuck") ? ": " : "",
	       cli_text(s, "stuck"));
	printf("files       %lld, %s\n", (long long)cli_number(s, "files"), size);
}

static int status(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 2 && !strcmp(argv[1], "--json"), rc;
	json_t *s;

	if (argc > 1 && !as_json)
		return cli_usage("ledger");
	rc = cli_api(c, "GET", "/v1/ledger", 0, &s);
	if (rc)
		return rc;
	if (as_json) {
		json_dumpf(s, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		print_status(s);
	}
	json_decref(s);
	return 0;
}

/* --- export */

static const struct option export_options[] = {{"since", required_argument, NULL, 'w'},
					       {"until", required_argument, NULL, 'w'},
					       {"customer", required_argument, NULL, 't'},
					       {"domain", required_argument, NULL, 't'},
					       {"format", required_argument, NULL, 'f'},
					       {"with-addresses", no_argument, NULL, 'a'},
					       {"events", no_argument, NULL, 'e'},
					       {NULL, 0, NULL, 0}};

static int read_export(json_t *question, int argc, char **argv)
{
	const char *format = NULL;
	int opt, at = 0;
	int64_t when;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", export_options, &at)) != -1) {
		if (opt == 'w') {
			if (cli_when_parse(optarg, &when) < 0)
				return cli_fail(EXIT_USAGE, "--%s: wanted 2026-11-22, 2026-11-22T06:16, or 7d for so long ago",
						export_options[at].name);
			json_object_set_new(question, export_options[at].name, json_integer(when));
		} else if (opt == 't') {
			json_object_set_new(question, export_options[at].name, json_string(optarg));
		} else if (opt == 'f') {
			format = optarg;
		} else if (opt == 'a') {
			json_object_set_new(question, "addresses", json_true());
		} else if (opt == 'e') {
			json_object_set_new(question, "events", json_true());
		} else {
			return cli_usage("ledger");
		}
	}
	if (optind < argc || !format)
		return cli_usage("ledger");
	if (json_object_get(question, "events") &&
	    (json_object_get(question, "addresses") || json_object_get(question, "domain")))
		return cli_fail(EXIT_USAGE, "--events: no addresses and no domains are in events of readers");
	if (strcmp(format, "csv") && strcmp(format, "json"))
		return cli_fail(EXIT_USAGE, "--format: wanted csv or json");
	json_object_set_new(question, "format", json_string(format));
	return 0;
}

/* On a terminal that is not where the rows go: how many there are by now. */
static void say_rows(json_int_t rows, int last)
{
	char text[40];

	if (!isatty(STDERR_FILENO) || isatty(STDOUT_FILENO))
		return;
	thousands(text, rows);
	fprintf(stderr, "\r%s rows%s", text, last ? "\n" : "");
}

struct exported {
	json_int_t rows, closed; /* closed: without the addresses that were asked for */
	char why[128];
};

static void count_rows(struct exported *e, const json_t *answer)
{
	json_int_t closed = cli_number(answer, "closed");

	e->rows += cli_number(answer, "rows");
	e->closed += closed;
	if (closed)
		snprintf(e->why, sizeof(e->why), "%s", cli_text(answer, "why"));
}

static int export(struct cli *c, int argc, char **argv)
{
	json_t *question = json_object(), *answer;
	int rc = read_export(question, argc, argv), more = !rc;
	struct exported sum = {0};

	while (!rc && more) {
		const json_t *text;
		rc = cli_api_body(c, "POST", "/v1/ledger/export", question, 0, &answer);
		if (rc)
			break;
		text = json_object_get(answer, "text");
		if (fwrite(json_string_value(text), 1, json_string_length(text), stdout) != json_string_length(text))
			rc = cli_fail(EXIT_ENVIRONMENT, "standard output cannot be written");
		count_rows(&sum, answer);
		more = *cli_text(answer, "next") != 0;
		json_object_set(question, "after", json_object_get(answer, "next"));
		json_decref(answer);
		say_rows(sum.rows, !more);
	}
	json_decref(question);
	if (!rc && fflush(stdout) != 0)
		rc = cli_fail(EXIT_ENVIRONMENT, "standard output cannot be written");
	if (!rc && sum.closed)
		rc = cli_fail(EXIT_ENVIRONMENT, "%lld of %lld rows stand without their addresses: %s",
			      (long long)sum.closed, (long long)sum.rows, sum.why);
	return rc;
}

int cli_ledger(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct cli *c, int argc, char **argv);
	} verbs[] = {{"status", status}, {"verify", cli_ledger_verify}, {"export", export}, {"key", cli_ledger_key}};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(c, argc - 1, argv + 1);
	return cli_usage("ledger");
}
