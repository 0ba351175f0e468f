/* SPDX-License-Identifier: Apache-2.0 */
/* The file of rests and counts: what is taken is written again as the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/shape/shape_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int print(void *arg, const struct shape_store_line *l)
{
	shape_store_print(arg, l);
	return 0;
}

static int rewrite(struct span text, struct buf *out)
{
	unsigned line;
	int rc;

	buf_init(out, 1u << 20);
	buf_put_str(out, "sealpost-shaping 1\n");
	rc = shape_store_parse(text, print, out, &line);
	buf_putf(out, "end %u\n", line - 1);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one, two;

	if (rewrite(span_of(data, size), &one) == 0) {
		if (rewrite(buf_span(&one), &two) != 0 || !span_equal(buf_span(&one), buf_span(&two)))
			abort();
		buf_clear(&two);
	}
	buf_clear(&one);
	return 0;
}
