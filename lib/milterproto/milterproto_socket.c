/* SPDX-License-Identifier: Apache-2.0 */
#include "milterproto/milterproto_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "core/err.h"
#include "core/num.h"
#include "core/span.h"

static int unix_path(const char *path, struct milterproto_socket *out)
{
	if (path[0] != '/')
		return ERR_FORMAT;
	if (strlen(path) >= sizeof(out->path))
		return ERR_LIMIT;
	memcpy(out->path, path, strlen(path) + 1);
	return 0;
}

/* host is numeric, or empty, or localhost: the loopback address. */
static int host_address(struct span host, int v6, struct sockaddr_storage *a)
{
	char text[64];
	void *at = v6 ? (void *)&((struct sockaddr_in6 *)a)->sin6_addr
		      : (void *)&((struct sockaddr_in *)a)->sin_addr;

	if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = span_sub(host, 1, host.n - 2);
	if (!host.n || span_equal_nocase(host, SPAN_LIT("localhost")))
		host = v6 ? SPAN_LIT("::1") : SPAN_LIT("127.0.0.1");
	if (span_copy_str(text, sizeof(text), host) < 0)
		return ERR_FORMAT;
	return inet_pton(v6 ? AF_INET6 : AF_INET, text, at) == 1 ? 0 : ERR_FORMAT;
}

/* "PORT@HOST", "HOST:PORT" or "PORT". */
static int inet(const char *text, int v6, struct milterproto_socket *out)
{
	const char *at = strchr(text, '@'), *colon = strrchr(text, ':');
	struct span host = span_of(NULL, 0), digits = span_str(text);
	uint64_t port;

	if (at) {
		host = span_str(at + 1);
		digits = span_of(text, (size_t)(at - text));
	} else if (colon) {
		host = span_of(text, (size_t)(colon - text));
		digits = span_str(colon + 1);
	}
	if (num_parse_u64(digits, &port) < 0 || port < 1 || port > 65535)
		return ERR_FORMAT;
	out->address.ss_family = v6 ? AF_INET6 : AF_INET;
	if (v6)
		((struct sockaddr_in6 *)&out->address)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&out->address)->sin_port = htons((uint16_t)port);
	return host_address(host, v6, &out->address);
}

int milterproto_socket_parse(const char *text, struct milterproto_socket *out)
{
	memset(out, 0, sizeof(*out));
	if (!strncmp(text, "unix:", 5))
		return unix_path(text + 5, out);
	if (!strncmp(text, "local:", 6))
		return unix_path(text + 6, out);
	if (!strncmp(text, "inet:", 5))
		return inet(text + 5, 0, out);
	if (!strncmp(text, "inet6:", 6))
		return inet(text + 6, 1, out);
	return text[0] == '/' ? unix_path(text, out) : ERR_FORMAT;
}
