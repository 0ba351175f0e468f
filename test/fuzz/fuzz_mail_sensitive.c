/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the look for sensitive content: in one piece and in small ones it finds the same.
 * Input: a pattern up to the first line feed, then the text; the pattern's last octet is also the size of pieces. */
#include <stdlib.h>

#include "mail/mail_sensitive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_sensitive_rule rules[] = {{NULL}, {"####-@@"}, {NULL}};
	static struct mail_sensitive whole, pieces;
	struct mail_sensitive_set *set;
	char pattern[80] = "";
	ptrdiff_t end = span_find(span_of(data, size), '\n');
	size_t n = end > 0 && end < 79 ? (size_t)end : 0, step = n ? data[n - 1] % 7 + 1u : 1;
	struct span text = span_sub(span_of(data, size), n, size);

	memcpy(pattern, data, n);
	rules[2].pattern = pattern;
	set = mail_sensitive_set_new(rules, mail_sensitive_check(pattern) ? 2 : 3);
	MUST(set);
	mail_sensitive_init(&whole, set);
	mail_sensitive_init(&pieces, set);
	mail_sensitive_feed(&whole, text);
	for (size_t at = 0; at < text.n; at += step)
		mail_sensitive_feed(&pieces, span_sub(text, at, step));
	mail_sensitive_end(&whole);
	mail_sensitive_end(&pieces);
	MUST(!memcmp(whole.found, pieces.found, sizeof(whole.found)));
	mail_sensitive_set_free(set);
	return 0;
}
