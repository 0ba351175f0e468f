/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a URL, and as text that may have links: parts lie within it, a host is one that reads as itself, and what is
 * found goes forward. */
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_script.h"
#include "mail/mail_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct span s, const uint8_t *data, size_t size)
{
	if (s.n && (s.p < data || s.p + s.n > data + size))
		abort();
}

static void host_is_stable(const char *host)
{
	char again[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;

	if (*host && (mail_url_host(again, &kind, &odd, span_str(host)) < 0 || strcmp(again, host) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct mail_url_mention m;
	struct mail_url u;
	size_t at = 0;

	if (mail_url_parse(&u, s) == 0) {
		within(u.path, data, size);
		within(u.query, data, size);
		within(u.fragment, data, size);
		host_is_stable(u.host);
	}
	while (mail_url_find(s, at, &m)) {
		if (m.from < at || m.to <= at || m.to > size || m.from >= m.to)
			abort();
		host_is_stable(m.host);
		at = m.to;
	}
	mail_script_mixed(s);
	mail_script_lookalike(s);
	return 0;
}
