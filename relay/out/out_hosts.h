/* SPDX-License-Identifier: Apache-2.0 */
/* out_hosts - from a route to addresses that can be connected to.
 *
 * Story:     a literal or numeric next hop is its own answer; a named host is asked for A and AAAA;
 *            a domain for MX first, then the hosts' A and AAAA all at once. Addresses that an MX
 *            host must not have are dropped (out_addr; event=mx-address-refused). The answer is a
 *            set of targets, or a verdict:
 *
 *              domain does not exist        bounced 5.1.2
 *              null MX                      bounced 5.1.10
 *              MX is ourselves              bounced 5.4.6
 *              no host has an address       bounced 5.4.4
 *              only refused addresses       bounced 5.4.4
 *              no answer, bogus, 30 s       deferred 4.4.3
 *
 *            A name that the administrator wrote into a route never bounces mail: deferred 4.4.4.
 *
 *            With DANE, a host whose addresses are secure is asked for its TLSA records too, under the name
 *            at the end of a chain of secure aliases, and if there are none there, under its own; one whose
 *            address is insecure, but whose own alias is secure, under its own only (RFC 7672 2.2.2). An
 *            insecure zone is never asked (2.2.1). What came of it stands with the host: a failure is the
 *            host's alone. Records that cannot be used are logged (event=tlsa-unusable) and counted.
 * Ownership: the answer is valid during the callback; take it over with out_hosts_take.
 * Thread:    the worker's.
 * Source:    RFC 5321 5.1, RFC 7505, RFC 7672; outbound.private_ok, outbound.ipv6. */
#ifndef RELAY_OUT_OUT_HOSTS_H
#define RELAY_OUT_OUT_HOSTS_H

#include "relay/out/out_dns.h"
#include "relay/out/out_mx.h"
#include "relay/out/out_route.h"
#include "relay/out/out_tlsa.h"
#include "relay/queue/queue.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define OUT_HOSTS_TARGETS 32

struct out_hosts_target {
	struct sockaddr_storage address; /* with port */
	struct out_mx_rank rank;	 /* rank.host: index in names */
	struct {			 /* what connections learned; written by out_conn */
		int64_t bad_until;	 /* mono usec */
		int64_t tls_until;
		uint8_t tls_try; /* enum out_tls_try: begin with this until tls_until */
		uint8_t login_warned;
	} memory;
};
struct out_hosts {
	unsigned count;
	struct out_hosts_target targets[OUT_HOSTS_TARGETS];
	unsigned name_count;
	char names[OUT_MX_HOSTS][OUT_MX_NAME];
	struct out_hosts_tlsa {
		uint8_t state;		  /* enum out_tlsa_state */
		struct out_tlsa *records; /* counted; NULL unless USABLE or UNUSABLE */
	} tlsa[OUT_MX_HOSTS];		  /* as names */
	int mx_secure; /* the MX records, or that there are none, are proven by DNSSEC */
	char domain[OUT_MX_NAME];   /* that was asked for */
	char alias_of[OUT_MX_NAME]; /* domain is an alias, proven, of this; "": it is none */
	char site[QUEUE_SITE]; /* out_site */
	int64_t ttl;	       /* usec the answer may be used for */
	enum tlsrpt_result failure; /* with a failure: what a TLS report calls it, if it is for there */
};

struct out_hosts_lookup;
/* failure is NULL if there are targets. h is NULL when memory is short. */
typedef void (*out_hosts_fn)(void *arg, const struct out_hosts *h,
			     const struct queue_result *failure);

/* fn once, perhaps within the call; then, and when memory is short, NULL is returned. conf must
 * stay. dane: ask for TLSA records. */
struct out_hosts_lookup *out_hosts_find(struct evt_loop *l, struct out_dns *dns,
					const struct relay_conf *conf,
					const struct out_route *route, int dane, out_hosts_fn fn,
					void *arg);
/* As find, but only as far as the site: no addresses are asked for, and there are no targets. */
struct out_hosts_lookup *out_hosts_find_site(struct evt_loop *l, struct out_dns *dns,
					     const struct relay_conf *conf,
					     const struct out_route *route, out_hosts_fn fn,
					     void *arg);
void out_hosts_cancel(struct out_hosts_lookup *k);
/* to becomes a copy of h with its own counts; what connections learned of addresses that were in to
 * already stays. to: cleared, or an earlier answer. */
void out_hosts_take(struct out_hosts *to, const struct out_hosts *h);
/* Gives its counts back. */
void out_hosts_clear(struct out_hosts *h);

#endif
