/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "campaign/camp_manifest_own.h"
#include "core/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct walk {
	struct camp_template *t; /* t->size: octets of the blob so far */
	unsigned depth;
};

static int read_ops(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_ops *ops);

static int read_number(struct camp_manifest_reader *r, const json_t *v, size_t index, uint32_t *n)
{
	const json_t *e = json_array_get(v, index);

	return e ? camp_manifest_u32(r, e, n) : camp_manifest_bad(r, "is too short");
}

static int read_lit(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op)
{
	uint32_t at;
	int ret = read_number(r, v, 1, &at);

	if (ret == 0)
		ret = read_number(r, v, 2, &op->len);
	if (ret)
		return ret;
	if (at != w->t->size)
		return camp_manifest_bad(r, "begins at %u, the one before ends at %u", at,
					 w->t->size);
	if (op->len == 0 || op->len > CAMP_TEMPLATE_MAX - w->t->size)
		return camp_manifest_bad(r, "must have 1 octet or more, all together at most %u",
					 CAMP_TEMPLATE_MAX);
	w->t->size += op->len;
	return 0;
}

static int read_fld(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op)
{
	const char *name = json_string_value(json_array_get(v, 1));
	int i = name ? camp_manifest_field(r->m, span_str(name)) : -1;

	(void)w;
	if (i < 0)
		return camp_manifest_bad(r, "there is no field \"%.64s\"", name ? name : "");
	op->field = (unsigned)i;
	return 0;
}

static int read_branches(struct camp_manifest_reader *r, const json_t *const *v, unsigned n,
			 struct walk *w, struct camp_op *op)
{
	int ret = 0;

	if (w->depth == CAMP_OP_DEPTH)
		return camp_manifest_bad(r, "more than %d blocks within each other", CAMP_OP_DEPTH);
	op->branch = camp_manifest_alloc(r->arena, n * sizeof(*op->branch) + 1);
	if (!op->branch)
		return ERR_NOMEM;
	op->n_branch = n;
	w->depth++;
	for (unsigned i = 0; i < n && ret == 0; i++) {
		size_t mark = camp_manifest_enter(r, NULL, i);

		ret = read_ops(r, v[i], w, &op->branch[i]);
		if (ret == 0)
			camp_manifest_leave(r, mark);
	}
	w->depth--;
	return ret;
}

static int read_opt(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op)
{
	const json_t *body = json_array_get(v, 1);

	return read_branches(r, &body, 1, w, op);
}

static int read_alt(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op)
{
	const json_t *list = json_array_get(v, 1), *branch[CAMP_BRANCHES];
	size_t n = json_array_size(list);

	if (n < 2 || n > CAMP_BRANCHES)
		return camp_manifest_bad(r, "needs 2 to %d branches", CAMP_BRANCHES);
	for (size_t i = 0; i < n; i++)
		branch[i] = json_array_get(list, i);
	return read_branches(r, branch, (unsigned)n, w, op);
}

static int read_rep(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op)
{
	const json_t *body = json_array_get(v, 2);
	uint32_t max;
	int ret = read_number(r, v, 1, &max);

	if (ret)
		return ret;
	if (max < 1 || max > CAMP_REP_MAX)
		return camp_manifest_bad(r, "may repeat 1 to %d times", CAMP_REP_MAX);
	op->max = max;
	return read_branches(r, &body, 1, w, op);
}

static const struct {
	const char *name;
	size_t elements;
	int (*read)(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_op *op);
} kinds[] = {
    [CAMP_OP_LIT] = {"lit", 3, read_lit}, [CAMP_OP_FLD] = {"fld", 2, read_fld},
    [CAMP_OP_OPT] = {"opt", 2, read_opt}, [CAMP_OP_ALT] = {"alt", 2, read_alt},
    [CAMP_OP_REP] = {"rep", 3, read_rep},
};

static int read_op(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		   struct camp_op *op)
{
	const char *kind = json_string_value(json_array_get(v, 0));

	if (++r->ops > CAMP_OPS)
		return camp_manifest_bad(r, "more than %d ops in all templates", CAMP_OPS);
	for (unsigned i = 0; kind && i < COUNT(kinds); i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		if (json_array_size(v) != kinds[i].elements)
			return camp_manifest_bad(r, "\"%s\" has %zu elements", kind,
						 kinds[i].elements);
		op->kind = i;
		op->at = w->t->size;
		return kinds[i].read(r, v, w, op);
	}
	return camp_manifest_bad(r, "is no op: [\"lit\", offset, length], [\"fld\", name] ...");
}

static int read_ops(struct camp_manifest_reader *r, const json_t *v, struct walk *w,
		    struct camp_ops *ops)
{
	size_t n = json_array_size(v);
	int ret = 0;

	if (!json_is_array(v))
		return camp_manifest_bad(r, "must be an array of ops");
	if (n > CAMP_OPS)
		return camp_manifest_bad(r, "more than %d ops", CAMP_OPS);
	ops->op = camp_manifest_alloc(r->arena, n * sizeof(*ops->op) + 1);
	if (!ops->op)
		return ERR_NOMEM;
	ops->n = (unsigned)n;
	for (size_t i = 0; i < n && ret == 0; i++) {
		size_t mark = camp_manifest_enter(r, NULL, i);

		ret = read_op(r, json_array_get(v, i), w, &ops->op[i]);
		if (ret == 0)
			camp_manifest_leave(r, mark);
	}
	return ret;
}

static int read_top_ops(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct walk w = {.t = dst};

	return read_ops(r, v, &w, &w.t->ops);
}

static int read_template(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"sha256", camp_manifest_sha256, offsetof(struct camp_template, sha256), 0},
	    {"ops", read_top_ops, 0, 0},
	};
	((struct camp_template *)dst)->pixel_at = CAMP_NONE;
	return camp_manifest_object(r, v, members, COUNT(members), dst);
}

int camp_manifest_read_templates(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;
	int ret = camp_manifest_array(r, v, CAMP_TEMPLATES, sizeof(*m->templates), read_template,
				      (void **)&m->templates, &m->n_templates);

	if (ret == 0 && m->subject >= m->n_templates)
		return camp_manifest_bad(r, "there is no template %u, which headers.subject names",
					 m->subject);
	return ret;
}

static int read_span(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_link *l = dst;
	int ret;

	if (json_array_size(v) != 2)
		return camp_manifest_bad(r, "must be [from, to]");
	ret = read_number(r, v, 0, &l->from);
	if (ret == 0)
		ret = read_number(r, v, 1, &l->to);
	if (ret == 0 && l->from > l->to)
		return camp_manifest_bad(r, "ends before it begins");
	return ret;
}

static int read_index(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	(void)dst;
	if (!json_is_integer(v) || json_integer_value(v) != r->m->n_links)
		return camp_manifest_bad(r, "must count from 0 upwards");
	return 0;
}

static int read_as(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const char *const names[] = {"quoted", "bare", "vml", "text"};

	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_link(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
#define L(member) offsetof(struct camp_link, member)
	static const struct camp_manifest_member members[] = {
	    {"i", read_index, 0, 0},
	    {"tpl", camp_manifest_u32, L(tpl), 0},
	    {"span", read_span, 0, 0},
	    {"url", camp_manifest_text, L(url), 0},
	    {"track", camp_manifest_bool, L(track), 0},
	    {"as", read_as, L(as), 1},
	};
#undef L
	struct camp_link *l = dst;
	int ret = camp_manifest_object(r, v, members, COUNT(members), dst);

	if (ret)
		return ret;
	if (l->tpl >= r->m->n_templates)
		return camp_manifest_bad(r, "there is no template %u", l->tpl);
	if (l->to > r->m->templates[l->tpl].size)
		return camp_manifest_bad(r, "ends behind its template's end");
	return 0;
}

int camp_manifest_read_links(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;

	return camp_manifest_array(r, v, CAMP_LINKS, sizeof(*m->links), read_link,
				   (void **)&m->links, &m->n_links);
}
