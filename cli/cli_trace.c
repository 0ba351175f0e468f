/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/err.h"
#include "core/id.h"

static void print_event(const json_t *e)
{
	char when[32];
	const char *key;
	json_t *value;

	cli_time(when, cli_number(e, "time"));
	printf("%-19s  %s\n", when, cli_text(e, "what"));
	json_object_foreach(json_object_get(e, "facts"), key, value)
		printf("%21s%-10s %s\n", "", key, json_string_value(value));
}

int cli_trace(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 3 && !strcmp(argv[1], "--json"), rc;
	const char *id_text = argc == 2 || as_json ? argv[argc - 1] : NULL;
	char path[64];
	uint64_t id;
	json_t *j, *e;
	size_t i;

	if (!id_text)
		return cli_usage("trace");
	if (id_parse(span_str(id_text), &id) < 0)
		return cli_fail(EXIT_USAGE, "%s: not a message id (13 characters)", id_text);
	snprintf(path, sizeof(path), "/v1/trace/%s", id_text);
	rc = cli_api(c, "GET", path, 0, &j);
	if (rc)
		return rc;
	if (as_json) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		printf("Message %s of customer %s: %s\n\n", cli_text(j, "id"), cli_text(j, "customer"),
		       cli_text(j, "summary"));
		json_array_foreach(json_object_get(j, "events"), i, e) print_event(e);
	}
	json_decref(j);
	return 0;
}
