/* SPDX-License-Identifier: Apache-2.0 */
/* out_dns - asks the DNS: libunbound on the worker's loop.
 *
 * Story:     one context per worker, with its own cache. Questions go to dns.servers, or to the
 *            system's (resolv.conf); every answer is validated from dns.trust_anchor, or from
 *            Debian's root key if that is installed (out_anchor); if there is neither, nothing is
 *            validated, and nothing is secure. A bogus answer is no answer: event=dns-bogus, at most
 *            one per minute, and the mail waits; whether it is the resolver's fault says
 *            out_selftest. /etc/hosts is not read.
 *            The anchor file is looked at again now and then, when something is asked: if it is
 *            another one (a new root key came by an update), questions from then on are validated
 *            from it (event=dns-anchor-renewed).
 * Errors:    result 0: the name exists (msg.count may be 0: not this type). ERR_NOTFOUND: it does
 *            not (NXDOMAIN). ERR_AUTH: bogus. ERR_AWAY: SERVFAIL, time-out, anything else: ask
 *            again later.
 * Ownership: msg is valid during the callback. A query lives until its callback or cancel.
 * Debug:     topic "dns" says why an answer is bogus; the text names the question and the server.
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

/* NULL: *why. conf must stay. */
struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why);
/* Asks the same servers and believes everything: to find out what they do to DNSSEC, and for nothing
 * else. No answer is secure or bogus. */
struct out_dns *out_dns_new_unvalidated(struct evt_loop *l, const struct relay_conf *c);
/* Open queries end without their callbacks. */
void out_dns_free(struct out_dns *d);

/* No event=dns-bogus from here on: whoever asks says himself what is wrong. */
void out_dns_quiet(struct out_dns *d);

/* fn once, perhaps within the call (then NULL is returned, as on ERR_NOMEM, which fn hears of as
 * ERR_AWAY). */
struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg);
void out_dns_cancel(struct out_dns_query *q);

#endif
