/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_reply.h"

#include "core/err.h"

enum { LINE_OUT_MAX = 512, LINE_IN_MAX = 2048 };

static uint8_t printable(uint8_t c)
{
	return c < 32 || c == 127 ? '?' : c;
}

static size_t put_code(uint8_t *dst, const struct smtp_reply *r, int last)
{
	size_t n = r->enhanced ? strlen(r->enhanced) : 0;

	dst[0] = (uint8_t)('0' + r->code / 100 % 10);
	dst[1] = (uint8_t)('0' + r->code / 10 % 10);
	dst[2] = (uint8_t)('0' + r->code % 10);
	dst[3] = last ? ' ' : '-';
	if (!n)
		return 4;
	memcpy(dst + 4, r->enhanced, n);
	dst[4 + n] = ' ';
	return n + 5;
}

int smtp_reply_format(struct buf *out, const struct smtp_reply *r)
{
	const char *text = r->text ? r->text : "";
	uint8_t line[LINE_OUT_MAX];

	for (;;) {
		size_t len = strcspn(text, "\n"), n = put_code(line, r, !text[len]);

		for (size_t i = 0; i < len && n < LINE_OUT_MAX - 2; i++)
			line[n++] = printable((uint8_t)text[i]);
		line[n++] = '\r';
		line[n++] = '\n';
		buf_put(out, line, n);
		if (!text[len])
			return buf_failed(out);
		text += len + 1;
	}
}

void smtp_reply_in_init(struct smtp_reply_in *r)
{
	r->code = 0;
	r->enhanced[0] = '\0';
	r->text[0] = '\0';
	r->text_len = 0;
	r->lines = 0;
}

/* "5.1.1 " at the start of the first line's text, of the same class as the code. */
static void take_enhanced(struct smtp_reply_in *r, struct span text)
{
	size_t i = 0;

	for (int part = 0; part < 3; part++) {
		size_t from = i;

		while (i < text.n && i - from < 3 && text.p[i] >= '0' && text.p[i] <= '9')
			i++;
		if (i == from || (part == 0 && (i != 1 || text.p[0] - '0' != r->code / 100)))
			return;
		if (part < 2 && (i >= text.n || text.p[i++] != '.'))
			return;
	}
	if (i < text.n && text.p[i] != ' ')
		return;
	memcpy(r->enhanced, text.p, i);
	r->enhanced[i] = '\0';
}

static void keep_text(struct smtp_reply_in *r, struct span text)
{
	size_t room = SMTP_REPLY_TEXT - 1;

	if (r->lines && r->text_len < room)
		r->text[r->text_len++] = '\n';
	for (size_t i = 0; i < text.n && r->text_len < room; i++)
		r->text[r->text_len++] = (char)printable(text.p[i]);
	r->text[r->text_len] = '\0';
}

/* One line without its end: 1 if it is the last of the reply, 0 if more follow, ERR_*. */
static int take_line(struct smtp_reply_in *r, struct span line)
{
	int code = 0;

	if (line.n < 3 || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
		return ERR_FORMAT;
	for (int i = 0; i < 3; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return ERR_FORMAT;
		code = code * 10 + line.p[i] - '0';
	}
	if (code < 200 || code > 599)
		return ERR_FORMAT;
	if (r->lines == SMTP_REPLY_LINES_MAX)
		return ERR_LIMIT;
	r->code = code; /* should the lines differ, the last one counts */
	if (!r->lines)
		take_enhanced(r, span_sub(line, 4, line.n));
	keep_text(r, span_sub(line, 4, line.n));
	r->lines++;
	return line.n == 3 || line.p[3] == ' ';
}

int smtp_reply_in_feed(struct smtp_reply_in *r, struct span in, int *done)
{
	size_t used = 0;
	int rc;

	*done = 0;
	for (;;) {
		struct span rest = span_sub(in, used, LINE_IN_MAX), line;
		ptrdiff_t lf = span_find(rest, '\n');

		if (lf < 0)
			return rest.n == LINE_IN_MAX ? ERR_LIMIT : (int)used;
		line = span_sub(rest, 0, (size_t)lf);
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		rc = take_line(r, line);
		if (rc < 0)
			return rc;
		used += (size_t)lf + 1;
		if (rc == 1) {
			*done = 1;
			return (int)used;
		}
	}
}

struct span smtp_reply_in_keyword(const struct smtp_reply_in *r, const char *keyword, int *found)
{
	struct span all = span_of(r->text, r->text_len), want = span_str(keyword), line;
	ptrdiff_t lf = span_find(all, '\n');

	*found = 0;
	while (lf >= 0) {
		all = span_sub(all, (size_t)lf + 1, all.n);
		lf = span_find(all, '\n');
		line = lf < 0 ? all : span_sub(all, 0, (size_t)lf);
		if (!span_equal_nocase(span_sub(line, 0, want.n), want) ||
		    (line.n > want.n && line.p[want.n] != ' '))
			continue;
		*found = 1;
		return span_sub(line, want.n + 1, line.n);
	}
	return span_of(NULL, 0);
}
