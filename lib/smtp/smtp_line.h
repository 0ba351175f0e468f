/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_line - takes one line off a byte stream; the line end is CRLF and nothing else.
 *
 * Story:  smtp_line_take looks at what has arrived. A bare CR, a bare LF or a NUL is refused wherever it
 *         stands (SMTP smuggling, CVE-2023-51764). Pure; any thread.
 * Limits: max counts the CRLF (commands 512, with AUTH 12288; replies 512; RFC 5321 4.5.3.1).
 * Source: RFC 5321 2.3.8. */
#ifndef SMTP_SMTP_LINE_H
#define SMTP_SMTP_LINE_H

#include "core/span.h"

/* >0: bytes consumed, line is set (without CRLF). 0: more bytes needed. ERR_FORMAT: bare CR or LF or NUL.
 * ERR_LIMIT: longer than max (then nothing is consumed; smtp_line_skip finds the end). */
int smtp_line_take(struct span in, size_t max, struct span *line);
/* For an over-long line: bytes up to and with the next CRLF, or all of in if there is none yet (a CR at the
 * very end is left). *found: 1 when the end was in it. */
size_t smtp_line_skip(struct span in, int *found);

#endif
