/* SPDX-License-Identifier: Apache-2.0 */
/* keys_asset - one sealed object in a file, from its old key to a new one.
 *
 * Story:     the caller has both keys of keyd: the old one (DERIVE_EXISTING, with the salt that
 *            keys_asset_head told) and a new one (DERIVE_NEW). Chunk by chunk the object is opened,
 *            sealed and written beside the file, which is replaced only when the end has been seen
 *            and all is on stable storage; a crash or failure before leaves the old object as it
 *            was. Memory is one chunk, whatever the size. Under which DEK it is stands with its
 *            owner, who writes that down afterwards; if a crash comes between the two, the
 *            commitment in the file tells which key is right.
 * Format:    a whole object: salt, commitment, chunks (seal_chunk.h; sealpost-crypto(7),
 *            "Objects").
 * Errors:    ERR_AUTH (another key or context, or changed bytes), ERR_DAMAGED (it has no end),
 *            ERR_NOTFOUND, ERR_DENIED (no plain file), ERR_NOSPACE, ERR_IO, ERR_NOMEM. Nothing has
 *            changed then (only if the directory cannot be synced the object may be new already).
 * Thread:    any that may wait for a disk. */
#ifndef RELAY_KEYS_KEYS_ASSET_H
#define RELAY_KEYS_KEYS_ASSET_H

#include "seal/seal_chunk.h"

/* Salt of the object in the file: what DERIVE_EXISTING needs. ERR_DAMAGED: too short for one. */
int keys_asset_head(const char *path, uint8_t salt[SEAL_CHUNK_SALT]);
/* old_key, new_key: object keys in secret memory; new_salt: the one that keyd picked for
 * new_key. */
int keys_asset_reseal(const char *path, const uint8_t old_key[SEAL_CHUNK_KEY],
		      const uint8_t new_salt[SEAL_CHUNK_SALT],
		      const uint8_t new_key[SEAL_CHUNK_KEY]);

#endif
