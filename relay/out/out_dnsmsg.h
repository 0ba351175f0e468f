/* SPDX-License-Identifier: Apache-2.0 */
/* out_dnsmsg - reads the answer section of a DNS message.
 *
 * Story:     the resolver (out_dns) hands over the message as it would stand on the wire, with the
 *            CNAME chain already followed and validated. Records of the type asked for are taken,
 *            whoever owns them; all others are skipped. A name with octets that no host name has
 *            makes its record void, not the message.
 * Limits:    OUT_DNSMSG_RECORDS records; a name is followed over at most 16 pointers, each to an
 *            earlier place.
 * Errors:    ERR_FORMAT.
 * Ownership: everything is copied. Pure; any thread.
 * Source:    RFC 1035 4.1, RFC 3596. */
#ifndef RELAY_OUT_OUT_DNSMSG_H
#define RELAY_OUT_OUT_DNSMSG_H

#include "core/span.h"
#include "relay/out/out_mx.h"

#define OUT_DNSMSG_RECORDS 32
enum { OUT_DNSMSG_A = 1, OUT_DNSMSG_MX = 15, OUT_DNSMSG_AAAA = 28 };

struct out_dnsmsg {
	int rcode;
	uint32_t ttl;	/* smallest of those taken and of CNAMEs; 0 if there are none */
	unsigned count; /* records taken */
	unsigned void_records;
	union {
		struct out_mx_host mx[OUT_DNSMSG_RECORDS];
		uint8_t addresses[OUT_DNSMSG_RECORDS][16]; /* A: 4 bytes used */
	};
};

int out_dnsmsg_parse(struct span packet, int type, struct out_dnsmsg *out);

#endif
