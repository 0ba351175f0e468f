/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of a peer: read at once and in pieces, both must agree; texts are terminated, bounded and
 * free of control characters. The first byte gives the size of the pieces. */
#include <stdlib.h>

#include "core/err.h"
#include "smtp/smtp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static int read_reply(struct span in, size_t step, struct smtp_reply_in *r, size_t *used)
{
	size_t seen = 0;
	int done = 0, rc = 0;

	*used = 0;
	smtp_reply_in_init(r);
	while (seen < in.n && !done) {
		seen = in.n - seen > step ? seen + step : in.n;
		rc = smtp_reply_in_feed(r, span_of(in.p + *used, seen - *used), &done);
		if (rc < 0)
			return rc;
		must((size_t)rc <= seen - *used);
		*used += (size_t)rc;
	}
	return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_reply_in a, b;
	size_t used_a, used_b;
	int rc, found;
	struct buf out;

	if (!size)
		return 0;
	rc = read_reply(span_of(data + 1, size - 1), size, &a, &used_a);
	must(rc == read_reply(span_of(data + 1, size - 1), 1u + data[0] % 32, &b, &used_b));
	must(a.text_len < SMTP_REPLY_TEXT && strlen(a.text) == a.text_len);
	for (size_t i = 0; i < a.text_len; i++)
		must(a.text[i] == '\n' || ((unsigned char)a.text[i] >= 32 && a.text[i] != 127));
	if (rc < 0)
		return 0;
	must(used_a == used_b && a.code == b.code && a.lines == b.lines);
	must(!strcmp(a.text, b.text) && !strcmp(a.enhanced, b.enhanced));
	smtp_reply_in_keyword(&a, "STARTTLS", &found);
	smtp_reply_in_keyword(&a, "SIZE", &found);
	if (rc == 0)
		return 0;
	/* What was heard can be said again, and is heard the same. */
	buf_init(&out, 1 << 20);
	must(smtp_reply_format(&out, &(struct smtp_reply){a.code, "", a.text}) == 0);
	must(read_reply(buf_span(&out), size, &b, &used_b) == 1);
	must(b.code == a.code);
	buf_clear(&out);
	return 0;
}
