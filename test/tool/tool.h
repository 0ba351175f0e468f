/* SPDX-License-Identifier: Apache-2.0 */
/* tool - what the load generator and the receiver share: the shape of a numbered message.
 *
 * A message of the load has, behind whatever trace headers were added on the way:
 *   X-Load: RUN SEQUENCE DIGEST        DIGEST = SHA-256 (hex) of all bytes after the empty line, CRLF included
 * so the receiver can say of each message whether it is whole, new or a duplicate. */
#ifndef TEST_TOOL_TOOL_H
#define TEST_TOOL_TOOL_H

#include <openssl/evp.h>

#include "core/buf.h"

#define TOOL_DIGEST 32

/* Parses ADDRESS:PORT or dies with a usage message. */
struct sockaddr_storage tool_address(const char *text);
/* Raises the descriptor limit to what the system allows. */
void tool_descriptors(void);
/* CPU time of this process, microseconds. */
int64_t tool_cpu(void);

#endif
