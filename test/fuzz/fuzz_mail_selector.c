/* SPDX-License-Identifier: Apache-2.0 */
/* A TXT record, or several with a NUL between, judged for one key: what was published is found in
 * nothing but a record that names it. */
#include <stdlib.h>

#include "mail/mail_selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[32] = {1, 2, 3};
	struct span rest = span_of(data, size), txts[4];
	enum mail_selector_verdict v;
	size_t count = 0;
	int testing;

	for (; rest.n && count < 4; count++) {
		ptrdiff_t at = span_find(rest, '\0');
		txts[count] = at < 0 ? rest : span_sub(rest, 0, (size_t)at);
		rest = at < 0 ? span_of(NULL, 0) : span_sub(rest, (size_t)at + 1, rest.n);
	}
	v = mail_selector_judge(txts, count, MAIL_SELECTOR_ED25519, span_of(key, 32), &testing);
	if (v >= MAIL_SELECTOR_VERDICT_COUNT || (testing && v != MAIL_SELECTOR_PUBLISHED) ||
	    (v == MAIL_SELECTOR_PUBLISHED && txts[0].n < 44))
		abort();
	return 0;
}
