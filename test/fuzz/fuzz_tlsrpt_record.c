/* SPDX-License-Identifier: Apache-2.0 */
/* TXT records that ask for TLS reports: what is taken is an address or an https: URL, and safe in a header. */
#include <stdlib.h>

#include "core/err.h"
#include "relay/https/https_url.h"
#include "relay/tlsrpt/tlsrpt_record.h"
#include "smtp/smtp_addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void look(const struct tlsrpt_record_uri *u)
{
	struct https_url url;
	struct smtp_addr a;

	for (const char *c = u->text; *c; c++)
		must(*c > ' ' && *c < 0x7f);
	if (u->mail)
		must(smtp_addr_parse(span_str(u->text), 0, &a) > 0 && a.local.n && a.domain.n);
	else
		must(https_url_parse(span_str(u->text), &url) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of(data, size), two[2] = {all, all};
	struct tlsrpt_record r;
	int err = tlsrpt_record_parse(all, &r);

	must(err == 0 || err == ERR_FORMAT || err == ERR_NOTFOUND);
	must(tlsrpt_record_choose(two, 2, &r) == (err == ERR_NOTFOUND ? ERR_NOTFOUND : ERR_EXISTS));
	must(tlsrpt_record_choose(two, 1, &r) == err);
	if (err < 0)
		return 0;
	must(r.count <= TLSRPT_RECORD_URIS && r.count + r.passed_over > 0);
	for (unsigned i = 0; i < r.count; i++)
		look(&r.uris[i]);
	return 0;
}
