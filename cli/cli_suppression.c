/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost suppression: recipients that a customer's mail is not taken for. See sealpost-suppression(8). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

#define BATCH 1000

struct job {
	struct cli *cli;
	const char *customer, *reason;
	int64_t keep; /* usec; 0: for good */
	int json;
	char **args;
	int count;
	/* a batch under way */
	json_t *addresses;
	char batch_reason[32];
	json_int_t batch_expires;
	const char *path;
	long long done, known, refused;
};

static int options(struct job *j, int argc, char **argv, const char *allowed)
{
	static const struct option all[] = {{"customer", required_argument, NULL, 'c'},
					    {"reason", required_argument, NULL, 'r'},
					    {"keep", required_argument, NULL, 'k'},
					    {"json", no_argument, NULL, 'j'},
					    {NULL, 0, NULL, 0}};
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (!strchr(allowed, opt))
			return cli_usage("suppression");
		if (opt == 'c')
			j->customer = optarg;
		else if (opt == 'r')
			j->reason = optarg;
		else if (opt == 'j')
			j->json = 1;
		else if (num_parse_duration(span_str(optarg), &j->keep) < 0 || j->keep <= 0)
			return cli_fail(EXIT_USAGE, "--keep %s: wanted a time such as 30d", optarg);
	}
	j->args = argv + optind;
	j->count = argc - optind;
	return 0;
}

/* --- batches */

static int flush(struct job *j)
{
	json_t *body, *answer, *item;
	size_t i;
	int rc;

	if (!j->addresses || !json_array_size(j->addresses))
		return 0;
	body = json_pack("{s:s, s:o, s:s, s:I}", "customer", j->customer, "addresses", j->addresses, "reason",
			 j->batch_reason, "expires", j->batch_expires);
	j->addresses = NULL;
	rc = cli_api_body(j->cli, "POST", j->path, body, 0, &answer);
	json_decref(body);
	if (rc)
		return rc;
	j->done += cli_number(answer, "added") + cli_number(answer, "removed");
	j->known += cli_number(answer, "known");
	json_array_foreach(json_object_get(answer, "refused"), i, item)
	{
		cli_fail(0, "no address: %s", json_is_string(item) ? json_string_value(item) : "?");
		j->refused++;
	}
	json_decref(answer);
	return 0;
}

static int put(struct job *j, const char *address, const char *reason, json_int_t expires)
{
	int rc = 0;

	if (j->addresses && (json_array_size(j->addresses) == BATCH || strcmp(reason, j->batch_reason) != 0 ||
			     expires != j->batch_expires))
		rc = flush(j);
	if (rc)
		return rc;
	snprintf(j->batch_reason, sizeof(j->batch_reason), "%s", reason);
	j->batch_expires = expires;
	if (!j->addresses)
		j->addresses = json_array();
	if (json_array_append_new(j->addresses, json_string(address)) < 0)
		return cli_fail(EXIT_ENVIRONMENT, "an address is not UTF-8");
	return 0;
}

static json_int_t parse_time(const char *text)
{
	struct tm tm = {.tm_sec = 0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	return end && !*end ? (json_int_t)timegm(&tm) * CLOCK_SEC : -1;
}

/* "address[,reason[,created[,expires]]]", as export writes it. */
static int put_line(struct job *j, char *line, unsigned number)
{
	json_int_t expires = j->keep ? clock_wall() + j->keep : 0;
	char *cells[4] = {line, NULL, NULL, NULL};

	line[strcspn(line, "\r\n")] = '\0';
	for (int i = 1; i < 4 && cells[i - 1]; i++) {
		cells[i] = strchr(cells[i - 1], ',');
		if (cells[i])
			*cells[i]++ = '\0';
	}
	if (!*line || (number == 1 && !strcmp(line, "address")))
		return 0;
	if (cells[3] && *cells[3])
		expires = parse_time(cells[3]);
	if (expires < 0)
		return cli_fail(EXIT_USAGE, "line %u: wanted a time such as 2026-11-22T06:16:18Z", number);
	return put(j, line, cells[1] && *cells[1] ? cells[1] : j->reason, expires);
}

static int put_file(struct job *j, FILE *f)
{
	char *line = NULL;
	unsigned number = 0;
	size_t size = 0;
	int rc = 0;

	while (!rc && getline(&line, &size, f) > 0)
		rc = put_line(j, line, ++number);
	free(line);
	return rc;
}

static int put_all(struct job *j)
{
	json_int_t expires = j->keep ? clock_wall() + j->keep : 0;
	int rc = 0;

	for (int i = 0; i < j->count && !rc; i++)
		rc = !strcmp(j->args[i], "-") ? put_file(j, stdin) : put(j, j->args[i], j->reason, expires);
	if (!rc)
		rc = flush(j);
	json_decref(j->addresses);
	return rc;
}

static int say_added(const struct job *j, int rc)
{
	printf("%lld added, %lld known already.\n", j->done, j->known);
	return rc ? rc : j->refused ? EXIT_USAGE : 0;
}

static int add(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "crk");

	if (rc)
		return rc;
	if (!j->count)
		return cli_usage("suppression");
	j->path = "/v1/suppression";
	return say_added(j, put_all(j));
}

static int import(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "crk");
	FILE *f = stdin;

	if (rc)
		return rc;
	if (j->count > 1)
		return cli_usage("suppression");
	if (j->count && strcmp(j->args[0], "-") != 0)
		f = fopen(j->args[0], "r");
	if (!f)
		return cli_fail(EXIT_USAGE, "%s: %s", j->args[0], strerror(errno));
	j->path = "/v1/suppression";
	rc = put_file(j, f);
	if (!rc)
		rc = flush(j);
	json_decref(j->addresses);
	if (f != stdin)
		fclose(f);
	return say_added(j, rc);
}

static int removal(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "c");

	if (rc)
		return rc;
	if (!j->count)
		return cli_usage("suppression");
	j->path = "/v1/suppression/remove";
	rc = put_all(j);
	if (rc)
		return rc;
	printf("%lld removed.\n", j->done);
	return j->done ? 0 : CLI_NOT_THERE;
}

static int check(struct job *j, int argc, char **argv)
{
	json_t *list = json_array(), *body, *answer, *item;
	int rc = options(j, argc, argv, "c"), any = 0;
	size_t i;

	if (!rc && (!j->count || j->count > BATCH))
		rc = cli_usage("suppression");
	if (rc) {
		json_decref(list);
		return rc;
	}
	for (int k = 0; k < j->count; k++)
		json_array_append_new(list, json_string(j->args[k]));
	body = json_pack("{s:s, s:o}", "customer", j->customer, "addresses", list);
	rc = cli_api_body(j->cli, "POST", "/v1/suppression/check", body, 0, &answer);
	json_decref(body);
	if (rc)
		return rc;
	json_array_foreach(json_object_get(answer, "items"), i, item)
	{
		int is = json_is_true(json_object_get(item, "suppressed"));
		printf("%s %s\n", is ? "suppressed" : "free      ", cli_text(item, "address"));
		any |= is;
	}
	json_array_foreach(json_object_get(answer, "refused"), i, item)
	    cli_fail(0, "no address: %s", json_is_string(item) ? json_string_value(item) : "?");
	json_decref(answer);
	return any ? 0 : CLI_NOT_THERE;
}

/* --- looking */

static void iso(char dst[21], json_int_t usec)
{
	dst[0] = '\0';
	if (usec)
		clock_format_iso(dst, usec);
}

/* Each page to fn until the last. */
static int pages(struct job *j, void (*fn)(void *arg, const json_t *item), void *arg)
{
	char path[160], after[32] = "";
	json_t *answer, *item;
	size_t i;
	int rc;

	do {
		snprintf(path, sizeof(path), "/v1/suppression?customer=%.65s%s%s", j->customer,
			 after[0] ? "&after=" : "", after);
		rc = cli_api(j->cli, "GET", path, 0, &answer);
		if (rc)
			return rc;
		json_array_foreach(json_object_get(answer, "items"), i, item) fn(arg, item);
		snprintf(after, sizeof(after), "%s", cli_text(answer, "next"));
		json_decref(answer);
	} while (after[0]);
	return 0;
}

static void print_csv(void *arg, const json_t *item)
{
	char created[21], expires[21];

	(void)arg;
	iso(created, cli_number(item, "created"));
	iso(expires, cli_number(item, "expires"));
	if (*cli_text(item, "address"))
		printf("%s,%s,%s,%s\n", cli_text(item, "address"), cli_text(item, "reason"), created, expires);
}

static void add_row(void *arg, const json_t *item)
{
	char since[32], until[32];

	cli_time(since, cli_number(item, "created"));
	cli_time(until, cli_number(item, "expires"));
	cli_table_row(arg, (const char *[]){*cli_text(item, "address") ? cli_text(item, "address")
								       : "(cannot be opened)",
					    cli_text(item, "reason"), since, until});
}

static void append(void *arg, const json_t *item)
{
	json_array_append(arg, (json_t *)item);
}

static int export(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "c");

	if (rc || j->count)
		return rc ? rc : cli_usage("suppression");
	printf("address,reason,created,expires\n");
	return pages(j, print_csv, NULL);
}

static int list(struct job *j, int argc, char **argv)
{
	static const char *const heads[] = {"ADDRESS", "REASON", "SINCE", "UNTIL"};
	int rc = options(j, argc, argv, "cj");
	struct cli_table *t;
	json_t *all;

	if (rc || j->count)
		return rc ? rc : cli_usage("suppression");
	if (j->json) {
		all = json_array();
		rc = pages(j, append, all);
		if (!rc) {
			json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
			puts("");
		}
		json_decref(all);
		return rc;
	}
	t = cli_table_new(heads, 4, "llll");
	rc = pages(j, add_row, t);
	if (!rc)
		cli_table_print(t);
	cli_table_free(t);
	return rc;
}

int cli_suppression(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct job *j, int argc, char **argv);
	} verbs[] = {{"list", list},	 {"add", add},	     {"remove", removal},
		     {"check", check}, {"import", import}, {"export", export}};
	struct job j = {.cli = c, .customer = "default", .reason = "manual", .batch_reason = "manual"};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(&j, argc - 1, argv + 1);
	return cli_usage("suppression");
}
