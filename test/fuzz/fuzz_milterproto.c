/* SPDX-License-Identifier: Apache-2.0 */
/* What a filter says: packets off a stream, each reply with its data. Spans stay within the input, what an SMTP client
 * would be told is terminated, of one class and printable. */
#include <stdlib.h>

#include "core/err.h"
#include "milterproto/milterproto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void inside(struct span s, struct span all)
{
	must(!s.n || (s.p >= all.p && s.p + s.n <= all.p + all.n));
}

static void smtp(struct span text)
{
	struct milterproto_smtp s;
	int err = milterproto_smtp(text, &s);

	if (err < 0) {
		must(s.code == 0 || s.code == 451 || s.code == 550);
		return;
	}
	must(s.code >= 400 && s.code < 600);
	must(s.enhanced[0] == '0' + s.code / 100 && s.enhanced[1] == '.');
	must(s.text[0] && strlen(s.text) < MILTERPROTO_TEXT);
	for (const char *p = s.text; *p; p++)
		must(*p == '\n' || (*p >= ' ' && *p < 0x7f));
}

static void reply(uint8_t command, struct span data)
{
	struct milterproto_options o;
	struct milterproto_reply r;

	smtp(data);
	if (milterproto_reply(command, data, &r) < 0)
		return;
	inside(r.a, data);
	inside(r.b, data);
	if (r.what != MILTERPROTO_SAYS_OPTIONS || milterproto_options(data, &o) < 0)
		return;
	for (unsigned i = 0; i < MILTERPROTO_STAGES; i++)
		inside(o.macros[i], data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), one;
	uint8_t command;
	int n;

	while ((n = milterproto_take(in, &command, &one)) > 0) {
		must((size_t)n <= in.n);
		inside(one, span_sub(in, 0, (size_t)n));
		reply(command, one);
		in = span_sub(in, (size_t)n, in.n);
	}
	return 0;
}
