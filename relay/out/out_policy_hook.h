/* SPDX-License-Identifier: Apache-2.0 */
/* out_policy_hook - what out_policy asks others, the administrator's exceptions and MTA-STS, and what TLS
 * reports hear.
 *
 * Story:  one thin function for each, so that the tests of outgoing mail can play both.
 * Thread: the worker's, but for what is read of a policy: any. */
#ifndef RELAY_OUT_OUT_POLICY_HOOK_H
#define RELAY_OUT_OUT_POLICY_HOOK_H

#include "relay/out/out_dns.h"
#include "relay/relay.h"
#include "relay/tlsrpt/tlsrpt_result.h"

/* The level (enum relay_tls) that holds for domain at wall time now, or -1. */
int out_policy_hook_exception(struct relay *r, const char *domain, int64_t now);

struct sts_policy;
struct sts_lookup;
/* As sts_fn: result 0 and p NULL: no policy; p: a count of the receiver's own; ERR_AWAY: not known now. */
typedef void (*out_policy_hook_fn)(void *arg, int result, struct sts_policy *p,
				   enum tlsrpt_result failure);
/* fn once, perhaps within the call: then NULL. */
struct sts_lookup *out_policy_hook_sts(struct relay_worker *w, struct out_dns *dns,
				       const char *domain, out_policy_hook_fn fn, void *arg);
void out_policy_hook_cancel(struct sts_lookup *k); /* NULL is fine */

enum out_policy_hook_mode { OUT_POLICY_HOOK_NONE, OUT_POLICY_HOOK_TESTING, OUT_POLICY_HOOK_ENFORCE };
enum out_policy_hook_mode out_policy_hook_sts_mode(const struct sts_policy *p);
/* 1 if the policy names the MX host. */
int out_policy_hook_sts_match(const struct sts_policy *p, const char *host);
/* Text that differs if two policies do. */
const char *out_policy_hook_sts_text(const struct sts_policy *p);
void out_policy_hook_sts_unref(struct sts_policy *p); /* NULL is fine */

struct out_policy;
struct out_policy_host;
struct out_conn_peer;
/* A TLS session with a host of domain was tried, or policy kept it from being tried; peer says what came of
 * it. */
void out_policy_hook_session(struct relay *r, const struct out_policy *p,
			     const struct out_policy_host *must, const char *domain,
			     const struct out_conn_peer *peer);
/* None could be tried; result TLSRPT_OK: that is no matter of TLS. */
void out_policy_hook_untried(struct relay *r, const char *domain, enum tlsrpt_result result, const char *why);

#endif
