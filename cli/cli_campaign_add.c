/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost campaign add, lint, test: is a source fit, is a message what was approved. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_campaign.h"
#include "core/err.h"
#include "core/hex.h"
#include "sys/sys_file.h"

#define MESSAGE_MAX (700u << 10) /* base64 of it still goes into one request */

/* Where a finding lies: the part's own file, or the YAML file and the member in it. */
static void put_place(const char *part, const struct cli_campaign_source *s, const char *path)
{
	unsigned i = CLI_CAMPAIGN_PARTS;

	if (s && s->audience && !strcmp(part, "audience"))
		fputs(s->audience, stdout);
	else if (s && sscanf(part, "parts[%u]", &i) == 1 && i < CLI_CAMPAIGN_PARTS && s->files[i])
		fputs(s->files[i], stdout);
	else
		printf("%s%s%s", path ? path : "", path && part[0] ? ": " : "", part[0] || path ? part : "source");
}

void cli_campaign_findings(const json_t *findings, const struct cli_campaign_source *s, const char *path, int *errors,
			   int *warnings)
{
	const json_t *f;
	size_t i;

	*errors = *warnings = 0;
	json_array_foreach(findings, i, f) {
		const char *level = cli_text(f, "level");
		json_int_t line = cli_number(f, "line"), column = cli_number(f, "column");
		*errors += !strcmp(level, "error");
		*warnings += !strcmp(level, "warning");
		put_place(cli_text(f, "part"), s, path);
		if (line)
			printf(":%lld:%lld", (long long)line, (long long)column);
		printf(": %s: %s: %s", level, cli_text(f, "rule"), cli_text(f, "text"));
		if (line && strcmp(cli_text(f, "part"), "audience"))
			printf(" (offset %lld)", (long long)cli_number(f, "offset"));
		puts("");
	}
}

static const char *plural(int n)
{
	return n == 1 ? "" : "s";
}

static void sum_up(int errors, int warnings)
{
	if (errors || warnings)
		printf("%d error%s, %d warning%s\n", errors, plural(errors), warnings, plural(warnings));
}

/* Reads the source and sends it. *answer: also of one that is refused. */
static int send_source(struct cli_campaign *k, const char *api, struct cli_campaign_source *s, json_t **answer)
{
	int rc = cli_campaign_source_read(k->args[0], s);

	*answer = NULL;
	if (rc)
		return rc;
	if (k->customer)
		json_object_set_new(s->document, "customer", json_string(k->customer));
	if (k->author)
		json_object_set_new(s->document, "author", json_string(k->author));
	if (k->audience)
		rc = cli_campaign_audience_send(k, s);
	return rc ? rc : cli_api_body(k->cli, "POST", api, s->document, 0, answer);
}

int cli_campaign_lint(struct cli_campaign *k)
{
	struct cli_campaign_source s;
	int errors = 0, warnings = 0;
	json_t *answer;
	int rc = send_source(k, "/v1/campaigns/lint", &s, &answer);

	if (answer && k->json) {
		errors = !json_is_true(json_object_get(answer, "ok"));
		cli_campaign_json(answer);
	} else if (answer) {
		cli_campaign_findings(json_object_get(answer, "findings"), &s, k->args[0], &errors, &warnings);
		errors += !errors && !json_is_true(json_object_get(answer, "ok"));
		sum_up(errors, warnings);
		if (!errors) {
			cli_campaign_audience_print(answer);
			printf("%s can be registered.\n", k->args[0]);
		}
		json_decref(answer);
	}
	cli_campaign_source_clear(&s);
	return rc ? rc : errors ? CLI_NOT_THERE : 0;
}

int cli_campaign_add(struct cli_campaign *k)
{
	struct cli_campaign_source s;
	int errors = 0, warnings = 0, other;
	json_t *answer;
	int rc = send_source(k, "/v1/campaigns", &s, &answer);

	if (answer && k->json) {
		cli_campaign_json(answer);
	} else if (answer) {
		cli_campaign_findings(json_object_get(answer, "findings"), &s, k->args[0], &errors, &warnings);
		sum_up(errors, warnings);
		other = strcmp(cli_text(answer, "customer"), "default") != 0;
		if (rc == 0) {
			printf("Registered %s version %lld of customer %s, by %s\nHash       %s\n",
			       cli_text(answer, "campaign"), (long long)cli_number(answer, "version"),
			       cli_text(answer, "customer"), cli_text(answer, "author"), cli_text(answer, "hash"));
			cli_campaign_audience_print(answer);
			printf("Next       sealpost campaign approve %s%s%s --version %lld --approver NAME --key FILE\n",
			       cli_text(answer, "campaign"), other ? " --customer " : "",
			       other ? cli_text(answer, "customer") : "", (long long)cli_number(answer, "version"));
		}
		json_decref(answer);
	}
	cli_campaign_source_clear(&s);
	return rc;
}

/* --- test */

static json_t *read_message(const char *path)
{
	struct buf data;
	json_t *j = NULL;
	char *text;
	int rc;

	buf_init(&data, MESSAGE_MAX);
	rc = sys_file_read(path, &data, 0);
	text = rc < 0 ? NULL : malloc(HEX_B64_SIZE(buf_size(&data)));
	if (rc < 0)
		cli_fail(0, "%s: %s", path, rc == ERR_LIMIT ? "more than 700 KiB" : err_text(rc));
	else if (text)
		j = json_stringn(text, hex_b64_encode(text, buf_ptr(&data), buf_size(&data)));
	free(text);
	buf_clear(&data);
	return j;
}

static void print_verdict(const json_t *v)
{
	if (json_is_true(json_object_get(v, "pass"))) {
		printf("Passes: it is an instance of version %lld (%s).\n", (long long)cli_number(v, "version"),
		       cli_text(v, "state"));
		return;
	}
	printf("Refused: %s", cli_text(v, "verdict"));
	if (cli_text(v, "rule")[0] && strcmp(cli_text(v, "rule"), cli_text(v, "verdict")))
		printf(" (%s)", cli_text(v, "rule"));
	printf("\nReply      %lld %s\n", (long long)cli_number(v, "code"), cli_text(v, "enhanced"));
	if (cli_text(v, "header")[0])
		printf("Header     %s\n", cli_text(v, "header"));
	else
		printf("Part       %lld, offset %lld\n", (long long)cli_number(v, "part"),
		       (long long)cli_number(v, "offset"));
	if (cli_number(v, "line"))
		printf("Line       %lld\n", (long long)cli_number(v, "line"));
	if (cli_text(v, "field")[0])
		printf("Field      %s\n", cli_text(v, "field"));
	if (json_is_integer(json_object_get(v, "template")))
		printf("Template   %lld, offset %lld\n", (long long)cli_number(v, "template"),
		       (long long)cli_number(v, "template_offset"));
}

int cli_campaign_test(struct cli_campaign *k)
{
	json_t *ask, *message, *v;
	int rc, pass;

	if (!k->rcpt)
		return cli_fail(EXIT_USAGE, "--rcpt: the recipient's address is needed");
	message = read_message(k->args[1]);
	if (!message)
		return EXIT_USAGE;
	ask = cli_campaign_which(k, k->args[0], k->version);
	json_object_set_new(ask, "message", message);
	json_object_set_new(ask, "rcpt", json_string(k->rcpt));
	rc = cli_api_body(k->cli, "POST", "/v1/campaigns/test", ask, 0, &v);
	json_decref(ask);
	if (rc)
		return rc;
	pass = json_is_true(json_object_get(v, "pass"));
	if (k->json)
		return cli_campaign_json(v), pass ? 0 : CLI_NOT_THERE;
	print_verdict(v);
	json_decref(v);
	return pass ? 0 : CLI_NOT_THERE;
}
