/* SPDX-License-Identifier: Apache-2.0 */
/* seal_field - the sealed form of database fields, credentials and spool envelopes: XAES-256-GCM.
 *
 *   | format 0x01 | key reference u32 | nonce 24 | ciphertext | tag 16 |      45 bytes of overhead
 *
 * Story:  AAD binds a field to its place (seal_field_aad), so it cannot be moved to another row,
 *         column or customer. Which key opens a field is decided by the trusted row context; the
 *         key reference only tells the reader which version of that key it was. Format and key
 *         reference are authenticated too: they stand in front of the AAD, so no byte of a field
 *         can change. Costs about 1 us, of which a quarter is the kernel's random nonce.
 * Errors: ERR_LIMIT above SEAL_FIELD_MAX or the buf's maximum, ERR_NOMEM, ERR_CRYPTO (OpenSSL
 *         refuses: no memory). A failed call leaves out as it was, but for its failure mark.
 * Source: c2sp.org/XAES-256-GCM; vectors in test/vectors/seal.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_FIELD_H
#define SEAL_SEAL_FIELD_H

#include "core/buf.h"

#define SEAL_FIELD_FORMAT 0x01
#define SEAL_FIELD_NONCE 24
#define SEAL_FIELD_TAG 16
#define SEAL_FIELD_OVERHEAD (1 + 4 + SEAL_FIELD_NONCE + SEAL_FIELD_TAG)
#define SEAL_FIELD_MAX (16u << 20) /* plain bytes, and bytes of AAD */

/* Appends the sealed field to out; the nonce is random. */
int seal_field_seal(const uint8_t key[32], uint32_t keyref, struct span aad, struct span plain,
		    struct buf *out);
/* The same for one of a batch: nonce is 24 random bytes that the caller drew for this field alone, a
 * batch's all at once (a call of the kernel for each is a third of the cost of sealing). */
int seal_field_seal_drawn(const uint8_t key[32], uint32_t keyref,
			  const uint8_t nonce[SEAL_FIELD_NONCE], struct span aad, struct span plain,
			  struct buf *out);
/* Appends the opened field to out, which should be a wiped buf. ERR_FORMAT: not of this form;
 * ERR_AUTH: does not verify. */
int seal_field_open(const uint8_t key[32], struct span aad, struct span sealed, struct buf *out);
/* Key reference of a sealed field, or 0 if it is not one. */
uint32_t seal_field_keyref(struct span sealed);

/* Appends a list of parts, each with its u16 length in front, behind the format byte. ERR_LIMIT: a
 * part of more than 65535 bytes. */
int seal_field_aad(struct buf *out, const struct span *parts, unsigned count);

/* The bare construction, nonce given: for vectors, and for nothing else. open 0: in is plaintext
 * and out receives in.n + 16 bytes; open 1: in ends in the tag and out receives in.n - 16 bytes. */
int seal_field_xaes(const uint8_t key[32], const uint8_t nonce[24], struct span aad, struct span in,
		    int open, uint8_t *out);

#endif
