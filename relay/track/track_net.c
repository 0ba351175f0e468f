/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void format_v4(char dst[TRACK_NET_TEXT], const uint8_t *p)
{
	snprintf(dst, TRACK_NET_TEXT, "%u.%u.%u.0/24", p[0], p[1], p[2]);
}

void track_net_format(char dst[TRACK_NET_TEXT], const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	uint8_t cut[16] = {0};
	char text[INET6_ADDRSTRLEN];

	dst[0] = '\0';
	if (a->ss_family == AF_INET) {
		format_v4(dst, (const uint8_t *)&v4->sin_addr);
	} else if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		format_v4(dst, v6->sin6_addr.s6_addr + 12);
	} else if (a->ss_family == AF_INET6) {
		memcpy(cut, v6->sin6_addr.s6_addr, 6);
		inet_ntop(AF_INET6, cut, text, sizeof(text));
		snprintf(dst, TRACK_NET_TEXT, "%s/48", text);
	}
}

/* FNV-1a: nothing depends on nobody finding two of one number, but that he counts as one network. */
uint64_t track_net_number(const char *text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
	return h;
}
