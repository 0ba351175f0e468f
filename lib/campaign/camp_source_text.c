/* SPDX-License-Identifier: Apache-2.0 */
/* A text with its fields and blocks, cut into pieces. */
#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_source.h"
#include "core/err.h"
#include "core/num.h"
#include "mail/mail_script.h"

struct cut {
	struct camp_source_text *t;
	struct camp_findings *fs;
	json_t *fields;
	enum camp_source_kind open[CAMP_OP_DEPTH];
	size_t open_at[CAMP_OP_DEPTH];
	unsigned branches[CAMP_OP_DEPTH];
	unsigned depth;
};

static void complain(struct cut *c, const char *rule, size_t at, const char *text, struct span what)
{
	camp_finding_add(c->fs, CAMP_FINDING_ERROR, rule, c->t->part, c->t->text, at, "%s%s%.*s", text, what.n ? ": " : "",
			 (int)(what.n < 60 ? what.n : 60), what.n ? (const char *)what.p : "");
}

static struct camp_source_piece *add(struct cut *c, enum camp_source_kind kind, size_t source, size_t len)
{
	struct camp_source_text *t = c->t;

	if (t->n == CAMP_SOURCE_PIECES)
		return NULL;
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct camp_source_piece *more = realloc(t->piece, room * sizeof(*more));
		if (!more)
			return NULL;
		t->piece = more;
		t->room = room;
	}
	memset(&t->piece[t->n], 0, sizeof(*t->piece));
	t->piece[t->n] = (struct camp_source_piece){.kind = kind, .at = buf_size(&t->blob), .source = source, .len = len};
	return &t->piece[t->n++];
}

static int literal(struct cut *c, size_t source, struct span s)
{
	if (!s.n)
		return 0;
	if (!add(c, CAMP_SOURCE_LIT, source, s.n))
		return ERR_LIMIT;
	return buf_put_span(&c->t->blob, s);
}

static int is_name(struct span s)
{
	size_t i;

	if (!s.n || s.n > CAMP_NAME)
		return 0;
	for (i = 0; i < s.n; i++)
		if (!((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
		    !strchr("_.-", s.p[i]))
			return 0;
	return 1;
}

static struct span trim(struct span s)
{
	while (s.n && s.p[0] == ' ')
		s = span_sub(s, 1, s.n);
	while (s.n && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

static int field(struct cut *c, struct span name, size_t at, size_t len)
{
	struct camp_source_piece *p;

	if (!is_name(name)) {
		complain(c, "template-name", at, "no name of a field", name);
		return 0;
	}
	p = add(c, CAMP_SOURCE_FIELD, at, len);
	if (!p)
		return ERR_LIMIT;
	memcpy(p->name, name.p, name.n);
	if (c->fields && !json_object_get(c->fields, p->name))
		complain(c, "field-unknown", at, "this field is not among the fields", name);
	return 0;
}

static int open_block(struct cut *c, enum camp_source_kind kind, unsigned max, size_t at, size_t len)
{
	struct camp_source_piece *p;

	if (c->depth == CAMP_OP_DEPTH) {
		complain(c, "template-depth", at, "blocks nested too deep", span_of(NULL, 0));
		return ERR_FORMAT;
	}
	c->open[c->depth] = kind;
	c->open_at[c->depth] = at;
	c->branches[c->depth++] = 1;
	p = add(c, kind, at, len);
	if (p)
		p->max = max;
	return p ? 0 : ERR_LIMIT;
}

static int close_block(struct cut *c, enum camp_source_kind kind, struct span what, size_t at, size_t len)
{
	if (!c->depth || c->open[c->depth - 1] != kind) {
		complain(c, "template-block", at, "closes a block that is not open here", what);
		return ERR_FORMAT;
	}
	c->depth--;
	if (kind == CAMP_SOURCE_ALT && c->branches[c->depth] < 2)
		complain(c, "template-block", at, "an alt needs two branches at least, with {{|}} between", span_of(NULL, 0));
	return add(c, CAMP_SOURCE_CLOSE, at, len) ? 0 : ERR_LIMIT;
}

static int next_branch(struct cut *c, size_t at, size_t len)
{
	if (!c->depth || c->open[c->depth - 1] != CAMP_SOURCE_ALT) {
		complain(c, "template-block", at, "{{|}} stands between branches of an alt alone", span_of(NULL, 0));
		return ERR_FORMAT;
	}
	if (++c->branches[c->depth - 1] > CAMP_BRANCHES)
		complain(c, "template-block", at, "too many branches", span_of(NULL, 0));
	return add(c, CAMP_SOURCE_NEXT, at, len) ? 0 : ERR_LIMIT;
}

static int repeat(struct cut *c, struct span count, size_t at, size_t len)
{
	uint64_t max;

	if (num_parse_u64(trim(count), &max) < 0 || max < 1 || max > CAMP_REP_MAX) {
		complain(c, "template-rep", at, "{{#rep N}}: N is 1 to 100", count);
		max = 1;
	}
	return open_block(c, CAMP_SOURCE_REP, (unsigned)max, at, len);
}

/* What stands between {{ and }}. */
static int tag(struct cut *c, struct span what, size_t at, size_t len)
{
	static const struct {
		const char *open, *close;
		enum camp_source_kind kind;
	} blocks[] = {{"#opt", "/opt", CAMP_SOURCE_OPT}, {"#alt", "/alt", CAMP_SOURCE_ALT}, {"#rep", "/rep", CAMP_SOURCE_REP}};
	size_t i;

	what = trim(what);
	if (span_equal(what, SPAN_LIT("|")))
		return next_branch(c, at, len);
	for (i = 0; i < 3; i++) {
		if (span_equal(what, span_str(blocks[i].close)))
			return close_block(c, blocks[i].kind, what, at, len);
		if (blocks[i].kind != CAMP_SOURCE_REP && span_equal(what, span_str(blocks[i].open)))
			return open_block(c, blocks[i].kind, 0, at, len);
	}
	if (what.n >= 4 && memcmp(what.p, "#rep", 4) == 0 && (what.n == 4 || what.p[4] == ' '))
		return repeat(c, span_sub(what, 4, what.n), at, len);
	if (what.n && (what.p[0] == '#' || what.p[0] == '/')) {
		complain(c, "template-block", at, "blocks are opt, alt and rep", what);
		return ERR_FORMAT;
	}
	return field(c, what, at, len);
}

/* A field or block that begins at at; *end: behind it. */
static int braces(struct cut *c, struct span s, size_t at, size_t *end)
{
	size_t i = at + 2;

	if (i < s.n && s.p[i] == '{') {
		*end = i + 1;
		return literal(c, at, span_sub(s, at, 2));
	}
	while (i + 1 < s.n && (s.p[i] != '}' || s.p[i + 1] != '}') && s.p[i] != '\n' && i - at < 100)
		i++;
	if (i + 1 >= s.n || s.p[i] != '}' || s.p[i + 1] != '}') {
		complain(c, "template-brace", at, "\"{{\" without \"}}\" on its line; write \"{{{\" for the characters \"{{\"",
			 span_of(NULL, 0));
		*end = at + 2;
		return ERR_FORMAT;
	}
	*end = i + 2;
	return tag(c, span_sub(s, at + 2, i - at - 2), at, *end - at);
}

static int cut_all(struct cut *c, struct span s)
{
	size_t at = 0, run = 0;
	uint32_t cp;
	int rc = 0;

	while (rc == 0 && at < s.n) {
		size_t n = s.p[at] < 0x80 ? 1 : mail_script_decode(span_sub(s, at, 4), &cp);
		if (!n || s.p[at] == '\0') {
			complain(c, "template-octet", at, "not UTF-8, or a NUL", span_of(NULL, 0));
			return ERR_FORMAT;
		}
		if (s.p[at] == '\r') {
			if (at + 1 == s.n || s.p[at + 1] != '\n') {
				complain(c, "template-octet", at, "a CR that is not part of CR LF", span_of(NULL, 0));
				return ERR_FORMAT;
			}
			rc = literal(c, run, span_sub(s, run, at - run));
			run = ++at;
		} else if (s.p[at] == '{' && at + 1 < s.n && s.p[at + 1] == '{') {
			rc = literal(c, run, span_sub(s, run, at - run));
			if (rc == 0)
				rc = braces(c, s, at, &at);
			run = at;
		} else {
			at += n;
		}
	}
	return rc < 0 ? rc : literal(c, run, span_sub(s, run, s.n - run));
}

/* What fields and blocks are for camp_html. */
static int places(struct camp_source_text *t)
{
	size_t i;

	t->place = calloc(t->n + 1, sizeof(*t->place));
	if (!t->place)
		return ERR_NOMEM;
	for (i = 0; i < t->n; i++) {
		if (t->piece[i].kind == CAMP_SOURCE_LIT)
			continue;
		t->place[t->places].at = t->piece[i].at;
		t->place[t->places++].field = t->piece[i].kind == CAMP_SOURCE_FIELD ? t->piece[i].name : NULL;
	}
	return 0;
}

int camp_source_cut(struct camp_source_text *t, struct span text, json_t *fields, struct camp_findings *fs)
{
	struct cut c = {.t = t, .fs = fs, .fields = fields};
	int rc;

	t->text = text;
	while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r'))
		text.n--;
	buf_init(&t->blob, CAMP_TEMPLATE_MAX);
	rc = cut_all(&c, text);
	if (rc == ERR_NOMEM || fs->failed)
		return ERR_NOMEM;
	if (rc == ERR_LIMIT)
		complain(&c, "template-size", 0, "a text longer than 512 KiB, or of too many fields", span_of(NULL, 0));
	else if (rc == 0 && c.depth)
		complain(&c, "template-block", c.open_at[c.depth - 1], "this block is never closed", span_of(NULL, 0));
	return places(t);
}

void camp_source_text_clear(struct camp_source_text *t)
{
	buf_clear(&t->blob);
	free(t->piece);
	free(t->place);
	memset(t, 0, sizeof(*t));
}

size_t camp_source_at(const struct camp_source_text *t, size_t at)
{
	size_t low = 0, high = t->n;

	/* the last piece of fixed text that begins at at or before */
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (t->piece[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	while (low && t->piece[low - 1].kind != CAMP_SOURCE_LIT)
		low--;
	if (!low)
		return t->n ? t->piece[0].source : 0;
	return t->piece[low - 1].source + (at - t->piece[low - 1].at);
}

struct ops {
	const struct camp_source_text *t;
	size_t i;
	int failed;
};

static json_t *ops_of(struct ops *o);

static json_t *branches(struct ops *o)
{
	json_t *all = json_array();

	do {
		o->i++;
		o->failed |= json_array_append_new(all, ops_of(o)) < 0;
	} while (!o->failed && o->i < o->t->n && o->t->piece[o->i].kind == CAMP_SOURCE_NEXT);
	return all;
}

static json_t *op_of(struct ops *o)
{
	const struct camp_source_piece *p = &o->t->piece[o->i];
	size_t len = p->len;
	json_t *all, *op;

	if (p->kind == CAMP_SOURCE_LIT) {
		while (o->i + 1 < o->t->n && o->t->piece[o->i + 1].kind == CAMP_SOURCE_LIT)
			len += o->t->piece[++o->i].len;
		return json_pack("[s,I,I]", "lit", (json_int_t)p->at, (json_int_t)len);
	}
	if (p->kind == CAMP_SOURCE_FIELD)
		return json_pack("[s,s]", "fld", p->name);
	all = branches(o);
	if (p->kind == CAMP_SOURCE_ALT)
		return json_pack("[s,o]", "alt", all);
	op = p->kind == CAMP_SOURCE_REP ? json_pack("[s,i,O]", "rep", (int)p->max, json_array_get(all, 0))
					: json_pack("[s,O]", "opt", json_array_get(all, 0));
	json_decref(all);
	return op;
}

/* Until the branch or the text ends. */
static json_t *ops_of(struct ops *o)
{
	json_t *all = json_array();

	while (!o->failed && o->i < o->t->n && o->t->piece[o->i].kind != CAMP_SOURCE_NEXT &&
	       o->t->piece[o->i].kind != CAMP_SOURCE_CLOSE) {
		o->failed |= json_array_append_new(all, op_of(o)) < 0;
		o->i++;
	}
	return all;
}

json_t *camp_source_ops(const struct camp_source_text *t)
{
	struct ops o = {.t = t};
	json_t *all = ops_of(&o);

	if (o.failed) {
		json_decref(all);
		return NULL;
	}
	return all;
}
