/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_match.h"

#include <string.h>

#include "campaign/camp_template_own.h"
#include "core/err.h"

/* What is to be read now: octets held back, or a piece. */
struct in {
	const uint8_t *p;
	size_t n, i;
	const struct mail_gate_run *runs;
	size_t n_runs;
	const uint64_t *source; /* of octets held back */
	uint64_t base;		/* canonical offset of p[0] */
	int final;
};

enum { GOES_ON = 1, WAITS = 0 }; /* of a step; below 0: failed */

static int fail(struct camp_match *m, const struct in *in, enum camp_verdict v, size_t ahead,
		uint32_t blob, unsigned field)
{
	m->verdict = v;
	m->canonical = in->base + in->i + ahead;
	m->blob = blob;
	m->field = field;
	m->failed = 1;
	return ERR_FORMAT;
}

static const struct camp_inst *inst_of(const struct camp_match *m)
{
	const struct camp_program *p = m->program;

	return &p->inst[m->pc];
}

static uint64_t source_of(const struct in *in, size_t i)
{
	if (in->source)
		return in->source[i];
	if (in->n_runs)
		return mail_gate_source(in->runs, in->n_runs, i);
	return in->base + i;
}

/* --- fixed text ------------------------------------------------------------------------------ */

static uint64_t newlines(const uint8_t *p, size_t n)
{
	uint64_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

static int text_differs(struct camp_match *m, struct in *in, const uint8_t *want, size_t n)
{
	size_t k = 0;

	while (k < n && want[k] == in->p[in->i + k])
		k++;
	m->lines += newlines(want - m->at, m->at + k);
	return fail(m, in, CAMP_LITERAL, k, inst_of(m)->a + m->at + (uint32_t)k, CAMP_NONE);
}

static int step_text(struct camp_match *m, struct in *in)
{
	const struct camp_program *p = m->program;
	const struct camp_inst *inst = inst_of(m);
	const uint8_t *want = p->blob.p + inst->a + m->at;
	size_t n = inst->b - m->at;

	if (n > in->n - in->i)
		n = in->n - in->i;
	m->steps += n;
	if (n && memcmp(want, in->p + in->i, n) != 0)
		return text_differs(m, in, want, n);
	in->i += n;
	m->at += (uint32_t)n;
	if (m->at < inst->b) {
		if (!in->final)
			return WAITS;
		m->lines += newlines(p->blob.p + inst->a, m->at);
		return fail(m, in, CAMP_TEXT_ENDS, 0, inst->a + m->at, CAMP_NONE);
	}
	m->lines += inst->c;
	m->at = 0;
	m->pc++;
	return GOES_ON;
}

/* --- fields ---------------------------------------------------------------------------------- */

static int keep(struct camp_match *m, const void *p, size_t n)
{
	if (!m->in_link)
		return 0;
	if (n > 255 || m->n_data + n + 1 > CAMP_LINK_DATA)
		return ERR_LIMIT;
	m->data[m->n_data++] = (uint8_t)n;
	memcpy(m->data + m->n_data, p, n);
	m->n_data += (unsigned)n;
	return 0;
}

static int field_done(struct camp_match *m, struct in *in, enum camp_verdict v, const void *value,
		      size_t n)
{
	const struct camp_inst *inst = inst_of(m);

	if (v == CAMP_PASS && keep(m, value, n) != 0)
		v = CAMP_FIELD_LENGTH;
	if (v != CAMP_PASS)
		return fail(m, in, v, 0, inst->at, inst->a);
	m->at = 0;
	m->lo = m->hi = 0;
	m->pc++;
	return GOES_ON;
}

static int shape_ends(struct camp_match *m, struct in *in, const struct camp_field_table *t)
{
	enum camp_verdict v = CAMP_PASS;

	if (m->at == 0 && t->f->min > 0)
		v = in->i < in->n ? CAMP_FIELD_OCTET : CAMP_TEXT_ENDS;
	else if (m->at < t->f->min)
		v = CAMP_FIELD_LENGTH;
	else if (m->at && !(m->shape & t->accept))
		v = in->i < in->n ? CAMP_FIELD_OCTET : CAMP_FIELD_VALUE;
	else
		v = camp_field_value(t->f, t->kind, span_of(m->value, m->at));
	return field_done(m, in, v, m->value, m->at);
}

static int step_shape(struct camp_match *m, struct in *in, const struct camp_field_table *t)
{
	uint32_t at = m->at, max = t->f->max;
	uint64_t s = m->shape;

	for (; in->i < in->n; in->i++) {
		uint8_t c = in->p[in->i];
		uint64_t next = at ? camp_field_step(t, s, c) : t->start & t->octet[c];

		m->steps++;
		if (!next) {
			m->at = at;
			m->shape = s;
			return shape_ends(m, in, t);
		}
		if (at == max)
			return fail(m, in, CAMP_FIELD_LENGTH, 0, inst_of(m)->at, inst_of(m)->a);
		m->value[at++] = c;
		s = next;
	}
	m->at = at;
	m->shape = s;
	return in->final ? shape_ends(m, in, t) : WAITS;
}

/* The words of [lo, hi) that have c as octet at. */
static void narrow(const struct camp_field_table *t, unsigned *lo, unsigned *hi, uint32_t at,
		   uint8_t c)
{
	unsigned from = *lo, to = *hi, end;

	while (from < to) {
		unsigned mid = (from + to) / 2;

		if ((uint8_t)t->words[mid].text[at] < c)
			from = mid + 1;
		else
			to = mid;
	}
	end = from;
	to = *hi;
	while (end < to) {
		unsigned mid = (end + to) / 2;

		if ((uint8_t)t->words[mid].text[at] <= c)
			end = mid + 1;
		else
			to = mid;
	}
	*lo = from;
	*hi = end;
}

static int words_end(struct camp_match *m, struct in *in, const struct camp_field_table *t)
{
	const struct camp_field_word *w = &t->words[m->lo];
	const char *value;

	/* sorted: a word that is whole stands before those that go on from it */
	if (m->at == 0 || w->n != m->at)
		return field_done(m, in, in->i < in->n ? CAMP_FIELD_VALUE : CAMP_TEXT_ENDS, "", 0);
	value = t->f->values[w->value];
	return field_done(m, in, CAMP_PASS, value, strlen(value));
}

static int step_words(struct camp_match *m, struct in *in, const struct camp_field_table *t)
{
	if (m->at == 0) {
		m->lo = 0;
		m->hi = t->n_words;
	}
	for (; in->i < in->n; in->i++) {
		unsigned lo = m->lo, hi = m->hi;
		uint8_t c = in->p[in->i];

		m->steps++;
		if (c)
			narrow(t, &lo, &hi, m->at, c);
		if (!c || lo == hi)
			return words_end(m, in, t);
		m->lo = lo;
		m->hi = hi;
		m->at++;
	}
	return in->final ? words_end(m, in, t) : WAITS;
}

/* The recipient as it stands in a URL: what tracking puts into the link's target again. */
static int rcpt_done(struct camp_match *m, struct in *in, const struct camp_field *f)
{
	static const char hex[] = "0123456789ABCDEF";
	char out[CAMP_LINK_DATA];
	size_t n = 0;

	for (size_t i = 0; i < m->params->rcpt.n && m->in_link; i++) {
		uint8_t c = m->params->rcpt.p[i];
		int plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
			    (c && strchr("-._~@", c)) || f->ctx == CAMP_CTX_TEXT;

		if (n + 3 > sizeof(out))
			return field_done(m, in, CAMP_FIELD_LENGTH, "", 0);
		if (plain) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	return field_done(m, in, CAMP_PASS, out, n);
}

static int step_rcpt(struct camp_match *m, struct in *in, const struct camp_field_table *t)
{
	struct span rcpt = m->params->rcpt;

	if (m->at == 0 && m->hi == 0) {
		m->lo = 0; /* octets of an open escape */
		m->hi = 1;
	}
	while (m->at < rcpt.n && in->i < in->n) {
		m->steps++;
		if (!camp_field_rcpt(t->f, t->kind, rcpt, &m->at, m->value, &m->lo, in->p[in->i]))
			return fail(m, in, CAMP_FIELD_RCPT, 0, inst_of(m)->at, inst_of(m)->a);
		in->i++;
	}
	if (m->at < rcpt.n && !in->final)
		return WAITS;
	if (m->at < rcpt.n || rcpt.n == 0)
		return fail(m, in, CAMP_FIELD_RCPT, 0, inst_of(m)->at, inst_of(m)->a);
	return rcpt_done(m, in, t->f);
}

static int step_field(struct camp_match *m, struct in *in)
{
	const struct camp_program *p = m->program;
	const struct camp_field_table *t = m->compiled->table[inst_of(m)->a][p->kind];

	switch (t->scan) {
	case CAMP_SCAN_SHAPE:
		return step_shape(m, in, t);
	case CAMP_SCAN_WORDS:
		return step_words(m, in, t);
	default:
		return step_rcpt(m, in, t);
	}
}

/* --- marks ----------------------------------------------------------------------------------- */

static int step_mark(struct camp_match *m, struct in *in)
{
	static const enum camp_mark_kind kinds[] = {[CAMP_I_FROM] = CAMP_MARK_LINK_FROM,
						    [CAMP_I_TO] = CAMP_MARK_LINK_TO,
						    [CAMP_I_PIXEL] = CAMP_MARK_PIXEL};
	const struct camp_inst *inst = inst_of(m);
	struct camp_mark mark = {.kind = kinds[inst->kind], .link = inst->a};
	int r;

	/* only the octet behind it says where it lies in the source */
	if (in->i == in->n && !in->final)
		return WAITS;
	mark.canonical = in->base + in->i;
	mark.at_end = in->i == in->n;
	mark.source = mark.at_end ? mark.canonical : source_of(in, in->i);
	if (inst->kind == CAMP_I_TO)
		mark.values = span_of(m->data, m->n_data);
	if (inst->kind == CAMP_I_FROM)
		m->n_data = 0;
	if (inst->kind != CAMP_I_PIXEL)
		m->in_link = inst->kind == CAMP_I_FROM;
	m->pc++;
	m->steps++;
	r = m->params->mark ? m->params->mark(m->params->arg, &mark) : 0;
	if (r < 0)
		m->failed = 1;
	return r < 0 ? r : GOES_ON;
}

/* --- blocks ---------------------------------------------------------------------------------- */

static int look_goes_on(const struct camp_program *p, const struct camp_look *l, size_t k,
			uint8_t c)
{
	if (l->kind == CAMP_LOOK_TEXT)
		return k < l->len && p->blob.p[l->off + k] == c;
	return l->kind == CAMP_LOOK_FIELD && (k > 0 || camp_bit(l->table->first, c));
}

/* The one branch of those alive: its number, or -1 if there are several. */
static int one_branch(const struct camp_choice *c, uint64_t alive)
{
	unsigned branch = c->look[__builtin_ctzll(alive)].branch;

	for (uint64_t rest = alive & (alive - 1); rest; rest &= rest - 1)
		if (c->look[__builtin_ctzll(rest)].branch != branch)
			return -1;
	return (int)branch;
}

static uint64_t at_text_end(const struct camp_choice *c, uint64_t alive, size_t k)
{
	uint64_t still = 0;

	for (uint64_t rest = alive; rest; rest &= rest - 1) {
		unsigned i = (unsigned)__builtin_ctzll(rest);
		const struct camp_look *l = &c->look[i];

		if ((l->kind == CAMP_LOOK_END && k == 0) ||
		    (l->kind == CAMP_LOOK_TEXT && l->ends && l->len == k))
			still |= 1ULL << i;
	}
	return still;
}

enum { UNDECIDED = -1, NO_BRANCH = -2 };

static int decide(struct camp_match *m, const struct camp_choice *c, struct span ahead, int final,
		  size_t *k)
{
	uint64_t alive = c->n == 64 ? ~0ULL : (1ULL << c->n) - 1;
	int branch;

	for (*k = 0; *k < ahead.n; (*k)++) {
		uint64_t still = 0;

		for (uint64_t rest = alive; rest; rest &= rest - 1) {
			unsigned i = (unsigned)__builtin_ctzll(rest);

			if (look_goes_on(m->program, &c->look[i], *k, ahead.p[*k]))
				still |= 1ULL << i;
		}
		m->steps++;
		if (!still)
			return NO_BRANCH;
		alive = still;
		branch = one_branch(c, alive);
		if (branch >= 0)
			return branch;
	}
	if (!final)
		return UNDECIDED;
	alive = at_text_end(c, alive, *k);
	branch = alive ? one_branch(c, alive) : NO_BRANCH;
	return branch >= 0 ? branch : NO_BRANCH;
}

static void hold(struct camp_match *m, struct in *in)
{
	size_t n = in->n - in->i;

	for (size_t k = 0; k < n; k++) {
		m->held_source[k] = source_of(in, in->i + k);
		m->held[k] = in->p[in->i + k];
	}
	m->n_held = (unsigned)n;
}

static int choose(struct camp_match *m, const struct in *in, int branch, size_t k, int final)
{
	const struct camp_program *p = m->program;
	const struct camp_inst *inst = inst_of(m);
	const struct camp_choice *c = p->choice[inst->a];

	if (branch < 0)
		return fail(m, in, final && in->i + k >= in->n ? CAMP_TEXT_ENDS : CAMP_BRANCH, k,
			    inst->at, CAMP_NONE);
	m->pc = c->target[branch];
	return GOES_ON;
}

static int step_select(struct camp_match *m, struct in *in)
{
	const struct camp_program *p = m->program;
	size_t k;
	int branch = decide(m, p->choice[inst_of(m)->a], span_of(in->p + in->i, in->n - in->i),
			    in->final, &k);

	if (branch == UNDECIDED) {
		hold(m, in);
		return WAITS;
	}
	return choose(m, in, branch, k, in->final);
}

static int step_zero(struct camp_match *m, struct in *in)
{
	(void)in;
	m->count[inst_of(m)->a] = 0;
	m->pc++;
	m->steps++;
	return GOES_ON;
}

static int step_next(struct camp_match *m, struct in *in)
{
	const struct camp_inst *inst = inst_of(m);

	m->steps++;
	if (m->count[inst->a]++ == inst->b)
		return fail(m, in, CAMP_REPEATS, 0, inst->at, CAMP_NONE);
	m->pc++;
	return GOES_ON;
}

static int step_jump(struct camp_match *m, struct in *in)
{
	(void)in;
	m->steps++;
	m->pc = inst_of(m)->a;
	return GOES_ON;
}

static int step_end(struct camp_match *m, struct in *in)
{
	if (in->i < in->n)
		return fail(m, in, CAMP_TEXT_GOES_ON, 0, inst_of(m)->at, CAMP_NONE);
	return WAITS;
}

static int (*const steps[])(struct camp_match *m, struct in *in) = {
    [CAMP_I_LIT] = step_text,  [CAMP_I_FLD] = step_field,  [CAMP_I_FROM] = step_mark,
    [CAMP_I_TO] = step_mark,   [CAMP_I_PIXEL] = step_mark, [CAMP_I_SELECT] = step_select,
    [CAMP_I_ZERO] = step_zero, [CAMP_I_NEXT] = step_next,  [CAMP_I_JUMP] = step_jump,
    [CAMP_I_END] = step_end,
};

static int run(struct camp_match *m, struct in *in)
{
	int r;

	do
		r = steps[inst_of(m)->kind](m, in);
	while (r == GOES_ON);
	if (r == WAITS)
		m->canonical = in->base + in->i;
	return r;
}

/* Octets that a block looked at without being decided: looks again with those of the new piece. */
static int run_held(struct camp_match *m, const struct in *piece, int *waits)
{
	const struct camp_program *p = m->program;
	uint8_t ahead[CAMP_LOOKAHEAD];
	uint64_t source[CAMP_LOOKAHEAD];
	size_t n = m->n_held, more = CAMP_LOOKAHEAD - n, k;
	struct in in = {.p = ahead, .n = n, .source = source, .base = m->canonical};
	int branch, r;

	if (more > piece->n)
		more = piece->n;
	memcpy(ahead, m->held, n);
	memcpy(source, m->held_source, n * sizeof(*source));
	if (more)
		memcpy(ahead + n, piece->p, more);
	branch = decide(m, p->choice[inst_of(m)->a], span_of(ahead, n + more), 0, &k);
	if (branch == UNDECIDED) {
		for (size_t i = 0; i < more; i++) {
			m->held[n + i] = piece->p[i];
			m->held_source[n + i] = source_of(piece, i);
		}
		m->n_held += (unsigned)more;
		*waits = 1;
		return 0;
	}
	m->n_held = 0;
	r = choose(m, &in, branch, k, 0);
	return r < 0 ? r : run(m, &in);
}

void camp_match_begin(struct camp_match *m, const struct camp_compiled *c, unsigned tpl,
		      const struct camp_match_params *params)
{
	m->compiled = c;
	m->params = params;
	m->program = &c->program[tpl];
	m->verdict = CAMP_PASS;
	m->canonical = m->lines = m->steps = 0;
	m->blob = 0;
	m->field = CAMP_NONE;
	m->pc = m->failed = 0;
	m->at = 0;
	m->shape = 0;
	m->lo = m->hi = 0;
	m->n_held = m->n_data = 0;
	m->in_link = 0;
}

int camp_match_feed_runs(struct camp_match *m, struct span canonical,
			 const struct mail_gate_run *runs, size_t n_runs)
{
	struct in in = {.p = canonical.p, .n = canonical.n, .runs = runs, .n_runs = n_runs};
	int r, waits = 0;

	if (m->failed)
		return ERR_FORMAT;
	while (m->n_held && in.n) {
		in.base = m->canonical + m->n_held;
		r = run_held(m, &in, &waits);
		if (r < 0 || waits)
			return r;
	}
	in.base = m->canonical;
	return in.n ? run(m, &in) : 0;
}

int camp_match_feed(struct camp_match *m, struct span canonical)
{
	return camp_match_feed_runs(m, canonical, NULL, 0);
}

int camp_match_end(struct camp_match *m)
{
	uint8_t held[CAMP_LOOKAHEAD];
	uint64_t source[CAMP_LOOKAHEAD];
	struct in in = {
	    .p = held, .n = m->n_held, .source = source, .base = m->canonical, .final = 1};
	int r;

	if (m->failed)
		return ERR_FORMAT;
	memcpy(held, m->held, m->n_held);
	memcpy(source, m->held_source, m->n_held * sizeof(*source));
	m->n_held = 0;
	r = run(m, &in);
	return r;
}
