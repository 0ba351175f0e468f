/* SPDX-License-Identifier: Apache-2.0 */
/* seal_kwp - AES key wrap with padding (RFC 5649): a key under another key, for PKCS#11 interoperation.
 *
 * Story:  tokens and other HSMs take and give wrapped keys in this form (CKM_AES_KEY_WRAP_KWP), so
 *         this is for what goes to them or comes from them. Nothing in Sealpost's own store or formats
 *         has it: it binds a key to no place (no AAD) and is deterministic; keys there are wrapped by
 *         keyd_wrap. Wrapping keys of 16, 24 and 32 bytes, since the other side decides.
 * Errors: ERR_FORMAT: a wrapping key of another size. ERR_LIMIT: nothing to wrap, or more than
 *         SEAL_KWP_MAX bytes. ERR_AUTH: whatever is wrong with something wrapped; out is then zeroed.
 *         ERR_CRYPTO: OpenSSL refuses (no memory).
 * Source: RFC 5649, NIST SP 800-38F 6.3; vectors in test/vectors/seal and, where present, Wycheproof.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_KWP_H
#define SEAL_SEAL_KWP_H

#include "core/span.h"

#define SEAL_KWP_MAX 4096
#define SEAL_KWP_SIZE(n) (((n) + 7) / 8 * 8 + 8) /* bytes that n bytes become */

/* Both return the bytes written. wrap: out has SEAL_KWP_SIZE(in.n) bytes; unwrap: in.n bytes. */
int seal_kwp_wrap(const uint8_t *key, size_t key_size, struct span in, uint8_t *out);
int seal_kwp_unwrap(const uint8_t *key, size_t key_size, struct span in, uint8_t *out);

#endif
