/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/num.h"

/* "in 4m", "now" while a worker has it, "due". */
static void format_next(char dst[32], json_int_t next)
{
	char left[24];
	int64_t wait = next - clock_wall();

	if (next == 0) {
		strcpy(dst, "now");
	} else if (wait <= 0) {
		strcpy(dst, "due");
	} else {
		num_format_duration(left, wait);
		snprintf(dst, 32, "in %s", left);
	}
}

static void format_why(char *dst, size_t size, const json_t *item)
{
	json_int_t code = cli_number(item, "code");

	if (code)
		snprintf(dst, size, "%s (%d)", cli_text(item, "reason"), (int)code);
	else
		snprintf(dst, size, "%s", cli_text(item, "reason"));
}

static void add_row(struct cli_table *t, const json_t *item)
{
	char age[24], size[16], recipients[16], attempts[16], next[32], why[128];

	num_format_duration(age, clock_wall() - cli_number(item, "created"));
	num_format_size(size, (uint64_t)cli_number(item, "size"));
	snprintf(recipients, sizeof(recipients), "%d", (int)cli_number(item, "recipients"));
	snprintf(attempts, sizeof(attempts), "%d", (int)cli_number(item, "attempts"));
	format_next(next, cli_number(item, "next"));
	format_why(why, sizeof(why), item);
	cli_table_row(t, (const char *[]){cli_text(item, "id"), age, size, recipients,
					  cli_text(item, "customer"), cli_text(item, "destination"), attempts,
					  next, why});
}

static int list(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {{"limit", required_argument, NULL, 'l'},
						{"json", no_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	static const char *const heads[] = {"ID",	"AGE",	 "SIZE", "RCPTS", "CUSTOMER",
					    "DESTINATION", "TRIES", "NEXT", "WHY"};
	uint64_t limit = 100;
	struct cli_table *t;
	int opt, rc, as_json = 0;
	char path[64];
	json_t *j;
	size_t i;
	json_t *item;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'j')
			as_json = 1;
		else if (opt != 'l' || num_parse_u64(span_str(optarg), &limit) < 0 || limit < 1 ||
			 limit > 1000)
			return cli_usage("queue");
	}
	if (optind != argc)
		return cli_usage("queue");
	snprintf(path, sizeof(path), "/v1/queue?limit=%u", (unsigned)limit);
	rc = cli_api(c, "GET", path, 0, &j);
	if (rc)
		return rc;
	if (as_json) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
		json_decref(j);
		return 0;
	}
	t = cli_table_new(heads, 9, "lrrrllrll");
	json_array_foreach(json_object_get(j, "items"), i, item) add_row(t, item);
	if (json_array_size(json_object_get(j, "items")) == 0)
		puts("The queue is empty.");
	else
		cli_table_print(t);
	if (json_is_true(json_object_get(j, "more")))
		printf("More follow: raise --limit (at most 1000).\n");
	cli_table_free(t);
	json_decref(j);
	return 0;
}

static int show(struct cli *c, int argc, char **argv)
{
	char path[64], when[32], size[16], next[32], why[128];
	uint64_t id;
	json_t *j, *item;
	size_t i;
	int rc;

	if (argc != 2)
		return cli_usage("queue");
	if (id_parse(span_str(argv[1]), &id) < 0)
		return cli_fail(EXIT_USAGE, "%s: not a message id (13 characters, as queue list shows)", argv[1]);
	snprintf(path, sizeof(path), "/v1/queue/%s", argv[1]);
	rc = cli_api(c, "GET", path, 0, &j);
	if (rc)
		return rc;
	cli_time(when, cli_number(j, "created"));
	num_format_size(size, (uint64_t)cli_number(j, "size"));
	printf("Message      %s\nCustomer     %s\nAccepted     %s\nFrom         %s\nSize         %s\n"
	       "Came in by   %s\nInbound TLS  %s\n",
	       cli_text(j, "id"), cli_text(j, "customer"), when,
	       *cli_text(j, "sender") ? cli_text(j, "sender") : "<> (a report)", size, cli_text(j, "client"),
	       *cli_text(j, "tls") ? cli_text(j, "tls") : "none");
	json_array_foreach(json_object_get(j, "destinations"), i, item) {
		format_next(next, cli_number(item, "next"));
		format_why(why, sizeof(why), item);
		printf("\nFor %s: %d recipient%s queued, %d attempt%s, next %s\n  why: %s\n",
		       cli_text(item, "destination"), (int)cli_number(item, "recipients"),
		       cli_number(item, "recipients") == 1 ? "" : "s", (int)cli_number(item, "attempts"),
		       cli_number(item, "attempts") == 1 ? "" : "s", next, why);
		if (*cli_text(item, "reply"))
			printf("  last reply: %s\n", cli_text(item, "reply"));
	}
	printf("\nRecipients\n");
	json_array_foreach(json_object_get(j, "recipients"), i, item)
		printf("  %s\n", json_string_value(item));
	json_decref(j);
	return 0;
}

static int act(struct cli *c, const char *method, const char *path, const char *done)
{
	json_t *j;
	int rc = cli_api(c, method, path, 0, &j);

	if (rc)
		return rc;
	printf("%lld recipient%s %s.\n", (long long)cli_number(j, "affected"),
	       cli_number(j, "affected") == 1 ? "" : "s", done);
	json_decref(j);
	return 0;
}

static int act_on(struct cli *c, const char *id_text, const char *method, const char *suffix,
		  const char *done)
{
	char path[64];
	uint64_t id;

	if (id_parse(span_str(id_text), &id) < 0)
		return cli_fail(EXIT_USAGE, "%s: not a message id (13 characters, as queue list shows)", id_text);
	snprintf(path, sizeof(path), "/v1/queue/%s%s", id_text, suffix);
	return act(c, method, path, done);
}

int cli_queue(struct cli *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "list"))
		return list(c, argc - 1, argv + 1);
	if (!strcmp(what, "show"))
		return show(c, argc - 1, argv + 1);
	if (!strcmp(what, "retry") && argc == 3 && !strcmp(argv[2], "--all"))
		return act(c, "POST", "/v1/queue/retry", "will be tried now");
	if (!strcmp(what, "retry") && argc == 3)
		return act_on(c, argv[2], "POST", "/retry", "will be tried now");
	if (!strcmp(what, "delete") && argc == 3)
		return act_on(c, argv[2], "DELETE", "", "deleted");
	return cli_usage("queue");
}
