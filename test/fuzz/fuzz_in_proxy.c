/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: what is wanted grows, a header never ends behind what was shown, and more octets change nothing. */
#include <stdlib.h>

#include "relay/in/in_proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_storage client, again;
	size_t want = IN_PROXY_FIRST, at = 0;
	int n = 0;

	while (n == 0 && want <= size) {
		if (want <= at || want > IN_PROXY_MAX)
			abort();
		at = want;
		n = in_proxy_parse(span_of(data, at), &client, &want);
	}
	if (n > 0 && (size_t)n != at)
		abort();
	if (n > 0 && in_proxy_parse(span_of(data, size), &again, &want) != n)
		abort();
	return 0;
}
