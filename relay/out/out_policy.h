/* SPDX-License-Identifier: Apache-2.0 */
/* out_policy - how much TLS the way to a domain must have, and who says so.
 *
 * Story:     a job asks once it knows its route, before it waits for a connection; the answer is kept
 *            per worker for as long as the DNS allows (at most OUT_POLICY_KEEP) and comes at once while
 *            it is. In this order, the first that says something counts:
 *
 *              exception   of the administrator, for a time: the level it names, nothing else
 *              rule        level none, verify or dane of route or shaping rule
 *              DANE        per host, if its TLSA records are proven by DNSSEC (out_hosts)
 *              MTA-STS     mode enforce: hosts must match and verify; mode testing: what would have
 *                          failed is noted
 *              rule        level encrypt, else opportunistic
 *
 *            DANE and MTA-STS only ever raise what the rule demands. A host that the administrator
 *            named has no MTA-STS policy, and counts as proven; its TLSA records are asked for if it has
 *            a name. REQUIRETLS, like the milter's word on sensitive content (route->requiretls), passes over
 *            exceptions, and wants a verified host of a proven name. TLS-Required: no (route->relaxed) passes over DANE and MTA-STS, but for rules
 *            that name them.
 *            What holds for one host is said by out_policy_judge, once its lookups are done.
 *            A failure to look up the domain's MX records is told as out_hosts would tell it.
 * Ownership: policies are counted; what fn gets is his own count.
 * Thread:    the worker's; judge is pure.
 * Source:    RFC 7672, 8461, 8689; routes, outbound.dane of relay.yaml. */
#ifndef RELAY_OUT_OUT_POLICY_H
#define RELAY_OUT_OUT_POLICY_H

#include "core/clock.h"
#include "relay/out/out_hosts.h"
#include "relay/relay.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define OUT_POLICY_KEEP	  (300 * CLOCK_SEC)
#define OUT_POLICY_CACHED 8192 /* domains per worker; the oldest goes first */
#define OUT_POLICY_DIGEST 17

struct sts_policy;

/* X(symbol, name, what the text of a failure calls it) */
#define OUT_POLICY_BYS(X)                                                 \
	X(NOBODY, "none", "the route")                                    \
	X(ROUTE, "route", "the route")                                    \
	X(EXCEPTION, "exception", "an exception of the administrator")    \
	X(DANE, "dane", "DANE")                                           \
	X(STS, "sts", "the domain's MTA-STS policy")                      \
	X(STS_TESTING, "sts-testing", "the domain's MTA-STS policy")

enum out_policy_by {
#define OUT_POLICY_X(sym, name, text) OUT_POLICY_##sym,
	OUT_POLICY_BYS(OUT_POLICY_X)
#undef OUT_POLICY_X
	    OUT_POLICY_BY_COUNT
};
/* "dane" and the like, for log, trace and ledger; static. */
const char *out_policy_by_name(enum out_policy_by by);
/* "the domain's MTA-STS policy" and the like, for texts of failures. */
const char *out_policy_by_text(enum out_policy_by by);

struct out_policy {
	unsigned refs;
	int level;		/* enum relay_tls: the least that holds for every host */
	enum out_policy_by by;	/* who demands it: NOBODY, ROUTE, EXCEPTION */
	int dane;		/* TLSA records count */
	int mx_secure;		/* MX records (or that there are none) are proven by DNSSEC; a named host is */
	int named;		/* the administrator named the host */
	int requiretls, relaxed;
	struct sts_policy *sts; /* counted; NULL: none */
	enum tlsrpt_result sts_failure; /* why it could not be had, or is not fresh */
	int64_t until;		/* mono usec */
	char digest[OUT_POLICY_DIGEST]; /* of all that matters to a connection: in the pool's key */
};

struct out_policies;
struct out_policies *out_policies_new(struct relay_worker *w, struct out_dns *dns);
/* Queries that are open end without their callbacks. */
void out_policies_free(struct out_policies *all);

struct out_policy_query;
/* p NULL: failure says why, valid during the callback; result: what a TLS report calls it. */
typedef void (*out_policy_fn)(void *arg, struct out_policy *p, const struct queue_result *failure,
			      enum tlsrpt_result result);
/* fn once, perhaps within the call: then NULL is returned. route->tls is what route, shaping rule and
 * credential demand together. conf must stay. */
struct out_policy_query *out_policy_find(struct out_policies *all, const struct relay_conf *conf,
					 const struct out_route *route, out_policy_fn fn, void *arg);
/* NULL is fine. */
void out_policy_cancel(struct out_policy_query *q);
/* What is known of a domain is asked anew from now on. */
void out_policy_forget(struct out_policies *all, const char *host);

struct out_policy *out_policy_ref(struct out_policy *p);
void out_policy_unref(struct out_policy *p); /* NULL is fine */

/* What one host must be. */
struct out_policy_host {
	int level;		     /* enum relay_tls; DANE: the chain must match tlsa */
	enum out_policy_by by;	     /* who decided */
	const struct out_tlsa *tlsa; /* with level DANE; the lookup's */
	int trial;		     /* check as for VERIFY, note what fails, and go on */
	int vouched;		     /* if it verifies, REQUIRETLS may be asked of it */
	const char *refuse;	     /* not NULL: it is not to be connected to, and this is why */
	int lookup;		     /* refuse is for want of an answer of the DNS */
	enum tlsrpt_result failure;  /* of refuse; or to be noted although it may be delivered to */
	const char *why;	     /* short: what made it so */
};
/* host: index in h->names. */
void out_policy_judge(const struct out_policy *p, const struct out_hosts *h, unsigned host,
		      struct out_policy_host *out);

#endif
