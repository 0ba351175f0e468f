/* SPDX-License-Identifier: Apache-2.0 */
/* mime_world - messages as many programs might write them: all encodings, widths and charsets, soft
 * breaks where nobody would expect them, lines that look like delimiters, empty parts, nested multiparts.
 * All of them pass the gate. The same seed makes the same message. */
#ifndef MIME_WORLD_H
#define MIME_WORLD_H

#include "core/buf.h"

void mime_world_make(struct buf *message, unsigned seed);

#endif
