/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_queue.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/num.h"

void cli_queue_next(char dst[32], json_int_t next)
{
	char left[24];
	int64_t wait = next - clock_wall();

	if (next < 0) {
		strcpy(dst, "when released");
	} else if (next == 0) {
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
	cli_queue_next(next, cli_number(item, "next"));
	format_why(why, sizeof(why), item);
	cli_table_row(t, (const char *[]){cli_text(item, "id"), age, size, recipients,
					  cli_text(item, "customer"), cli_text(item, "destination"), attempts,
					  next, why});
}

int cli_queue_read(struct cli_queue_wish *w, int argc, char **argv)
{
	static const struct option options[] = {
	    {"limit", required_argument, NULL, 'l'},	{"json", no_argument, NULL, 'j'},
	    {"summary", no_argument, NULL, 's'},	{"customer", required_argument, NULL, 'c'},
	    {"campaign", required_argument, NULL, 'k'}, {"destination", required_argument, NULL, 'd'},
	    {"to", required_argument, NULL, 't'},	{"all", no_argument, NULL, 'a'},
	    {"yes", no_argument, NULL, 'y'},		{"undo", no_argument, NULL, 'u'},
	    {NULL, 0, NULL, 0}};
	uint64_t id;
	int opt;

	memset(w, 0, sizeof(*w));
	w->limit = 100;
	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (opt) {
		case 'l':
			w->limited = 1;
			if (num_parse_u64(span_str(optarg), &w->limit) < 0 || w->limit < 1 || w->limit > 1000)
				return cli_usage("queue");
			break;
		case 'j': w->json = 1; break;
		case 's': w->summary = 1; break;
		case 'c': w->customer = optarg; break;
		case 'k': w->campaign = optarg; break;
		case 'd': w->destination = optarg; break;
		case 't': w->to = optarg; break;
		case 'a': w->all = 1; break;
		case 'y': w->yes = 1; break;
		case 'u': w->undo = 1; break;
		default: return cli_usage("queue");
		}
	if (argc - optind > 1)
		return cli_usage("queue");
	w->id = optind < argc ? argv[optind] : NULL;
	if (w->id && id_parse(span_str(w->id), &id) < 0)
		return cli_fail(EXIT_USAGE, "%s: not a message id (13 characters, as queue list shows)", w->id);
	return 0;
}

static void put(json_t *o, const char *name, const char *value)
{
	if (value)
		json_object_set_new(o, name, json_string(value));
}

json_t *cli_queue_selector(const struct cli_queue_wish *w)
{
	json_t *o = json_object();

	put(o, "customer", w->customer);
	put(o, "campaign", w->campaign);
	put(o, "destination", w->destination);
	put(o, "id", w->id);
	return o;
}

static void print_list(json_t *j)
{
	static const char *const heads[] = {"ID",	"AGE",	 "SIZE", "RCPTS", "CUSTOMER",
					    "DESTINATION", "TRIES", "NEXT", "WHY"};
	struct cli_table *t = cli_table_new(heads, 9, "lrrrllrll");
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(j, "items"), i, item) add_row(t, item);
	if (json_array_size(json_object_get(j, "items")) == 0)
		puts("The queue is empty.");
	else
		cli_table_print(t);
	if (json_is_true(json_object_get(j, "more")))
		printf("More follow: raise --limit (at most 1000).\n");
	cli_table_free(t);
}

/* Pages until there are enough items: relay looks at so many messages for one page, whether they fit or not. */
static int gather(struct cli *c, const struct cli_queue_wish *w, json_t **all)
{
	json_t *body = cli_queue_selector(w), *j, *items = json_array();
	int rc, more = 1;

	while (more) {
		json_object_set_new(body, "limit",
				    json_integer((json_int_t)(w->limit - json_array_size(items))));
		rc = cli_api_body(c, "POST", "/v1/queue/list", body, 0, &j);
		if (rc) {
			json_decref(body);
			json_decref(items);
			return rc;
		}
		json_array_extend(items, json_object_get(j, "items"));
		more = json_is_true(json_object_get(j, "more"));
		json_object_set(body, "after", json_object_get(j, "after"));
		json_decref(j);
		if (json_array_size(items) >= w->limit)
			break;
	}
	json_decref(body);
	*all = json_pack("{s:o, s:b}", "items", items, "more", more);
	return 0;
}

static int list(struct cli *c, const struct cli_queue_wish *w)
{
	json_t *j;
	int rc;

	if (w->id || w->to || w->all || w->yes || w->undo)
		return cli_usage("queue");
	if (w->summary)
		return cli_queue_summary(c, w);
	rc = gather(c, w, &j);
	if (rc)
		return rc;
	if (w->json) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		print_list(j);
	}
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
		cli_queue_next(next, cli_number(item, "next"));
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

static int delete(struct cli *c, const char *id)
{
	char path[64];
	json_t *j;
	int rc;

	snprintf(path, sizeof(path), "/v1/queue/%s", id);
	rc = cli_api(c, "DELETE", path, 0, &j);
	if (rc)
		return rc;
	printf("%lld recipient%s deleted.\n", (long long)cli_number(j, "affected"),
	       cli_number(j, "affected") == 1 ? "" : "s");
	json_decref(j);
	return 0;
}

int cli_queue(struct cli *c, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct cli_queue_wish w;
	int rc;

	if (!strcmp(what, "show"))
		return show(c, argc - 1, argv + 1);
	if (argc < 2)
		return cli_usage("queue");
	rc = cli_queue_read(&w, argc - 1, argv + 1);
	if (rc)
		return rc;
	if (!strcmp(what, "list"))
		return list(c, &w);
	if (!strcmp(what, "orders") && argc == 2 + w.json)
		return cli_queue_orders(c, &w);
	if (!strcmp(what, "delete") && argc == 3 && w.id)
		return delete(c, w.id);
	rc = cli_queue_order(c, what, &w);
	return rc == CLI_NOT_AN_ORDER ? cli_usage("queue") : rc;
}
