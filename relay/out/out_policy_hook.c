/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_policy_hook.h"

#include "relay/tls/tls_exception.h"

int out_policy_hook_exception(struct relay *r, const char *domain, int64_t now)
{
	return tls_exception_find(r, domain, now, NULL);
}

struct sts_lookup *out_policy_hook_sts(struct relay_worker *w, struct out_dns *dns,
				       const char *domain, out_policy_hook_fn fn, void *arg)
{
	(void)w;
	(void)dns;
	(void)domain;
	fn(arg, 0, NULL, TLSRPT_OK);
	return NULL;
}

void out_policy_hook_cancel(struct sts_lookup *k)
{
	(void)k;
}

enum out_policy_hook_mode out_policy_hook_sts_mode(const struct sts_policy *p)
{
	(void)p;
	return OUT_POLICY_HOOK_NONE;
}

int out_policy_hook_sts_match(const struct sts_policy *p, const char *host)
{
	(void)p;
	(void)host;
	return 0;
}

const char *out_policy_hook_sts_text(const struct sts_policy *p)
{
	(void)p;
	return "";
}

void out_policy_hook_sts_unref(struct sts_policy *p)
{
	(void)p;
}
