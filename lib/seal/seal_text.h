/* SPDX-License-Identifier: Apache-2.0 */
/* seal_text - a sealed field as text for configuration files: "sp1:" and base64url. Pure; any thread.
 * AAD of such a secret is file role and key path ("relay", "upstream.password"). */
#ifndef SEAL_SEAL_TEXT_H
#define SEAL_SEAL_TEXT_H

#include "core/buf.h"

int seal_text_encode(struct buf *out, struct span sealed);
/* ERR_FORMAT unless it is exactly one such text. */
int seal_text_decode(struct buf *out, struct span text);

#endif
