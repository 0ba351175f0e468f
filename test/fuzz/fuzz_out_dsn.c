/* SPDX-License-Identifier: Apache-2.0 */
/* Reports to senders made of hostile parts. Byte 0: size of stretches. Up to the first 0xff: reply of
 * a server; up to the second: sender and recipient; the rest: a message. Its headers are gathered
 * whole and in stretches, which must agree, and be whole lines of it. The report has no bare CR or
 * LF but what the headers had, no over-long line of its own, and exactly our own fields. */
#include <stdlib.h>
#include <string.h>

#include "relay/out/out_dsn.h"
#include "relay/out/out_verdict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void gather(struct buf *b, struct span text, size_t step)
{
	int done = 0;

	buf_init(b, 300);
	for (size_t at = 0; at < text.n && !done; at += step)
		done = out_dsn_gather(b, span_sub(text, at, step));
	if (!done)
		out_dsn_gathered(b);
}

static struct span take(struct span *in)
{
	ptrdiff_t mark = span_find(*in, 0xff);
	struct span part = span_sub(*in, 0, mark < 0 ? in->n : (size_t)mark);

	*in = span_sub(*in, part.n + 1, in->n);
	return part;
}

static void check_report(const struct buf *b, size_t headers)
{
	const uint8_t *p = buf_ptr(b);
	size_t n = buf_size(b), own = n - headers, column = 0, fields = 0;

	/* the headers stand at the end, before the closing line "\r\n--=_b--\r\n" */
	for (size_t i = 0; i < own - 11; i++) {
		must(p[i] != '\0');
		if (p[i] == '\r') {
			must(p[i + 1] == '\n');
			column = 0;
			i++;
			continue;
		}
		must(p[i] != '\n' && ++column <= 998);
		if (column == 1 && (!memcmp(p + i, "To: ", 4) || !memcmp(p + i, "Status: ", 8) ||
				    !memcmp(p + i, "--=_b", 5)))
			fields++;
	}
	must(fields == 1 + 1 + 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char sender[321], recipient[321];
	char orcpt[510], envid[110];
	struct spool_recipient to = {.address = recipient, .orcpt = orcpt};
	struct spool_envelope e = {.sender = sender, .recipients = &to, .count = 1, .envid = envid};
	struct queue_result result = {.recipient = 0};
	struct span in = span_of(data + 1, size ? size - 1 : 0), part;
	struct smtp_reply_in reply;
	struct buf a, b, out;
	struct out_dsn d = {.hostname = "relay.test", .id = 1, .boundary = "=_b", .original = 2};
	int done, flags;

	if (!size)
		return 0;
	smtp_reply_in_init(&reply);
	smtp_reply_in_feed(&reply, take(&in), &done);
	if (!reply.code)
		reply.code = 550;
	out_verdict_reply(&result, QUEUE_RECIPIENT, &reply);
	result.outcome = SPOOL_BOUNCED;
	part = take(&in);
	span_copy_str(sender, sizeof(sender), span_sub(part, 0, 320));
	span_copy_str(recipient, sizeof(recipient), span_sub(part, 0, 320));
	span_copy_str(orcpt, sizeof(orcpt), span_sub(part, 0, 509));
	span_copy_str(envid, sizeof(envid), span_sub(part, 0, 100));
	gather(&a, in, in.n + 1);
	gather(&b, in, 1 + data[0] % 40);
	must(span_equal(buf_span(&a), buf_span(&b)));
	must(buf_size(&a) <= in.n &&
	     !memcmp(buf_size(&a) ? buf_ptr(&a) : data, in.n ? in.p : data, buf_size(&a)));
	must(!buf_size(&a) ||
	     (buf_size(&a) >= 2 && !memcmp(buf_ptr(&a) + buf_size(&a) - 2, "\r\n", 2)));
	d.envelope = &e;
	d.results = &result;
	d.count = 1;
	d.headers = buf_span(&a);
	buf_init(&out, OUT_DSN_MAX);
	must(out_dsn_format(&d, &out, &flags) == 0);
	check_report(&out, buf_size(&a));
	buf_clear(&out);
	buf_clear(&a);
	buf_clear(&b);
	return 0;
}
