/* SPDX-License-Identifier: Apache-2.0 */
/* tls_check - what a delivery to a domain would do now: looked up anew and tried, without a message.
 *
 * Story:     start takes a domain and, on worker 0, asks everything that a delivery asks (route,
 *            exception, MX, addresses, TLSA, MTA-STS); addresses and TLSA with a resolver of its own, and
 *            without old TLS sessions, so that little remembered hides what is there now. Then it connects to all mail
 *            hosts at once, each by way of out_conn, the code of a delivery, up to EHLO, STARTTLS and
 *            handshake, and says QUIT. A host whose certificate policy refuses is connected to once
 *            more, as if any would do, to show what it has. No login is made, no source is bound to,
 *            TLS reports do not count it, and shaping rules are not looked at.
 *            The answer is JSON:
 *              domain, customer,
 *              route: {to, host, port, tls},
 *              exception: {level, until} or null,
 *              policy: {level, by, mx_secure, dane, sts_asked,
 *                       sts: {mode, id, fetched, expires, mx} or null, sts_failure},
 *              hosts: [{host, preference, addresses, tlsa: {state, base, records},
 *                       must: {level, by, why, refused}, try: {...}}],
 *              verdict: {outcome, host, text}
 *            try: ready, address, ms, tls, cipher, group, verified_by, policy, failure, why, reply, clear,
 *            requiretls, chain: [{subject, issuer, names, until, key, sha256, spki_sha256, tlsa}],
 *            chain_shown_only: 1 if the chain is of the second look.
 * Limits:    TLS_CHECK_MOST at a time (ERR_BUSY), TLS_CHECK_PATIENCE each: what is not known by then is
 *            said to be so.
 * Ownership: the answer is the receiver's.
 * Thread:    start: control's; done is called there. stop: worker 0's. */
#ifndef RELAY_TLS_TLS_CHECK_H
#define RELAY_TLS_TLS_CHECK_H

#include <jansson.h>

#include "relay/relay.h"

#define TLS_CHECK_MOST	   4
#define TLS_CHECK_PATIENCE (25 * CLOCK_SEC)

typedef void (*tls_check_fn)(void *arg, int err, json_t *answer);
/* 0: done is called once, later. ERR_FORMAT: no domain; ERR_BUSY; ERR_NOMEM. */
int tls_check_start(struct relay *r, const char *domain, const char *customer, tls_check_fn done,
		    void *arg);
/* Those that run are answered as they are (relay is about to end). */
void tls_check_stop(struct relay_worker *w);

#endif
