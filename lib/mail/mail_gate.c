/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_gate.h"

#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_gate_own.h"

enum { S, T };
static const struct {
	const char *name;
	int mode, class;
} RULES[] = {
#define ROW(symbol, name, mode, class) {name, mode, class},
    MAIL_GATE_RULES(ROW)
#undef ROW
};

const char *mail_gate_rule_name(enum mail_gate_rule rule)
{
	return RULES[rule].name;
}

int mail_gate_rule_class(enum mail_gate_rule rule)
{
	return RULES[rule].class;
}

int mail_gate_own_fail(struct mail_gate *g, enum mail_gate_rule rule, uint64_t at)
{
	struct mail_gate_level *l = mail_gate_own_level(g);

	if (g->tolerant && RULES[rule].mode == T)
		return 0;
	g->verdict = (struct mail_gate_verdict){rule, l->part.index, g->state == GATE_TOP, at};
	if (g->state == GATE_TOP)
		g->verdict.offset = g->header_fields;
	g->error = RULES[rule].class == 552 ? ERR_LIMIT : ERR_FORMAT;
	return g->error;
}

int mail_gate_own_stopped(struct mail_gate *g, int rc)
{
	if (rc >= 0)
		return 0;
	g->verdict = (struct mail_gate_verdict){MAIL_GATE_STOPPED,
						mail_gate_own_level(g)->part.index, 0, g->offset};
	g->error = rc;
	return rc;
}

struct mail_gate_verdict mail_gate_verdict(const struct mail_gate *g)
{
	return g->verdict;
}

uint64_t mail_gate_source(const struct mail_gate_run *runs, size_t n_runs, size_t at)
{
	size_t low = 0, high = n_runs;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (runs[middle].at <= at)
			low = middle;
		else
			high = middle;
	}
	return n_runs ? runs[low].source + (at - runs[low].at) : 0;
}

/* --- the tree */

/* The next part, below the one on top (or the message itself). */
static int push(struct mail_gate *g)
{
	struct mail_gate_level *l;
	int parent = g->parts ? (int)mail_gate_own_level(g)->part.index : -1;

	if (g->parts == MAIL_GATE_MAX_PARTS)
		return mail_gate_own_fail(g, MAIL_GATE_PARTS, g->offset);
	if (g->parts && g->top == MAIL_GATE_MAX_DEPTH)
		return mail_gate_own_fail(g, MAIL_GATE_DEPTH, g->offset);
	if (g->parts)
		g->levels[g->top++].children++;
	l = mail_gate_own_level(g);
	memset(&l->part, 0, sizeof(l->part));
	l->part = (struct mail_gate_part){.index = g->parts++,
					  .depth = (unsigned)g->top,
					  .parent = parent,
					  .type = l->type,
					  .charset = l->charset,
					  .disposition = l->disposition,
					  .filename = l->filename,
					  .name = l->name,
					  .cid = l->cid,
					  .boundary = l->boundary};
	l->children = l->seen = 0;
	l->closed = l->said = 0;
	l->boundary_n = 0;
	l->type[0] = l->charset[0] = l->disposition[0] = l->boundary[0] = '\0';
	l->filename[0] = l->name[0] = l->cid[0] = l->start[0] = '\0';
	mail_gate_own_header_begin(g);
	return 0;
}

/* The header section of the part on top is over: what it is, is known. from: where its body begins. */
static int open_part(struct mail_gate *g, uint64_t from)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	int rc = mail_gate_own_header_end(g);

	if (rc < 0)
		return rc;
	l->part.raw_from = l->part.raw_to = from;
	rc = g->fns.begin ? g->fns.begin(g->arg, &l->part) : 0;
	if (rc < 0)
		return mail_gate_own_stopped(g, rc);
	g->as_data = !l->part.text || rc == MAIL_GATE_AS_DATA;
	if (l->part.multipart) {
		g->state = GATE_PREAMBLE;
		return 0;
	}
	g->state = GATE_LEAF;
	return mail_gate_own_leaf_begin(g);
}

/* The part on top is over; its body ended at to. */
static int pop(struct mail_gate *g, uint64_t to, int over)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	int rc = 0;

	l->part.raw_to = to < l->part.raw_from ? l->part.raw_from : to;
	if (!l->part.multipart)
		rc = mail_gate_own_leaf_end(g, over);
	else if (!l->closed)
		rc = mail_gate_own_fail(g, MAIL_GATE_MISSING_CLOSE, g->offset);
	if (rc == 0 && g->fns.end)
		rc = mail_gate_own_stopped(g, g->fns.end(g->arg, &l->part));
	if (g->top)
		g->top--;
	return rc;
}

/* A delimiter of the multipart at level i. */
static int take_delimiter(struct mail_gate *g, int i, int last)
{
	struct mail_gate_level *l = &g->levels[i];
	uint64_t before =
	    g->offset < 2 ? 0 : g->offset - 2; /* the line end belongs to the delimiter */
	int rc = 0;

	if (l->closed)
		return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_AFTER_CLOSE, g->offset);
	while (rc == 0 && g->top > i)
		rc = pop(g, before, 0);
	if (rc < 0)
		return rc;
	if (!last) {
		g->state = GATE_HEADER;
		rc = push(g);
		mail_gate_own_level(g)->part.header_from = g->offset;
		return rc;
	}
	if (!l->children)
		return mail_gate_own_fail(g, MAIL_GATE_MULTIPART_EMPTY, g->offset);
	l->closed = 1;
	g->state = GATE_EPILOGUE;
	return 0;
}

static size_t blanks_at_end(struct span s)
{
	size_t n = 0;

	while (n < s.n && (s.p[s.n - 1 - n] == ' ' || s.p[s.n - 1 - n] == '\t'))
		n++;
	return n;
}

/* Whether the line (without its end) is a delimiter: 1 and it was taken; 0; or < 0. */
static int find_delimiter(struct mail_gate *g, struct span line)
{
	if (line.n < 3 || line.p[0] != '-' || line.p[1] != '-')
		return 0;
	for (int i = g->top; i >= 0; i--) {
		const struct mail_gate_level *l = &g->levels[i];
		struct span rest;
		int last, rc = 0;
		if (!l->boundary_n || line.n - 2 < l->boundary_n ||
		    memcmp(line.p + 2, l->boundary, l->boundary_n) != 0)
			continue;
		rest = span_sub(line, 2 + l->boundary_n, line.n);
		if (g->state == GATE_HEADER)
			return mail_gate_own_fail(g, MAIL_GATE_PART_HEADER, g->offset);
		last = rest.n >= 2 && rest.p[0] == '-' && rest.p[1] == '-';
		rest = span_sub(rest, last ? 2 : 0, rest.n);
		if (blanks_at_end(rest) < rest.n)
			return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_LIKE, g->offset);
		if (rest.n)
			rc = mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_PADDING,
						g->offset + line.n - rest.n);
		if (rc == 0)
			rc = take_delimiter(g, i, last);
		return rc < 0 ? rc : 1;
	}
	return 0;
}

/* A delimiter that does not stand at the line's start is none; some reader takes it for one. */
static int check_inline(struct mail_gate *g, struct span line)
{
	const uint8_t *end = line.p + line.n, *p = line.p;

	while (end - p > 3 && (p = memchr(p + 1, '-', (size_t)(end - p) - 1))) {
		if (end - p < 3 || p[1] != '-')
			continue;
		for (int i = g->top; i >= 0; i--) {
			const struct mail_gate_level *l = &g->levels[i];
			if (l->boundary_n && (size_t)(end - p) >= 2 + l->boundary_n &&
			    !memcmp(p + 2, l->boundary, l->boundary_n))
				return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_INLINE,
							  g->offset + (uint64_t)(p - line.p));
		}
	}
	return 0;
}

/* --- lines */

/* What no line may hold. whole: it ends in LF. The first offence in the line counts. */
static int check_line(struct mail_gate *g, struct span line, int whole)
{
	size_t n = whole ? line.n - 1 : line.n, worst = SIZE_MAX;
	ptrdiff_t cr = span_find(line, '\r'), nul = span_find(line, '\0');
	enum mail_gate_rule rule = MAIL_GATE_NONE;

	if (whole && n && cr == (ptrdiff_t)n - 1 && nul < 0)
		return 0;
	if (whole && (!n || line.p[n - 1] != '\r')) {
		rule = MAIL_GATE_BARE_LF;
		worst = n;
	}
	if (!whole && n > MAIL_CTE_LINE - 2) {
		rule = MAIL_GATE_LINE_LENGTH;
		worst = MAIL_CTE_LINE - 2;
	}
	if (cr >= 0 && (!whole || cr < (ptrdiff_t)n - 1) && (size_t)cr < worst) {
		rule = MAIL_GATE_BARE_CR;
		worst = (size_t)cr;
	}
	if (nul >= 0 && (size_t)nul < worst) {
		rule = MAIL_GATE_NUL;
		worst = (size_t)nul;
	}
	return rule ? mail_gate_own_fail(g, rule, g->offset + worst) : 0;
}

/* Text where a multipart has none. */
static int filler(struct mail_gate *g, struct span text, enum mail_gate_rule rule)
{
	return text.n ? mail_gate_own_fail(g, rule, g->offset) : 0;
}

static int take_line(struct mail_gate *g, struct span line, int whole)
{
	const struct mail_gate_level *l;
	struct span text = line;
	int rc = check_line(g, line, whole);

	if (rc < 0)
		return rc;
	text.n -= whole ? 2 : 0;
	rc = find_delimiter(g, text);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	switch (g->state) {
	case GATE_HEADER:
		if (text.n)
			return mail_gate_own_header_line(g, text);
		return open_part(g, g->offset + line.n);
	case GATE_PREAMBLE:
		return filler(g, text, MAIL_GATE_PREAMBLE);
	case GATE_EPILOGUE:
		return filler(g, text, MAIL_GATE_EPILOGUE);
	default:
		l = mail_gate_own_level(g);
		if (g->top && l->part.encoding != MAIL_CTE_BASE64)
			rc = check_inline(g, text);
		return rc < 0 ? rc : mail_gate_own_leaf_line(g, line);
	}
}

static int take_and_step(struct mail_gate *g, struct span line, int whole)
{
	int rc = take_line(g, line, whole);

	g->offset += line.n;
	return rc;
}

/* More of a line that a piece ended within. */
static int take_rest(struct mail_gate *g, struct span *piece)
{
	size_t room = sizeof(g->line) - g->line_n, n;
	ptrdiff_t lf = span_find(span_sub(*piece, 0, room), '\n');
	int rc = 0;

	n = lf >= 0 ? (size_t)lf + 1 : piece->n < room ? piece->n : room;
	memcpy(g->line + g->line_n, piece->p, n);
	g->line_n += n;
	*piece = span_sub(*piece, n, piece->n);
	if (lf >= 0 || g->line_n == sizeof(g->line)) {
		rc = take_and_step(g, span_of(g->line, g->line_n), lf >= 0);
		if (rc == 0)
			rc = mail_gate_own_leaf_pause(g);
		g->line_n = 0;
	}
	return rc;
}

int mail_gate_body(struct mail_gate *g, struct span piece)
{
	int rc = g->error;

	if (rc == 0 && (g->state == GATE_TOP || g->state == GATE_OVER))
		return ERR_BADSTATE;
	while (rc == 0 && piece.n) {
		ptrdiff_t lf;
		size_t n;
		if (g->line_n) {
			rc = take_rest(g, &piece);
			continue;
		}
		lf = span_find(span_sub(piece, 0, MAIL_CTE_LINE), '\n');
		n = lf >= 0 ? (size_t)lf + 1 : MAIL_CTE_LINE;
		if (lf < 0 && piece.n < MAIL_CTE_LINE) {
			memcpy(g->line, piece.p, piece.n);
			g->line_n = piece.n;
			break;
		}
		rc = take_and_step(g, span_sub(piece, 0, n), lf >= 0);
		piece = span_sub(piece, n, piece.n);
	}
	return rc < 0 ? rc : mail_gate_own_leaf_pause(g);
}

/* --- the message */

_Static_assert(sizeof(struct mail_gate) < 64 << 10, "a session's gate is small");

struct mail_gate *mail_gate_new(const struct mail_gate_fns *fns, void *arg, int tolerant)
{
	struct mail_gate *g = malloc(sizeof(*g));

	if (!g)
		return NULL;
	g->fns = *fns;
	g->arg = arg;
	mail_gate_reset(g, tolerant);
	return g;
}

void mail_gate_free(struct mail_gate *g)
{
	if (!g)
		return;
	explicit_bzero(g, sizeof(*g)); /* people's mail */
	free(g);
}

void mail_gate_reset(struct mail_gate *g, int tolerant)
{
	g->tolerant = tolerant;
	g->state = GATE_TOP;
	g->error = 0;
	g->verdict = (struct mail_gate_verdict){0};
	g->parts = 0;
	g->top = 0;
	g->offset = 0;
	g->line_n = 0;
	g->run = span_of(NULL, 0);
	push(g);
}

/* The next line of a value: 1 and text and the rest; 0: it holds a CR that ends none. */
static int take_value_line(struct span *value, struct span *text)
{
	ptrdiff_t lf = span_find(*value, '\n');

	*text = lf < 0 ? *value : span_sub(*value, 0, (size_t)lf);
	*value = lf < 0 ? span_of(NULL, 0) : span_sub(*value, (size_t)lf + 1, value->n);
	if (lf > 0 && text->p[text->n - 1] == '\r')
		text->n--;
	return span_find(*text, '\r') < 0;
}

int mail_gate_header(struct mail_gate *g, struct span name, struct span value)
{
	struct span text;
	size_t before = name.n + 2;
	int first = 1, rc = g->error;

	if (rc == 0 && g->state != GATE_TOP)
		return ERR_BADSTATE;
	if (rc == 0 && span_find(name, '\0') >= 0)
		rc = mail_gate_own_fail(g, MAIL_GATE_NUL, 0);
	if (rc == 0)
		rc = mail_gate_own_field_begin(g, name);
	while (rc == 0) {
		int last, fine = take_value_line(&value, &text);
		last = !value.p;
		if (!fine)
			rc = mail_gate_own_fail(g, MAIL_GATE_BARE_CR, 0);
		else if (span_find(text, '\0') >= 0)
			rc = mail_gate_own_fail(g, MAIL_GATE_NUL, 0);
		else if (text.n + before > MAIL_CTE_LINE - 2)
			rc = mail_gate_own_fail(g, MAIL_GATE_LINE_LENGTH, 0);
		else
			rc = mail_gate_own_field_text(g, text, first);
		first = 0;
		before = 0;
		if (last)
			break;
	}
	if (rc == 0)
		rc = mail_gate_own_field_end(g);
	g->header_fields++;
	return rc;
}

int mail_gate_eoh(struct mail_gate *g)
{
	if (g->error)
		return g->error;
	if (g->state != GATE_TOP)
		return ERR_BADSTATE;
	return open_part(g, 0);
}

int mail_gate_end(struct mail_gate *g)
{
	int rc = g->error;

	if (rc == 0 && (g->state == GATE_TOP || g->state == GATE_OVER))
		return ERR_BADSTATE;
	if (rc == 0 && g->line_n)
		rc = take_and_step(g, span_of(g->line, g->line_n), 0);
	g->line_n = 0;
	if (rc == 0 && g->state == GATE_HEADER)
		rc = mail_gate_own_fail(g, MAIL_GATE_MISSING_CLOSE, g->offset);
	while (rc == 0) {
		int last = g->top == 0;
		if (!last && !g->levels[g->top].part.multipart)
			rc = mail_gate_own_fail(g, MAIL_GATE_MISSING_CLOSE, g->offset);
		else
			rc = pop(g, g->offset, 1);
		if (last)
			break;
	}
	if (rc == 0)
		g->state = GATE_OVER;
	return rc;
}
