/* SPDX-License-Identifier: Apache-2.0 */
/* conf_peek - one setting out of another program's file, whose table is not known here.
 *
 * Story:  the CLI asks as which user keyd runs before it trusts a socket. What else stands in the file
 *         is for its own program to judge: only its form must be YAML.
 * Errors: ERR_NOTFOUND (no such key), ERR_CONFIG (no mapping in YAML, or the key has no plain value),
 *         ERR_LIMIT, ERR_NOMEM.
 * Thread: pure; any. */
#ifndef CONF_CONF_PEEK_H
#define CONF_CONF_PEEK_H

#include "core/span.h"

/* The value of a key at the top of the file, as text. */
int conf_peek(struct span file, const char *key, char *out, size_t size);

#endif
