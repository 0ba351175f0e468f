/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/err.h"

struct block {
	uint8_t bytes[16];
	int bits;
	const char *what;
};

static const struct block v4_blocks[] = {
    {{0}, 8, "unspecified"},	   {{10}, 8, "private"},	   {{100, 64}, 10, "private"},
    {{127}, 8, "loopback"},	   {{169, 254}, 16, "link-local"}, {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"}, {{192, 168}, 16, "private"},	   {{198, 18}, 15, "private"},
    {{224}, 4, "multicast"},	   {{240}, 4, "reserved"},
};

static const struct block v6_blocks[] = {
    {{[15] = 1}, 128, "loopback"},
    {{0}, 96, "unspecified"}, /* ::, and what was once "IPv4-compatible" */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "private"}, /* local NAT64, RFC 8215 */
    {{0x01, 0x00}, 64, "reserved"},			   /* discard, RFC 6666 */
    {{0xfc}, 7, "private"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "private"},
    {{0xff}, 8, "multicast"},
};

/* Prefixes after which an IPv4 address stands. */
static const struct {
	uint8_t bytes[12];
	int bits, at;
} carriers[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12},
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},
    {{0x20, 0x02}, 16, 2},
};

static int within(const uint8_t *a, const uint8_t *net, int bits)
{
	int bytes = bits / 8, rest = bits % 8, mask = 0xff00 >> rest & 0xff;

	return memcmp(a, net, (size_t)bytes) == 0 &&
	       (!rest || (a[bytes] & mask) == (net[bytes] & mask));
}

static const char *look_up(const uint8_t *a, const struct block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (within(a, blocks[i].bytes, blocks[i].bits))
			return blocks[i].what;
	return NULL;
}

static const char *special_v4(const uint8_t *a)
{
	return look_up(a, v4_blocks, sizeof(v4_blocks) / sizeof(v4_blocks[0]));
}

static const char *special_v6(const uint8_t *a)
{
	for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
		if (within(a, carriers[i].bytes, carriers[i].bits))
			return special_v4(a + carriers[i].at);
	return look_up(a, v6_blocks, sizeof(v6_blocks) / sizeof(v6_blocks[0]));
}

const char *out_addr_special(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return special_v4((const uint8_t *)&((const struct sockaddr_in *)a)->sin_addr);
	if (a->ss_family == AF_INET6)
		return special_v6(((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr);
	return "unknown";
}

int out_addr_allowed(const struct relay_conf *c, const struct sockaddr_storage *a)
{
	return !out_addr_special(a) ||
	       relay_conf_net_match(c->outbound.private_nets, c->outbound.private_count, a);
}

void out_addr_make(struct sockaddr_storage *a, const uint8_t *bytes, int v6, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	if (v6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, bytes, 16);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, bytes, 4);
	}
}

int out_addr_parse(struct sockaddr_storage *a, const char *text, uint16_t port)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, text, bytes) == 1)
		out_addr_make(a, bytes, 0, port);
	else if (inet_pton(AF_INET6, text, bytes) == 1)
		out_addr_make(a, bytes, 1, port);
	else
		return ERR_FORMAT;
	return 0;
}
