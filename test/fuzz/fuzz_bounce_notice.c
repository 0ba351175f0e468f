/* SPDX-License-Identifier: Apache-2.0 */
/* A message that came back, and its first line as a local part: a token that is read must be written as the same but for
 * its case, and what a notice says is bounded. */
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "relay/bounce/bounce_notice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_token(struct span local)
{
	char sender[SMTP_ADDR_MAX];
	struct bounce_verp v;

	if (bounce_verp_parse(local, &v) < 0)
		return;
	if (bounce_verp_sender(sender, &v, "b") < 0 ||
	    strncasecmp(sender, (const char *)local.p, local.n) != 0 || sender[local.n] != '@')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bounce_notice n;
	struct span in = span_of(data, size);
	ptrdiff_t lf = span_find(in, '\n');

	check_token(span_sub(in, 0, lf < 0 ? size : (size_t)lf));
	memset(&n, 0, sizeof(n));
	if (bounce_notice_read(&n, in, "b.example.org") < 0)
		return 0;
	if (n.count > BOUNCE_NOTICE_ADDRESSES || n.told_count > MAIL_DSN_RECIPIENTS ||
	    strnlen(n.what, sizeof(n.what)) == sizeof(n.what))
		abort();
	for (unsigned i = 0; i < n.count; i++) {
		const struct bounce_notice_told *t = bounce_notice_told(&n, i);
		if (!strchr(n.addresses[i].address, '@') || (t && t->class >= BOUNCE_CLASS_COUNT))
			abort();
	}
	return 0;
}
