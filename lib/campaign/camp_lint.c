/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "campaign/camp_lint_own.h"
#include "core/err.h"
#include "core/hex.h"

static void texts(struct camp_lint_run *r)
{
	unsigned i;

	for (i = 0; i < r->source.n_text && !r->failed; i++) {
		r->pixel_at[i] = CAMP_NONE;
		if (r->source.text[i].html)
			camp_lint_html(r, i);
		else
			camp_lint_text(r, i);
	}
}

static void alternatives(struct camp_lint_run *r)
{
	unsigned i, plain = 0, html = 0;

	for (i = 1; i < r->source.n_text; i++)
		*(r->source.text[i].html ? &html : &plain) += 1;
	if (html && !plain)
		CAMP_LINT_WARN(r, "text-part", "parts", "no text/plain part: some readers show nothing, and filters mind it");
}

static int blobs(struct camp_lint_run *r)
{
	struct camp_lint *l = r->out;
	unsigned i;

	for (i = 0; i < r->source.n_text; i++) {
		buf_init(&l->blob[i], CAMP_TEMPLATE_MAX);
		if (buf_put_span(&l->blob[i], buf_span(&r->source.text[i].blob)) < 0)
			return ERR_NOMEM;
		l->n_blobs = i + 1;
	}
	return 0;
}

static int judge(struct camp_lint_run *r)
{
	/* what is not of the right form cannot be judged further; texts that could be cut can */
	if (r->source.n_text && json_is_array(json_object_get(r->top, "hosts"))) {
		camp_lint_hosts(r);
		texts(r);
	}
	if (r->fs->failed || r->failed)
		return ERR_NOMEM;
	if (!r->source.n_parts)
		return 0;
	camp_lint_sender(r);
	camp_lint_files(r);
	camp_lint_rest(r);
	alternatives(r);
	camp_finding_sort(r->fs);
	return r->fs->errors ? 0 : camp_lint_manifest(r);
}

int camp_lint(struct camp_lint *l, struct span json, camp_lint_second_fn second, int64_t now)
{
	struct camp_lint_run *r = calloc(1, sizeof(*r));
	size_t i;
	int rc;

	memset(l, 0, sizeof(*l));
	buf_init(&l->manifest, CAMP_MANIFEST_MAX);
	if (!r)
		return ERR_NOMEM;
	r->out = l;
	r->fs = &l->findings;
	r->second = second;
	r->now = now;
	rc = camp_source_parse(&r->source, json, r->fs);
	r->top = r->source.json;
	if (rc == 0 && r->top)
		rc = judge(r);
	if (rc == 0 && !l->findings.errors)
		rc = blobs(r);
	if (rc < 0 || l->findings.errors)
		buf_reset(&l->manifest);
	camp_finding_sort(&l->findings);
	for (i = 0; i < r->n_links && i < CAMP_LINKS; i++)
		free(r->link[i].url);
	free(r->link);
	camp_source_clear(&r->source);
	free(r);
	return rc == 0 && l->findings.failed ? ERR_NOMEM : rc;
}

void camp_lint_clear(struct camp_lint *l)
{
	unsigned i;

	camp_finding_clear(&l->findings);
	buf_clear(&l->manifest);
	for (i = 0; i < l->n_blobs; i++)
		buf_clear(&l->blob[i]);
	memset(l, 0, sizeof(*l));
}

static json_t *blob_array(const struct camp_lint *l)
{
	json_t *all = json_array();
	unsigned i;

	for (i = 0; i < l->n_blobs; i++) {
		size_t n = buf_size(&l->blob[i]);
		char *text = malloc(HEX_B64_SIZE(n));
		if (!text)
			continue; /* too few blobs: no reader takes it */
		hex_b64_encode(text, buf_ptr(&l->blob[i]), n);
		json_array_append_new(all, json_string(text));
		free(text);
	}
	return all;
}

int camp_lint_result(const struct camp_lint *l, struct buf *out)
{
	int ok = !l->findings.errors && !l->findings.failed && buf_size(&l->manifest);
	json_t *manifest = ok ? json_loadb((const char *)buf_ptr(&l->manifest), buf_size(&l->manifest), 0, NULL) : json_null();
	json_t *findings = camp_finding_json(&l->findings), *all;
	char *text = NULL;
	int rc = ERR_NOMEM;

	all = json_pack("{s:b, s:i, s:i, s:o, s:o, s:o}", "ok", ok, "errors", (int)l->findings.errors, "warnings",
			(int)l->findings.warnings, "findings", findings, "manifest", manifest, "blobs", blob_array(l));
	if (all)
		text = json_dumps(all, JSON_COMPACT);
	if (text && buf_put_str(out, text) == 0)
		rc = buf_put_str(out, "\n");
	free(text);
	json_decref(all);
	return rc;
}
