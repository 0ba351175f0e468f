/* SPDX-License-Identifier: Apache-2.0 */
/* seal_field - the sealed form of database fields, credentials and spool envelopes: XAES-256-GCM.
 *
 *   | format 0x01 | key reference u32 | nonce 24 | ciphertext | tag 16 |        45 bytes of overhead
 *
 * Story:  AAD binds a field to its place (seal_field_aad), so it cannot be moved to another row,
 *         column or customer. The key reference is only a hint for the reader's bookkeeping: which
 *         key opens a field is decided by the trusted row context.
 * Source: c2sp.org/XAES-256-GCM; vectors in test/vectors.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_FIELD_H
#define SEAL_SEAL_FIELD_H

#include "core/buf.h"

#define SEAL_FIELD_FORMAT 0x01
#define SEAL_FIELD_NONCE 24
#define SEAL_FIELD_TAG 16
#define SEAL_FIELD_OVERHEAD (1 + 4 + SEAL_FIELD_NONCE + SEAL_FIELD_TAG)

/* Appends the sealed field to out; the nonce is random. */
int seal_field_seal(const uint8_t key[32], uint32_t keyref, struct span aad, struct span plain,
		    struct buf *out);
/* Appends the opened field to out. ERR_FORMAT: not of this form; ERR_AUTH: does not verify. */
int seal_field_open(const uint8_t key[32], struct span aad, struct span sealed, struct buf *out);
/* Key reference of a sealed field, or 0 if it is not one. */
uint32_t seal_field_keyref(struct span sealed);

/* Appends a list of parts, each with its u16 length in front, behind the format byte. */
int seal_field_aad(struct buf *out, const struct span *parts, unsigned count);

/* The bare construction, nonce given: for vectors, and for nothing else. */
int seal_field_xaes(const uint8_t key[32], const uint8_t nonce[24], struct span aad, struct span in,
		    int open, uint8_t *out);

#endif
