/* SPDX-License-Identifier: Apache-2.0 */
/* Trust anchor files: zones come out as names, each once, however the text is broken. */
#include <stdlib.h>
#include <string.h>

#include "relay/out/out_anchor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct out_anchor a;

	must(out_anchor_zones(span_of(data, size), &a) == a.count && a.count <= OUT_ANCHOR_ZONES);
	for (unsigned i = 0; i < a.count; i++) {
		size_t n = strnlen(a.zones[i], OUT_MX_NAME);
		must(n > 0 && n < OUT_MX_NAME);
		for (size_t k = 0; k < n; k++)
			must(a.zones[i][k] > ' ' && a.zones[i][k] <= '~');
		for (unsigned k = 0; k < i; k++)
			must(strcmp(a.zones[i], a.zones[k]) != 0);
	}
	return 0;
}
