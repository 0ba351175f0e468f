/* SPDX-License-Identifier: Apache-2.0 */
/* out_route - where mail for a domain goes, and how much TLS the way must have.
 *
 * Story:  the first route of the configuration that matches customer and destination decides: its MX hosts,
 *         or one host and port that the administrator named (an address or a name). Without a
 *         matching route: MX, opportunistic. An address literal ("[192.0.2.1]") whose route says mx
 *         is its own host. The key names the next hop: all destinations with one key share
 *         connections. An internationalised domain is looked up in its ASCII form; routes name it
 *         as it is written in addresses.
 *         An administrator may send mail another way (via). Then the route's level of TLS and its
 *         pool stay, but its credential is for its own next hop only: what is logged in with at
 *         another one is that of the first route that goes there, if there is one.
 * Errors: ERR_FORMAT: neither a domain nor a literal.
 * Thread: pure; any.
 * Source: routes, outbound.port of relay.yaml; RFC 5321 4.1.3, 5.1. */
#ifndef RELAY_OUT_OUT_ROUTE_H
#define RELAY_OUT_OUT_ROUTE_H

#include <stdint.h>

#include "relay/relay_conf.h"

/* What a message with REQUIRETLS asks of a host. Reports about such mail are content without the offer, so
 * that they are not lost where nobody offers it (RFC 8689 5); so is mail of which our milter says that only a
 * verified host may have it (SENSITIVE), which differs in what the ledger says. */
enum out_route_requiretls { OUT_ROUTE_ANY, OUT_ROUTE_OFFERED, OUT_ROUTE_VERIFIED, OUT_ROUTE_SENSITIVE };

struct out_route {
	const char *pool, *credential; /* names, "" if none; the configuration's */
	int mx;		/* ask for MX records of host; else host itself */
	int literal;	/* host is an address */
	char host[256]; /* without brackets */
	uint16_t port;
	int tls;       /* enum relay_tls */
	int requiretls; /* enum out_route_requiretls: only verified hosts will do; out_route_find leaves it 0 */
	int relaxed;	/* TLS-Required: no, of the message; likewise */
	int named;     /* the administrator named the host: any address it has is allowed */
	char key[272]; /* "mx:example.org:25:1" */
};

/* destination in lower case. via: an administrator's next hop instead of the route's ("mx" or
 * HOST:PORT), or "". */
int out_route_find(const struct relay_conf *c, const char *customer, const char *destination,
		   const char *via, struct out_route *out);

#endif
