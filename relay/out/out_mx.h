/* SPDX-License-Identifier: Apache-2.0 */
/* out_mx - which hosts take a domain's mail, in which order.
 *
 * Story:  out_mx_choose turns a set of MX records into the hosts worth asking for: sorted, without
 *         doubles, without ourselves and whatever is not better than ourselves (else mail would go
 *         in circles), at most OUT_MX_HOSTS. The shuffle among equals comes later, anew for each
 *         connection (out_mx_order).
 * Thread: pure; any. Randomness is an argument.
 * Source: RFC 5321 5.1, RFC 7505. */
#ifndef RELAY_OUT_OUT_MX_H
#define RELAY_OUT_OUT_MX_H

#include <stddef.h>
#include <stdint.h>

#define OUT_MX_HOSTS 10
#define OUT_MX_NAME  256

struct out_mx_host {
	uint16_t preference;
	char name[OUT_MX_NAME]; /* lower case, no dot at the end; "" is the null MX */
};

enum out_mx_result {
	OUT_MX_OK,
	OUT_MX_NONE, /* no records: the domain is its own host (implicit MX) */
	OUT_MX_NULL, /* the domain takes no mail */
	OUT_MX_LOOP  /* the best host is ourselves */
};

/* Rearranges hosts, *count of them; own: our host name. */
enum out_mx_result out_mx_choose(struct out_mx_host *hosts, size_t *count, const char *own);

/* One address of one host, as far as the order needs to know. */
struct out_mx_rank {
	uint16_t preference;
	uint8_t host;	/* addresses of one host stay together */
	uint8_t family; /* 0 before 1 */
	uint8_t bad;	/* failed a moment ago: last, whatever its preference */
};
/* Fills order (count indexes, at most 64). seed: from anywhere, changed. */
void out_mx_order(const struct out_mx_rank *ranks, size_t count, uint64_t *seed, uint8_t *order);

#endif
