/* SPDX-License-Identifier: Apache-2.0 */
/* in_trace - the Received field that relay puts in front of each message it takes.
 *
 * Story:  who handed it over (EHLO name, address, TLS), who took it and when; never a recipient. Folded; no line is
 *         longer than 600 octets whatever the names. Pure; any thread.
 * Source: RFC 5321 4.4, RFC 3848 and 6531 4.3 (protocol types). */
#ifndef RELAY_IN_IN_TRACE_H
#define RELAY_IN_IN_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define IN_TRACE_MAX 1536

struct in_trace {
	const char *helo, *address, *hostname;
	const char *id;
	const char *tls_version; /* NULL: in clear */
	const char *tls_cipher, *tls_group; /* group may be NULL */
	int tls_bits;
	int esmtp; /* EHLO, not HELO */
	int utf8;  /* SMTPUTF8 was asked for */
	int login; /* the client logged in */
	int64_t when; /* wall usec */
};

/* The field with its CRLF: its length. */
size_t in_trace_format(char dst[IN_TRACE_MAX], const struct in_trace *t);

#endif
