/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tracking: what readers did, and what is known of one of them. See sealpost-tracking(8). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

struct job {
	struct cli *cli;
	const char *customer;
	int json, raw, yes;
	unsigned limit;
	char **args;
	int count;
};

static int options(struct job *j, int argc, char **argv, const char *allowed)
{
	static const struct option all[] = {{"customer", required_argument, NULL, 'c'},
					    {"json", no_argument, NULL, 'j'},
					    {"raw", no_argument, NULL, 'r'},
					    {"yes", no_argument, NULL, 'y'},
					    {"limit", required_argument, NULL, 'l'},
					    {NULL, 0, NULL, 0}};
	uint64_t n;
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (!strchr(allowed, opt))
			return cli_usage("tracking");
		if (opt == 'c')
			j->customer = optarg;
		else if (opt == 'l' && (num_parse_u64(span_str(optarg), &n) < 0 || n < 1 || n > 1000000))
			return cli_fail(EXIT_USAGE, "--limit %s: wanted a number from 1 to 1000000", optarg);
		else if (opt == 'l')
			j->limit = (unsigned)n;
		j->json |= opt == 'j';
		j->raw |= opt == 'r';
		j->yes |= opt == 'y';
	}
	j->args = argv + optind;
	j->count = argc - optind;
	return 0;
}

/* The question that all have in common. */
static json_t *question(const struct job *j, const char *name)
{
	json_t *q = json_object();

	if (j->customer)
		json_object_set_new(q, "customer", json_string(j->customer));
	if (j->count)
		json_object_set_new(q, name, json_string(j->args[0]));
	return q;
}

static int ask(struct job *j, const char *path, json_t *q, json_t **answer)
{
	int rc = cli_api_body(j->cli, "POST", path, q, 0, answer);

	json_decref(q);
	return rc;
}

static void print_json(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	puts("");
}

/* --- statistics */

static const char *const class_names[] = {"human", "machine", "proxy", "unknown"};

static void number(char dst[24], const json_t *o, const char *name)
{
	snprintf(dst, 24, "%lld", (long long)cli_number(o, name));
}

static void put_row(struct cli_table *t, const char *what, const json_t *classes, json_int_t readers, int raw)
{
	char cells[5][24];
	const char *row[6] = {what};

	for (int i = 0; i < 4; i++)
		number(cells[i], classes, class_names[i]);
	snprintf(cells[4], sizeof(cells[4]), readers < 0 ? "" : "%lld", (long long)readers);
	row[1] = cells[0];
	for (int i = 1; i < 4 && raw; i++)
		row[i + 1] = cells[i];
	row[raw ? 5 : 2] = cells[4];
	cli_table_row(t, row);
}

static void print_campaign(const json_t *o, int raw)
{
	static const char *const heads[] = {"WHAT", "BY PEOPLE", "READERS"};
	static const char *const raw_heads[] = {"WHAT", "BY PEOPLE", "MACHINES", "PROXIES", "UNKNOWN", "READERS"};
	struct cli_table *t = raw ? cli_table_new(raw_heads, 6, "lrrrrr") : cli_table_new(heads, 3, "lrr");
	const json_t *readers = json_object_get(o, "readers"), *link;
	const char *name = cli_text(o, "campaign");
	char what[32];
	size_t i;

	printf("%s of %s: %lld sent, %lld delivered, %lld unsubscribed\n", *name ? name : "(a campaign not known any more)",
	       cli_text(o, "customer"), (long long)cli_number(o, "sent"), (long long)cli_number(o, "delivered"),
	       (long long)cli_number(o, "unsubscribe"));
	put_row(t, "opened", json_object_get(o, "open"), cli_number(readers, "open"), raw);
	put_row(t, "clicked", json_object_get(o, "click"), cli_number(readers, "click"), raw);
	json_array_foreach(json_object_get(o, "links"), i, link)
	{
		snprintf(what, sizeof(what), "  link %lld", (long long)cli_number(link, "link"));
		put_row(t, what, link, -1, raw);
	}
	cli_table_print(t);
	cli_table_free(t);
}

static int stats(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cjr");
	json_t *answer, *o;
	size_t i;

	if (rc || j->count > 1)
		return rc ? rc : cli_usage("tracking");
	rc = ask(j, "/v1/tracking/stats", question(j, "campaign"), &answer);
	if (rc)
		return rc;
	if (j->json)
		print_json(json_object_get(answer, "items"));
	else
		json_array_foreach(json_object_get(answer, "items"), i, o)
		{
			if (i)
				puts("");
			print_campaign(o, j->raw);
		}
	rc = json_array_size(json_object_get(answer, "items")) ? 0 : CLI_NOT_THERE;
	if (rc && !j->json)
		printf("Nothing was sent or read.\n");
	json_decref(answer);
	return rc;
}

/* --- events */

static void event_row(struct cli_table *t, const json_t *e)
{
	char when[32], link[24] = "";

	cli_time(when, cli_number(e, "at"));
	if (!strcmp(cli_text(e, "kind"), "click"))
		number(link, e, "link");
	cli_table_row(t, (const char *[]){when, cli_text(e, "kind"), link, cli_text(e, "campaign"), cli_text(e, "class"),
					  cli_text(e, "reasons"), cli_text(e, "net"), cli_text(e, "agent")});
}

/* All pages up to limit. */
static int pages(struct job *j, json_t *all)
{
	json_int_t after = 0;
	json_t *q, *answer;
	int rc;

	do {
		q = question(j, "campaign");
		json_object_set_new(q, "after", json_integer(after));
		json_object_set_new(q, "limit", json_integer((json_int_t)(j->limit - json_array_size(all))));
		rc = ask(j, "/v1/tracking/events", q, &answer);
		if (rc)
			return rc;
		json_array_extend(all, json_object_get(answer, "items"));
		after = cli_number(answer, "next");
		json_decref(answer);
	} while (after && json_array_size(all) < j->limit);
	return 0;
}

static int events(struct job *j, int argc, char **argv)
{
	static const char *const heads[] = {"WHEN", "WHAT", "LINK", "CAMPAIGN", "CLASS", "REASONS", "FROM", "PROGRAM"};
	json_t *all = json_array(), *e;
	struct cli_table *t;
	size_t i;
	int rc;

	j->limit = 1000;
	rc = options(j, argc, argv, "cjl");
	if (!rc && j->count > 1)
		rc = cli_usage("tracking");
	if (!rc)
		rc = pages(j, all);
	if (!rc && j->json) {
		print_json(all);
	} else if (!rc) {
		t = cli_table_new(heads, 8, "llrlllll");
		json_array_foreach(all, i, e) event_row(t, e);
		cli_table_print(t);
		cli_table_free(t);
	}
	json_decref(all);
	return rc;
}

/* --- one recipient */

static int export(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "c");
	json_t *answer;

	if (rc || j->count != 1)
		return rc ? rc : cli_usage("tracking");
	rc = ask(j, "/v1/tracking/export", question(j, "address"), &answer);
	if (rc)
		return rc;
	print_json(json_object_get(answer, "messages"));
	rc = json_array_size(json_object_get(answer, "messages")) ? 0 : CLI_NOT_THERE;
	json_decref(answer);
	return rc;
}

static int erase(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cy");
	json_t *answer;

	if (rc || j->count != 1)
		return rc ? rc : cli_usage("tracking");
	if (!j->yes)
		return cli_fail(EXIT_USAGE, "this cannot be undone, and links to unsubscribe in mail that was sent end: add --yes");
	rc = ask(j, "/v1/tracking/erase", question(j, "address"), &answer);
	if (rc)
		return rc;
	printf("Erased what was known of %lld messages. Totals stay, and so does the list of suppressed recipients.\n",
	       (long long)cli_number(answer, "messages"));
	rc = cli_number(answer, "messages") ? 0 : CLI_NOT_THERE;
	json_decref(answer);
	return rc;
}

int cli_tracking(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct job *j, int argc, char **argv);
	} verbs[] = {{"stats", stats}, {"events", events}, {"export", export}, {"erase", erase}};
	struct job j = {.cli = c};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(&j, argc - 1, argv + 1);
	return cli_usage("tracking");
}
