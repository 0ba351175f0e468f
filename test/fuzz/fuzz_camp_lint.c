/* SPDX-License-Identifier: Apache-2.0 */
/* Any source: the lint ends, its findings are JSON, and what it approves of the milter can load. The first octet says
 * whether the rest is a whole source, or an HTML part or a plain text in one that is right. */
#include <stdlib.h>

#include "campaign/camp_template.h"
#include "core/err.h"
#include "test/unit/lint_world.h"

#include "lint/lint_second.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *source_of(uint8_t how, const char *text)
{
	json_t *s = how & 1 ? lint_world_source("Hi {{name}}!", "Hi\n", text) : lint_world_source("Hi", text, NULL);
	char *json = s ? json_dumps(s, 0) : NULL;

	json_decref(s);
	return json;
}

static void loads(const struct camp_lint *l)
{
	struct camp_manifest *m = NULL;
	struct camp_compiled *c = NULL;
	struct span blobs[CAMP_TEMPLATES];
	struct camp_error e;
	unsigned i;

	for (i = 0; i < l->n_blobs; i++)
		blobs[i] = buf_span(&l->blob[i]);
	if (camp_manifest_parse(buf_span(&l->manifest), &m, &e) < 0 ||
	    camp_template_compile(&m, blobs, l->n_blobs, &c, NULL, NULL) < 0)
		abort();
	camp_template_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct camp_lint l;
	struct buf out;
	char *text, *json = NULL;

	if (size < 1 || size > 20000)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	json = data[0] == '{' ? strndup((const char *)data, size) : source_of(data[0], text);
	free(text);
	if (!json)
		return 0;
	buf_init(&out, 64U << 20);
	if (camp_lint(&l, span_str(json), lint_second, LINT_WORLD_NOW) < 0 || camp_lint_result(&l, &out) < 0)
		abort();
	if (!l.findings.errors)
		loads(&l);
	else if (buf_size(&l.manifest))
		abort();
	buf_clear(&out);
	camp_lint_clear(&l);
	free(json);
	return 0;
}
