/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost webhook: who is told of what readers do. See sealpost-webhook(8). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/err.h"
#include "core/num.h"

struct job {
	struct cli *cli;
	const char *customer, *events;
	int json;
	char **args;
	int count;
};

static int options(struct job *j, int argc, char **argv, const char *allowed)
{
	static const struct option all[] = {{"customer", required_argument, NULL, 'c'},
					    {"events", required_argument, NULL, 'e'},
					    {"json", no_argument, NULL, 'j'},
					    {NULL, 0, NULL, 0}};
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (!strchr(allowed, opt))
			return cli_usage("webhook");
		if (opt == 'c')
			j->customer = optarg;
		else if (opt == 'e')
			j->events = optarg;
		else
			j->json = 1;
	}
	j->args = argv + optind;
	j->count = argc - optind;
	return 0;
}

/* --- looking */

static void list_row(struct cli_table *t, const json_t *h)
{
	char id[24], waiting[48], last[32], until[32], result[96] = "";
	long long status = (long long)cli_number(h, "status"), failures = (long long)cli_number(h, "failures");

	snprintf(id, sizeof(id), "%lld", (long long)cli_number(h, "id"));
	snprintf(waiting, sizeof(waiting), "%lld", (long long)cli_number(h, "waiting"));
	if (cli_number(h, "lost"))
		snprintf(waiting + strlen(waiting), sizeof(waiting) - strlen(waiting), " (%lld lost)",
			 (long long)cli_number(h, "lost"));
	cli_time(last, cli_number(h, "last"));
	if (cli_number(h, "ended"))
		snprintf(result, sizeof(result), "ended (410)");
	else if (failures)
		snprintf(result, sizeof(result), failures == 1 ? "failed once" : "failed %lld times", failures);
	else if (cli_number(h, "last"))
		snprintf(result, sizeof(result), "%lld", status);
	if (cli_number(h, "quiet")) {
		cli_time(until, cli_number(h, "quiet"));
		snprintf(result + strlen(result), sizeof(result) - strlen(result), ", wants nothing until %s", until);
	}
	cli_table_row(t, (const char *[]){id, cli_text(h, "customer"), cli_text(h, "events"), waiting, last, result,
					  cli_text(h, "url")});
}

static int list(struct job *j, int argc, char **argv)
{
	static const char *const heads[] = {"ID", "CUSTOMER", "EVENTS", "WAITING", "LAST TOLD", "ANSWER", "URL"};
	int rc = options(j, argc, argv, "cj");
	struct cli_table *t;
	char path[160];
	json_t *answer, *h;
	size_t i;

	if (rc || j->count)
		return rc ? rc : cli_usage("webhook");
	snprintf(path, sizeof(path), "/v1/webhooks%s%.65s", j->customer ? "?customer=" : "", j->customer ? j->customer : "");
	rc = cli_api(j->cli, "GET", path, 0, &answer);
	if (rc)
		return rc;
	if (j->json) {
		json_dumpf(json_object_get(answer, "items"), stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		t = cli_table_new(heads, 7, "rllrlll");
		json_array_foreach(json_object_get(answer, "items"), i, h) list_row(t, h);
		cli_table_print(t);
		cli_table_free(t);
	}
	json_decref(answer);
	return 0;
}

/* --- changing */

static void print_secret(const json_t *answer)
{
	printf("Secret: %s\n", cli_text(answer, "secret"));
}

static int add(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "ce");
	json_t *q, *answer;

	if (rc || j->count != 1)
		return rc ? rc : cli_usage("webhook");
	q = json_pack("{s:s}", "url", j->args[0]);
	if (j->customer)
		json_object_set_new(q, "customer", json_string(j->customer));
	if (j->events)
		json_object_set_new(q, "events", json_string(j->events));
	rc = cli_api_body(j->cli, "POST", "/v1/webhooks", q, 0, &answer);
	json_decref(q);
	if (rc)
		return rc;
	printf("Webhook %lld was added. It is told of what happens from now on.\n", (long long)cli_number(answer, "id"));
	print_secret(answer);
	printf("Its server checks signatures with this secret, which is shown only now.\n");
	json_decref(answer);
	return 0;
}

/* An order about one webhook. */
static int order(struct job *j, int argc, char **argv, const char *path, json_t **answer)
{
	int rc = options(j, argc, argv, "");
	uint64_t id;
	json_t *q;

	if (rc || j->count != 1)
		return rc ? rc : cli_usage("webhook");
	if (num_parse_u64(span_str(j->args[0]), &id) < 0 || id < 1 || id > INT64_MAX)
		return cli_fail(EXIT_USAGE, "%s: wanted the number of a webhook", j->args[0]);
	q = json_pack("{s:I}", "id", (json_int_t)id);
	rc = cli_api_body(j->cli, "POST", path, q, 0, answer);
	json_decref(q);
	return rc;
}

static int removal(struct job *j, int argc, char **argv)
{
	json_t *answer = NULL;
	int rc = order(j, argc, argv, "/v1/webhooks/remove", &answer);

	if (!rc)
		printf("Webhook %s was removed, with what it was still to be told.\n", j->args[0]);
	json_decref(answer);
	return rc;
}

static int test(struct job *j, int argc, char **argv)
{
	json_t *answer = NULL;
	int rc = order(j, argc, argv, "/v1/webhooks/test", &answer);

	if (!rc)
		printf("Webhook %s is told something of type webhook.test; \"sealpost webhook list\" shows its answer.\n",
		       j->args[0]);
	json_decref(answer);
	return rc;
}

static int secret(struct job *j, int argc, char **argv)
{
	json_t *answer = NULL;
	int rc = order(j, argc, argv, "/v1/webhooks/secret", &answer);
	char until[32];

	if (rc)
		return rc;
	cli_time(until, cli_number(answer, "until"));
	print_secret(answer);
	printf("Until %s everything is signed with the secret before as well.\n", until);
	json_decref(answer);
	return 0;
}

int cli_webhook(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct job *j, int argc, char **argv);
	} verbs[] = {{"list", list}, {"add", add}, {"remove", removal}, {"test", test}, {"secret", secret}};
	struct job j = {.cli = c};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(&j, argc - 1, argv + 1);
	return cli_usage("webhook");
}
