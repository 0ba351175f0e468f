/* SPDX-License-Identifier: Apache-2.0 */
/* https_url - takes an https: URL apart, strictly.
 *
 * Story:  https://HOST[:PORT][/PATH][?QUERY], nothing else: no user, no fragment, no address
 *         instead of a name (whoever writes the URL would choose what is connected to without
 *         anybody having resolved it), printable ASCII. The host comes out in lower case without
 *         a dot at its end; what follows it is kept as it stands, "/" if there is nothing.
 * Errors: ERR_FORMAT; ERR_LIMIT.
 * Thread: pure; any.
 * Source: RFC 9110 4.2.2, RFC 3986 3. */
#ifndef RELAY_HTTPS_HTTPS_URL_H
#define RELAY_HTTPS_HTTPS_URL_H

#include "core/span.h"

#define HTTPS_URL_HOST 256
#define HTTPS_URL_PATH 1024

struct https_url {
	char host[HTTPS_URL_HOST];
	uint16_t port;
	char path[HTTPS_URL_PATH]; /* with the query */
};

int https_url_parse(struct span text, struct https_url *out);

/* A DNS name of letters, digits and hyphens with two labels or more that is no IPv4 address:
 * copied in lower case. ERR_FORMAT, ERR_LIMIT. */
int https_url_host(struct span name, char out[HTTPS_URL_HOST]);

#endif
