/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit_verify.h"

#include <inttypes.h>
#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"

#define NO_STORE "00000000000000000000000000000000"
#define CONTEXT	 "sealpost audit checkpoint 1"

static int bad(struct audit_verify *v, const char *reason)
{
	v->reason = reason;
	return ERR_DAMAGED;
}

void audit_verify_init(struct audit_verify *v)
{
	memset(v, 0, sizeof(*v));
}

int audit_verify_key_id(struct span spki, uint8_t id[AUDIT_KEY_ID])
{
	uint8_t digest[32];

	if (!EVP_Q_digest(NULL, "SHA256", NULL, spki.p, spki.n, digest, NULL))
		return ERR_CRYPTO;
	memcpy(id, digest, AUDIT_KEY_ID);
	return 0;
}

size_t audit_verify_signed(uint8_t out[AUDIT_SIGNED_MAX], const char *store, uint64_t upto,
			   const uint8_t hash[AUDIT_HASH])
{
	/* The terminating zeros end the two texts. */
	size_t n = sizeof(CONTEXT);

	memcpy(out, CONTEXT, n);
	memcpy(out + n, store, 33);
	n += 33;
	num_put_u64(out + n, upto);
	memcpy(out + n + 8, hash, AUDIT_HASH);
	return n + 8 + AUDIT_HASH;
}

static struct audit_verify_key *find_key(struct audit_verify *v, const uint8_t id[AUDIT_KEY_ID])
{
	for (unsigned i = 0; i < v->key_count; i++)
		if (memcmp(v->keys[i].id, id, AUDIT_KEY_ID) == 0)
			return &v->keys[i];
	return NULL;
}

static int add_key(struct audit_verify *v, struct span spki, enum audit_trust trust)
{
	/* The head of the DER of every Ed25519 key (RFC 8410); the key follows. */
	static const uint8_t head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
				       0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	struct audit_verify_key *k, fresh = {.trust = trust};

	if (spki.n != AUDIT_SPKI || memcmp(spki.p, head, sizeof(head)))
		return ERR_FORMAT;
	memcpy(fresh.spki, spki.p, AUDIT_SPKI);
	if (audit_verify_key_id(spki, fresh.id) < 0)
		return ERR_CRYPTO;
	k = find_key(v, fresh.id);
	if (k) {
		if (trust == AUDIT_TRUSTED)
			k->trust = trust;
		return 0;
	}
	if (v->key_count == AUDIT_VERIFY_KEYS)
		return ERR_LIMIT;
	v->keys[v->key_count++] = fresh;
	return 0;
}

int audit_verify_key(struct audit_verify *v, struct span spki)
{
	int rc = add_key(v, spki, AUDIT_TRUSTED);

	if (rc == 0)
		v->given = 1;
	return rc;
}

static int signature_ok(const struct audit_verify_key *key, struct span data, struct span sig)
{
	const uint8_t *p = key->spki;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, AUDIT_SPKI);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		   EVP_DigestVerify(ctx, sig.p, sig.n, data.p, data.n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return good;
}

/* A field of exactly n bytes in hexadecimal. */
static int hex_value(const struct audit_line *l, unsigned field, uint8_t *out, size_t n)
{
	const struct audit_value *v = audit_line_value(l, field);

	return v && v->text.n == 2 * n && hex_decode(out, n, v->text) == (int)n;
}

static uint64_t num_value(const struct audit_line *l, unsigned field)
{
	const struct audit_value *v = audit_line_value(l, field);

	return v ? v->num : 0;
}

/* The line that begins a file says which file it is and what it continues. */
static int begin(struct audit_verify *v, const struct audit_line *l, uint32_t number)
{
	const struct audit_value *store = audit_line_value(l, AUDIT_F_STORE);
	uint8_t prev[AUDIT_HASH];

	if (!hex_value(l, AUDIT_F_PREV, prev, AUDIT_HASH) || !store || store->text.n != 32)
		return bad(v, "the file does not say what it continues");
	if (num_value(l, AUDIT_F_FILE) != number)
		return bad(v, "it is the beginning of another file");
	if (!v->first_file) {
		v->first_file = number;
		v->seq = l->seq - 1;
		memcpy(v->chain, prev, AUDIT_HASH);
		if (l->seq == 0 || (number == 1 && l->seq != 1))
			return bad(v, "the number of the first line is wrong");
	} else if (memcmp(v->chain, prev, AUDIT_HASH)) {
		return bad(v, "it does not continue the file before");
	}
	/* A log may begin before its store does, and outlive it. */
	if (*v->store && strspn(v->store, "0") != 32 && memcmp(store->text.p, NO_STORE, 32) &&
	    !span_equal(span_str(v->store), store->text))
		return bad(v, "it belongs to another store");
	span_copy_str(v->store, sizeof(v->store), store->text);
	return 0;
}

static int introduce(struct audit_verify *v, const struct audit_line *l)
{
	uint8_t spki[AUDIT_SPKI];

	if (!hex_value(l, AUDIT_F_PUBLIC, spki, AUDIT_SPKI) ||
	    add_key(v, span_of(spki, AUDIT_SPKI), AUDIT_DECLARED) < 0)
		return bad(v, "it introduces something that is no key");
	return 0;
}

/* before: the hash that this line follows. */
static int checkpoint(struct audit_verify *v, const struct audit_line *l,
		      const uint8_t before[AUDIT_HASH])
{
	uint8_t id[AUDIT_KEY_ID], sig[AUDIT_SIG], data[AUDIT_SIGNED_MAX];
	const struct audit_verify_key *key;
	size_t n;

	if (!hex_value(l, AUDIT_F_KEY, id, AUDIT_KEY_ID) ||
	    !hex_value(l, AUDIT_F_SIG, sig, AUDIT_SIG) || num_value(l, AUDIT_F_UPTO) != l->seq - 1)
		return bad(v, "the checkpoint is not complete");
	key = find_key(v, id);
	if (v->no_signatures)
		return 0;
	if (!key)
		return bad(v,
			   "the checkpoint is signed with a key that the file does not introduce");
	if (v->signed_to && key->trust != AUDIT_TRUSTED)
		return bad(v, "the checkpoint is signed with a key that nobody vouches for");
	n = audit_verify_signed(data, v->store, l->seq - 1, before);
	if (!signature_ok(key, span_of(data, n), span_of(sig, AUDIT_SIG)))
		return bad(v, "the signature of the checkpoint is wrong");
	v->checkpoints++;
	if (key->trust != AUDIT_TRUSTED)
		return 0;
	v->signed_to = l->seq;
	for (unsigned i = 0; i < v->key_count; i++)
		v->keys[i].trust = AUDIT_TRUSTED;
	return 0;
}

static void note(struct audit_verify *v, const struct audit_line *l)
{
	const struct audit_value *branch = audit_line_value(l, AUDIT_F_BRANCH);

	if (!branch || branch->text.n != sizeof(v->branch) - 1)
		return;
	v->mark = num_value(l, AUDIT_F_MARK);
	v->generation = num_value(l, AUDIT_F_GENERATION);
	span_copy_str(v->branch, sizeof(v->branch), branch->text);
}

static int take_line(struct audit_verify *v, uint32_t number, struct span text)
{
	struct audit_line l;
	uint8_t before[AUDIT_HASH];
	int rc = 0;

	if (text.n >= AUDIT_LINE_MAX || audit_line_parse(text, &l) < 0)
		return bad(v, "it is not a line of this log");
	if ((l.event == AUDIT_FILE) != (v->line == 1))
		return bad(v, v->line == 1 ? "the first line of the file is missing"
					   : "another file begins here");
	if (v->line == 1)
		rc = begin(v, &l, number);
	if (rc < 0)
		return rc;
	if (l.seq != v->seq + 1)
		return bad(v, l.seq > v->seq ? "lines before it are missing"
					     : "its number has been there already");
	memcpy(before, v->chain, AUDIT_HASH);
	if (!audit_line_follows(&l, v->chain))
		return bad(v, "it was altered, or the line before was");
	if (l.event == AUDIT_KEY)
		rc = introduce(v, &l);
	else if (l.event == AUDIT_CHECKPOINT)
		rc = checkpoint(v, &l, before);
	if (rc < 0)
		return rc;
	v->seq = l.seq;
	v->lines++;
	note(v, &l);
	return 0;
}

int audit_verify_file(struct audit_verify *v, uint32_t number, struct span bytes)
{
	struct span rest = bytes;
	ptrdiff_t n;
	int rc = 0;

	if (v->reason)
		return ERR_DAMAGED;
	v->line = 1;
	v->good = 0;
	if (v->file && number != v->file + 1) {
		v->file = number;
		return bad(v, "a file before it is missing");
	}
	v->file = number;
	while (rc == 0 && (n = span_find(rest, '\n')) >= 0) {
		rc = take_line(v, number, span_sub(rest, 0, (size_t)n));
		if (rc < 0)
			return rc;
		rest = span_sub(rest, (size_t)n + 1, SIZE_MAX);
		v->good = bytes.n - rest.n;
		v->line++;
	}
	if (rest.n)
		return bad(v, "the line is not complete");
	return v->line == 1 ? bad(v, "the file is empty") : 0;
}

int audit_verify_end(struct audit_verify *v, uint64_t seq, const uint8_t hash[AUDIT_HASH])
{
	if (v->reason)
		return ERR_DAMAGED;
	if (!v->file)
		return bad(v, "there is no file");
	if (seq > v->seq)
		return bad(v, "lines are missing from here on");
	if (seq && seq == v->seq && memcmp(hash, v->chain, AUDIT_HASH))
		return bad(v, "the end of the log is not the one that keyd wrote");
	if (v->given && !v->signed_to)
		return bad(v, "no checkpoint is signed with a given key");
	return 0;
}
