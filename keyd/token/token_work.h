/* SPDX-License-Identifier: Apache-2.0 */
/* token_work - one request, in a process that was made for it.
 *
 * Story:     parse the request, load modules, find the token, log in, find or make the key, wrap or
 *            unwrap, answer, let go. The answer is sent before the token is let go of: a module that
 *            crashes while it is closed has done its work by then.
 * Ownership: borrows all. out: room of KEYD_TOKEN_MSG_MAX bytes of secret memory for the reply.
 * Errors:    go into the reply. A packet that cannot be parsed gets none.
 * Thread:    one; blocks as long as the module does. */
#ifndef KEYD_TOKEN_TOKEN_WORK_H
#define KEYD_TOKEN_TOKEN_WORK_H

#include "core/span.h"

void token_work(struct span packet, const char *const *modules, size_t module_count, int fd,
		uint8_t *out);

#endif
