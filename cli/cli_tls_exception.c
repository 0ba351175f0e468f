/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tls exception: what a domain is granted against its TLS policy, for a while. See sealpost-tls(8). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli_tls.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

static void format_left(char dst[48], json_int_t until)
{
	char left[24];

	num_format_duration(left, until - clock_wall() + CLOCK_SEC); /* 7d is said of 7d just given */
	snprintf(dst, 48, "in %s", left);
}

static void add_row(struct cli_table *t, const json_t *i)
{
	char left[48], until[32], uses[24], used[32];

	cli_time(until, cli_number(i, "until"));
	until[16] = '\0'; /* to the minute */
	format_left(left, cli_number(i, "until"));
	snprintf(uses, sizeof(uses), "%lld", (long long)cli_number(i, "uses"));
	cli_time(used, cli_number(i, "used"));
	cli_table_row(t, (const char *[]){cli_text(i, "domain"), cli_text(i, "level"), until, left, uses, used,
					  cli_text(i, "reason")});
}

static int list(struct cli *c, int argc, char **argv)
{
	static const char *const heads[] = {"DOMAIN", "LEVEL", "UNTIL", "ENDS", "USES", "LAST USED", "REASON"};
	int as_json = argc == 2 && !strcmp(argv[1], "--json"), rc;
	struct cli_table *t;
	json_t *answer, *items, *item;
	size_t i;

	if (argc > 1 + as_json)
		return cli_usage("tls");
	rc = cli_api(c, "GET", "/v1/tls/exceptions", 0, &answer);
	if (rc)
		return rc;
	items = json_object_get(answer, "items");
	if (as_json) {
		json_dumpf(items, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else if (json_array_size(items)) {
		t = cli_table_new(heads, 7, "llllrll");
		json_array_foreach(items, i, item) add_row(t, item);
		cli_table_print(t);
		cli_table_free(t);
	} else {
		puts("There is no exception from TLS policy.");
	}
	json_decref(answer);
	return 0;
}

/* "2026-12-24T00:00Z", "2026-12-24T00:00:00Z", "2026-12-24" in UTC; -1. */
static int64_t parse_until(const char *text)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_sec = 0};
		const char *end = strptime(text, forms[i], &tm);
		if (end && !*end)
			return (int64_t)timegm(&tm) * CLOCK_SEC;
	}
	return -1;
}

struct adding {
	const char *domain, *level, *reason;
	int64_t until;
};

static int read_options(struct adding *a, int argc, char **argv)
{
	static const struct option all[] = {{"level", required_argument, NULL, 'l'},
					    {"for", required_argument, NULL, 'f'},
					    {"until", required_argument, NULL, 'u'},
					    {"reason", required_argument, NULL, 'r'},
					    {NULL, 0, NULL, 0}};
	int64_t keep;
	int opt, ends = 0;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		ends += opt == 'f' || opt == 'u';
		if (opt == 'l') {
			a->level = optarg;
		} else if (opt == 'r') {
			a->reason = optarg;
		} else if (opt == 'f') {
			if (num_parse_duration(span_str(optarg), &keep) < 0 || keep <= 0)
				return cli_fail(EXIT_USAGE, "--for %s: wanted a time such as 7d", optarg);
			a->until = clock_wall() + keep;
		} else if (opt == 'u') {
			a->until = parse_until(optarg);
			if (a->until < 0)
				return cli_fail(EXIT_USAGE, "--until %s: wanted a time such as 2026-12-24T00:00Z",
						optarg);
		} else {
			return cli_usage("tls");
		}
	}
	if (optind + 1 != argc)
		return cli_usage("tls");
	a->domain = argv[optind];
	if (ends > 1)
		return cli_fail(EXIT_USAGE, "an exception has one end: --for or --until");
	if (!a->level || !a->until || !a->reason)
		return cli_fail(EXIT_USAGE, "an exception needs --level, --for or --until, and --reason");
	return 0;
}

static int add(struct cli *c, int argc, char **argv)
{
	struct adding a = {.until = 0};
	json_t *body, *answer;
	char until[32], left[48];
	int rc = read_options(&a, argc, argv);

	if (rc)
		return rc;
	body = json_pack("{s:s, s:s, s:s, s:I}", "domain", a.domain, "level", a.level, "reason", a.reason, "until",
			 (json_int_t)a.until);
	if (!body)
		return cli_fail(EXIT_USAGE, "domain and reason must be UTF-8");
	rc = cli_api_body(c, "POST", "/v1/tls/exceptions", body, 0, &answer);
	json_decref(body);
	if (rc)
		return rc;
	cli_time(until, cli_number(answer, "until"));
	format_left(left, cli_number(answer, "until"));
	printf("%s: %s will do until %s (ends %s).\n", cli_text(answer, "domain"), cli_text(answer, "level"), until,
	       left);
	if (!strcmp(cli_text(answer, "level"), "none"))
		printf("Its mail goes in clear until then.\n");
	json_decref(answer);
	return 0;
}

static int take_back(struct cli *c, const char *domain)
{
	json_t *body = json_pack("{s:s}", "domain", domain), *answer;
	int rc;

	if (!body)
		return cli_fail(EXIT_USAGE, "a domain must be UTF-8");
	rc = cli_api_body(c, "POST", "/v1/tls/exceptions/remove", body, 0, &answer);
	json_decref(body);
	if (rc)
		return rc;
	printf("%s: its own policy counts again.\n", cli_text(answer, "domain"));
	json_decref(answer);
	return 0;
}

int cli_tls_exception(struct cli *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "list"))
		return list(c, argc - 1, argv + 1);
	if (!strcmp(what, "add"))
		return add(c, argc - 1, argv + 1);
	if (!strcmp(what, "remove") && argc == 3)
		return take_back(c, argv[2]);
	return cli_usage("tls");
}
