/* SPDX-License-Identifier: Apache-2.0 */
/* What the log gives back as payloads, and what is inside the sealed envelope: an envelope that is
 * taken is written back as the same bytes, and no span points outside the record. */
#include <stdlib.h>

#include "core/err.h"
#include "relay/spool/spool_message_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span whole, struct span s)
{
	if (s.n && (s.p < whole.p || s.p + s.n > whole.p + whole.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span whole = span_of(data, size);
	struct spool_envelope e;
	struct spool_head h;
	struct spool_news n;

	if (spool_payload_commit_get(whole, &h) == 0) {
		inside(whole, h.customer);
		inside(whole, h.clear);
		inside(whole, h.sealed);
		inside(whole, h.body);
		inside(whole, span_of(h.envelope_key.salt, KEYPROTO_SALT));
		if (h.clear.n + 4 + h.sealed.n + h.body.n != size)
			abort();
	}
	if (spool_payload_state_get(whole, &n) == 0) {
		inside(whole, n.sealed);
		if (n.clear.n + 4 + n.sealed.n != size)
			abort();
	}
	if (spool_envelope_get(whole, &e) == 0) {
		struct buf b;
		buf_init(&b, SPOOL_ENVELOPE_MAX);
		if (spool_envelope_put(&b, &e) < 0 || !span_equal(buf_span(&b), whole))
			abort();
		buf_clear(&b);
		spool_envelope_clear(&e);
	}
	return 0;
}
