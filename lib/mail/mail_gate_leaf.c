/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a leaf, line by line, to canonical text or decoded octets. */
#include "core/err.h"
#include "mail/mail_gate_own.h"

enum { WIDTH = 76 };

/* --- ways out */

static int text_piece(void *arg, struct span text, const struct mail_cte_run *runs, size_t n_runs)
{
	struct mail_gate *g = arg;

	if (!g->fns.text)
		return 0;
	return mail_gate_own_stopped(
	    g, g->fns.text(g->arg, &mail_gate_own_level(g)->part, text, runs, n_runs));
}

static int text_result(struct mail_gate *g, int rc)
{
	static const enum mail_gate_rule rules[] = {[MAIL_TEXT_FOREIGN] = MAIL_GATE_CHARSET_OCTETS,
						    [MAIL_TEXT_LONG] = MAIL_GATE_TEXT_SIZE,
						    [MAIL_TEXT_MIXED] = MAIL_GATE_TEXT_FORM,
						    [MAIL_TEXT_UU] = MAIL_GATE_UUENCODE};
	int base64 = mail_gate_own_level(g)->part.encoding == MAIL_CTE_BASE64;

	if (rc < 0 && g->text.fault)
		return mail_gate_own_fail(g, rules[g->text.fault],
					  base64 ? g->offset : g->text.fault_at);
	return rc;
}

static int put_data(struct mail_gate *g, struct span s)
{
	struct mail_gate_part *p = &mail_gate_own_level(g)->part;

	if (!s.n)
		return 0;
	p->size += s.n;
	return g->fns.data ? mail_gate_own_stopped(g, g->fns.data(g->arg, p, s)) : 0;
}

/* Octets whose encoding is undone. */
static int put(struct mail_gate *g, struct span s, uint64_t source, unsigned stride)
{
	g->decoded += s.n;
	if (g->as_data)
		return put_data(g, s);
	return text_result(g, mail_text_put(&g->text, s, source, stride));
}

/* The line end that waited is content. */
static int put_held(struct mail_gate *g)
{
	if (!g->held)
		return 0;
	g->held = 0;
	g->decoded += 2;
	return put_data(g, SPAN_LIT("\r\n"));
}

/* --- 7bit, 8bit, binary */

static int check_seven(struct mail_gate *g, struct span s)
{
	const uint64_t high = 0x8080808080808080;
	size_t i = 0;

	for (uint64_t w; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if (w & high)
			break;
	}
	for (; i < s.n; i++)
		if (s.p[i] >= 0x80)
			return mail_gate_own_fail(g, MAIL_GATE_EIGHT_IN_SEVEN, g->offset + i);
	return 0;
}

static int flush_run(struct mail_gate *g)
{
	struct span run = g->run;
	int rc = 0;

	if (!run.n)
		return 0;
	g->run = span_of(NULL, 0);
	rc = put_held(g);
	g->held = run.n >= 2 && run.p[run.n - 1] == '\n';
	run.n -= g->held ? 2 : 0;
	g->decoded += run.n;
	return rc < 0 ? rc : put_data(g, run);
}

static int verbatim_line(struct mail_gate *g, struct span line)
{
	int rc = 0;

	if (mail_gate_own_level(g)->part.encoding == MAIL_CTE_7BIT)
		rc = check_seven(g, line);
	if (rc < 0)
		return rc;
	if (!g->as_data)
		return put(g, line, g->offset, 1);
	if (g->run.n && g->run.p + g->run.n == line.p) {
		g->run.n += line.n;
		return 0;
	}
	rc = flush_run(g);
	g->run = line;
	return rc;
}

/* --- quoted-printable */

static int qp_line(struct mail_gate *g, struct span line)
{
	size_t end = line.n && line.p[line.n - 1] == '\n' ? 2 : 0;
	struct mail_cte_piece piece;
	int rc = mail_cte_qp_line(&g->qp, span_sub(line, 0, line.n - end), g->tolerant), more = 1;

	if (rc == 0 && g->as_data)
		rc = put_held(g);
	while (rc == 0 && (more = mail_cte_qp_next(&g->qp, &piece)) == 1)
		rc = put(g, piece.octets, g->offset + piece.place, piece.stride);
	if (g->error)
		return g->error;
	if (rc < 0 || more < 0)
		return mail_gate_own_fail(g, MAIL_GATE_QP_ILLEGAL, g->offset + g->qp.at);
	if (g->qp.soft || !end)
		return 0;
	if (!g->as_data)
		return put(g, SPAN_LIT("\r\n"), g->offset + line.n - 2, 1);
	g->held = 1;
	return 0;
}

/* --- base64 */

static int flush_out(struct mail_gate *g)
{
	size_t n = g->out_n;

	g->out_n = 0;
	return n ? put(g, span_of(g->out, n), g->decoded, 1) : 0;
}

static int base64_line(struct mail_gate *g, struct span line)
{
	size_t at = 0;
	int n, rc = 0;

	line.n -= line.n && line.p[line.n - 1] == '\n' ? 2 : 0;
	if (line.n && g->lines++ == 0)
		g->first_width = (unsigned)line.n;
	if (g->out_n + line.n > sizeof(g->out))
		rc = flush_out(g);
	if (rc < 0)
		return rc;
	n = mail_cte_base64_line(&g->base64, line, g->out + g->out_n, &at);
	if (n < 0)
		return mail_gate_own_fail(g, MAIL_GATE_BASE64_FOREIGN, g->offset + at);
	g->out_n += (size_t)n;
	return 0;
}

/* --- */

int mail_gate_own_leaf_begin(struct mail_gate *g)
{
	const struct mail_gate_level *l = mail_gate_own_level(g);

	g->held = 0;
	g->run = span_of(NULL, 0);
	g->qp = (struct mail_cte_qp){0};
	g->base64 = (struct mail_cte_base64){0};
	g->lines = 0;
	g->first_width = WIDTH;
	g->out_n = 0;
	g->decoded = 0;
	if (g->as_data)
		return 0;
	mail_text_init(&g->text, text_piece, g,
		       (enum mail_charset)mail_charset_parse(span_str(l->charset)));
	g->text.flowed = l->part.flowed;
	g->text.delsp = l->part.delsp;
	g->text.tolerant = g->tolerant;
	g->text.max = g->tolerant ? UINT64_MAX : MAIL_GATE_MAX_TEXT;
	return 0;
}

int mail_gate_own_leaf_line(struct mail_gate *g, struct span line)
{
	switch (mail_gate_own_level(g)->part.encoding) {
	case MAIL_CTE_QP:
		return qp_line(g, line);
	case MAIL_CTE_BASE64:
		return base64_line(g, line);
	default:
		return verbatim_line(g, line);
	}
}

int mail_gate_own_leaf_pause(struct mail_gate *g)
{
	return flush_run(g);
}

int mail_gate_own_leaf_end(struct mail_gate *g, int over)
{
	struct mail_gate_part *p = &mail_gate_own_level(g)->part;
	int rc = flush_run(g);

	if (rc == 0 && over)
		rc = put_held(g);
	if (rc == 0 && g->qp.soft && !g->tolerant)
		rc = mail_gate_own_fail(g, MAIL_GATE_QP_ILLEGAL, p->raw_to ? p->raw_to - 1 : 0);
	if (rc == 0 && mail_cte_base64_end(&g->base64) < 0)
		rc = mail_gate_own_fail(g, MAIL_GATE_BASE64_END, p->raw_to);
	if (rc == 0)
		rc = flush_out(g);
	if (rc == 0 && !g->as_data)
		rc = text_result(g, mail_text_end(&g->text));
	p->width = g->lines > 1 ? g->first_width : WIDTH;
	p->decoded = g->decoded;
	if (!g->as_data) {
		p->size = g->text.size;
		p->tail = g->text.size			   ? g->text.tail
			  : p->encoding == MAIL_CTE_BASE64 ? 0
							   : p->raw_from;
		p->protect |= g->text.armour;
	}
	return rc;
}
