/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tls report: what TLS reports say of a day, and sending one. See sealpost-tls(8). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli_tls.h"
#include "core/clock.h"
#include "core/err.h"

#define DAY (INT64_C(86400) * CLOCK_SEC)

struct asked {
	int64_t day; /* since 1970 */
	const char *domain;
	int send, json;
};

/* "2026-11-22", "today", "yesterday"; all in UTC. */
static int parse_day(const char *text, int64_t *day)
{
	struct tm tm = {.tm_sec = 0};
	const char *end;

	*day = clock_wall() / DAY - !strcmp(text, "yesterday");
	if (!strcmp(text, "today") || !strcmp(text, "yesterday"))
		return 0;
	end = strptime(text, "%Y-%m-%d", &tm);
	if (!end || *end)
		return ERR_FORMAT;
	*day = (int64_t)timegm(&tm) * CLOCK_SEC / DAY;
	return 0;
}

static void format_day(char dst[21], int64_t day)
{
	clock_format_iso(dst, day * DAY);
	dst[10] = '\0';
}

static int read_options(struct asked *a, int argc, char **argv)
{
	static const struct option all[] = {{"domain", required_argument, NULL, 'd'},
					    {"send", no_argument, NULL, 's'},
					    {"json", no_argument, NULL, 'j'},
					    {NULL, 0, NULL, 0}};
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (opt == 'd')
			a->domain = optarg;
		else if (opt == 's')
			a->send = 1;
		else if (opt == 'j')
			a->json = 1;
		else
			return cli_usage("tls");
	}
	if (argc - optind > 1)
		return cli_usage("tls");
	if (parse_day(optind < argc ? argv[optind] : "today", &a->day) < 0)
		return cli_fail(EXIT_USAGE, "%s: wanted a day such as 2026-11-22, today or yesterday (UTC)", argv[optind]);
	if (a->send && (!a->domain || a->json))
		return cli_fail(EXIT_USAGE, "--send needs --domain, and gives no JSON");
	return 0;
}

static int ask(struct cli *c, const char *path, const struct asked *a, const char *after, json_t **answer)
{
	json_t *body = json_pack("{s:I}", "day", (json_int_t)a->day);
	int rc;

	if (a->domain && json_object_set_new(body, "domain", json_string(a->domain)) < 0) {
		json_decref(body);
		return cli_fail(EXIT_USAGE, "a domain must be UTF-8");
	}
	if (after)
		json_object_set_new(body, "after", json_string(after));
	rc = cli_api_body(c, "POST", path, body, 0, answer);
	json_decref(body);
	return rc;
}

static void format_number(char dst[24], json_int_t n)
{
	snprintf(dst, 24, "%lld", (long long)n);
}

/* --- all domains */

static const char *report_text(char dst[48], const json_t *i, int over)
{
	const char *state = cli_text(i, "report");
	char due[32];

	if (!over)
		return "when the day is over";
	if (!strcmp(state, "unwanted"))
		return "not asked for";
	if (strcmp(state, "waiting") != 0)
		return state[0] ? state : "-";
	cli_time(due, cli_number(i, "due"));
	snprintf(dst, 48, "due %.16s", due);
	return dst;
}

static void add_domain(struct cli_table *t, const json_t *i, int over)
{
	char good[24], failed[24], report[48];

	format_number(good, cli_number(i, "good"));
	format_number(failed, cli_number(i, "failed"));
	cli_table_row(t, (const char *[]){cli_text(i, "domain"), cli_text(i, "policy"), good, failed,
					  report_text(report, i, over)});
}

static void print_list(const struct asked *a, const json_t *items, int over)
{
	static const char *const heads[] = {"DOMAIN", "POLICY", "GOOD", "FAILED", "REPORT"};
	struct cli_table *t;
	const json_t *item;
	char day[21];
	size_t i;

	format_day(day, a->day);
	if (!json_array_size(items)) {
		printf("No TLS session was counted on %s (UTC).\n", day);
		return;
	}
	printf("%s (UTC)\n\n", day);
	t = cli_table_new(heads, 5, "llrrl");
	json_array_foreach(items, i, item) add_domain(t, item, over);
	cli_table_print(t);
	cli_table_free(t);
}

static int list(struct cli *c, const struct asked *a)
{
	json_t *answer, *items = json_array();
	const char *after = NULL;
	int more = 1, over = 0, rc = 0;

	while (more && rc == 0) {
		size_t n;
		rc = ask(c, "/v1/tls/reports", a, after, &answer);
		if (rc)
			break;
		json_array_extend(items, json_object_get(answer, "items"));
		more = json_is_true(json_object_get(answer, "more"));
		over = json_is_true(json_object_get(answer, "over"));
		n = json_array_size(items);
		after = n ? cli_text(json_array_get(items, n - 1), "domain") : NULL;
		json_decref(answer);
	}
	if (rc == 0 && a->json) {
		json_dumpf(items, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else if (rc == 0) {
		print_list(a, items, over);
	}
	json_decref(items);
	return rc;
}

/* --- one domain */

static void print_policies(const json_t *policies)
{
	const json_t *p, *line;
	size_t i, k;

	json_array_foreach(policies, i, p)
	{
		const json_t *policy = json_object_get(p, "policy"), *sum = json_object_get(p, "summary");
		printf("%s: %lld good, %lld failed\n", cli_text(policy, "policy-type"),
		       (long long)cli_number(sum, "total-successful-session-count"),
		       (long long)cli_number(sum, "total-failure-session-count"));
		json_array_foreach(json_object_get(policy, "policy-string"), k, line)
		    printf("    %s\n", json_string_value(line));
	}
}

static void print_failures(const json_t *policies)
{
	static const char *const heads[] = {"FAILURE", "SESSIONS", "HOST", "ADDRESS", "WHY"};
	struct cli_table *t = cli_table_new(heads, 5, "lrlll");
	const json_t *p, *f;
	size_t i, k, n = 0;
	char sessions[24];

	json_array_foreach(policies, i, p)
	{
		json_array_foreach(json_object_get(p, "failure-details"), k, f)
		{
			format_number(sessions, cli_number(f, "failed-session-count"));
			cli_table_row(t, (const char *[]){cli_text(f, "result-type"), sessions,
							  cli_text(f, "receiving-mx-hostname"),
							  cli_text(f, "receiving-ip"), cli_text(f, "failure-reason-code")});
			n++;
		}
	}
	if (n) {
		puts("");
		cli_table_print(t);
	}
	cli_table_free(t);
}

static void add_report(struct cli_table *t, const json_t *r)
{
	const json_t *ways = json_object_get(r, "ways"), *w;
	char due[32];
	size_t i;

	cli_time(due, cli_number(r, "due"));
	if (!json_array_size(ways) || !strcmp(cli_text(r, "state"), "waiting"))
		cli_table_row(t, (const char *[]){cli_text(r, "id"), "", cli_text(r, "state"), due, cli_text(r, "note")});
	json_array_foreach(ways, i, w)
	{
		char time[32], to[300];
		cli_time(time, cli_number(w, "time"));
		snprintf(to, sizeof(to), "%.*s", (int)strcspn(cli_text(w, "to"), "#"), cli_text(w, "to"));
		cli_table_row(t, (const char *[]){cli_text(r, "id"), to, cli_text(w, "state"), time, cli_text(w, "note")});
	}
}

static void print_reports(const json_t *reports)
{
	static const char *const heads[] = {"REPORT", "TO", "STATE", "TIME", "WHY"};
	struct cli_table *t;
	const json_t *r;
	size_t i;

	if (!json_array_size(reports))
		return;
	t = cli_table_new(heads, 5, "lllll");
	json_array_foreach(reports, i, r) add_report(t, r);
	puts("");
	cli_table_print(t);
	cli_table_free(t);
}

static int show(struct cli *c, const struct asked *a)
{
	json_t *answer, *report, *policies;
	char day[21];
	int rc = ask(c, "/v1/tls/reports/show", a, NULL, &answer);

	if (rc)
		return rc;
	report = json_object_get(answer, "report");
	policies = json_object_get(report, "policies");
	format_day(day, a->day);
	if (a->json) {
		json_dumpf(report, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		printf("%s, %s (UTC)\n\n", cli_text(answer, "domain"), day);
		print_policies(policies);
		print_failures(policies);
		print_reports(json_object_get(answer, "reports"));
	}
	json_decref(answer);
	return 0;
}

static int send_now(struct cli *c, const struct asked *a)
{
	json_t *answer;
	char day[21];
	int rc = ask(c, "/v1/tls/reports/send", a, NULL, &answer);

	if (rc)
		return rc;
	format_day(day, a->day);
	printf("The report on %s for %s is on its way.\n", day, cli_text(answer, "domain"));
	json_decref(answer);
	return 0;
}

int cli_tls_report(struct cli *c, int argc, char **argv)
{
	struct asked a = {.domain = NULL};
	int rc = read_options(&a, argc, argv);

	if (rc)
		return rc;
	if (a.send)
		return send_now(c, &a);
	return a.domain ? show(c, &a) : list(c, &a);
}
