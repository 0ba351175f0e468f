/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_site.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/hex.h"

#define DIGEST 10 /* octets of it in the name */

/* Each name with its NUL, and one more NUL before a worse preference: two domains share a site only
 * if they have their hosts tried in the same order. */
static size_t list_names(char *dst, const struct out_mx_host *hosts, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(hosts[i].name) + 1;
		if (i && hosts[i].preference != hosts[i - 1].preference)
			dst[n++] = '\0';
		memcpy(dst + n, hosts[i].name, len);
		n += len;
	}
	return n;
}

int out_site_of_hosts(char dst[QUEUE_SITE], const struct out_mx_host *hosts, size_t count)
{
	char names[OUT_MX_HOSTS * (OUT_MX_NAME + 1)], hex[HEX_SIZE(DIGEST)];
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t n;

	if (count == 1) {
		snprintf(dst, QUEUE_SITE, "%s", hosts[0].name);
		return 0;
	}
	n = list_names(names, hosts, count);
	if (!EVP_Digest(names, n, digest, NULL, EVP_sha256(), NULL))
		return ERR_NOMEM;
	hex_encode(hex, digest, DIGEST);
	snprintf(dst, QUEUE_SITE, "%s+%u~%s", hosts[0].name, (unsigned)(count - 1) % OUT_MX_HOSTS, hex);
	return 0;
}

void out_site_of_route(char dst[QUEUE_SITE], const struct out_route *r)
{
	if (!r->named)
		snprintf(dst, QUEUE_SITE, "%s", r->host);
	else if (strchr(r->host, ':'))
		snprintf(dst, QUEUE_SITE, "[%s]:%u", r->host, r->port);
	else
		snprintf(dst, QUEUE_SITE, "%s:%u", r->host, r->port);
}
