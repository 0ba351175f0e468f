/* SPDX-License-Identifier: Apache-2.0 */
/* seal_text - a sealed field as text for configuration files: "sp1:" and base64url.
 *
 * Story:  `!sealed sp1:...` in a configuration file. The AAD of such a secret is file role and key
 *         path ("relay", "upstream.password"), so a secret cannot be moved to another setting.
 * Errors: ERR_FORMAT (also for a field that is not seal_field.h's), or the buf's ERR_LIMIT or
 *         ERR_NOMEM; out is then unchanged but for its failure mark.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_TEXT_H
#define SEAL_SEAL_TEXT_H

#include "core/buf.h"

#define SEAL_TEXT_PREFIX "sp1:"

/* Appends the text of a sealed field. */
int seal_text_encode(struct buf *out, struct span sealed);
/* Appends the sealed field of a text. ERR_FORMAT unless it is exactly one such text. */
int seal_text_decode(struct buf *out, struct span text);

#endif
