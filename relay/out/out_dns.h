/* SPDX-License-Identifier: Apache-2.0 */
/* out_dns - asks the DNS: libunbound on the worker's loop.
 *
 * Story:     one context per worker, with its own cache. Questions go to dns.servers, or to the
 *            system's (resolv.conf); every answer is validated from dns.trust_anchor, or from
 *            Debian's root key if that is installed; if there is neither, nothing is validated
 *            (event=dns-unvalidated, once). A bogus answer is no answer: event=dns-bogus, at most
 *            one per minute, and the mail waits. /etc/hosts is not read.
 * Errors:    result 0: the name exists (msg.count may be 0: not this type). ERR_NOTFOUND: it does
 *            not (NXDOMAIN). ERR_AUTH: bogus. ERR_AWAY: SERVFAIL, time-out, anything else: ask
 *            again later.
 * Ownership: msg is valid during the callback. A query lives until its callback or cancel.
 * Thread:    its loop's.
 * Source:    RFC 1034, 4035; dns.* of relay.yaml. */
#ifndef RELAY_OUT_OUT_DNS_H
#define RELAY_OUT_OUT_DNS_H

#include "evt/evt_loop.h"
#include "relay/out/out_dnsmsg.h"
#include "relay/relay_conf.h"

struct out_dns;
struct out_dns_query;

/* secure: proven by DNSSEC. */
typedef void (*out_dns_fn)(void *arg, int result, const struct out_dnsmsg *msg, int secure);

/* NULL: *why. */
struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why);
/* Open queries end without their callbacks. */
void out_dns_free(struct out_dns *d);

/* fn once, perhaps within the call (then NULL is returned, as on ERR_NOMEM, which fn hears of as
 * ERR_AWAY). */
struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg);
void out_dns_cancel(struct out_dns_query *q);

#endif
