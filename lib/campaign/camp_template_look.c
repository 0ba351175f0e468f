/* SPDX-License-Identifier: Apache-2.0 */
/* What may come next, and whether one look tells which: the rules that make one pass enough. */
#include <ctype.h>
#include <string.h>

#include "campaign/camp_template_own.h"

static struct camp_look *add(struct camp_choice *out, enum camp_look_kind kind, unsigned branch,
			     uint32_t at)
{
	struct camp_look *l;

	if (out->n == CAMP_LOOKS) {
		out->full = 1;
		return NULL;
	}
	l = &out->look[out->n++];
	*l = (struct camp_look){.kind = kind, .branch = branch, .at = at};
	return l;
}

static int nothing_follows(const struct camp_ops *ops, unsigned i,
			   const struct camp_template_cont *cont)
{
	if (i < ops->n)
		return 0;
	for (; cont; cont = cont->up)
		if (cont->again || cont->i < cont->ops->n)
			return 0;
	return 1;
}

static void look_text(const struct camp_ops *ops, unsigned i, const struct camp_template_cont *cont,
		      unsigned branch, struct camp_choice *out)
{
	struct camp_look *l = add(out, CAMP_LOOK_TEXT, branch, ops->op[i].at);

	if (!l)
		return;
	l->off = ops->op[i].at;
	/* literals that follow one another are one: they lie so in the blob as well */
	for (; i < ops->n && ops->op[i].kind == CAMP_OP_LIT; i++)
		l->len += ops->op[i].len;
	l->ends = nothing_follows(ops, i, cont) && l->len < CAMP_LOOKAHEAD;
	if (l->len > CAMP_LOOKAHEAD)
		l->len = CAMP_LOOKAHEAD;
}

static void look_behind(struct camp_template_build *b, const struct camp_template_cont *cont,
			unsigned branch, struct camp_choice *out)
{
	if (!cont) {
		add(out, CAMP_LOOK_END, branch, b->m->templates[b->tpl].size);
		return;
	}
	if (cont->again)
		camp_template_look(b, cont->again, 0, cont, branch, out);
	camp_template_look(b, cont->ops, cont->i, cont->up, branch, out);
}

void camp_template_look(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
			const struct camp_template_cont *cont, unsigned branch,
			struct camp_choice *out)
{
	for (; i < ops->n && !out->full; i++) {
		const struct camp_op *op = &ops->op[i];
		struct camp_template_cont then = {ops, i + 1, NULL, cont};
		struct camp_look *l;

		if (op->kind == CAMP_OP_LIT) {
			look_text(ops, i, cont, branch, out);
			return;
		}
		if (op->kind == CAMP_OP_FLD) {
			l = add(out, CAMP_LOOK_FIELD, branch, op->at);
			if (l)
				l->table = camp_template_table(b, op->field);
			if (b->m->fields[op->field].min)
				return;
			continue;
		}
		if (op->kind == CAMP_OP_REP)
			then.again = &op->branch[0];
		for (unsigned k = 0; k < op->n_branch; k++)
			camp_template_look(b, &op->branch[k], 0, &then, branch, out);
		if (op->kind == CAMP_OP_ALT)
			return;
	}
	if (i == ops->n)
		look_behind(b, cont, branch, out);
}

static int texts_differ(const struct camp_program *p, const struct camp_look *a,
			const struct camp_look *c)
{
	uint32_t n = a->len < c->len ? a->len : c->len;

	if (memcmp(p->blob.p + a->off, p->blob.p + c->off, n) != 0)
		return 1;
	return (a->len < c->len && a->ends) || (c->len < a->len && c->ends);
}

static int sets_meet(const uint64_t a[4], const uint64_t c[4])
{
	return (a[0] & c[0]) || (a[1] & c[1]) || (a[2] & c[2]) || (a[3] & c[3]);
}

static void differ(struct camp_template_build *b, const struct camp_look *a,
		   const struct camp_look *c, uint32_t at)
{
	const struct camp_look *field = a->kind == CAMP_LOOK_FIELD ? a : c;
	const struct camp_look *other = field == a ? c : a;
	int alike;

	if (a->kind == CAMP_LOOK_END || c->kind == CAMP_LOOK_END)
		alike = a->kind == c->kind;
	else if (field->kind != CAMP_LOOK_FIELD)
		alike = !texts_differ(b->p, a, c);
	else if (!field->table)
		return; /* told already */
	else if (other->kind == CAMP_LOOK_FIELD)
		alike = !other->table || sets_meet(field->table->first, other->table->first);
	else
		alike = camp_bit(field->table->first, b->p->blob.p[other->off]);
	if (!alike)
		return;
	if (field->kind == CAMP_LOOK_FIELD)
		camp_template_found(b, "field-first", at, CAMP_NONE, CAMP_NONE,
				    "field %s may begin with the octet that begins another branch, "
				    "or what follows the block",
				    field->table->f->name);
	else
		camp_template_found(b, "branches-alike", at, CAMP_NONE, CAMP_NONE,
				    "two branches, or a block and what follows it, begin alike "
				    "(offsets %u and %u)",
				    a->at, c->at);
}

void camp_template_differ(struct camp_template_build *b, const struct camp_choice *c, uint32_t at)
{
	int before = b->errors;

	if (c->full) {
		camp_template_found(b, "branches-alike", at, CAMP_NONE, CAMP_NONE,
				    "more than %d ways to go on", CAMP_LOOKS);
		return;
	}
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = i + 1; k < c->n && b->errors == before; k++)
			if (c->look[i].branch != c->look[k].branch)
				differ(b, &c->look[i], &c->look[k], at);
}

static int can_be_empty(const struct camp_manifest *m, const struct camp_ops *ops)
{
	for (unsigned i = 0; i < ops->n; i++) {
		const struct camp_op *op = &ops->op[i];
		int empty = op->kind == CAMP_OP_OPT || op->kind == CAMP_OP_REP;

		if (op->kind == CAMP_OP_FLD)
			empty = m->fields[op->field].min == 0;
		for (unsigned k = 0; op->kind == CAMP_OP_ALT && k < op->n_branch; k++)
			empty |= can_be_empty(m, &op->branch[k]);
		if (!empty)
			return 0;
	}
	return 1;
}

void camp_template_empty(struct camp_template_build *b, const struct camp_ops *ops)
{
	for (unsigned i = 0; i < ops->n; i++)
		for (unsigned k = 0; k < ops->op[i].n_branch; k++) {
			if (can_be_empty(b->m, &ops->op[i].branch[k]))
				camp_template_found(
				    b, "branch-empty", ops->op[i].at, CAMP_NONE, CAMP_NONE,
				    "a block whose content can be empty: put it in an "
				    "opt block");
			camp_template_empty(b, &ops->op[i].branch[k]);
		}
}

static int is_number(enum camp_field_type t)
{
	return t == CAMP_TYPE_INT || t == CAMP_TYPE_DECIMAL || t == CAMP_TYPE_MONEY ||
	       t == CAMP_TYPE_DATE || t == CAMP_TYPE_TIME;
}

static int is_prose(enum camp_field_type t)
{
	return t == CAMP_TYPE_NAME || t == CAMP_TYPE_TEXT_NOLINK;
}

static int link_octet(uint8_t c)
{
	return isalnum(c) || strchr("./@:_-", c) != NULL;
}

/* Closing punctuation ends a link, it does not make one. */
static int closes(struct span rest)
{
	return rest.n && strchr(".:,-/", rest.p[0]) &&
	       (rest.n == 1 || rest.p[1] == ' ' || rest.p[1] == '\n' || rest.p[1] == '<');
}

static int joins_behind(enum camp_field_type t, struct span rest)
{
	if (rest.n == 0 || rest.p[0] == 0)
		return 0;
	if (rest.p[0] == '@' || (rest.n > 2 && memcmp(rest.p, "://", 3) == 0))
		return 1;
	if (is_prose(t))
		return link_octet(rest.p[0]) && !closes(rest);
	if (rest.p[0] != '.' || rest.n < 2)
		return 0;
	return is_number(t) ? isalpha(rest.p[1]) : isalnum(rest.p[1]);
}

static int joins_before(enum camp_field_type t, struct span text)
{
	uint8_t last = text.n ? text.p[text.n - 1] : 0;
	uint8_t older = text.n > 1 ? text.p[text.n - 2] : 0;

	if (!last)
		return 0;
	if (last == '@' || (last == '/' && older == '/'))
		return 1;
	if (is_prose(t))
		return link_octet(last);
	return last == '.' && isalnum(older) && !is_number(t);
}

static void adjacent(struct camp_template_build *b, const struct camp_op *op, struct span before,
		     const struct camp_choice *next)
{
	const struct camp_field *f = &b->m->fields[op->field];

	/* elsewhere nobody looks for links: what is in a URL the lint reads as a URL */
	if (f->ctx != CAMP_CTX_TEXT || f->type == CAMP_TYPE_RCPT_EMAIL)
		return;
	if (joins_before(f->type, before)) {
		camp_template_found(b, "adjacent-link", op->at, op->field, CAMP_NONE,
				    "the text directly before field %s could make a link with it",
				    f->name);
		return;
	}
	for (unsigned i = 0; i < next->n; i++)
		if (next->look[i].kind == CAMP_LOOK_TEXT &&
		    joins_behind(f->type,
				 span_sub(b->p->blob, next->look[i].off, next->look[i].len))) {
			camp_template_found(b, "adjacent-link", op->at, op->field, CAMP_NONE,
					    "the text directly behind field %s could make a link "
					    "with it",
					    f->name);
			return;
		}
}

void camp_template_field(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
			 const struct camp_template_cont *cont, struct span before)
{
	const struct camp_op *op = &ops->op[i];
	const struct camp_field_table *t = camp_template_table(b, op->field);
	struct camp_choice next = {.n = 0};
	const char *name = b->m->fields[op->field].name;

	if (!t)
		return;
	camp_template_look(b, ops, i + 1, cont, 0, &next);
	if (next.full)
		camp_template_found(b, "branches-alike", op->at, op->field, CAMP_NONE,
				    "more than %d ways to go on behind field %s", CAMP_LOOKS, name);
	for (unsigned k = 0; k < next.n; k++) {
		const struct camp_look *l = &next.look[k];
		uint8_t c = l->kind == CAMP_LOOK_TEXT ? b->p->blob.p[l->off] : 0;

		if (l->kind == CAMP_LOOK_FIELD) {
			camp_template_found(b, "adjacent-fields", op->at, op->field, CAMP_NONE,
					    "nothing fixed between field %s and the next", name);
			break;
		}
		if (l->kind == CAMP_LOOK_TEXT &&
		    (camp_bit(t->follow, c) || (t->f->min == 0 && camp_bit(t->first, c)))) {
			camp_template_found(
			    b, t->scan == CAMP_SCAN_WORDS ? "value-prefix" : "literal-in-field",
			    op->at, op->field, CAMP_NONE,
			    isgraph(c)
				? "field %s may itself go on with '%c', which comes behind it: "
				  "exclude it with \"without\", or put another character there"
				: "field %s may itself go on with octet %u, which comes behind "
				  "it: exclude it with \"without\", or put another there",
			    name, c);
			break;
		}
	}
	adjacent(b, op, before, &next);
}
