/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_policy_hook.h"

#include "relay/out/out_tlsrpt.h"
#include "relay/sts/sts.h"
#include "relay/tls/tls_exception.h"

int out_policy_hook_exception(struct relay *r, const char *domain, int64_t now)
{
	return tls_exception_find(r, domain, now, NULL);
}

struct sts_lookup *out_policy_hook_sts(struct relay_worker *w, struct out_dns *dns,
				       const char *domain, out_policy_hook_fn fn, void *arg)
{
	const struct relay_conf *conf = atomic_load(&w->relay->conf);

	if (conf->outbound.mta_sts)
		return sts_find(w, dns, domain, fn, arg);
	fn(arg, 0, NULL, TLSRPT_OK);
	return NULL;
}

void out_policy_hook_cancel(struct sts_lookup *k)
{
	sts_cancel(k);
}

enum out_policy_hook_mode out_policy_hook_sts_mode(const struct sts_policy *p)
{
	static const enum out_policy_hook_mode modes[] = {[STS_NONE] = OUT_POLICY_HOOK_NONE,
							  [STS_TESTING] = OUT_POLICY_HOOK_TESTING,
							  [STS_ENFORCE] = OUT_POLICY_HOOK_ENFORCE};

	return modes[p->mode];
}

int out_policy_hook_sts_match(const struct sts_policy *p, const char *host)
{
	return sts_policy_match(p, host);
}

const char *out_policy_hook_sts_text(const struct sts_policy *p)
{
	return p->text;
}

void out_policy_hook_sts_unref(struct sts_policy *p)
{
	sts_policy_unref(p);
}

/* --- TLS reports */

void out_policy_hook_session(struct relay *r, const struct out_policy *p,
			     const struct out_policy_host *must, const char *domain,
			     const struct out_conn_peer *peer)
{
	out_tlsrpt_session(r, p, must, domain, peer);
}

void out_policy_hook_untried(struct relay *r, const char *domain, enum tlsrpt_result result, const char *why)
{
	out_tlsrpt_untried(r, domain, result, why);
}
