/* SPDX-License-Identifier: Apache-2.0 */
/* out_dnsmsg - reads the answer section of a DNS message.
 *
 * Story:     the resolver (out_dns) hands over the message as it would stand on the wire, with the
 *            CNAME chain already followed and validated. Records of the type asked for are taken,
 *            whoever owns them; all others are skipped, but for the chain, which says what the name
 *            asked for is really called (canonical). Of types not named below records are only
 *            counted. What cannot be used makes its record void, not the message: a name with octets
 *            that no host name has; TLSA data that is too short, or longer than here is room for; a
 *            text whose strings do not end with it, or that is too long. Whether digests have the
 *            right length is not looked at here.
 *            A question for CNAME itself gives the alias alone, in canonical, count 1: so whoever
 *            asks learns whether the alias by itself is secure (RFC 7672 2.2.2).
 * Limits:    OUT_DNSMSG_RECORDS records, fewer of the large ones, the rest is left out; a name is
 *            followed over at most 16 pointers, each to an earlier place.
 * Errors:    ERR_FORMAT.
 * Ownership: everything is copied. Pure; any thread.
 * Source:    RFC 1035 4.1, RFC 3596, RFC 6698 2.1. */
#ifndef RELAY_OUT_OUT_DNSMSG_H
#define RELAY_OUT_OUT_DNSMSG_H

#include "core/span.h"
#include "relay/out/out_mx.h"

#define OUT_DNSMSG_RECORDS 32
#define OUT_DNSMSG_TXTS	   16
#define OUT_DNSMSG_TLSAS   64 /* all issuers of a large authority, by usage 2, are some twenty */
enum {
	OUT_DNSMSG_A = 1,
	OUT_DNSMSG_CNAME = 5,
	OUT_DNSMSG_SOA = 6,
	OUT_DNSMSG_MX = 15,
	OUT_DNSMSG_TXT = 16,
	OUT_DNSMSG_AAAA = 28,
	OUT_DNSMSG_DNSKEY = 48,
	OUT_DNSMSG_TLSA = 52
};

struct out_dnsmsg_txt { /* the strings of one record, joined */
	uint16_t len;
	char text[1024 + 1]; /* any octets, and a NUL behind them */
};
struct out_dnsmsg_tlsa {
	uint8_t usage, selector, match;
	uint16_t len;	    /* never 0 */
	uint8_t data[2048]; /* a whole certificate, if it is not too large, or a digest */
};

struct out_dnsmsg {
	int rcode;
	uint32_t ttl;	/* smallest of those taken and of CNAMEs; 0 if there are none */
	unsigned count; /* records taken */
	unsigned void_records;
	unsigned signatures; /* RRSIG records beside them, whatever they sign */
	char canonical[OUT_MX_NAME]; /* end of the CNAME chain; "": no CNAME, or no host name */
	union {
		struct out_mx_host mx[OUT_DNSMSG_RECORDS];
		uint8_t addresses[OUT_DNSMSG_RECORDS][16]; /* A: 4 bytes used */
		struct out_dnsmsg_txt txt[OUT_DNSMSG_TXTS];
		struct out_dnsmsg_tlsa tlsa[OUT_DNSMSG_TLSAS];
	};
};

int out_dnsmsg_parse(struct span packet, int type, struct out_dnsmsg *out);

#endif
