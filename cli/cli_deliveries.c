/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost deliveries: what became of attempts to deliver, from the ledger. See sealpost-deliveries(8). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_when.h"
#include "core/err.h"
#include "core/num.h"

#define PAGE 1000
#define LIMIT 50

/* Options that are members of the question as they are. */
static const struct option options[] = {{"recipient", required_argument, NULL, 't'},
					{"domain", required_argument, NULL, 't'},
					{"message", required_argument, NULL, 't'},
					{"customer", required_argument, NULL, 't'},
					{"campaign", required_argument, NULL, 't'},
					{"outcome", required_argument, NULL, 't'},
					{"since", required_argument, NULL, 'w'},
					{"until", required_argument, NULL, 'w'},
					{"limit", required_argument, NULL, 'l'},
					{"json", no_argument, NULL, 'j'},
					{NULL, 0, NULL, 0}};

struct job {
	json_t *question;
	uint64_t limit;
	int json;
};

static int read_options(struct job *j, int argc, char **argv)
{
	int opt, at = 0;
	int64_t when;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (opt == 't') {
			if (json_object_set_new(j->question, options[at].name, json_string(optarg)) < 0)
				return cli_fail(EXIT_USAGE, "--%s: not UTF-8", options[at].name);
		} else if (opt == 'w') {
			if (cli_when_parse(optarg, &when) < 0)
				return cli_fail(EXIT_USAGE, "--%s: wanted 2026-11-22, 2026-11-22T06:16, or 7d for so long ago",
						options[at].name);
			json_object_set_new(j->question, options[at].name, json_integer(when));
		} else if (opt == 'l') {
			if (num_parse_u64(span_str(optarg), &j->limit) < 0 || !j->limit)
				return cli_fail(EXIT_USAGE, "--limit: wanted a number of at least 1");
		} else if (opt == 'j') {
			j->json = 1;
		} else {
			return cli_usage("deliveries");
		}
	}
	return optind < argc ? cli_usage("deliveries") : 0;
}

static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

static void tls_cell(char dst[64], const json_t *i)
{
	const char *tls = cli_text(i, "tls"), *by = cli_text(i, "verified_by");

	if (!*tls)
		strcpy(dst, "-");
	else if (!strcmp(tls, "none"))
		snprintf(dst, 64, "clear (%s)", or_dash(cli_text(i, "clear")));
	else
		snprintf(dst, 64, "%s%s%s", !strncmp(tls, "TLSv", 4) ? tls + 4 : tls, strcmp(by, "none") ? " " : "",
			 strcmp(by, "none") ? by : "");
}

static void to_cell(char dst[400], const json_t *i)
{
	if (*cli_text(i, "rcpt"))
		snprintf(dst, 400, "%s", cli_text(i, "rcpt"));
	else
		snprintf(dst, 400, "(#%lld) @%s", (long long)cli_number(i, "recipient") + 1, cli_text(i, "domain"));
}

static void add_row(struct cli_table *t, const json_t *i)
{
	char when[32], tls[64], to[400], code[80], host[320];

	cli_time(when, cli_number(i, "time"));
	tls_cell(tls, i);
	to_cell(to, i);
	if (cli_number(i, "code"))
		snprintf(code, sizeof(code), "%lld %.32s", (long long)cli_number(i, "code"), cli_text(i, "status"));
	else
		snprintf(code, sizeof(code), "%.32s", or_dash(cli_text(i, "status")));
	snprintf(host, sizeof(host), "%.300s", or_dash(cli_text(i, "host")));
	cli_table_row(t, (const char *[]){when, cli_text(i, "message"), to, cli_text(i, "outcome"), code, tls, host});
}

/* Why addresses are missing, once. */
static void say_sealed(const json_t *all)
{
	const json_t *i;
	size_t n;

	json_array_foreach(all, n, i)
	{
		if (*cli_text(i, "sealed")) {
			cli_fail(0, "some recipients are not shown: %s", cli_text(i, "sealed"));
			return;
		}
	}
}

static void print(const struct job *j, const json_t *all, int more)
{
	static const char *const heads[] = {"TIME", "MESSAGE", "RECIPIENT", "OUTCOME", "CODE", "TLS", "HOST"};
	struct cli_table *t;
	const json_t *i;
	size_t n;

	if (j->json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
		return;
	}
	if (!json_array_size(all)) {
		puts("No such attempts.");
		return;
	}
	t = cli_table_new(heads, 7, "lllllll");
	json_array_foreach(all, n, i) add_row(t, i);
	cli_table_print(t);
	cli_table_free(t);
	if (more)
		printf("There are more: --limit shows more than %llu, --until goes further back.\n",
		       (unsigned long long)j->limit);
	say_sealed(all);
}

static int ask(struct cli *c, struct job *j)
{
	json_t *all = json_array(), *answer;
	int rc = 0, more = 0;

	do {
		uint64_t left = j->limit - json_array_size(all);
		json_object_set_new(j->question, "limit", json_integer((json_int_t)(left < PAGE ? left : PAGE)));
		rc = cli_api_body(c, "POST", "/v1/deliveries", j->question, 0, &answer);
		if (rc)
			break;
		json_array_extend(all, json_object_get(answer, "items"));
		more = *cli_text(answer, "next") != 0;
		json_object_set(j->question, "after", json_object_get(answer, "next"));
		json_decref(answer);
	} while (more && json_array_size(all) < j->limit);
	if (!rc)
		print(j, all, more);
	if (!rc && !json_array_size(all))
		rc = CLI_NOT_THERE;
	json_decref(all);
	return rc;
}

int cli_deliveries(struct cli *c, int argc, char **argv)
{
	struct job j = {.question = json_object(), .limit = LIMIT};
	int rc = read_options(&j, argc, argv);

	if (!rc)
		rc = ask(c, &j);
	json_decref(j.question);
	return rc;
}
