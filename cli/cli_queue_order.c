/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_queue.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/num.h"

/* --- looking */

static int print_json(json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	puts("");
	json_decref(j);
	return 0;
}

/* CUSTOMER:CAMPAIGN@SITE */
static void format_queue(char *dst, size_t size, const json_t *row)
{
	snprintf(dst, size, "%s:%s@%s", cli_text(row, "customer"), cli_text(row, "campaign"), cli_text(row, "site"));
}

static void format_state(char *dst, size_t size, const json_t *row)
{
	if (json_is_true(json_object_get(row, "held")))
		snprintf(dst, size, "on hold");
	else if (json_is_true(json_object_get(row, "suspended")))
		snprintf(dst, size, "suspended");
	else
		snprintf(dst, size, "%s%s", cli_text(row, "reason"),
			 json_is_true(json_object_get(row, "slow")) ? " (slow lane)" : "");
}

static void number(char dst[24], const json_t *row, const char *name)
{
	snprintf(dst, 24, "%lld", (long long)cli_number(row, name));
}

static void add_row(struct cli_table *t, const json_t *row)
{
	char queue[512], recipients[24], ready[24], waiting[24], active[24], age[24], next[32], why[128];

	format_queue(queue, sizeof(queue), row);
	number(recipients, row, "recipients");
	number(ready, row, "ready");
	number(waiting, row, "waiting");
	number(active, row, "active");
	num_format_duration(age, clock_wall() - cli_number(row, "oldest"));
	cli_queue_next(next, cli_number(row, "next"));
	format_state(why, sizeof(why), row);
	cli_table_row(t, (const char *[]){queue, recipients, ready, waiting, active, age, next, why});
}

static const char *plural(json_int_t n)
{
	return n == 1 ? "" : "s";
}

/* "1 recipient in 1 queue" */
static void print_count(const json_t *total)
{
	json_int_t recipients = cli_number(total, "recipients"), queues = cli_number(total, "queues");

	printf("%lld recipient%s in %lld queue%s", (long long)recipients, plural(recipients), (long long)queues,
	       plural(queues));
}

static void print_total(const json_t *j)
{
	const json_t *t = json_object_get(j, "total");

	print_count(t);
	if (cli_number(t, "opening"))
		printf("; %lld messages of the last run are still being opened",
		       (long long)cli_number(t, "opening"));
	if (cli_number(t, "draining"))
		printf("; %lld recipients are being taken out", (long long)cli_number(t, "draining"));
	if (cli_number(t, "held_messages"))
		printf("; %lld are held one by one", (long long)cli_number(t, "held_messages"));
	puts(".");
}

int cli_queue_summary(struct cli *c, const struct cli_queue_wish *w)
{
	static const char *const heads[] = {"QUEUE", "RCPTS", "READY", "WAITING", "ACTIVE", "OLDEST", "NEXT", "WHY"};
	json_t *body = cli_queue_selector(w), *j, *row;
	struct cli_table *t;
	size_t i;
	int rc;

	json_object_set_new(body, "limit", json_integer((json_int_t)w->limit));
	rc = cli_api_body(c, "POST", "/v1/queues/summary", body, 0, &j);
	json_decref(body);
	if (rc)
		return rc;
	if (w->json)
		return print_json(j);
	t = cli_table_new(heads, 8, "lrrrrrll");
	json_array_foreach(json_object_get(j, "queues"), i, row) add_row(t, row);
	if (json_array_size(json_object_get(j, "queues")))
		cli_table_print(t);
	print_total(j);
	if (json_is_true(json_object_get(j, "more")))
		puts("These are the largest: raise --limit (at most 1000) to see more.");
	cli_table_free(t);
	json_decref(j);
	return 0;
}

static void format_selector(char *dst, size_t size, const json_t *o)
{
	static const char *const names[] = {"customer", "campaign", "destination", "id"};
	size_t n = 0;

	dst[0] = '\0';
	for (int i = 0; i < 4; i++) {
		const json_t *v = json_object_get(o, names[i]);
		if (!v)
			continue;
		n += (size_t)snprintf(dst + n, size - n, "%s%s %s", n ? ", " : "", names[i],
				      *json_string_value(v) ? json_string_value(v) : "(none)");
		if (n >= size)
			return;
	}
}

static int takes_out(const char *action)
{
	return !strcmp(action, "purge") || !strcmp(action, "bounce");
}

int cli_queue_orders(struct cli *c, const struct cli_queue_wish *w)
{
	static const char *const heads[] = {"ORDER", "GIVEN", "ACTION", "OF", "TO", "RCPTS"};
	struct cli_table *t;
	json_t *j, *o;
	size_t i;
	int rc = cli_api(c, "GET", "/v1/queues/orders", 0, &j);

	if (rc)
		return rc;
	if (w->json)
		return print_json(j);
	t = cli_table_new(heads, 6, "rllllr");
	json_array_foreach(json_object_get(j, "orders"), i, o) {
		char order[24], given[32], of[512], recipients[24];
		number(order, o, "number");
		number(recipients, o, "recipients");
		if (takes_out(cli_text(o, "action")) && cli_number(o, "recipients") == 0)
			snprintf(recipients, sizeof(recipients), "done");
		cli_time(given, cli_number(o, "created"));
		format_selector(of, sizeof(of), o);
		cli_table_row(t, (const char *[]){order, given, cli_text(o, "action"), of, cli_text(o, "via"),
						  recipients});
	}
	if (json_array_size(json_object_get(j, "orders")))
		cli_table_print(t);
	else
		puts("No orders are in force.");
	cli_table_free(t);
	json_decref(j);
	return 0;
}

/* --- orders */

static const struct order {
	const char *name, *done;
	int ends_mail;
	const char *until; /* of an order that stays in force for what comes later */
} orders[] = {
    {"hold", "held", 0, "it is released"},
    {"release", "released", 0, NULL},
    {"suspend", "suspended", 0, "it is resumed"},
    {"resume", "resumed", 0, NULL},
    {"retry", "will be tried now", 0, NULL},
    {"reroute", "re-routed", 0, "--undo"},
    {"bounce", "will be bounced", 1, NULL},
    {"purge", "will be deleted", 1, NULL},
    {NULL, NULL, 0, NULL}};

/* How many recipients that would be, asked for confirmation. 0, or an exit code. */
static int confirm(struct cli *c, const struct order *o, const struct cli_queue_wish *w)
{
	json_t *body, *j;
	char answer[16];
	int rc;

	if (w->yes)
		return 0;
	if (!isatty(STDIN_FILENO))
		return cli_fail(EXIT_USAGE, "say --yes: mail that is %s does not come back",
				strcmp(o->name, "purge") ? "bounced" : "purged");
	if (w->id) {
		printf("The message %s %s. ", w->id, o->done);
	} else {
		body = cli_queue_selector(w);
		json_object_set_new(body, "limit", json_integer(1));
		rc = cli_api_body(c, "POST", "/v1/queues/summary", body, 0, &j);
		json_decref(body);
		if (rc)
			return rc;
		print_count(json_object_get(j, "total"));
		printf(" %s%s. ", o->done, strcmp(o->name, "purge") ? "" : ", and their senders not told");
		json_decref(j);
	}
	printf("Type yes: ");
	fflush(stdout);
	if (!fgets(answer, sizeof(answer), stdin) || strcmp(answer, "yes\n"))
		return cli_fail(CLI_NOT_THERE, "nothing was done");
	return 0;
}

static int give(struct cli *c, const struct order *o, const struct cli_queue_wish *w)
{
	json_t *body = cli_queue_selector(w), *j;
	char path[64];
	int rc;

	if (!strcmp(o->name, "reroute"))
		json_object_set_new(body, "via", json_string(w->undo ? "" : w->to));
	snprintf(path, sizeof(path), "/v1/queues/%s", o->name);
	rc = cli_api_body(c, "POST", path, body, 0, &j);
	json_decref(body);
	if (rc)
		return rc;
	printf("%lld recipient%s %s", (long long)cli_number(j, "affected"), plural(cli_number(j, "affected")),
	       w->undo ? "back on their own way" : o->done);
	if (o->until && !w->id && !w->undo)
		printf(" now; mail that comes later will be %s too, until %s", o->done, o->until);
	puts(".");
	if (cli_number(j, "kept"))
		printf("%lld of them another order still keeps back: see sealpost queue orders.\n",
		       (long long)cli_number(j, "kept"));
	json_decref(j);
	return 0;
}

static int some(const struct cli_queue_wish *w)
{
	return w->customer || w->campaign || w->destination;
}

int cli_queue_order(struct cli *c, const char *command, const struct cli_queue_wish *w)
{
	const struct order *o = orders;
	int reroute = !strcmp(command, "reroute"), retry = !strcmp(command, "retry"), rc;

	while (o->name && strcmp(o->name, command))
		o++;
	if (!o->name)
		return CLI_NOT_AN_ORDER;
	if (w->summary || w->json || w->limited || (w->all && !retry) || ((w->to || w->undo) && !reroute) ||
	    (w->yes && !o->ends_mail) || (w->id != NULL) + some(w) + w->all != 1)
		return cli_usage("queue");
	if (reroute && !w->to == !w->undo)
		return cli_fail(EXIT_USAGE, "say --to mx, --to HOST:PORT, or --undo");
	rc = o->ends_mail ? confirm(c, o, w) : 0;
	return rc ? rc : give(c, o, w);
}
