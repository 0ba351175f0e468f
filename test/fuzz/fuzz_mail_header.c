/* SPDX-License-Identifier: Apache-2.0 */
/* A header section, walked strictly and tolerantly: fields lie in order within the input and do not
 * overlap, what the strict walk gives the tolerant one gives too, and an unfolded value is one printable
 * line. */
#include <stdint.h>
#include <stdlib.h>

#include "mail/mail_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span in, const struct mail_header_field *f, const uint8_t **after)
{
	char line[80];
	size_t n;

	if (f->whole.p < *after || f->whole.p + f->whole.n > in.p + in.n || !f->name.n)
		abort();
	if (f->value.n &&
	    (f->value.p < f->whole.p || f->value.p + f->value.n > f->whole.p + f->whole.n))
		abort();
	*after = f->whole.p + f->whole.n;
	n = mail_header_unfold(line, sizeof(line), f->value);
	if (n != strlen(line) || n >= sizeof(line))
		abort();
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), value;
	struct mail_header strict, loose;
	struct mail_header_field f, g;
	const uint8_t *after = data, *also = data;
	int rc;

	mail_header_init(&strict, in, 1);
	mail_header_init(&loose, in, 0);
	while ((rc = mail_header_next(&strict, &f)) == 1) {
		check(in, &f, &after);
		if (mail_header_next(&loose, &g) != 1 || !span_equal(f.whole, g.whole))
			abort();
		check(in, &g, &also);
	}
	if (rc == 0 && (mail_header_next(&loose, &g) != 0 || strict.rest.n != loose.rest.n))
		abort();
	while (mail_header_next(&loose, &g) == 1)
		check(in, &g, &also);
	if (mail_header_length(in) > size)
		abort();
	mail_header_find(in, "subject", &value);
	return 0;
}
