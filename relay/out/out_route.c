/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_route.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <idn2.h>

#include "core/err.h"
#include "core/num.h"

static int is_address(const char *host)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" */
static int take_literal(const char *destination, struct out_route *out)
{
	struct span s = span_sub(span_str(destination), 1, strlen(destination) - 2);

	if (destination[strlen(destination) - 1] != ']')
		return ERR_FORMAT;
	if (span_equal_nocase(span_sub(s, 0, 5), SPAN_LIT("IPv6:")))
		s = span_sub(s, 5, s.n);
	if (span_copy_str(out->host, sizeof(out->host), s) < 0 || !is_address(out->host))
		return ERR_FORMAT;
	out->mx = 0;
	out->literal = 1;
	return 0;
}

/* "host:port", "[2001:db8::1]:25" */
static int take_next_hop(const char *to, struct out_route *out)
{
	const char *colon = strrchr(to, ':');
	struct span host;
	uint64_t port;

	if (!colon || num_parse_u64(span_str(colon + 1), &port) < 0 || !port || port > 65535)
		return ERR_FORMAT;
	host = span_of(to, (size_t)(colon - to));
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = span_sub(host, 1, host.n - 2);
	if (!host.n || span_copy_str(out->host, sizeof(out->host), host) < 0)
		return ERR_FORMAT;
	out->mx = 0;
	out->literal = is_address(out->host);
	out->port = (uint16_t)port;
	out->named = 1;
	return 0;
}

/* A domain of SMTPUTF8 as the DNS knows it (RFC 5891 5). */
static int take_international(const char *destination, struct out_route *out)
{
	uint8_t *ascii = NULL;
	int err = ERR_FORMAT;

	if (idn2_lookup_u8((const uint8_t *)destination, &ascii,
			   IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
		err = span_copy_str(out->host, sizeof(out->host), span_str((const char *)ascii));
	idn2_free(ascii);
	return err;
}

static int take_destination(const char *destination, struct out_route *out)
{
	if (destination[0] == '[')
		return take_literal(destination, out);
	out->mx = 1;
	out->literal = 0;
	for (const char *p = destination; *p; p++)
		if ((unsigned char)*p >= 0x80)
			return take_international(destination, out);
	return span_copy_str(out->host, sizeof(out->host), span_str(destination));
}

/* What to log in with at a next hop that is not the route's own. */
static const char *credential_of(const struct relay_conf *c, const char *customer, const char *to)
{
	const struct relay_route *all = c->routes.items;

	for (size_t i = 0; i < c->routes.count; i++)
		if (!strcmp(all[i].to, to) && strcmp(to, "mx") &&
		    (!all[i].customer || !strcmp(all[i].customer, customer)))
			return all[i].credential;
	return NULL;
}

int out_route_find(const struct relay_conf *c, const char *customer, const char *destination,
		   const char *via, struct out_route *out)
{
	const struct relay_route *r = relay_conf_route(c, customer, span_str(destination));
	const char *to = r ? r->to : "mx", *credential = r ? r->credential : NULL;
	int err;

	if (!destination[0])
		return ERR_FORMAT;
	out->named = out->requiretls = out->relaxed = 0;
	out->port = (uint16_t)c->outbound.port;
	out->tls = r ? r->tls : RELAY_TLS_OPPORTUNISTIC;
	out->pool = r && r->pool ? r->pool : "";
	if (via[0] && strcmp(via, to)) {
		to = via;
		credential = credential_of(c, customer, to);
	}
	out->credential = credential ? credential : "";
	if (strcmp(to, "mx"))
		err = take_next_hop(to, out);
	else
		err = take_destination(destination, out);
	if (err < 0)
		return ERR_FORMAT;
	snprintf(out->key, sizeof(out->key), "%s:%s:%u:%d",
		 out->mx      ? "mx"
		 : out->named ? "to"
			      : "ip",
		 out->host, out->port, out->tls);
	return 0;
}
