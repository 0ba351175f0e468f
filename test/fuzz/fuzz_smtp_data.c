/* SPDX-License-Identifier: Apache-2.0 */
/* The data of DATA against a second, plain implementation, with arbitrary split points; and what
 * was decoded is stuffed again and must decode to itself. The first two bytes steer the splits. */
#include <stdlib.h>

#include "core/buf.h"
#include "smtp/smtp_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct buf body;
	size_t used;
	int done, fault, high;
};

static void must(int cond)
{
	if (!cond)
		abort();
}

/* Plain: one pass with an index, looking ahead and back in the whole text. */
static void simple(struct span in, struct result *r)
{
	size_t column = 0;
	int line_start = 1;

	for (size_t i = 0; i < in.n && !r->done; i++) {
		uint8_t c = in.p[i];
		int next = i + 1 < in.n ? in.p[i + 1] : -1;
		int fault = SMTP_DATA_OK;

		r->used = i + 1;
		if (line_start && c == '.') {
			line_start = 0;
			if (next == '\r' && i + 2 < in.n && in.p[i + 2] == '\n') {
				r->done = 1;
				r->used = i + 3;
			} else if (next == '\r' && i + 2 == in.n) {
				r->used = in.n; /* not decided yet */
				return;
			} else if (next == '\r') {
				/* ". CR x": the CR is seen as bare when x arrives */
				i++;
				r->used = i + 1;
				r->fault = r->fault ? r->fault : SMTP_DATA_BARE_CR;
			}
			continue;
		}
		column++;
		if (c == '\n' && i > 0 && in.p[i - 1] == '\r' && !line_start) {
			if (column > SMTP_DATA_LINE_MAX)
				fault = SMTP_DATA_LONG_LINE;
			column = 0;
			line_start = 1;
		} else {
			line_start = 0;
			if (i > 0 && in.p[i - 1] == '\r' && c != '\n')
				fault = SMTP_DATA_BARE_CR;
			else if (column > SMTP_DATA_LINE_MAX)
				fault = SMTP_DATA_LONG_LINE;
			else if (c == '\n')
				fault = SMTP_DATA_BARE_LF;
			else if (c == '\0')
				fault = SMTP_DATA_NUL;
		}
		r->high |= c >> 7;
		if (!r->fault)
			r->fault = fault;
		if (!r->fault)
			buf_put(&r->body, &c, 1);
	}
}

static void real(struct span in, uint32_t seed, struct result *r)
{
	struct smtp_data_in d;

	smtp_data_in_init(&d);
	while (r->used < in.n && !d.done) {
		struct span piece, out;
		size_t n, at = 0;

		seed = seed * 1664525 + 1013904223;
		n = seed >> 30 == 0 ? 1 + (seed >> 20 & 7) : 1 + (seed >> 16 & 1023);
		piece = span_sub(in, r->used, n);
		while (at < piece.n && !d.done) {
			size_t used = smtp_data_in_feed(&d, span_sub(piece, at, piece.n), &out);

			must(used > 0 && used <= piece.n - at && out.n <= used);
			must(out.n == 0 || !d.fault);
			at += used;
			buf_put_span(&r->body, out);
		}
		r->used += at;
	}
	r->done = d.done;
	r->fault = d.fault;
	r->high = d.high;
}

static void same(const struct result *a, const struct result *b)
{
	must(a->done == b->done && a->used == b->used && a->fault == b->fault);
	if (a->fault)
		return; /* then bytes before the fault may or may not have come out */
	must(!a->high == !b->high);
	must(span_equal(buf_span(&a->body), buf_span(&b->body)));
}

static void round_trip(struct span body, uint32_t seed)
{
	struct smtp_data_out d;
	struct result r = {.used = 0};
	struct buf wire;
	size_t cut = body.n ? seed % body.n : 0;

	buf_init(&wire, 2 * body.n + 16);
	buf_init(&r.body, body.n + 16);
	smtp_data_out_init(&d);
	must(smtp_data_out_put(&d, span_sub(body, 0, cut), &wire) == 0);
	must(smtp_data_out_put(&d, span_sub(body, cut, body.n), &wire) == 0);
	must(buf_put_str(&wire, smtp_data_out_end(&d)) == 0);
	real(buf_span(&wire), seed, &r);
	must(r.done && r.used == buf_size(&wire) && !r.fault);
	must(span_equal(span_sub(buf_span(&r.body), 0, body.n), body));
	must(buf_size(&r.body) - body.n == 0 || buf_size(&r.body) - body.n == 2);
	buf_clear(&wire);
	buf_clear(&r.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result a = {.used = 0}, b = {.used = 0}, c = {.used = 0};
	struct span in;
	uint32_t seed;

	if (size < 2)
		return 0;
	seed = (uint32_t)data[0] << 8 | data[1];
	in = span_of(data + 2, size - 2);
	buf_init(&a.body, size);
	buf_init(&b.body, size);
	buf_init(&c.body, size);
	simple(in, &a);
	real(in, seed, &b);
	real(in, seed * 31 + 7, &c);
	same(&a, &b);
	same(&b, &c);
	/* Only whole lines: a CR at the very end would meet what comes next. */
	if (b.done && !b.fault)
		round_trip(buf_span(&b.body), seed);
	buf_clear(&a.body);
	buf_clear(&b.body);
	buf_clear(&c.body);
	return 0;
}
