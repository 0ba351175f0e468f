/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "campaign/camp_template_own.h"
#include "core/err.h"

void camp_template_found(struct camp_template_build *b, const char *rule, uint32_t offset,
			 unsigned field, unsigned link, const char *fmt, ...)
{
	struct camp_template_finding f = {
	    .rule = rule, .tpl = b->tpl, .offset = offset, .field = field, .link = link};
	va_list ap;

	f.warning = strcmp(rule, "field-unused") == 0;
	b->errors += !f.warning;
	if (!b->report)
		return;
	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	b->report(b->arg, &f);
}

struct camp_field_table *camp_template_table(struct camp_template_build *b, unsigned field)
{
	struct camp_field_table **slot = &b->c->table[field][b->p->kind];
	int r;

	if (*slot)
		return (*slot)->f ? *slot : NULL;
	*slot = calloc(1, sizeof(**slot));
	if (!*slot) {
		b->nomem = 1;
		return NULL;
	}
	r = camp_field_table_init(*slot, &b->m->fields[field], b->p->kind);
	if (r == 0)
		return *slot;
	camp_field_table_clear(*slot);
	(*slot)->f = NULL; /* told once */
	if (r == ERR_NOMEM)
		b->nomem = 1;
	else
		camp_template_found(b, "field-values", 0, field, CAMP_NONE,
				    "field %s has values that cannot stand in its context, or are "
				    "not min to max octets long",
				    b->m->fields[field].name);
	return NULL;
}

static int is_utf8(struct span s)
{
	for (size_t at = 0; at < s.n;)
		if (camp_field_char(s, &at) < 0)
			return 0;
	return 1;
}

static void check_form(struct camp_template_build *b)
{
	const struct camp_template *t = &b->m->templates[b->tpl];
	struct span s = b->p->blob;
	ptrdiff_t at = span_find(s, '\r');

	if (at < 0)
		at = span_find(s, 0);
	if (at < 0 && b->tpl == b->m->subject)
		at = span_find(s, '\n');
	if (at >= 0)
		camp_template_found(b, "blob-form", (uint32_t)at, CAMP_NONE, CAMP_NONE,
				    "an octet that canonical text has not");
	else if (!is_utf8(s))
		camp_template_found(b, "blob-form", 0, CAMP_NONE, CAMP_NONE, "is no UTF-8");
	else if (t->ops.n && t->ops.op[t->ops.n - 1].kind == CAMP_OP_LIT && s.p[s.n - 1] == '\n')
		camp_template_found(b, "blob-form", (uint32_t)s.n - 1, CAMP_NONE, CAMP_NONE,
				    "canonical text has no newline at its end");
}

static int check_blob(struct camp_template_build *b)
{
	const struct camp_template *t = &b->m->templates[b->tpl];
	uint8_t hash[CAMP_HASH];

	if (b->p->blob.n != t->size) {
		camp_template_found(b, "blob-size", 0, CAMP_NONE, CAMP_NONE,
				    "has %zu octets, the literals have %u", b->p->blob.n, t->size);
		return 0;
	}
	if (camp_json_hash(b->p->blob, hash) != 0 || memcmp(hash, t->sha256, CAMP_HASH) != 0) {
		camp_template_found(b, "blob-digest", 0, CAMP_NONE, CAMP_NONE,
				    "is not what the manifest's sha256 says");
		return 0;
	}
	check_form(b);
	return 1;
}

static void check_use(struct camp_template_build *b)
{
	unsigned html = 0, plain = b->tpl == b->m->subject;

	for (unsigned i = 0; i < b->m->n_mime; i++) {
		const struct camp_mime *row = &b->m->mime[i];
		int is_html = strcmp(row->type, "text/html") == 0 ||
			      strcmp(row->type, "text/x-amp-html") == 0;

		if (row->tpl != b->tpl)
			continue;
		html += is_html;
		plain += !is_html;
	}
	if (html && plain)
		camp_template_found(b, "template-two-kinds", 0, CAMP_NONE, CAMP_NONE,
				    "stands in HTML and elsewhere");
	if (!html && !plain)
		camp_template_found(b, "template-unused", 0, CAMP_NONE, CAMP_NONE,
				    "no part and no header has it");
}

static void check_links(struct camp_template_build *b)
{
	const struct camp_link *l = b->m->links;

	for (unsigned i = 0; i < b->m->n_links; i++) {
		if (l[i].tpl != b->tpl)
			continue;
		for (unsigned k = i + 1; k < b->m->n_links; k++)
			if (l[k].tpl == b->tpl && l[i].from < l[k].to && l[k].from < l[i].to)
				camp_template_found(b, "link-overlap", l[k].from, CAMP_NONE, k,
						    "links %u and %u overlap", i, k);
	}
}

static void check_bound(struct camp_template_build *b)
{
	for (unsigned i = 0; i < b->m->n_links; i++)
		if (b->m->links[i].tpl == b->tpl && !b->bound[i])
			camp_template_found(
			    b, "link-span", b->m->links[i].from, CAMP_NONE, i,
			    "link %u does not begin in a text, nor at a field of type "
			    "url-choice",
			    i);
}

static void build_one(struct camp_template_build *b, struct span blob)
{
	int before = b->errors;

	b->p = &b->c->program[b->tpl];
	b->p->blob = blob;
	b->p->kind = b->m->templates[b->tpl].html ? CAMP_TEXT_HTML : CAMP_TEXT_PLAIN;
	if (!check_blob(b))
		return;
	check_use(b);
	camp_template_empty(b, &b->m->templates[b->tpl].ops);
	if (b->errors != before)
		return;
	check_links(b);
	camp_template_emit(b);
	check_bound(b);
}

static void check_fields(struct camp_template_build *b)
{
	b->tpl = CAMP_NONE;
	for (unsigned i = 0; i < b->m->n_fields; i++)
		if (!b->used[i])
			camp_template_found(b, "field-unused", 0, i, CAMP_NONE,
					    "no template has field %s", b->m->fields[i].name);
}

static int build(struct camp_template_build *b, const struct span *blobs, unsigned n_blobs)
{
	for (b->tpl = 0; b->tpl < b->m->n_templates && !b->nomem; b->tpl++) {
		if (b->tpl < n_blobs)
			build_one(b, blobs[b->tpl]);
		else
			camp_template_found(b, "blob-missing", 0, CAMP_NONE, CAMP_NONE,
					    "there is no blob");
	}
	check_fields(b);
	return b->nomem ? ERR_NOMEM : b->errors;
}

int camp_template_check(const struct camp_manifest *m, const struct span *blobs, unsigned n_blobs,
			camp_template_report_fn report, void *arg)
{
	struct camp_template_build *b = calloc(1, sizeof(*b));
	struct camp_compiled *c = calloc(1, sizeof(*c));
	int r = ERR_NOMEM;

	if (b && c) {
		*b = (struct camp_template_build){.m = m, .c = c, .report = report, .arg = arg};
		r = build(b, blobs, n_blobs);
	}
	free(b);
	camp_template_free(c);
	return r;
}

/* The blobs in one piece that the compiled campaign owns; own[i]: where each of them is. */
static int copy_blobs(struct camp_compiled *c, const struct span *blobs, unsigned n_blobs,
		      struct span own[CAMP_TEMPLATES])
{
	size_t size = 0;

	for (unsigned i = 0; i < n_blobs; i++)
		size += blobs[i].n;
	c->blobs = malloc(size + 1);
	if (!c->blobs)
		return ERR_NOMEM;
	size = 0;
	for (unsigned i = 0; i < n_blobs; i++) {
		own[i] = span_of(c->blobs + size, blobs[i].n);
		if (blobs[i].n)
			memcpy(c->blobs + size, blobs[i].p, blobs[i].n);
		size += blobs[i].n;
	}
	return 0;
}

int camp_template_compile(struct camp_manifest **m, const struct span *blobs, unsigned n_blobs,
			  struct camp_compiled **c, camp_template_report_fn report, void *arg)
{
	struct camp_template_build *b = calloc(1, sizeof(*b));
	struct span own[CAMP_TEMPLATES];
	int r = ERR_NOMEM;

	*c = calloc(1, sizeof(**c));
	if (n_blobs > CAMP_TEMPLATES)
		n_blobs = CAMP_TEMPLATES;
	if (b && *c && copy_blobs(*c, blobs, n_blobs, own) == 0) {
		*b = (struct camp_template_build){.m = *m, .c = *c, .report = report, .arg = arg};
		r = build(b, own, n_blobs);
	}
	free(b);
	if (r == 0) {
		(*c)->m = *m;
		*m = NULL;
		return 0;
	}
	camp_template_free(*c);
	*c = NULL;
	return r > 0 ? ERR_FORMAT : r;
}

static void clear_program(struct camp_program *p)
{
	for (unsigned i = 0; i < p->n_choice; i++)
		free(p->choice[i]);
	free(p->choice);
	free(p->inst);
}

void camp_template_free(struct camp_compiled *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CAMP_TEMPLATES; i++)
		clear_program(&c->program[i]);
	for (unsigned i = 0; i < CAMP_FIELDS; i++)
		for (unsigned k = 0; k < 2; k++)
			if (c->table[i][k]) {
				camp_field_table_clear(c->table[i][k]);
				free(c->table[i][k]);
			}
	camp_manifest_free(c->m);
	free(c->blobs);
	free(c);
}

const struct camp_manifest *camp_template_manifest(const struct camp_compiled *c)
{
	return c->m;
}
