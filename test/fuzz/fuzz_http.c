/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "http/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A head is taken whole or not at all: no prefix of an accepted head may be accepted as another. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request r;
	struct http_response p;
	int n = http_request_parse(span_of(data, size), &r);

	if (n > 0 && http_request_parse(span_of(data, (size_t)n - 1), &r) != 0)
		abort();
	http_request_parse_response(span_of(data, size), &p);
	return 0;
}
