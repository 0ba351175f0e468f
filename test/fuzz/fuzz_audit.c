/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a file of keyd's audit log. First byte 0: the file as it is; 1: bodies of lines, one a line, which
 * are numbered, chained and closed properly, so that what the lines say is reached; a body that is empty becomes a
 * checkpoint with a true signature. What verifies must do so again up to where it was good, and not with any bit of it
 * changed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "audit/audit_verify.h"
#include "core/err.h"
#include "core/hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : abort())
#define STORE	   "00112233445566778899aabbccddeeff"

static EVP_PKEY *key;
static uint8_t spki[AUDIT_SPKI];

static void set_up(void)
{
	static const uint8_t seed[32] = "seed of the fuzzer's audit key..";
	uint8_t *p = spki;

	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
	MUST(key && i2d_PUBKEY(key, &p) == AUDIT_SPKI);
}

static void sign(struct span what, uint8_t sig[AUDIT_SIG])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = AUDIT_SIG;

	MUST(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	     EVP_DigestSign(ctx, sig, &n, what.p, what.n) == 1 && n == AUDIT_SIG);
	EVP_MD_CTX_free(ctx);
}

/* The key's introduction, or a signature over all before it. */
static void put_own(struct buf *out, int checkpoint, uint64_t seq, uint8_t chain[AUDIT_HASH])
{
	char public[HEX_SIZE(AUDIT_SPKI)], id_text[HEX_SIZE(AUDIT_KEY_ID)],
	    sig_text[HEX_SIZE(AUDIT_SIG)];
	uint8_t id[AUDIT_KEY_ID], sig[AUDIT_SIG], what[AUDIT_SIGNED_MAX];
	struct buf body;

	MUST(audit_verify_key_id(span_of(spki, AUDIT_SPKI), id) == 0);
	hex_encode(public, spki, AUDIT_SPKI);
	hex_encode(id_text, id, AUDIT_KEY_ID);
	buf_init(&body, AUDIT_LINE_MAX);
	if (checkpoint) {
		sign(span_of(what, audit_verify_signed(what, STORE, seq - 1, chain)), sig);
		hex_encode(sig_text, sig, AUDIT_SIG);
		MUST(audit_line_body(&body, 0, AUDIT_CHECKPOINT,
				     (struct audit_value[]){AUDIT_NUM(UPTO, seq - 1),
							    AUDIT_STR(KEY, id_text),
							    AUDIT_STR(SIG, sig_text),
							    {0}}) == 0);
	} else {
		MUST(audit_line_body(&body, 0, AUDIT_KEY,
				     (struct audit_value[]){AUDIT_STR(KEY, id_text),
							    AUDIT_STR(PUBLIC, public),
							    {0}}) == 0);
	}
	MUST(audit_line_close(out, seq, buf_span(&body), chain) == 0);
	buf_clear(&body);
}

/* A file whose frame is right: its first line, the key, then what comes from outside. */
static void build(struct span bodies, struct buf *out)
{
	uint8_t chain[AUDIT_HASH] = {0};
	char zeros[HEX_SIZE(AUDIT_HASH)];
	uint64_t seq = 1;
	struct buf body;

	hex_encode(zeros, chain, AUDIT_HASH);
	buf_init(&body, AUDIT_LINE_MAX);
	MUST(audit_line_body(&body, 0, AUDIT_FILE,
			     (struct audit_value[]){AUDIT_NUM(FILE, 1),
						    AUDIT_STR(PREV, zeros),
						    AUDIT_STR(STORE, STORE),
						    {0}}) == 0);
	MUST(audit_line_close(out, seq++, buf_span(&body), chain) == 0);
	buf_clear(&body);
	put_own(out, 0, seq++, chain);
	while (bodies.n) {
		ptrdiff_t n = span_find(bodies, '\n');
		struct span one = span_sub(bodies, 0, n < 0 ? bodies.n : (size_t)n);

		if (one.n == 0)
			put_own(out, 1, seq++, chain);
		else if (one.n < AUDIT_LINE_MAX)
			MUST(audit_line_close(out, seq++, one, chain) == 0);
		bodies = span_sub(bodies, one.n + 1, bodies.n);
	}
}

/* There is one way to write a line: from what was read comes the same. */
static void check_line(struct span text)
{
	uint8_t chain[AUDIT_HASH] = {0};
	struct audit_line l;
	struct span body;
	struct buf again;

	if (audit_line_parse(text, &l) < 0)
		return;
	MUST(l.count <= AUDIT_LINE_FIELDS && audit_event_name(l.event));
	body = span_sub(l.hashed, (size_t)span_find(l.hashed, ',') + 1, l.hashed.n);
	buf_init(&again, 2 * AUDIT_LINE_MAX);
	MUST(audit_line_close(&again, l.seq, body, chain) == 0);
	MUST(span_equal(span_sub(buf_span(&again), 0, l.hashed.n), l.hashed));
	buf_clear(&again);
}

static int verify(struct audit_verify *v, struct span file)
{
	audit_verify_init(v);
	MUST(audit_verify_key(v, span_of(spki, AUDIT_SPKI)) == 0);
	return audit_verify_file(v, 1, file);
}

static void check_file(struct span file, size_t where)
{
	static struct audit_verify v, again;
	uint8_t *copy;

	verify(&v, file);
	MUST(v.good <= file.n);
	if (v.good == 0) /* nor is an empty file one */
		return;
	MUST(verify(&again, span_sub(file, 0, v.good)) == 0);
	MUST(again.good == v.good && again.seq == v.seq &&
	     !memcmp(again.chain, v.chain, AUDIT_HASH));
	copy = malloc(v.good);
	MUST(copy != NULL);
	memcpy(copy, file.p, v.good);
	copy[where % v.good] ^= 1;
	verify(&again, span_of(copy, v.good));
	MUST(again.good < v.good);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data + 1, size - 1);
	struct buf file;

	if (size < 3)
		return 0;
	if (!key)
		set_up();
	if (data[0] & 1) {
		buf_init(&file, 1 << 22);
		build(in, &file);
		check_file(buf_span(&file), (size_t)(data[1] | data[2] << 8));
		buf_clear(&file);
		return 0;
	}
	check_file(in, (size_t)(data[1] | data[2] << 8));
	while (in.n) {
		ptrdiff_t n = span_find(in, '\n');

		check_line(span_sub(in, 0, n < 0 ? in.n : (size_t)n));
		in = n < 0 ? span_of(NULL, 0) : span_sub(in, (size_t)n + 1, in.n);
	}
	return 0;
}
