/* SPDX-License-Identifier: Apache-2.0 */
/* sts - which MTA-STS policy a domain has: looked up, cached, kept over restarts, refreshed.
 *
 * Story:     a worker asks with sts_find. What was looked up a moment ago is answered within the
 *            call. Else the TXT record _mta-sts.DOMAIN is asked for; if it names a policy that is
 *            not the cached one, that is fetched from
 *            https://mta-sts.DOMAIN/.well-known/mta-sts.txt. All who ask meanwhile, on whatever
 *            worker, wait for the same look-up. Worker 0 fetches policies anew before they end,
 *            daily or twice in their life, whether or not the record still says so: an attacker
 *            who only holds back the DNS cannot wait for a policy to end. A policy is kept until
 *            its max_age is over, whatever happens to record and host meanwhile; so is it when a
 *            fetch fails. With a policy in the cache nobody waits longer than STS_PATIENCE for a
 *            newer one; without, no longer than STS_RECORD for the DNS and STS_FETCH more for the
 *            web server. A fetch that failed is not tried again for STS_PAUSE, unless the record's
 *            id changes.
 * Limits:    STS_DOMAINS policies of STS_OCTETS together; the one that nobody asked for longest
 *            goes first. What is known of STS_OTHERS domains without one is kept beside them.
 * Keeping:   relay.db, written by control within STS_SAVE.
 * Ownership: the policy told is a count of the receiver's own: sts_policy_unref.
 * Thread:    find and cancel: the worker's. numbers: any. new, load, free: control's.
 * Source:    RFC 8461; outbound.mta_sts, outbound.ca, outbound.private_ok of relay.yaml. */
#ifndef RELAY_STS_STS_H
#define RELAY_STS_STS_H

#include "core/clock.h"
#include "relay/out/out_dns.h"
#include "relay/relay.h"
#include "relay/relay_control.h"
#include "relay/sts/sts_policy.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define STS_DOMAINS  100000u
#define STS_OCTETS   (UINT64_C(64) << 20)
#define STS_OTHERS   20000u
#define STS_PATIENCE (10 * CLOCK_SEC)
#define STS_RECORD   (30 * CLOCK_SEC)
#define STS_FETCH    (60 * CLOCK_SEC)
#define STS_PAUSE    (5 * 60 * CLOCK_SEC)
#define STS_SAVE     (2 * CLOCK_SEC)

struct sts;
struct sts_lookup;

/* result 0, p: the domain's policy, of any mode; failure is not TLSRPT_OK if it could not be
 * renewed. result 0, p NULL: it has none; or (failure) it says so, but none could be fetched, and
 * mail goes as if it had none. ERR_AWAY, p NULL: the DNS did not say. */
typedef void (*sts_fn)(void *arg, int result, struct sts_policy *p, enum tlsrpt_result failure);

/* fn once, perhaps within the call (then, and when memory is short, NULL is returned). domain:
 * A-labels, in any case. */
struct sts_lookup *sts_find(struct relay_worker *w, struct out_dns *dns, const char *domain,
			    sts_fn fn, void *arg);
void sts_cancel(struct sts_lookup *k);

struct sts_numbers {
	uint64_t policies, enforce, testing;
	uint64_t failing; /* of them: those whose last fetch failed */
};
void sts_count(struct sts *s, struct sts_numbers *n);

/* Opens at start what was kept, writes what is new. */
extern const struct relay_control_part sts_part;

/* Worker 0's: what refreshes in the background. NULL: no memory. Free it before dns and the loop.
 * */
struct sts_tend;
struct sts_tend *sts_tend_new(struct relay_worker *w, struct out_dns *dns);
void sts_tend_free(struct sts_tend *t);

/* --- for tests: without a store. */
struct sts *sts_new(void);
void sts_free(struct sts *s);

#endif
