/* SPDX-License-Identifier: Apache-2.0 */
/* out_tlsa - the TLSA records of one mail host: which of them can be used, and what they are.
 *
 * Story:     out_hosts hands over a secure answer; make sorts the records. Usages 2 (DANE-TA) and 3
 *            (DANE-EE) count, with selectors 0 and 1 and matching types 0, 1 and 2; a digest must have
 *            its length, a whole certificate or key must be one, to its last octet. Others are unusable:
 *            usages 0 and 1 mean nothing to mail (RFC 7672 3.1.3), unknown numbers are of a future.
 *            What is not even well-formed is counted apart. If nothing is usable the host is still one
 *            that promises TLS.
 * Ownership: counted, not atomic: one worker's.
 * Errors:    ERR_NOMEM.
 * Thread:    pure; one at a time.
 * Source:    RFC 6698, 7218, 7671, 7672. */
#ifndef RELAY_OUT_OUT_TLSA_H
#define RELAY_OUT_OUT_TLSA_H

#include "evt/evt_conn.h"
#include "relay/out/out_dnsmsg.h"

/* What the lookup for one host came to. */
enum out_tlsa_state {
	OUT_TLSA_UNASKED,  /* DANE is not used for it */
	OUT_TLSA_INSECURE, /* its address is not proven by DNSSEC, or the answer was not */
	OUT_TLSA_NONE,	   /* it has none, or what there is is not proven */
	OUT_TLSA_USABLE,
	OUT_TLSA_UNUSABLE, /* it has some, and none can be used */
	OUT_TLSA_FAILED,   /* no answer */
	OUT_TLSA_BOGUS	   /* an answer that failed validation */
};

#define OUT_TLSA_DIGEST 17

struct out_tlsa {
	unsigned refs;
	unsigned usable, unusable, malformed; /* records, as they were sorted; unusable: well-formed */
	char base[OUT_MX_NAME];		      /* the name they stand under, without _25._tcp */
	char digest[OUT_TLSA_DIGEST];	      /* of base and the usable records, in any order */
	struct evt_conn_tlsa records[OUT_DNSMSG_TLSAS]; /* the usable ones */
};

enum out_tlsa_kind { OUT_TLSA_KIND_USABLE, OUT_TLSA_KIND_UNUSABLE, OUT_TLSA_KIND_MALFORMED };
enum out_tlsa_kind out_tlsa_kind(const struct out_dnsmsg_tlsa *r);

/* From an answer that has at least one record, void ones counted. NULL: out of memory. */
struct out_tlsa *out_tlsa_make(const char *base, const struct out_dnsmsg *m);
struct out_tlsa *out_tlsa_ref(struct out_tlsa *t);
void out_tlsa_unref(struct out_tlsa *t); /* NULL is fine */

/* The name to ask for: "_25._tcp.mx.example.org". ERR_LIMIT: no room for it in the DNS. */
#define OUT_TLSA_NAME (OUT_MX_NAME + 16)
int out_tlsa_name(char dst[OUT_TLSA_NAME], unsigned port, const char *base);

/* "3 1 1 0123...": as the DNS would show it, for reports; cut at size. */
size_t out_tlsa_text(char *dst, size_t size, const struct evt_conn_tlsa *r);

#endif
