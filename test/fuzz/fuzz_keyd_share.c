/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the text of a share. What is taken for one is one: its canonical text says the
 * same. */
#include <stdlib.h>

#include "keyd/keyd_share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyd_share s, back;
	char text[KEYD_SHARE_TEXT];
	int n;

	if (keyd_share_parse(span_of(data, size), &s) < 0)
		return 0;
	n = keyd_share_format(&s, text);
	if (n <= 0 || keyd_share_parse(span_of(text, (size_t)n), &back) < 0 ||
	    memcmp(&s, &back, sizeof(s)) != 0)
		abort();
	return 0;
}
