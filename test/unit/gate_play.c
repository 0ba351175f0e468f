/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/gate_play.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_charset.h"

static uint64_t seed = 1;

void gate_play_seed(uint64_t value)
{
	seed = value * 2654435761u + 88172645463325252u;
}

unsigned gate_play_random(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

static void must(int truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "gate_play: %s\n", what);
	abort();
}

/* --- callbacks */

static void copy(char *dst, size_t size, const char *s)
{
	must(s && strlen(s) < size, "a string fits");
	strcpy(dst, s);
}

static void note_part(struct gate_play_part *q, const struct mail_gate_part *part)
{
	q->index = part->index;
	q->depth = part->depth;
	q->parent = part->parent;
	copy(q->type, sizeof(q->type), part->type);
	copy(q->charset, sizeof(q->charset), part->charset);
	copy(q->disposition, sizeof(q->disposition), part->disposition);
	copy(q->filename, sizeof(q->filename), part->filename);
	copy(q->name, sizeof(q->name), part->name);
	copy(q->cid, sizeof(q->cid), part->cid);
	copy(q->boundary, sizeof(q->boundary), part->boundary);
	q->encoding = part->encoding;
	q->multipart = part->multipart;
	q->text = part->text;
	q->flowed = part->flowed;
	q->delsp = part->delsp;
	q->header_from = part->header_from;
	q->raw_from = part->raw_from;
}

static int begin(void *arg, const struct mail_gate_part *part)
{
	struct gate_play *p = arg;
	struct gate_play_part *q;

	must(part->index == p->n_parts && p->n_parts < MAIL_GATE_MAX_PARTS, "parts are numbered");
	must((int)part->depth == p->n_open, "depth is that of the open parts");
	must(part->parent == (p->n_open ? p->open[p->n_open - 1] : -1), "the parent is open");
	must(part->raw_from <= p->body.n && part->header_from <= part->raw_from, "a part begins");
	q = &p->parts[p->n_parts++];
	memset(q, 0, sizeof(*q));
	buf_init(&q->octets, SIZE_MAX / 2);
	note_part(q, part);
	p->open[p->n_open++] = (int)part->index;
	return p->as_data ? MAIL_GATE_AS_DATA : 0;
}

static void note_sources(struct gate_play_part *q, const struct mail_gate_run *runs, size_t n_runs,
			 size_t n)
{
	size_t run = 0;

	if (q->n_sources + n > q->cap_sources) {
		q->cap_sources = (q->n_sources + n) * 2;
		q->sources = realloc(q->sources, q->cap_sources * sizeof(*q->sources));
		must(q->sources != NULL, "memory");
	}
	for (size_t i = 0; i < n; i++) {
		while (run + 1 < n_runs && runs[run + 1].at <= i)
			run++;
		must(mail_gate_source(runs, n_runs, i) == runs[run].source + (i - runs[run].at),
		     "a source is found");
		q->sources[q->n_sources++] = runs[run].source + (i - runs[run].at);
	}
}

static int text(void *arg, const struct mail_gate_part *part, struct span s,
		const struct mail_gate_run *runs, size_t n_runs)
{
	struct gate_play *p = arg;
	struct gate_play_part *q = &p->parts[part->index];

	must(part->text && !p->as_data && s.n && n_runs && runs[0].at == 0, "a piece of text");
	must(p->open[p->n_open - 1] == (int)part->index, "of the part that is open");
	for (size_t i = 1; i < n_runs; i++)
		must(runs[i].at > runs[i - 1].at && runs[i].at < s.n, "runs stand in order");
	note_sources(q, runs, n_runs, s.n);
	must(buf_put_span(&q->octets, s) == 0, "memory");
	return 0;
}

static int data(void *arg, const struct mail_gate_part *part, struct span s)
{
	struct gate_play *p = arg;

	must((!part->text || p->as_data) && !part->multipart && s.n, "a piece of data");
	must(buf_put_span(&p->parts[part->index].octets, s) == 0, "memory");
	return 0;
}

static int end(void *arg, const struct mail_gate_part *part)
{
	struct gate_play *p = arg;
	struct gate_play_part *q = &p->parts[part->index];

	must(p->n_open && p->open[--p->n_open] == (int)part->index, "parts end inside out");
	must(part->raw_to >= part->raw_from && part->raw_to <= p->body.n, "a part ends");
	must(part->multipart || part->size == buf_size(&q->octets), "its size is told");
	q->raw_to = part->raw_to;
	q->size = part->size;
	q->decoded = part->decoded;
	q->tail = part->tail;
	q->width = part->width;
	q->protect = part->protect;
	q->ended = 1;
	return 0;
}

/* --- what must hold of every text */

/* The octet that stands at a source, its encoding undone; -1: it cannot be told here. */
static int octet_at(const struct gate_play *p, const struct gate_play_part *q, uint64_t source)
{
	const uint8_t *b = p->body.p + source;

	if (source < q->raw_from || source >= q->raw_to)
		return -2;
	if (q->encoding == MAIL_CTE_QP && *b == '=')
		return source + 2 < q->raw_to ? mail_cte_hex(b[1]) << 4 | mail_cte_hex(b[2]) : -2;
	return *b;
}

static void check_text(const struct gate_play *p, const struct gate_play_part *q, int tolerant)
{
	struct span s = buf_span(&q->octets);
	int utf8 = !tolerant && (!strcmp(q->charset, "utf-8") || !strcmp(q->charset, "us-ascii"));

	for (size_t i = 0; i < s.n;) {
		int n = mail_charset_char(span_sub(s, i, s.n));
		must(n > 0, "text is UTF-8");
		i += (size_t)n;
	}
	must(!s.n || s.p[s.n - 1] != '\n', "line ends at the end are dropped");
	for (size_t i = 1; i < s.n; i++)
		must(q->sources[i] > q->sources[i - 1] || !utf8, "sources rise");
	if (q->encoding == MAIL_CTE_BASE64) {
		must(!s.n || ((q->sources[s.n - 1] < q->decoded || !utf8) && q->tail <= q->decoded),
		     "sources lie within the decoded part");
		return;
	}
	for (size_t i = 0; i < s.n && utf8; i++) {
		int c = octet_at(p, q, q->sources[i]);
		must(c == s.p[i] || (s.p[i] == '\n' && c == '\r'), "a source holds its octet");
	}
	must(!s.n || ((q->tail > q->sources[s.n - 1] || !utf8) && q->tail <= q->raw_to),
	     "the tail lies behind");
}

/* --- the play */

struct span gate_play_body(struct span m)
{
	for (size_t i = 0; i < m.n; i++) {
		if (m.p[i] != '\n')
			continue;
		if (i + 1 < m.n && m.p[i + 1] == '\n')
			return span_sub(m, i + 2, m.n);
		if (i + 2 < m.n && m.p[i + 1] == '\r' && m.p[i + 2] == '\n')
			return span_sub(m, i + 3, m.n);
	}
	return span_sub(m, m.n, 0);
}

/* The first line and those that continue it; without the last line end. */
static struct span take_field(struct span *s)
{
	struct span field;
	size_t i = 0;

	while (i < s->n &&
	       !(s->p[i] == '\n' && (i + 1 == s->n || (s->p[i + 1] != ' ' && s->p[i + 1] != '\t'))))
		i++;
	field = span_sub(*s, 0, i);
	if (i && i < s->n && s->p[i - 1] == '\r')
		field.n--;
	*s = span_sub(*s, i + 1, s->n);
	return field;
}

static int play_header(struct mail_gate *g, struct span section)
{
	int rc = 0;

	while (section.n && rc == 0) {
		struct span field = take_field(&section), value;
		ptrdiff_t colon = span_find(field, ':');
		if (!field.n)
			break;
		value = span_sub(field, colon < 0 ? field.n : (size_t)colon + 1, field.n);
		if (value.n && value.p[0] == ' ')
			value = span_sub(value, 1, value.n);
		rc = mail_gate_header(g, span_sub(field, 0, colon < 0 ? field.n : (size_t)colon),
				      value);
	}
	return rc;
}

static int play_body(struct mail_gate *g, struct span body, int piece)
{
	int rc = 0;

	while (body.n && rc == 0) {
		size_t n = piece > 0 ? (size_t)piece : body.n;
		uint8_t *copy;
		if (piece == GATE_PLAY_RANDOM)
			n = gate_play_random(4) ? gate_play_random(40) : gate_play_random(3000);
		n = n < body.n ? n : body.n;
		/* a copy of its own: who looks beyond it, or back at it later, is seen by the sanitizer */
		copy = malloc(n + 1);
		must(copy != NULL, "memory");
		memcpy(copy, body.p, n);
		rc = mail_gate_body(g, span_of(copy, n));
		memset(copy, 0xdd, n);
		free(copy);
		body = span_sub(body, n, body.n);
	}
	return rc;
}

int gate_play_run(struct gate_play *p, struct span message, int tolerant, int piece)
{
	static const struct mail_gate_fns fns = {begin, text, data, end};
	struct mail_gate *g = mail_gate_new(&fns, p, tolerant);

	must(g != NULL, "memory");
	p->n_parts = 0;
	p->n_open = 0;
	p->body = gate_play_body(message);
	p->rc = play_header(g, span_sub(message, 0, message.n - p->body.n));
	if (p->rc == 0)
		p->rc = mail_gate_eoh(g);
	if (p->rc == 0)
		p->rc = play_body(g, p->body, piece);
	if (p->rc == 0)
		p->rc = mail_gate_end(g);
	p->verdict = mail_gate_verdict(g);
	must((p->rc == 0) == (p->verdict.rule == MAIL_GATE_NONE), "a verdict names the rule");
	must(p->rc == 0 || mail_gate_body(g, SPAN_LIT("x")) == p->rc, "an error stays");
	if (p->rc == 0) {
		must(!p->n_open && p->n_parts, "each part ended");
		for (unsigned i = 0; i < p->n_parts; i++)
			if (p->parts[i].text && !p->as_data)
				check_text(p, &p->parts[i], tolerant);
	}
	mail_gate_free(g);
	return p->rc;
}

void gate_play_clear(struct gate_play *p)
{
	for (unsigned i = 0; i < p->n_parts; i++) {
		buf_clear(&p->parts[i].octets);
		free(p->parts[i].sources);
	}
	p->n_parts = 0;
}

void gate_play_same(const struct gate_play *a, const struct gate_play *b)
{
	must(a->rc == b->rc && a->verdict.rule == b->verdict.rule, "the verdict is the same");
	must(a->verdict.offset == b->verdict.offset && a->verdict.part == b->verdict.part,
	     "and its place");
	must(a->n_parts == b->n_parts, "parts are the same");
	for (unsigned i = 0; i < a->n_parts; i++) {
		const struct gate_play_part *x = &a->parts[i], *y = &b->parts[i];
		must(!strcmp(x->type, y->type) && x->raw_from == y->raw_from &&
			 x->ended == y->ended && x->raw_to == y->raw_to && x->tail == y->tail &&
			 x->width == y->width && x->protect == y->protect &&
			 x->decoded == y->decoded,
		     "what is told of a part");
		if (a->rc < 0)
			continue; /* what was given before an error may be cut elsewhere */
		must(span_equal(buf_span(&x->octets), buf_span(&y->octets)), "octets");
		must(x->n_sources == y->n_sources && !memcmp(x->sources ? x->sources : (void *)"",
							     y->sources ? y->sources : (void *)"",
							     x->n_sources * sizeof(*x->sources)),
		     "sources");
	}
}
