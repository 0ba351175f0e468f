/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes everything that opens sealed bytes: a field, its text form, CBC, a chunk, a wrapped key. Nothing may open under
 * a key it was not sealed with, and what fails leaves nothing behind.
 * Input: first byte the length of the AAD, then AAD, then the sealed bytes. */
#include <stdlib.h>

#include "core/err.h"
#include "seal/seal_cbc.h"
#include "seal/seal_chunk.h"
#include "seal/seal_field.h"
#include "seal/seal_kwp.h"
#include "seal/seal_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : abort())

static const uint8_t key[SEAL_CHUNK_KEY] = "a key that has sealed nothing that comes from outside";

static void open_field(struct span aad, struct span sealed)
{
	struct buf out, text;

	buf_init(&out, 1 << 16);
	buf_init(&text, 1 << 18);
	if (seal_field_open(key, aad, sealed, &out) == 0) {
		/* A field may open only if this key sealed it: the corpus has one such. */
		MUST(buf_size(&out) + SEAL_FIELD_OVERHEAD == sealed.n);
		MUST(seal_text_encode(&text, sealed) == 0);
	} else {
		MUST(buf_size(&out) == 0);
	}
	(void)seal_field_keyref(sealed);
	buf_clear(&out);
	buf_clear(&text);
}

static void read_text(struct span in)
{
	struct buf out, text;

	buf_init(&out, 1 << 16);
	buf_init(&text, 1 << 18);
	if (seal_text_decode(&out, in) == 0) {
		/* There is one text for a field: what was read is written back the same. */
		MUST(seal_text_encode(&text, buf_span(&out)) == 0);
		MUST(span_equal(buf_span(&text), in));
	} else {
		MUST(buf_size(&out) == 0);
	}
	buf_clear(&out);
	buf_clear(&text);
}

static void open_cbc(struct span aad, struct span sealed)
{
	const uint8_t *salt;
	uint32_t keyref;
	struct buf out;
	int rc;

	buf_init(&out, 1 << 16);
	rc = seal_cbc_open(key, aad, sealed, &out);
	MUST((rc == ERR_FORMAT) == (seal_cbc_head(sealed, &keyref, &salt) == ERR_FORMAT));
	if (rc == 0) /* the corpus has one such */
		MUST(sealed.n == SEAL_CBC_HEAD + SEAL_CBC_IV + seal_cbc_size(buf_size(&out)));
	else
		MUST(buf_size(&out) == 0);
	buf_clear(&out);
}

static void unwrap(struct span wrapped)
{
	static uint8_t out[SEAL_KWP_SIZE(SEAL_KWP_MAX) + 1];
	int n;

	if (wrapped.n > SEAL_KWP_SIZE(SEAL_KWP_MAX))
		return;
	memset(out, 0xaa, sizeof(out));
	n = seal_kwp_unwrap(key, 32, wrapped, out);
	/* 64 bits of check: no fuzzer forges one, so this is one that was wrapped */
	MUST(n == ERR_AUTH || (n > 0 && SEAL_KWP_SIZE((size_t)n) == wrapped.n));
	MUST(out[wrapped.n] == 0xaa);
}

static void open_chunk(struct span sealed)
{
	static struct seal_chunk *s;
	static uint8_t out[SEAL_CHUNK_SEALED];
	int rc;

	if (!s) {
		s = seal_chunk_new();
		MUST(s && seal_chunk_set_key(s, key) == 0);
	}
	memset(out, 0xaa, sizeof(out));
	rc = seal_chunk_open(s, sealed.n, sealed.p, sealed.n, out);
	MUST(rc == ERR_AUTH || rc == ERR_FORMAT);
	if (rc == ERR_AUTH)
		for (size_t i = 0; i + SEAL_CHUNK_TAG < sealed.n; i++)
			MUST(out[i] == 0);
	MUST(out[sizeof(out) - 1] == 0xaa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);

	if (size == 0)
		return 0;
	open_field(span_sub(in, 1, data[0]), span_sub(in, 1 + (size_t)data[0], size));
	open_cbc(span_sub(in, 1, data[0]), span_sub(in, 1 + (size_t)data[0], size));
	unwrap(in);
	read_text(in);
	open_chunk(in);
	return 0;
}
