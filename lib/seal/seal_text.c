/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_text.h"

#include "core/err.h"
#include "core/hex.h"
#include "seal/seal_field.h"

#define PREFIX_SIZE (sizeof(SEAL_TEXT_PREFIX) - 1)

static int is_field(struct span s)
{
	return s.n >= SEAL_FIELD_OVERHEAD && s.n <= SEAL_FIELD_OVERHEAD + SEAL_FIELD_MAX &&
	       s.p[0] == SEAL_FIELD_FORMAT;
}

int seal_text_encode(struct buf *out, struct span sealed)
{
	char piece[HEX_B64_SIZE(48)];

	if (!is_field(sealed))
		return ERR_FORMAT;
	/* All or nothing: after this no append can fail. */
	if (!buf_reserve(out, PREFIX_SIZE + (sealed.n * 4 + 2) / 3))
		return buf_failed(out);
	buf_put(out, SEAL_TEXT_PREFIX, PREFIX_SIZE);
	for (size_t at = 0; at < sealed.n; at += 48) {
		struct span part = span_sub(sealed, at, 48);
		buf_put(out, piece, hex_b64url_encode(piece, part.p, part.n));
	}
	return buf_failed(out);
}

int seal_text_decode(struct buf *out, struct span text)
{
	struct span body = span_sub(text, PREFIX_SIZE, text.n);
	size_t size = body.n / 4 * 3 + (body.n % 4 ? body.n % 4 - 1 : 0);
	uint8_t *dst;
	int n;

	if (!span_equal(span_sub(text, 0, PREFIX_SIZE), SPAN_LIT(SEAL_TEXT_PREFIX)) ||
	    size < SEAL_FIELD_OVERHEAD || size > SEAL_FIELD_OVERHEAD + SEAL_FIELD_MAX)
		return ERR_FORMAT;
	dst = buf_reserve(out, size);
	if (!dst)
		return buf_failed(out);
	n = hex_b64url_decode(dst, size, body);
	if (n < 0 || !is_field(span_of(dst, (size_t)n)))
		return ERR_FORMAT;
	buf_commit(out, (size_t)n);
	return buf_failed(out);
}
