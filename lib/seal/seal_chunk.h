/* SPDX-License-Identifier: Apache-2.0 */
/* seal_chunk - the sealed form of bodies, assets, exports and backups: c2sp.org chunked-encryption,
 * Cobblestone-256 (AES-256-GCM, 16 KiB chunks, HKDF-Expand-SHA-512, key commitment).
 *
 * Story:     keyd derives 76 bytes for an object from a sub-key, a salt and a context
 *            (seal_chunk_derive). The daemon that holds the object seals or opens its chunks with
 *            them, in any order. Every chunk holds SEAL_CHUNK_PLAIN bytes except the last, which is
 *            shorter (it may be empty): that is the end mark. A reader who has not seen a short
 *            chunk has not seen the end. The object's header is salt then commitment; the reader
 *            compares the commitment (constant time) before he opens a chunk.
 * Rule:      opened bytes may be sent on before the end is seen only where a later failure can
 *            still undo it (SMTP DATA not yet ended). One key seals one object: sealing chunk n
 *            twice with different bytes under one key breaks both.
 * Speed:     derive about 2 us; a full chunk 4 us; set_key and forget 0.2 us. Sealing and opening
 *            take no memory. A seal_chunk (about 1 KiB) serves one object after the other.
 * Errors:    ERR_BADSTATE: no key is set. ERR_LIMIT: a chunk too big, or number 2^38 and above.
 *            ERR_FORMAT: not the size of a sealed chunk. ERR_CRYPTO: OpenSSL refuses (no memory).
 * Source:    c2sp.org/chunked-encryption; vectors in test/vectors/seal and, where present,
 *            Wycheproof.
 * Thread:    a seal_chunk is used by one thread at a time; derive is pure. */
#ifndef SEAL_SEAL_CHUNK_H
#define SEAL_SEAL_CHUNK_H

#include "core/buf.h"

#define SEAL_CHUNK_SALT 24
#define SEAL_CHUNK_COMMIT 32
#define SEAL_CHUNK_HEAD (SEAL_CHUNK_SALT + SEAL_CHUNK_COMMIT)
#define SEAL_CHUNK_KEY 76 /* AEAD key 32, base nonce 12, commitment 32 */
#define SEAL_CHUNK_PLAIN 16384
#define SEAL_CHUNK_COUNT_MAX (UINT64_C(1) << 38)
#define SEAL_CHUNK_CONTEXT_FORMAT 0x01
#define SEAL_CHUNK_TAG 16
#define SEAL_CHUNK_SEALED (SEAL_CHUNK_PLAIN + SEAL_CHUNK_TAG)

/* HKDF-Expand step: out receives SEAL_CHUNK_KEY bytes. For keyd (and tests). A salt must never
 * repeat under one key: it is 24 random bytes. The format itself does not limit the context. */
int seal_chunk_derive(const uint8_t key[32], const uint8_t salt[SEAL_CHUNK_SALT],
		      struct span context, uint8_t out[SEAL_CHUNK_KEY]);

/* Writes the context of an object: format byte 0x01, then customer, id (8 bytes, big-endian) and
 * kind ("body", "envelope", ...), each behind its length in one byte: no two objects share one.
 * Returns its length (at most 255) or ERR_LIMIT. */
int seal_chunk_context(uint8_t out[255], struct span customer, uint64_t id, struct span kind);

struct seal_chunk; /* holds a cipher context with the object's key; wiped when freed */

/* A reusable sealer/opener, without a key. NULL: out of memory. */
struct seal_chunk *seal_chunk_new(void);
void seal_chunk_free(struct seal_chunk *s);
/* Takes an object's key (copied into the cipher context). */
int seal_chunk_set_key(struct seal_chunk *s, const uint8_t key[SEAL_CHUNK_KEY]);
/* Wipes it again: between objects, and when one is done. Until the next key all fails. */
void seal_chunk_forget(struct seal_chunk *s);

/* The 32 bytes that go into the object's header. */
const uint8_t *seal_chunk_commitment(const uint8_t key[SEAL_CHUNK_KEY]);
/* 0, or ERR_AUTH if the header's commitment is not this key's. Constant time. */
int seal_chunk_check(const uint8_t key[SEAL_CHUNK_KEY],
		     const uint8_t commitment[SEAL_CHUNK_COMMIT]);

/* Seals chunk number index (from 0): n <= SEAL_CHUNK_PLAIN, writes n + SEAL_CHUNK_TAG bytes. in and
 * out may be the same place. Whether a chunk is the last follows from n < SEAL_CHUNK_PLAIN alone. */
int seal_chunk_seal(struct seal_chunk *s, uint64_t index, const uint8_t *in, size_t n,
		    uint8_t *out);
/* Opens it: n includes the tag. ERR_AUTH leaves out zeroed. */
int seal_chunk_open(struct seal_chunk *s, uint64_t index, const uint8_t *in, size_t n,
		    uint8_t *out);

/* Bytes that plain bytes take when sealed, header not counted. */
static inline uint64_t seal_chunk_sealed_size(uint64_t plain)
{
	return plain + (plain / SEAL_CHUNK_PLAIN + 1) * SEAL_CHUNK_TAG;
}

#endif
