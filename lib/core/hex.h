/* SPDX-License-Identifier: Apache-2.0 */
/* hex - bytes as text and back: hexadecimal, base64url without padding (RFC 4648 5), and plain
 * base64 with padding (RFC 4648 4). Pure; any thread.
 * Encoders write a terminated string and need HEX_SIZE(n) / HEX_B64_SIZE(n) bytes.
 * Decoders are strict (no white space, no foreign character, no set bits past the end), return the
 * number of bytes or ERR_FORMAT / ERR_LIMIT. */
#ifndef CORE_HEX_H
#define CORE_HEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/span.h"

#define HEX_SIZE(n) (2 * (n) + 1)
#define HEX_B64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

void hex_encode(char *dst, const void *p, size_t n);
int hex_decode(void *dst, size_t room, struct span text);
size_t hex_b64url_encode(char *dst, const void *p, size_t n);
int hex_b64url_decode(void *dst, size_t room, struct span text);
size_t hex_b64_encode(char *dst, const void *p, size_t n);
int hex_b64_decode(void *dst, size_t room, struct span text);

#endif
