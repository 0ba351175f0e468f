/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/lint_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "lint/lint_second.h"

#define HEAD "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>News</title></head><body>\n"
#define TAIL "\n</body></html>\n"

static json_t *fields(void)
{
	return json_pack("{s:{s:s,s:i}, s:{s:s,s:i}, s:{s:s,s:i}, s:{s:s,s:i}, s:{s:s,s:[s,s]}}", "name", "type", "name", "max",
			 40, "code", "type", "code", "max", 16, "q", "type", "url-query", "max", 40, "p", "type", "url-path",
			 "max", 40, "size", "type", "enum", "values", "small", "large");
}

json_t *lint_world_source(const char *subject, const char *text, const char *html)
{
	json_t *parts = json_array(), *all;

	if (text)
		json_array_append_new(parts, json_pack("{s:s, s:s}", "type", "text/plain", "text", text));
	if (html) {
		char *whole = malloc(strlen(html) + sizeof(HEAD TAIL));
		sprintf(whole, "%s%s%s", HEAD, html, TAIL);
		json_array_append_new(parts, json_pack("{s:s, s:s}", "type", "text/html", "text", whole));
		free(whole);
	}
	all = json_pack("{s:i,s:s,s:s,s:i,s:i,s:s,s:{s:s,s:s},s:s,s:o,s:o,s:[s,s],s:{s:s,s:s},s:i}", "v", 1, "customer", "shop",
			"campaign", "news", "version", 1, "number", 1, "author", "anna", "from", "addr", "news@shop.example",
			"name", "Shop", "subject", subject ? subject : "News", "parts", parts, "fields", fields(), "hosts",
			"shop.example", "cdn.shop.example", "valid", "from", "2026-11-01T00:00:00Z", "to",
			"2026-12-31T00:00:00Z", "max_messages", 1000);
	json_object_set_new(all, "track",
			    json_pack("{s:s,s:b,s:b,s:s}", "host", "t.shop.example", "pixel", 1, "clicks", 1, "unsubscribe",
				      "https"));
	json_object_set_new(all, "owned", json_pack("[s]", "shop.example"));
	return all;
}

void lint_world_run(struct camp_lint *l, json_t *source)
{
	char *text = json_dumps(source, JSON_COMPACT);

	if (camp_lint(l, span_str(text), lint_second, LINT_WORLD_NOW) < 0)
		abort();
	free(text);
	json_decref(source);
}

const struct camp_finding *lint_world_found(const struct camp_lint *l, const char *rule)
{
	size_t i;

	for (i = 0; i < l->findings.n; i++)
		if (strcmp(l->findings.item[i].rule, rule) == 0)
			return &l->findings.item[i];
	return NULL;
}

const char *lint_world_rules(const struct camp_lint *l)
{
	static char all[2000];
	size_t i;

	all[0] = '\0';
	for (i = 0; i < l->findings.n && strlen(all) < 1500; i++)
		sprintf(all + strlen(all), "%s%s %s:%u %s; ", l->findings.item[i].level == CAMP_FINDING_ERROR ? "" : "(warning) ",
			l->findings.item[i].rule, l->findings.item[i].part, l->findings.item[i].line, l->findings.item[i].text);
	return all;
}
