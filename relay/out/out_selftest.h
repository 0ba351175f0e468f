/* SPDX-License-Identifier: Apache-2.0 */
/* out_selftest - does DNSSEC really validate here? Asked at start, and ever again.
 *
 * Story:  worker 0 asks for the DNSKEY records of each zone that the trust anchor speaks for, with a
 *         resolver of its own that has nothing cached. If one does not come back secure, it asks the
 *         same servers once more without validating, to see why:
 *
 *           unneeded     no route asks the DNS: nothing was tried
 *           validates    all is well
 *           no-anchor    nothing is validated, so there is no DANE
 *           stripped     answers come, without the signatures: somebody on the way removes them
 *           bogus        signatures come, and do not fit: wrong anchor, wrong clock, forgery
 *           unreachable  no answer comes
 *
 *         Nobody waits for it. While it fails it is done again each minute, else each five. Mail to
 *         names under the anchor waits while it fails (out_dns), whatever the reason: nothing becomes
 *         insecure because somebody made it so. The result is in struct relay, for status.
 * Events: dns-selftest, when the result changes, and each hour while it is a bad one.
 * Thread: the worker's; name and text: any. */
#ifndef RELAY_OUT_OUT_SELFTEST_H
#define RELAY_OUT_OUT_SELFTEST_H

#include "relay/relay.h"

/* X(symbol, name, what it means to the administrator) */
#define OUT_SELFTEST_LIST(X)                                                                       \
	X(NONE, "pending", "not tested yet")                                                       \
	X(UNNEEDED, "unneeded", "no route asks the DNS")                                           \
	X(VALIDATES, "validates", "answers are validated")                                         \
	X(NO_ANCHOR, "no-anchor",                                                                  \
	  "no trust anchor: nothing is validated and DANE cannot be used; install dns-root-data")  \
	X(STRIPPED, "stripped",                                                                    \
	  "the resolver strips DNSSEC records: mail waits; name another one in dns.servers")       \
	X(BOGUS, "bogus",                                                                          \
	  "DNSSEC signatures do not fit the trust anchor: mail waits; check anchor and clock")     \
	X(UNREACHABLE, "unreachable", "no resolver answers: mail waits")

enum out_selftest_result {
#define OUT_SELFTEST_X(sym, name, what) OUT_SELFTEST_##sym,
	OUT_SELFTEST_LIST(OUT_SELFTEST_X)
#undef OUT_SELFTEST_X
};
const char *out_selftest_name(int result);
const char *out_selftest_what(int result);
static inline int out_selftest_bad(int result)
{
	return result > OUT_SELFTEST_VALIDATES;
}

struct out_selftest;

/* conf: whose dns.* counts; it stays. NULL: out of memory. */
struct out_selftest *out_selftest_new(struct relay *r, struct evt_loop *l,
				      const struct relay_conf *conf);
void out_selftest_free(struct out_selftest *t);

#endif
