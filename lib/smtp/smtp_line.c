/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_line.h"

#include "core/err.h"

int smtp_line_take(struct span in, size_t max, struct span *line)
{
	struct span seen = span_sub(in, 0, max), text;
	ptrdiff_t lf = span_find(seen, '\n'), cr;

	/* What stands before the line end, or all of it while there is none. */
	text = lf < 0 ? seen : span_sub(seen, 0, (size_t)lf);
	cr = span_find(text, '\r');
	if (span_find(text, '\0') >= 0)
		return ERR_FORMAT;
	if (cr >= 0 && (size_t)cr + 1 < text.n)
		return ERR_FORMAT; /* a CR with something other than LF behind it */
	if (lf < 0)
		return seen.n == max ? ERR_LIMIT : 0;
	if (cr < 0)
		return ERR_FORMAT; /* LF alone */
	*line = span_sub(text, 0, (size_t)cr);
	return (int)lf + 1;
}

size_t smtp_line_skip(struct span in, int *found)
{
	size_t i = 0;

	*found = 0;
	while (i < in.n) {
		ptrdiff_t cr = span_find(span_sub(in, i, in.n), '\r');

		if (cr < 0)
			return in.n;
		i += (size_t)cr;
		if (i + 1 == in.n)
			return i;
		if (in.p[i + 1] == '\n') {
			*found = 1;
			return i + 2;
		}
		i++;
	}
	return i;
}
