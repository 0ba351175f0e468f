/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree of ops to a flat program, with the ends of links and the pixel in their places. */
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_template_own.h"

struct within {
	const struct camp_template_cont *cont;
	unsigned reps;	     /* repeated blocks around */
	unsigned long times; /* how often it can come */
	struct span before;  /* the fixed text before the sequence */
};

static uint32_t put(struct camp_template_build *b, enum camp_inst_kind kind, uint32_t at,
		    uint32_t a, uint32_t c)
{
	struct camp_program *p = b->p;

	if (p->n_inst == p->cap_inst) {
		unsigned cap = p->cap_inst ? 2 * p->cap_inst : 64;
		struct camp_inst *more = realloc(p->inst, cap * sizeof(*more));

		if (!more) {
			b->nomem = 1;
			return 0;
		}
		p->inst = more;
		p->cap_inst = cap;
	}
	p->inst[p->n_inst] = (struct camp_inst){.kind = kind, .a = a, .b = c, .at = at};
	return p->n_inst++;
}

static uint32_t here(const struct camp_template_build *b)
{
	return b->p->n_inst;
}

static void put_text(struct camp_template_build *b, uint32_t from, uint32_t to)
{
	uint32_t pc, lines = 0;

	if (from == to)
		return;
	pc = put(b, CAMP_I_LIT, from, from, to - from);
	for (uint32_t i = from; i < to; i++)
		lines += b->p->blob.p[i] == '\n';
	if (!b->nomem)
		b->p->inst[pc].c = lines;
}

static struct camp_choice *put_choice(struct camp_template_build *b, uint32_t at)
{
	struct camp_program *p = b->p;
	struct camp_choice *c;

	if (p->n_choice == p->cap_choice) {
		unsigned cap = p->cap_choice ? 2 * p->cap_choice : 16;
		struct camp_choice **more = realloc(p->choice, cap * sizeof(struct camp_choice *));

		if (!more) {
			b->nomem = 1;
			return NULL;
		}
		p->choice = more;
		p->cap_choice = cap;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		b->nomem = 1;
		return NULL;
	}
	put(b, CAMP_I_SELECT, at, p->n_choice, 0);
	return p->choice[p->n_choice++] = c;
}

/* The next "{name}" of a link's url, or NULL. */
static const char *next_field(const char *url)
{
	const char *open = strchr(url, '{');

	return open && strchr(open, '}') ? open : NULL;
}

static void link_open(struct camp_template_build *b, unsigned i, const struct within *w)
{
	const struct camp_link *l = &b->m->links[i];

	b->bound[i] = 1;
	b->link = i;
	b->expect = next_field(l->url);
	b->octets = 0;
	if (l->track) {
		put(b, CAMP_I_FROM, l->from, i, 0);
		b->places += w->times;
	}
}

static void link_close(struct camp_template_build *b)
{
	const struct camp_link *l = &b->m->links[b->link];

	if (b->expect)
		camp_template_found(b, "link-fields", l->to, CAMP_NONE, b->link,
				    "its url has a field that its text has not");
	if (l->track && b->octets > CAMP_LINK_DATA)
		camp_template_found(b, "link-field-size", l->from, CAMP_NONE, b->link,
				    "the values of its fields can have %u octets, %d fit a token",
				    b->octets, CAMP_LINK_DATA);
	if (l->track)
		put(b, CAMP_I_TO, l->to, b->link, 0);
	b->link = CAMP_NONE;
}

/* The first link of this template that begins at from or behind, and before to: CAMP_NONE if there is
 * none. choice: one that is nothing but a field. */
static unsigned find_link(const struct camp_template_build *b, uint32_t from, uint32_t to,
			  int choice)
{
	unsigned best = CAMP_NONE;

	for (unsigned i = 0; i < b->m->n_links; i++) {
		const struct camp_link *l = &b->m->links[i];

		if (l->tpl != b->tpl || b->bound[i] || (l->from == l->to) != choice ||
		    l->from < from || l->from >= to)
			continue;
		if (best == CAMP_NONE || l->from < b->m->links[best].from)
			best = i;
	}
	return best;
}

enum cut { CUT_NONE, CUT_CLOSE, CUT_PIXEL, CUT_OPEN };

static int open_ends_at(const struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
			uint32_t at)
{
	/* a field of the url may end it: the link goes on behind the text */
	return b->link != CAMP_NONE && b->m->links[b->link].to == at &&
	       !(b->expect && i + 1 < ops->n && ops->op[i + 1].kind == CAMP_OP_FLD);
}

/* The next place in [from, end] of a literal where something is marked. */
static enum cut next_cut(const struct camp_template_build *b, const struct camp_ops *ops,
			 unsigned i, const struct within *w, uint32_t from, uint32_t *at,
			 unsigned *link)
{
	uint32_t end = ops->op[i].at + ops->op[i].len;
	uint32_t pixel = b->m->templates[b->tpl].pixel_at;
	enum cut cut = CUT_NONE;

	*at = end;
	if (b->link != CAMP_NONE) {
		uint32_t to = b->m->links[b->link].to;

		if (to < end || (to == end && open_ends_at(b, ops, i, end))) {
			*at = to;
			cut = CUT_CLOSE;
		}
	} else {
		*link = find_link(b, from, end, 0);
		if (*link != CAMP_NONE) {
			*at = b->m->links[*link].from;
			cut = CUT_OPEN;
		}
	}
	if (!w->cont && !b->has_pixel && pixel >= from && pixel != CAMP_NONE &&
	    (pixel < *at ||
	     (pixel == *at && cut != CUT_CLOSE && (cut == CUT_OPEN || i + 1 == ops->n)))) {
		*at = pixel;
		cut = CUT_PIXEL;
	}
	return cut;
}

static void emit_text(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
		      const struct within *w)
{
	uint32_t from = ops->op[i].at, at;
	unsigned link = CAMP_NONE;
	enum cut cut;

	do {
		cut = next_cut(b, ops, i, w, from, &at, &link);
		put_text(b, from, at);
		from = at;
		if (cut == CUT_CLOSE)
			link_close(b);
		else if (cut == CUT_OPEN)
			link_open(b, link, w);
		else if (cut == CUT_PIXEL) {
			put(b, CAMP_I_PIXEL, at, 0, 0);
			b->has_pixel = 1;
			b->places++;
		}
	} while (cut != CUT_NONE && !b->nomem);
}

static unsigned octets_of(const struct camp_field *f)
{
	size_t most = f->max;

	for (unsigned i = 0; i < f->n_values; i++)
		if (i == 0 || strlen(f->values[i]) > most)
			most = strlen(f->values[i]);
	return (unsigned)most + 1;
}

static void link_field(struct camp_template_build *b, const struct camp_op *op)
{
	const struct camp_field *f = &b->m->fields[op->field];
	size_t n = strlen(f->name);

	if (!b->expect || strncmp(b->expect + 1, f->name, n) != 0 || b->expect[n + 1] != '}' ||
	    f->ctx == CAMP_CTX_TEXT || f->ctx == CAMP_CTX_ATTR) {
		camp_template_found(b, "link-fields", op->at, op->field, b->link,
				    "field %s is not what its url has there", f->name);
		b->expect = NULL;
		return;
	}
	b->expect = next_field(b->expect + n + 2);
	b->octets += octets_of(f);
}

static void emit_field(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
		       const struct within *w)
{
	const struct camp_op *op = &ops->op[i];
	unsigned link;

	b->used[op->field] = 1;
	if (b->link == CAMP_NONE && b->m->fields[op->field].ctx == CAMP_CTX_URL) {
		link = find_link(b, op->at, op->at + 1, 1);
		if (link != CAMP_NONE)
			link_open(b, link, w);
	}
	if (b->link != CAMP_NONE)
		link_field(b, op);
	put(b, CAMP_I_FLD, op->at, op->field, 0);
	if (open_ends_at(b, ops, i, op->at))
		link_close(b);
}

static void emit_ops(struct camp_template_build *b, const struct camp_ops *ops,
		     const struct within *w);

static void emit_alt(struct camp_template_build *b, const struct camp_op *op, struct within *in,
		     struct camp_choice *c)
{
	uint32_t jump[CAMP_BRANCHES];

	for (unsigned k = 0; k < op->n_branch; k++) {
		c->target[k] = here(b);
		emit_ops(b, &op->branch[k], in);
		jump[k] = put(b, CAMP_I_JUMP, op->at, 0, 0);
	}
	for (unsigned k = 0; k < op->n_branch && !b->nomem; k++)
		b->p->inst[jump[k]].a = here(b);
}

static void emit_rep(struct camp_template_build *b, const struct camp_op *op, struct within *in,
		     struct camp_choice *c, uint32_t select)
{
	c->target[0] = put(b, CAMP_I_NEXT, op->at, in->reps, op->max);
	in->reps++;
	in->times = in->times > CAMP_PLACES ? in->times : in->times * op->max;
	emit_ops(b, &op->branch[0], in);
	put(b, CAMP_I_JUMP, op->at, select, 0);
	c->target[1] = here(b);
}

static void emit_block(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
		       const struct within *w)
{
	const struct camp_op *op = &ops->op[i];
	struct camp_template_cont then = {ops, i + 1, NULL, w->cont};
	struct within in = *w;
	struct camp_choice *c;
	uint32_t select;

	if (op->kind == CAMP_OP_REP) {
		then.again = &op->branch[0];
		put(b, CAMP_I_ZERO, op->at, w->reps, 0);
	}
	select = here(b);
	c = put_choice(b, op->at);
	if (!c)
		return;
	for (unsigned k = 0; k < op->n_branch; k++)
		camp_template_look(b, &op->branch[k], 0, &then, k, c);
	if (op->kind != CAMP_OP_ALT)
		camp_template_look(b, ops, i + 1, w->cont, 1, c);
	camp_template_differ(b, c, op->at);
	in.cont = &then;
	in.before = i && ops->op[i - 1].kind == CAMP_OP_LIT
			? span_sub(b->p->blob, ops->op[i - 1].at, ops->op[i - 1].len)
		    : i == 0 ? w->before
			     : span_of(NULL, 0);
	if (op->kind == CAMP_OP_REP) {
		emit_rep(b, op, &in, c, select);
	} else if (op->kind == CAMP_OP_ALT) {
		emit_alt(b, op, &in, c);
	} else {
		c->target[0] = here(b);
		emit_ops(b, &op->branch[0], &in);
		c->target[1] = here(b);
	}
}

static void across(struct camp_template_build *b, uint32_t at)
{
	if (b->link == CAMP_NONE)
		return;
	camp_template_found(b, "link-across-block", at, CAMP_NONE, b->link,
			    "it does not begin and end in the same block");
	b->link = CAMP_NONE;
}

static void emit_ops(struct camp_template_build *b, const struct camp_ops *ops,
		     const struct within *w)
{
	for (unsigned i = 0; i < ops->n && !b->nomem; i++) {
		const struct camp_op *op = &ops->op[i];
		struct span before = w->before;

		if (i)
			before = ops->op[i - 1].kind == CAMP_OP_LIT
				     ? span_sub(b->p->blob, ops->op[i - 1].at, ops->op[i - 1].len)
				     : span_of(NULL, 0);
		if (op->kind == CAMP_OP_LIT) {
			emit_text(b, ops, i, w);
		} else if (op->kind == CAMP_OP_FLD) {
			camp_template_field(b, ops, i, w->cont, before);
			emit_field(b, ops, i, w);
		} else {
			across(b, op->at);
			emit_block(b, ops, i, w);
		}
	}
	across(b, ops->n ? ops->op[ops->n - 1].at : 0);
}

void camp_template_emit(struct camp_template_build *b)
{
	const struct camp_template *t = &b->m->templates[b->tpl];
	struct within w = {.times = 1};

	b->link = CAMP_NONE;
	b->has_pixel = 0;
	b->places = 0;
	emit_ops(b, &t->ops, &w);
	if (t->pixel_at == t->size && !b->has_pixel) {
		put(b, CAMP_I_PIXEL, t->size, 0, 0);
		b->has_pixel = 1;
	}
	put(b, CAMP_I_END, t->size, 0, 0);
	if (t->pixel_at != CAMP_NONE && !b->has_pixel)
		camp_template_found(b, "pixel-in-block", t->pixel_at, CAMP_NONE, CAMP_NONE,
				    "the pixel's place is within a block");
	if (b->places > CAMP_PLACES)
		camp_template_found(b, "too-many-links", 0, CAMP_NONE, CAMP_NONE,
				    "more than %d links can come in one message", CAMP_PLACES);
}
