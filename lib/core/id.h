/* SPDX-License-Identifier: Apache-2.0 */
/* id - 64-bit identities of messages and sessions, and their text.
 *
 * Story:  A message id is made once, before its first byte is sealed (the seal binds it), and is the
 *         name of the message in spool, queue, log, trace header and CLI. Upper half: seconds since
 *         1970 (so ids sort by age), lower half: a counter that starts at a random place. Text is 13
 *         characters of Crockford's base32 in lower case (no i, l, o, u).
 * Thread: any. 0 is never an id. */
#ifndef CORE_ID_H
#define CORE_ID_H

#include "core/span.h"

#define ID_TEXT_SIZE 14 /* with the terminating NUL */

uint64_t id_new(void);
void id_format(char dst[ID_TEXT_SIZE], uint64_t id);
/* 0, or ERR_FORMAT. Accepts upper case. */
int id_parse(struct span text, uint64_t *id);

#endif
