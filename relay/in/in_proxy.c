/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/err.h"
#include "core/num.h"

#define LINE_MAX_V1 107
#define HEAD_V2	    16

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static void set_v4(struct sockaddr_storage *a, const uint8_t *bytes, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;

	v4->sin_family = AF_INET;
	memcpy(&v4->sin_addr, bytes, 4);
	v4->sin_port = htons(port);
}

static void set_v6(struct sockaddr_storage *a, const uint8_t *bytes, uint16_t port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	v6->sin6_family = AF_INET6;
	memcpy(&v6->sin6_addr, bytes, 16);
	v6->sin6_port = htons(port);
}

/* --- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 51000 25\r\n" */

/* The next word up to a space. ERR_FORMAT: there is none. */
static int word(struct span *rest, struct span *out)
{
	ptrdiff_t space = span_find(*rest, ' ');
	size_t n = space < 0 ? rest->n : (size_t)space;

	*out = span_sub(*rest, 0, n);
	*rest = span_sub(*rest, space < 0 ? rest->n : n + 1, rest->n);
	return n ? 0 : ERR_FORMAT;
}

static int address(struct span text, int family, uint8_t *bytes)
{
	char s[INET6_ADDRSTRLEN];

	return span_copy_str(s, sizeof(s), text) == 0 && inet_pton(family, s, bytes) == 1 ? 0 : ERR_FORMAT;
}

static int port(struct span text, uint64_t *out)
{
	return num_parse_u64(text, out) == 0 && *out <= 65535 && (text.n == 1 || text.p[0] != '0') ? 0
												  : ERR_FORMAT;
}

static int parse_line(struct span line, struct sockaddr_storage *client)
{
	struct span kind, from, to, from_port, to_port;
	uint8_t a[16], b[16];
	uint64_t p, q;
	int family;

	line = span_sub(line, 6, line.n); /* "PROXY " */
	if (word(&line, &kind) < 0)
		return ERR_FORMAT;
	if (span_equal(kind, SPAN_LIT("UNKNOWN")))
		return 0; /* whatever stands behind it */
	family = span_equal(kind, SPAN_LIT("TCP4")) ? AF_INET : span_equal(kind, SPAN_LIT("TCP6")) ? AF_INET6 : 0;
	if (!family || word(&line, &from) < 0 || word(&line, &to) < 0 || word(&line, &from_port) < 0 ||
	    word(&line, &to_port) < 0 || line.n || address(from, family, a) < 0 ||
	    address(to, family, b) < 0 || port(from_port, &p) < 0 || port(to_port, &q) < 0)
		return ERR_FORMAT;
	if (family == AF_INET)
		set_v4(client, a, (uint16_t)p);
	else
		set_v6(client, a, (uint16_t)p);
	return 0;
}

static int parse_v1(struct span in, struct sockaddr_storage *client, size_t *want)
{
	ptrdiff_t lf = span_find(in, '\n');
	int err;

	if (lf < 0) {
		*want = in.n + 1; /* octet by octet: what follows the line must stay where it is */
		return in.n >= LINE_MAX_V1 ? ERR_LIMIT : 0;
	}
	if (lf < 1 || in.p[lf - 1] != '\r' || lf >= LINE_MAX_V1)
		return ERR_FORMAT;
	err = parse_line(span_sub(in, 0, (size_t)lf - 1), client);
	return err < 0 ? err : (int)lf + 1;
}

/* --- version 2: signature, version and command, family, length, addresses, TLVs */

static int parse_v2(struct span in, struct sockaddr_storage *client, size_t *want)
{
	unsigned command, family, length;

	if (in.n < HEAD_V2) {
		*want = HEAD_V2;
		return 0;
	}
	command = in.p[12];
	family = in.p[13];
	length = num_get_u16(in.p + 14);
	if (command >> 4 != 2 || (command & 15) > 1)
		return ERR_FORMAT;
	if (HEAD_V2 + length > IN_PROXY_MAX)
		return ERR_LIMIT;
	if (in.n < HEAD_V2 + length) {
		*want = HEAD_V2 + length;
		return 0;
	}
	if ((command & 15) == 0 || family == 0) /* LOCAL, UNSPEC */
		return (int)(HEAD_V2 + length);
	if (family == 0x11 && length >= 12)
		set_v4(client, in.p + 16, num_get_u16(in.p + 24));
	else if (family == 0x21 && length >= 36)
		set_v6(client, in.p + 16, num_get_u16(in.p + 48));
	else
		return family == 0x11 || family == 0x21 ? ERR_FORMAT : ERR_UNSUPPORTED;
	return (int)(HEAD_V2 + length);
}

int in_proxy_parse(struct span in, struct sockaddr_storage *client, size_t *want)
{
	memset(client, 0, sizeof(*client));
	if (span_equal(span_sub(in, 0, 12), span_of(signature, in.n < 12 ? in.n : 12)) && in.n) {
		if (in.n >= 12)
			return parse_v2(in, client, want);
	} else if (!span_equal(span_sub(in, 0, 6), span_sub(SPAN_LIT("PROXY "), 0, in.n))) {
		return ERR_FORMAT;
	} else if (in.n >= IN_PROXY_FIRST) {
		return parse_v1(in, client, want);
	}
	*want = IN_PROXY_FIRST;
	return 0;
}
