/* SPDX-License-Identifier: Apache-2.0 */
/* Lines, verbs and parameters: the stream is read at once and again in pieces, and both must agree.
 * The first byte gives the line limit, the second the size of the pieces. */
#include <stdlib.h>

#include "core/buf.h"
#include "core/err.h"
#include "smtp/smtp_line.h"
#include "smtp/smtp_param.h"
#include "smtp/smtp_verb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void look_inside(struct span line)
{
	struct span args;
	struct smtp_param p;
	uint64_t v;

	must(span_find(line, '\r') < 0 && span_find(line, '\n') < 0 && span_find(line, 0) < 0);
	must(smtp_verb_parse(line, &args) < SMTP_VERB_COUNT);
	while (smtp_param_next(&args, &p) == 1) {
		must(p.name.n > 0 && (!p.has_value || p.value.n > 0));
		if (p.id == SMTP_PARAM_SIZE)
			smtp_param_size(p.value, &v);
		smtp_param_body(p.value);
	}
}

/* Reads lines as a server does, seeing at most step more bytes at a time; what it saw goes to
 * trace. */
static void read_all(struct span in, size_t max, size_t step, struct buf *trace)
{
	size_t at = 0, seen = 0;
	int skipping = 0;

	while (seen < in.n) {
		seen = in.n - seen > step ? seen + step : in.n;
		for (;;) {
			struct span have = span_of(in.p + at, seen - at), line;
			int found, rc;

			if (skipping) {
				at += smtp_line_skip(have, &found);
				if (!found)
					break;
				skipping = 0;
				continue;
			}
			rc = smtp_line_take(have, max, &line);
			must(rc <= (int)have.n);
			if (rc == 0)
				break;
			if (rc == ERR_FORMAT) {
				buf_putf(trace, "bad at %zu", at);
				return;
			}
			if (rc == ERR_LIMIT) {
				buf_put_str(trace, "long\n");
				skipping = 1;
				continue;
			}
			must((size_t)rc == line.n + 2);
			look_inside(line);
			buf_put_span(trace, line);
			buf_put_str(trace, "\n");
			at += (size_t)rc;
		}
	}
	buf_putf(trace, "left %d", skipping ? -1 : (int)(in.n - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once, pieces;

	if (size < 2)
		return 0;
	buf_init(&once, 4 * size + 64);
	buf_init(&pieces, 4 * size + 64);
	read_all(span_of(data + 2, size - 2), data[0] + 2u, size, &once);
	read_all(span_of(data + 2, size - 2), data[0] + 2u, 1u + data[1] % 16, &pieces);
	must(span_equal(buf_span(&once), buf_span(&pieces)));
	buf_clear(&once);
	buf_clear(&pieces);
	return 0;
}
