/* SPDX-License-Identifier: Apache-2.0 */
/* seal_cbc - the sealed form of assets and exports of a customer whose rules name CBC:
 * A256CBC-HS512, which is AES-256-CBC with an HMAC-SHA-512 over additional data, IV and ciphertext.
 *
 *   | format 0x02 | key reference u32 | salt 24 | IV 16 | ciphertext | tag 32 |
 *
 * Story:  a customer's setting picks this form for his assets and exports; all else, and everybody
 *         else, has seal_chunk and seal_field. keyd derives the object's key as for seal_chunk, from
 *         a sub-key, a salt that it picks and the object's context; seal_cbc_key expands that to the
 *         64 bytes used here. A thing is sealed and opened as a whole: nothing of it is given out
 *         before its tag was verified. Larger exports are cut into parts whose context counts them.
 *         What is authenticated is bytes 0 to 28, the caller's AAD, the IV and the ciphertext: no byte
 *         can change. There is no CBC without its tag, here or anywhere.
 * Errors: ERR_FORMAT: not of this form (its first byte, or too short, and nothing else). ERR_AUTH: all
 *         that can be wrong behind that, padding too: one error, and the tag is compared in constant
 *         time before anything is decrypted. ERR_LIMIT: over SEAL_CBC_MAX, or the buf's maximum.
 *         ERR_NOMEM, ERR_CRYPTO (OpenSSL refuses: no memory). A failed call leaves out as it was, but
 *         for its failure mark, and nothing that was decrypted.
 * Source: RFC 7518 5.2.2 and 5.2.5; sealpost-crypto(7). Vectors in test/vectors/seal and, where
 *         present, Wycheproof.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_CBC_H
#define SEAL_SEAL_CBC_H

#include "core/buf.h"
#include "seal/seal_chunk.h"

#define SEAL_CBC_FORMAT 0x02
#define SEAL_CBC_KEY 64 /* of the MAC 32, of the cipher 32 */
#define SEAL_CBC_IV 16
#define SEAL_CBC_TAG 32
#define SEAL_CBC_BLOCK 16
#define SEAL_CBC_HEAD (1 + 4 + SEAL_CHUNK_SALT)
#define SEAL_CBC_MAX (16u << 20) /* plain bytes, and bytes of AAD */

/* Key of an object from the first 32 of the bytes that keyd derived for it (seal_chunk_derive). */
int seal_cbc_key(const uint8_t object[32], uint8_t out[SEAL_CBC_KEY]);

/* Appends the sealed bytes to out; the IV is random. salt: the one that key was derived with. */
int seal_cbc_seal(const uint8_t key[SEAL_CBC_KEY], uint32_t keyref,
		  const uint8_t salt[SEAL_CHUNK_SALT], struct span aad, struct span plain,
		  struct buf *out);
/* Appends the opened bytes to out, which should be a wiped buf. */
int seal_cbc_open(const uint8_t key[SEAL_CBC_KEY], struct span aad, struct span sealed,
		  struct buf *out);

/* What a reader asks keyd with. 0, or ERR_FORMAT. */
int seal_cbc_head(struct span sealed, uint32_t *keyref, const uint8_t **salt);

/* Bytes that plain bytes become: padded ciphertext and tag. */
static inline size_t seal_cbc_size(size_t plain)
{
	return plain - plain % SEAL_CBC_BLOCK + SEAL_CBC_BLOCK + SEAL_CBC_TAG;
}

/* The bare construction, IV given: for vectors, and for nothing else. seal: out receives
 * seal_cbc_size(in.n) bytes. open: in ends in the tag, out has room for in.n bytes. Both return the
 * bytes written, or ERR_*. */
int64_t seal_cbc_raw_seal(const uint8_t key[SEAL_CBC_KEY], const uint8_t iv[SEAL_CBC_IV],
			  struct span aad, struct span in, uint8_t *out);
int64_t seal_cbc_raw_open(const uint8_t key[SEAL_CBC_KEY], const uint8_t iv[SEAL_CBC_IV],
			  struct span aad, struct span in, uint8_t *out);

#endif
