/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a source without errors, then held to the rules of those who will read it. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_json.h"
#include "campaign/camp_lint_own.h"
#include "campaign/camp_template.h"
#include "core/err.h"
#include "core/hex.h"

static json_t *copy(const struct camp_lint_run *r, const char *name)
{
	json_t *v = json_object_get(r->top, name);

	return v ? json_deep_copy(v) : json_null();
}

static json_t *digest(struct span s)
{
	uint8_t hash[CAMP_HASH];
	char text[HEX_SIZE(CAMP_HASH)];

	if (camp_json_hash(s, hash) < 0)
		return NULL;
	hex_encode(text, hash, sizeof(hash));
	return json_string(text);
}

static json_t *templates(const struct camp_lint_run *r)
{
	json_t *all = json_array();
	unsigned i;

	for (i = 0; i < r->source.n_text; i++)
		json_array_append_new(all, json_pack("{s:o, s:o}", "sha256", digest(buf_span(&r->source.text[i].blob)), "ops",
						     camp_source_ops(&r->source.text[i])));
	return all;
}

static int by_place(const void *a, const void *b)
{
	const struct camp_lint_link *x = a, *y = b;

	if (x->text != y->text)
		return x->text < y->text ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static json_t *links(const struct camp_lint_run *r)
{
	static const char *const as[] = {
		[CAMP_LINK_QUOTED] = NULL, [CAMP_LINK_BARE] = "bare", [CAMP_LINK_VML] = "vml", [CAMP_LINK_TEXT] = "text"};
	json_t *all = json_array();
	size_t i;

	if (r->n_links)
		qsort(r->link, r->n_links, sizeof(*r->link), by_place);
	for (i = 0; i < r->n_links; i++) {
		const struct camp_lint_link *l = &r->link[i];
		json_t *one = json_pack("{s:I, s:I, s:[I,I], s:s, s:b}", "i", (json_int_t)i, "tpl", (json_int_t)l->text, "span",
					(json_int_t)l->from, (json_int_t)l->to, "url", l->url, "track", l->track);
		if (as[l->as])
			json_object_set_new(one, "as", json_string(as[l->as]));
		json_array_append_new(all, one);
	}
	return all;
}

/* Index among the attachments of part i. */
static unsigned file_index(const struct camp_lint_run *r, unsigned part)
{
	unsigned i, n = 0;

	for (i = 0; i < part; i++)
		n += r->source.part_text[i] == CAMP_NONE;
	return n;
}

static void row(const struct camp_lint_run *r, json_t *rows, unsigned depth, unsigned part)
{
	json_t *v = json_array_get(json_object_get(r->top, "parts"), part), *one;
	unsigned text = r->source.part_text[part];

	one = json_pack("{s:i, s:O}", "d", (int)depth, "type", json_object_get(v, "type"));
	if (text != CAMP_NONE) {
		json_object_set_new(one, "charset", json_string("utf-8"));
		json_object_set_new(one, "tpl", json_integer(text));
		if (r->source.text[text].flowed)
			json_object_set_new(one, "flowed", json_true());
		if (r->pixel_at[text] != CAMP_NONE)
			json_object_set_new(one, "pixel_at", json_integer(r->pixel_at[text]));
	} else {
		json_object_set_new(one, "att", json_integer(file_index(r, part)));
		if (json_object_get(v, "cid"))
			json_object_set(one, "cid", json_object_get(v, "cid"));
		if (json_object_get(v, "disposition"))
			json_object_set(one, "disposition", json_object_get(v, "disposition"));
		else
			json_object_set_new(one, "disposition", json_string(json_object_get(v, "cid") ? "inline" : "attachment"));
	}
	json_array_append_new(rows, one);
}

static void multi(json_t *rows, unsigned depth, const char *type)
{
	json_array_append_new(rows, json_pack("{s:i, s:s}", "d", (int)depth, "type", type));
}

enum role { PLAIN, HTML, INLINE, ATTACHED };

static enum role role_of(const struct camp_lint_run *r, unsigned part)
{
	if (r->source.part_text[part] == CAMP_NONE)
		return json_object_get(json_array_get(json_object_get(r->top, "parts"), part), "cid") ? INLINE : ATTACHED;
	return r->source.text[r->source.part_text[part]].html ? HTML : PLAIN;
}

/* mixed(alternative(plain, related(html, images)), files), each only if it is needed */
static json_t *usual(struct camp_lint_run *r)
{
	unsigned count[4] = {0, 0, 0, 0}, i, d = 0;
	json_t *rows = json_array();

	for (i = 0; i < r->source.n_parts; i++)
		count[role_of(r, i)]++;
	if (count[PLAIN] > 1 || count[HTML] > 1 || count[PLAIN] + count[HTML] == 0 || (count[INLINE] && !count[HTML]))
		CAMP_LINT_ERROR(r, "structure", "parts",
				"one text/plain, one text/html or both, and inline images with the latter alone; "
				"otherwise say the structure");
	if (count[ATTACHED])
		multi(rows, d++, "multipart/mixed");
	if (count[PLAIN] && count[HTML])
		multi(rows, d++, "multipart/alternative");
	for (i = 0; i < r->source.n_parts; i++)
		if (role_of(r, i) == PLAIN)
			row(r, rows, d, i);
	if (count[INLINE])
		multi(rows, d++, "multipart/related");
	for (i = 0; i < r->source.n_parts; i++)
		if (role_of(r, i) == HTML)
			row(r, rows, d, i);
	for (i = 0; i < r->source.n_parts; i++)
		if (role_of(r, i) == INLINE)
			row(r, rows, d, i);
	for (i = 0; i < r->source.n_parts; i++)
		if (role_of(r, i) == ATTACHED)
			row(r, rows, 1, i);
	return rows;
}

static json_t *said(struct camp_lint_run *r, json_t *structure)
{
	json_t *rows = json_array(), *v;
	uint64_t seen = 0;
	char part[32];
	size_t i;

	json_array_foreach(structure, i, v) {
		json_t *number = json_object_get(v, "part");
		json_int_t d = json_integer_value(json_object_get(v, "d")), n = json_integer_value(number);

		snprintf(part, sizeof(part), "structure[%zu]", i);
		if (!number)
			multi(rows, (unsigned)d, json_string_value(json_object_get(v, "type")));
		else if (n < 0 || n >= r->source.n_parts || (seen & UINT64_C(1) << n))
			CAMP_LINT_ERROR(r, "structure", part, "no such part, or one that was there already");
		else {
			seen |= UINT64_C(1) << n;
			row(r, rows, (unsigned)d, (unsigned)n);
		}
		if (json_is_true(json_object_get(v, "optional")))
			json_object_set_new(json_array_get(rows, json_array_size(rows) - 1), "optional", json_true());
	}
	if (__builtin_popcountll(seen) != (int)r->source.n_parts)
		CAMP_LINT_ERROR(r, "structure", "structure", "not all parts are in it");
	return rows;
}

static json_t *attachments(const struct camp_lint_run *r)
{
	json_t *all = json_array(), *v;
	size_t i;

	json_array_foreach(json_object_get(r->top, "parts"), i, v)
		if (i < r->source.n_parts && r->source.part_text[i] == CAMP_NONE)
			json_array_append_new(all, json_pack("{s:O, s:O, s:O, s:O}", "type", json_object_get(v, "type"), "name",
							     json_object_get(v, "name"), "size", json_object_get(v, "size"),
							     "sha256", json_object_get(v, "sha256")));
	return all;
}

/* All members said, as the manifest wants them. */
static json_t *track(const struct camp_lint_run *r)
{
	json_t *t = json_object_get(r->top, "track"), *all, *v;
	const char *key;

	if (!json_is_object(t))
		return json_null();
	all = json_pack("{s:b,s:b,s:b,s:b,s:s,s:s,s:n,s:n,s:b,s:i,s:s}", "pixel", 0, "clicks", 0, "text", 0, "vml", 0,
			"unsubscribe", "none", "existing", "keep", "mailto_domain", "feedback_id", "honeypot", 0, "days", 400,
			"consent", "aggregate");
	json_object_foreach(t, key, v)
		json_object_set(all, key, v);
	return all;
}

static json_t *headers(const struct camp_lint_run *r)
{
	json_t *extra = json_object_get(r->top, "extra_allow");

	return json_pack("{s:o, s:o, s:s, s:o, s:o}", "from", copy(r, "from"), "reply_to", copy(r, "reply_to"), "subject", "tpl:0",
			 "list_id", copy(r, "list_id"), "extra_allow", extra ? json_deep_copy(extra) : json_array());
}

static json_t *lint_of(const struct camp_lint_run *r)
{
	json_t *findings = camp_finding_json(r->fs), *all = NULL;
	struct buf text;

	buf_init(&text, CAMP_MANIFEST_MAX);
	if (findings && camp_json_canonical(findings, &text) == 0)
		all = json_pack("{s:o, s:i}", "sha256", digest(buf_span(&text)), "warnings", (int)r->fs->warnings);
	json_decref(findings);
	buf_clear(&text);
	return all;
}

static json_t *make(struct camp_lint_run *r)
{
	static const char *const same[] = {"v",	    "customer", "campaign",	"version", "number",
					   "author", "valid",	"max_messages", "fields",  "hosts"};
	json_t *m = json_object(), *structure = json_object_get(r->top, "structure");
	const char *mode = json_string_value(json_object_get(r->top, "mode"));
	int failed = 0;
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(*same); i++)
		failed |= json_object_set_new(m, same[i], copy(r, same[i])) < 0;
	failed |= json_object_set_new(m, "mode", json_string(mode ? mode : "template")) < 0;
	failed |= json_object_set_new(m, "headers", headers(r)) < 0;
	failed |= json_object_set_new(m, "mime", structure ? said(r, structure) : usual(r)) < 0;
	failed |= json_object_set_new(m, "templates", templates(r)) < 0;
	failed |= json_object_set_new(m, "links", links(r)) < 0;
	failed |= json_object_set_new(m, "attachments", attachments(r)) < 0;
	failed |= json_object_set_new(m, "audience", copy(r, "audience")) < 0;
	failed |= json_object_set_new(m, "track", track(r)) < 0;
	failed |= json_object_set_new(m, "lint", lint_of(r)) < 0;
	if (!failed)
		return m;
	json_decref(m);
	return NULL;
}

static void report(void *arg, const struct camp_template_finding *f)
{
	struct camp_lint_run *r = arg;
	enum camp_finding_level level = f->warning ? CAMP_FINDING_WARNING : CAMP_FINDING_ERROR;
	char part[80];

	if (f->tpl < r->source.n_text) {
		camp_source_find(r->fs, level, f->rule, &r->source.text[f->tpl], f->offset, "%s", f->text);
		return;
	}
	part[0] = '\0';
	if (f->field < r->manifest->n_fields)
		snprintf(part, sizeof(part), "fields.%s", r->manifest->fields[f->field].name);
	camp_finding_add(r->fs, level, f->rule, part, span_of(NULL, 0), 0, "%s", f->text);
}

/* As the milter will read it. */
static int judge(struct camp_lint_run *r, struct span canonical)
{
	struct span blobs[CAMP_TEMPLATES];
	struct camp_manifest *m = NULL;
	struct camp_error e;
	unsigned i;
	int rc = camp_manifest_parse(canonical, &m, &e);

	if (rc == ERR_NOMEM)
		return rc;
	if (rc < 0) {
		CAMP_LINT_ERROR(r, "manifest", e.place, "%s", e.text);
		return 0;
	}
	for (i = 0; i < r->source.n_text; i++)
		blobs[i] = buf_span(&r->source.text[i].blob);
	r->manifest = m;
	rc = camp_template_check(m, blobs, r->source.n_text, report, r);
	r->manifest = NULL;
	camp_manifest_free(m);
	return rc == ERR_NOMEM ? rc : 0;
}

int camp_lint_manifest(struct camp_lint_run *r)
{
	struct buf *out = &r->out->manifest;
	json_t *m = make(r);
	int rc = m ? camp_json_canonical(m, out) : ERR_NOMEM;

	if (rc == ERR_LIMIT || rc == ERR_FORMAT) {
		CAMP_LINT_ERROR(r, "manifest", "", "%s", rc == ERR_LIMIT ? "too long" : "a number that is no whole one");
		rc = 0;
	} else if (rc == 0 && !r->fs->errors) {
		unsigned warnings = r->fs->warnings;
		rc = judge(r, buf_span(out));
		/* those of the templates belong to what is approved */
		if (rc == 0 && !r->fs->errors && r->fs->warnings != warnings) {
			camp_finding_sort(r->fs);
			buf_reset(out);
			json_object_set_new(m, "lint", lint_of(r));
			rc = camp_json_canonical(m, out);
		}
	}
	json_decref(m);
	return rc;
}
