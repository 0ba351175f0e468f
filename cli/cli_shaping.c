/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_shaping.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

#define PAGE 1000

static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

/* "-": goes; "10m": rests so long; "suspended": until resumed; "slow 10m". */
static void format_rest(char dst[48], const json_t *i)
{
	json_int_t until = cli_number(i, "until"), slow = cli_number(i, "slow_until");
	char left[24];

	if (until < 0) {
		strcpy(dst, "suspended");
	} else if (until > 0) {
		num_format_duration(left, until - clock_wall());
		snprintf(dst, 48, "rests %s", left);
	} else if (slow > 0) {
		num_format_duration(left, slow - clock_wall());
		snprintf(dst, 48, "slow %s", left);
	} else {
		strcpy(dst, "-");
	}
}

static void add_row(struct cli_table *t, const json_t *i)
{
	char open[48], sent[24], refused[24], warm[48] = "-", rest[48];

	snprintf(open, sizeof(open), "%d/%d of %d", (int)cli_number(i, "connections"),
		 (int)cli_number(i, "limit"), (int)cli_number(i, "limit_max"));
	snprintf(sent, sizeof(sent), "%lld", (long long)cli_number(i, "sent"));
	snprintf(refused, sizeof(refused), "%lld", (long long)cli_number(i, "refused"));
	if (cli_number(i, "warm_limit"))
		snprintf(warm, sizeof(warm), "%lld/%lld", (long long)cli_number(i, "warm_sent"),
			 (long long)cli_number(i, "warm_limit"));
	format_rest(rest, i);
	if (!*cli_text(i, "site")) /* a source as a whole */
		strcpy(open, "-");
	cli_table_row(t, (const char *[]){or_dash(cli_text(i, "source")),
					  *cli_text(i, "site") ? cli_text(i, "site") : "(everywhere)",
					  or_dash(cli_text(i, "rule")), open, or_dash(cli_text(i, "rate")), sent,
					  refused, warm, rest, or_dash(cli_text(i, "why"))});
}

/* All pages of it. */
static int fetch(struct cli *c, const char *site, json_t **items)
{
	json_t *body = json_pack("{s:i}", "limit", PAGE), *page, *last;
	int rc = 0, more = 1;

	if (site)
		json_object_set_new(body, "site", json_string(site));
	*items = json_array();
	while (rc == 0 && more) {
		rc = cli_api_body(c, "POST", "/v1/shaping/list", body, 0, &page);
		if (rc)
			break;
		json_array_extend(*items, json_object_get(page, "items"));
		more = json_is_true(json_object_get(page, "more"));
		last = json_array_get(*items, json_array_size(*items) - 1);
		if (more && last)
			json_object_set_new(body, "after",
					    json_pack("{s:s, s:s, s:s}", "source", cli_text(last, "source"),
						      "site", cli_text(last, "site"), "rule",
						      cli_text(last, "rule")));
		else
			more = 0;
		json_decref(page);
	}
	json_decref(body);
	if (rc)
		json_decref(*items);
	return rc;
}

static int show(struct cli *c, const char *site, int as_json)
{
	static const char *const heads[] = {"SOURCE", "SITE",	 "RULE",   "CONNS", "RATE",
					    "SENT",   "REFUSED", "WARM-UP", "STATE", "WHY"};
	struct cli_table *t;
	json_t *items, *item;
	size_t i;
	int rc = fetch(c, site, &items);

	if (rc)
		return rc;
	if (as_json) {
		json_dumpf(items, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else if (json_array_size(items)) {
		t = cli_table_new(heads, 10, "lllrrrrrll");
		json_array_foreach(items, i, item) add_row(t, item);
		cli_table_print(t);
		cli_table_free(t);
	} else {
		puts(site ? "Nothing is known of this site." : "No destination is known yet.");
		rc = site ? CLI_NOT_THERE : 0;
	}
	json_decref(items);
	return rc;
}

static int list(struct cli *c, int argc, char **argv, int with_site)
{
	static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int opt, as_json = 0;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'j')
			return cli_usage("shaping");
		as_json = 1;
	}
	if (optind + with_site != argc)
		return cli_usage("shaping");
	return show(c, with_site ? argv[optind] : NULL, as_json);
}

/* SOURCE[@SITE]; "-" is the host's own. */
static int change(struct cli *c, const char *verb, const char *target, const char *done)
{
	const char *at = strchr(target, '@');
	size_t n = at ? (size_t)(at - target) : strlen(target);
	char path[64];
	json_t *body, *answer;
	int rc;

	if (n == 0 || (at && !at[1]))
		return cli_usage("shaping");
	body = json_object();
	json_object_set_new(body, "source", n == 1 && target[0] == '-' ? json_string("") : json_stringn(target, n));
	if (at)
		json_object_set_new(body, "site", json_string(at + 1));
	snprintf(path, sizeof(path), "/v1/shaping/%s", verb);
	rc = cli_api_body(c, "POST", path, body, 0, &answer);
	json_decref(body);
	if (rc)
		return rc;
	json_decref(answer);
	printf("%.*s %s%s%s.\n", (int)n, target, done, at ? " at " : "", at ? at + 1 : "");
	return 0;
}

int cli_shaping(struct cli *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "list"))
		return list(c, argc - 1, argv + 1, 0);
	if (!strcmp(what, "show"))
		return list(c, argc - 1, argv + 1, 1);
	if (!strcmp(what, "suspend") && argc == 3)
		return change(c, "suspend", argv[2], "is suspended");
	if (!strcmp(what, "resume") && argc == 3)
		return change(c, "resume", argv[2], "sends again");
	if (!strcmp(what, "test"))
		return cli_shaping_test(c, argc - 1, argv + 1);
	return cli_usage("shaping");
}
