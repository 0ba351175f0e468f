/* SPDX-License-Identifier: Apache-2.0 */
/* relay's file about keyd's store: what parses formats to a text that parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "relay/keys/keys_witness_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keys_witness_file f, g;
	struct buf a, b;

	memset(&f, 0, sizeof(f));
	memset(&g, 0, sizeof(g));
	buf_init(&a, 1 << 24);
	buf_init(&b, 1 << 24);
	if (keys_witness_file_parse(span_of(data, size), &f) == 0 &&
	    (keys_witness_file_format(&f, &a) < 0 ||
	     keys_witness_file_parse(buf_span(&a), &g) < 0 ||
	     keys_witness_file_format(&g, &b) < 0 || !span_equal(buf_span(&a), buf_span(&b))))
		abort();
	buf_clear(&a);
	buf_clear(&b);
	keys_witness_file_clear(&f);
	keys_witness_file_clear(&g);
	return 0;
}
