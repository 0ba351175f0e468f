/* SPDX-License-Identifier: Apache-2.0 */
/* A message in two chunkings: header section, choice, input and body hash must agree; and From is read without harm.
 * The first octets are seeds of the chunking and of the signer's limit. */
#include <stdint.h>
#include <stdlib.h>

#include "mail/mail_dkim.h"
#include "mail/mail_dkim_from.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	int broken, err;
	struct buf field, input;
	uint8_t hash[MAIL_DKIM_HASH];
};

static void feed(struct mail_dkim_head *h, struct mail_dkim_body *b, struct span s)
{
	struct span before = span_of(NULL, 0);
	ptrdiff_t n = h->done ? 0 : mail_dkim_head_feed(h, s, &before);

	if (n < 0 || (size_t)n > s.n || (n < (ptrdiff_t)s.n && !h->done))
		abort();
	if (h->done) {
		mail_dkim_body_feed(b, before);
		mail_dkim_body_feed(b, span_sub(s, (size_t)n, s.n));
	}
}

static void from(const struct mail_dkim_head *h)
{
	char domain[MAIL_DKIM_DOMAIN];
	struct span value;

	if (mail_dkim_head_value(h, MAIL_DKIM_FROM, &value) == 0 && mail_dkim_from(value, domain) == 0 && !domain[0])
		abort();
}

static void run(struct span in, uint8_t seed, size_t max, struct result *r)
{
	struct mail_dkim_facts f = {MAIL_DKIM_RSA, "example.org", "sp1r", 1764000000, r->hash};
	struct mail_dkim_head h;
	struct mail_dkim_body b;
	uint32_t x = seed;

	mail_dkim_head_init(&h, max);
	if (mail_dkim_body_init(&b) < 0)
		abort();
	while (in.n) {
		size_t n = seed ? 1 + (x >> 16) % (seed * 2u) : in.n;
		x = x * 1664525 + 1013904223;
		feed(&h, &b, span_sub(in, 0, n));
		in = span_sub(in, n, in.n);
	}
	if (mail_dkim_head_end(&h) < 0 || mail_dkim_body_end(&b, r->hash) < 0)
		abort();
	r->broken = h.broken;
	from(&h);
	buf_init(&r->field, MAIL_DKIM_FIELD_MAX);
	buf_init(&r->input, max + MAIL_DKIM_FIELD_MAX);
	r->err = mail_dkim_choose(&h, &f);
	if (r->err == 0 && (mail_dkim_format(&h, &f, &r->field) < 0 ||
			    mail_dkim_input(&h, buf_span(&r->field), &r->input) < 0 || buf_size(&r->input) > max))
		abort();
	mail_dkim_body_clear(&b);
	mail_dkim_head_clear(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result a, b;
	size_t max;

	if (size < 2)
		return 0;
	max = data[1] < 128 ? 49152 : 400 + data[1] * 4u;
	run(span_of(data + 2, size - 2), 0, max, &a);
	run(span_of(data + 2, size - 2), data[0], max, &b);
	if (a.broken != b.broken || a.err != b.err || !span_equal(buf_span(&a.field), buf_span(&b.field)) ||
	    !span_equal(buf_span(&a.input), buf_span(&b.input)) || memcmp(a.hash, b.hash, sizeof(a.hash)) != 0)
		abort();
	buf_clear(&a.field);
	buf_clear(&a.input);
	buf_clear(&b.field);
	buf_clear(&b.input);
	return 0;
}
