/* SPDX-License-Identifier: Apache-2.0 */
/* in_proxy - the PROXY header by which a proxy names the client whose connection it passes on.
 *
 * Story:     a listener with proxies: expects one from these networks, before anything else, also before TLS. Version 1 is
 *            a line, version 2 is binary; which it is shows in the first octets. Octets behind the header may be the
 *            beginning of a TLS handshake, so no more is ever read than want says. A header that is none ends the
 *            connection. UNKNOWN and LOCAL (health checks) name nobody: the proxy itself is the client then.
 * Limits:    107 octets of version 1, IN_PROXY_MAX of version 2. Its TLVs are skipped.
 * Errors:    ERR_FORMAT; ERR_LIMIT: longer; ERR_UNSUPPORTED: a Unix socket, or datagrams.
 * Thread:    pure; any.
 * Source:    HAProxy's proxy-protocol.txt, version 2.8, sections 2.1 and 2.2. */
#ifndef RELAY_IN_IN_PROXY_H
#define RELAY_IN_IN_PROXY_H

#include <sys/socket.h>

#include "core/span.h"

#define IN_PROXY_FIRST 15 /* no header is shorter */
#define IN_PROXY_MAX   1024

/* >0: the header's octets; *client is its address and port (ss_family 0: nobody is named). 0: *want octets are needed to
 * know more (more than in has). <0: ERR_*. */
int in_proxy_parse(struct span in, struct sockaddr_storage *client, size_t *want);

#endif
