/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost domain: which domains are a customer's own. See sealpost-domain(8). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/err.h"
#include "mail/mail_selector.h"

struct job {
	struct cli *cli;
	const char *customer, *reason;
	int json;
	const char *domain;
};

static int options(struct job *j, int argc, char **argv, const char *allowed)
{
	static const struct option all[] = {{"customer", required_argument, NULL, 'c'},
					    {"reason", required_argument, NULL, 'r'},
					    {"json", no_argument, NULL, 'j'},
					    {NULL, 0, NULL, 0}};
	int opt, wanted = strchr(allowed, 'd') != NULL;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (!strchr(allowed, opt))
			return cli_usage("domain");
		if (opt == 'c')
			j->customer = optarg;
		else if (opt == 'r')
			j->reason = optarg;
		j->json |= opt == 'j';
	}
	if (argc - optind != wanted)
		return cli_usage("domain");
	j->domain = wanted ? argv[optind] : NULL;
	return 0;
}

/* Asks about the one domain. */
static int ask(struct job *j, const char *path, json_t **answer)
{
	json_t *q = json_pack("{s:s, s:s*, s:s*}", "domain", j->domain, "customer", j->customer,
			      "reason", j->reason);
	int rc;

	if (!q)
		return cli_fail(EXIT_USAGE, "domain, customer and reason must be UTF-8");
	rc = cli_api_body(j->cli, "POST", path, q, 0, answer);
	json_decref(q);
	return rc;
}

static void print_json(const json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	puts("");
}

static int is(const json_t *o, const char *member, const char *value)
{
	return !strcmp(cli_text(o, member), value);
}

/* As a line of a zone file. */
static void print_record(const json_t *o)
{
	struct buf line;

	buf_init(&line, 4096);
	mail_selector_zone(&line, cli_text(o, "name"), span_str(cli_text(o, "text")));
	fwrite(buf_ptr(&line), 1, buf_size(&line), stdout);
	buf_clear(&line);
}

/* "secure" and the like, of the last check. */
static const char *dnssec(const json_t *o)
{
	if (is(o, "found", "bogus"))
		return "bogus";
	if (is(o, "found", "unasked") || is(o, "found", "unreachable"))
		return "-";
	return json_is_true(json_object_get(o, "dnssec")) ? "secure" : "insecure";
}

/* --- list */

static void add_row(struct cli_table *t, const json_t *o)
{
	char since[32], checked[32];

	cli_time(since, cli_number(o, "since"));
	cli_time(checked, cli_number(o, "checked"));
	since[16] = checked[16] = '\0'; /* to the minute */
	cli_table_row(t, (const char *[]){cli_text(o, "domain"), cli_text(o, "customer"),
					  cli_text(o, "state"), since,
					  is(o, "found", "unasked") ? "-" : cli_text(o, "found"),
					  dnssec(o), checked, cli_text(o, "reason")});
}

static int list(struct job *j, int argc, char **argv)
{
	static const char *const heads[] = {"DOMAIN", "CUSTOMER", "STATE",   "SINCE",
					    "DNS",    "DNSSEC",	  "CHECKED", "REASON"};
	int rc = options(j, argc, argv, "cj");
	json_t *answer, *items, *item;
	struct cli_table *t;
	char path[160];
	size_t i;

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "/v1/domains%s%.65s", j->customer ? "?customer=" : "",
		 j->customer ? j->customer : "");
	rc = cli_api(j->cli, "GET", path, 0, &answer);
	if (rc)
		return rc;
	items = json_object_get(answer, "items");
	if (j->json) {
		print_json(items);
	} else if (json_array_size(items)) {
		t = cli_table_new(heads, 8, "llllllll");
		json_array_foreach(items, i, item) add_row(t, item);
		cli_table_print(t);
		cli_table_free(t);
	} else {
		puts("No domain is known: \"sealpost domain add\" notes one.");
	}
	json_decref(answer);
	return 0;
}

/* --- one */

static int add(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cjd");
	json_t *o;

	if (!rc)
		rc = ask(j, "/v1/domains", &o);
	if (rc)
		return rc;
	if (j->json) {
		print_json(o);
	} else if (!is(o, "state", "pending")) {
		printf("%s is %s for customer %s already.\n", cli_text(o, "domain"),
		       cli_text(o, "state"), cli_text(o, "customer"));
	} else {
		printf("; publish this, then: sealpost domain verify");
		if (!is(o, "customer", "default"))
			printf(" --customer %s", cli_text(o, "customer"));
		printf(" %s\n", cli_text(o, "domain"));
		print_record(o);
	}
	json_decref(o);
	return 0;
}

static void print_campaigns(const json_t *o, const char *before)
{
	json_int_t unseen = cli_number(o, "campaigns_unseen");
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(o, "campaigns"), i, c)
	    printf("%s%s version %lld (%s)\n", before, cli_text(c, "campaign"),
		   (long long)cli_number(c, "version"), cli_text(c, "state"));
	if (unseen)
		printf("%s%lld more that could not be looked at now: they lie sealed\n", before,
		       (long long)unseen);
}

static int show(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cjd");
	char since[32], checked[32];
	json_t *o;

	if (!rc)
		rc = ask(j, "/v1/domains/show", &o);
	if (rc)
		return rc;
	cli_time(since, cli_number(o, "since"));
	cli_time(checked, cli_number(o, "checked"));
	if (j->json) {
		print_json(o);
	} else {
		printf("domain      %s\ncustomer    %s\nstate       %s since %s\n",
		       cli_text(o, "domain"), cli_text(o, "customer"), cli_text(o, "state"), since);
		if (*cli_text(o, "reason"))
			printf("reason      %s\n", cli_text(o, "reason"));
		printf("dns         %s", cli_text(o, "why"));
		if (cli_number(o, "checked"))
			printf(" (DNSSEC: %s; %s)", dnssec(o), checked);
		printf("\n");
		print_campaigns(o, "needed by   ");
		printf("\n");
		print_record(o);
	}
	json_decref(o);
	return 0;
}

/* What somebody else wrote into his zone: nothing of it reaches the terminal but plain characters. */
static void print_foreign(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text >= ' ' && (unsigned char)*text < 0x7f ? *text : '?');
}

static int tell_verdict(const json_t *o)
{
	int found = is(o, "found", "found"), verified = is(o, "state", "verified");
	const json_t *text;
	char since[32];
	size_t i;

	cli_time(since, cli_number(o, "since"));
	if (found) {
		printf("%s: verified for customer %s. DNSSEC: %s.\n", cli_text(o, "domain"),
		       cli_text(o, "customer"), dnssec(o));
		return 0;
	}
	printf("%s: %s.", cli_text(o, "domain"), cli_text(o, "why"));
	if (strcmp(dnssec(o), "-"))
		printf(" DNSSEC: %s.", dnssec(o));
	puts("");
	json_array_foreach(json_object_get(o, "texts"), i, text)
	{
		printf("found:  \"");
		print_foreign(json_string_value(text));
		printf("\"\n");
	}
	printf("wanted: ");
	print_record(o);
	if (!is(o, "state", "pending"))
		printf("It stays %s, as it has been since %s%s.\n", cli_text(o, "state"), since,
		       verified ? ": \"sealpost domain remove\" ends that" : "");
	return CLI_NOT_THERE;
}

static int verify(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cjd");
	json_t *o;

	if (!rc)
		rc = ask(j, "/v1/domains/verify", &o);
	if (rc)
		return rc;
	if (j->json) {
		print_json(o);
		rc = is(o, "found", "found") ? 0 : CLI_NOT_THERE;
	} else {
		rc = tell_verdict(o);
	}
	json_decref(o);
	return rc;
}

static int trust(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "crjd");
	json_t *o;

	if (!rc && !j->reason)
		rc = cli_fail(EXIT_USAGE, "who vouches for a domain says why: --reason TEXT");
	if (!rc)
		rc = ask(j, "/v1/domains/trust", &o);
	if (rc)
		return rc;
	if (j->json)
		print_json(o);
	else
		printf("%s: trusted for customer %s, by your word and without the DNS.\n",
		       cli_text(o, "domain"), cli_text(o, "customer"));
	json_decref(o);
	return 0;
}

static int take_away(struct job *j, int argc, char **argv)
{
	int rc = options(j, argc, argv, "cjd");
	json_t *o;

	if (!rc)
		rc = ask(j, "/v1/domains/remove", &o);
	if (rc)
		return rc;
	if (j->json) {
		print_json(o);
	} else {
		printf("%s: no domain of customer %s any more.\n", cli_text(o, "domain"),
		       cli_text(o, "customer"));
		if (json_array_size(json_object_get(o, "campaigns")) ||
		    cli_number(o, "campaigns_unseen")) {
			puts("These campaigns lead there and go on; \"sealpost campaign revoke\" "
			     "ends one:");
			print_campaigns(o, "  ");
		}
	}
	json_decref(o);
	return 0;
}

int cli_domain(struct cli *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct job *j, int argc, char **argv);
	} verbs[] = {{"list", list},	 {"add", add},	   {"show", show},
		     {"verify", verify}, {"trust", trust}, {"remove", take_away}};
	struct job j = {.cli = c};

	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(&j, argc - 1, argv + 1);
	return cli_usage("domain");
}
