/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tls stats: how much of the mail for each domain went encrypted, from the ledger. See sealpost-tls(8). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_tls.h"
#include "cli/cli_when.h"
#include "core/err.h"
#include "core/num.h"

#define LIMIT 50

static const struct option options[] = {{"since", required_argument, NULL, 'w'},
					{"until", required_argument, NULL, 'w'},
					{"limit", required_argument, NULL, 'l'},
					{"json", no_argument, NULL, 'j'},
					{NULL, 0, NULL, 0}};

static int read_options(json_t *question, int *json, int argc, char **argv)
{
	uint64_t limit = LIMIT;
	int opt, at = 0;
	int64_t when;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (opt == 'w') {
			if (cli_when_parse(optarg, &when) < 0)
				return cli_fail(EXIT_USAGE, "--%s: wanted 2026-11-22, 2026-11-22T06:16, or 7d for so long ago",
						options[at].name);
			json_object_set_new(question, options[at].name, json_integer(when));
		} else if (opt == 'l') {
			if (num_parse_u64(span_str(optarg), &limit) < 0 || limit < 1 || limit > 1000)
				return cli_fail(EXIT_USAGE, "--limit: wanted a number from 1 to 1000");
		} else if (opt == 'j') {
			*json = 1;
		} else {
			return cli_usage("tls");
		}
	}
	if (optind < argc - 1)
		return cli_usage("tls");
	if (optind < argc)
		json_object_set_new(question, "domain", json_string(argv[optind]));
	json_object_set_new(question, "limit", json_integer((json_int_t)limit));
	return 0;
}

static void percent(char dst[16], json_int_t part, json_int_t of)
{
	if (!of)
		strcpy(dst, "-");
	else if (part == of)
		strcpy(dst, "100%");
	else /* never rounded up to 100 */
		snprintf(dst, 16, "%lld.%lld%%", (long long)(part * 100 / of), (long long)(part * 1000 / of % 10));
}

static void number(char dst[24], json_int_t n)
{
	snprintf(dst, 24, "%lld", (long long)n);
}

static void add_row(struct cli_table *t, const json_t *i)
{
	static const char *const counts[] = {"tls13", "tls12", "pkix", "dane", "sts", "clear", "failures"};
	char cells[7][24], attempts[24], encrypted[16];
	json_int_t dane = cli_number(i, "dane_ee") + cli_number(i, "dane_ta");

	number(attempts, cli_number(i, "attempts"));
	percent(encrypted, cli_number(i, "encrypted"), cli_number(i, "reached"));
	for (int k = 0; k < 7; k++)
		number(cells[k], k == 3 ? dane : cli_number(i, counts[k]));
	cli_table_row(t, (const char *[]){cli_text(i, "domain"), attempts, encrypted, cells[0], cells[1], cells[2],
					  cells[3], cells[4], cells[5], cells[6]});
}

static int print(const json_t *answer)
{
	static const char *const heads[] = {"DOMAIN", "ATTEMPTS", "ENCRYPTED", "TLS1.3", "TLS1.2", "PKIX",
					    "DANE", "STS", "CLEAR", "FAILED"};
	const json_t *items = json_object_get(answer, "items"), *i;
	json_int_t domains = cli_number(answer, "domains");
	struct cli_table *t;
	size_t n;

	if (!json_array_size(items)) {
		puts("No attempts.");
		return CLI_NOT_THERE;
	}
	t = cli_table_new(heads, 10, "lrrrrrrrrr");
	json_array_foreach(items, n, i) add_row(t, i);
	cli_table_print(t);
	cli_table_free(t);
	if ((json_int_t)json_array_size(items) < domains)
		printf("%lld more domains with fewer attempts: --limit shows more.\n",
		       (long long)(domains - (json_int_t)json_array_size(items)));
	return 0;
}

int cli_tls_stats(struct cli *c, int argc, char **argv)
{
	json_t *question = json_object(), *answer = NULL;
	int json = 0, rc = read_options(question, &json, argc, argv);

	if (!rc)
		rc = cli_api_body(c, "POST", "/v1/tls/stats", question, 0, &answer);
	json_decref(question);
	if (rc)
		return rc;
	if (json) {
		json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
		rc = json_array_size(json_object_get(answer, "items")) ? 0 : CLI_NOT_THERE;
	} else {
		rc = print(answer);
	}
	json_decref(answer);
	return rc;
}
