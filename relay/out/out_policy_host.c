/* SPDX-License-Identifier: Apache-2.0 */
/* out_policy's word on one host. */
#include "relay/out/out_policy.h"

#include "relay/out/out_policy_hook.h"
#include "relay/out/out_tlsa.h"

static void refuse(struct out_policy_host *o, const char *text, enum tlsrpt_result failure, int lookup)
{
	o->refuse = o->why = text;
	o->failure = failure;
	o->lookup = lookup;
}

/* --- DANE */

/* Why there is nothing to verify by, for a rule that wants DANE and for the trace of others. */
static const struct {
	const char *text, *trace;
	enum tlsrpt_result failure;
} without[] = {
    [OUT_TLSA_UNASKED] = {"DANE is required, and the mail hosts are not proven by DNSSEC",
			  "no DANE: the mail hosts are not proven by DNSSEC", TLSRPT_DANE_REQUIRED},
    [OUT_TLSA_INSECURE] = {"DANE is required, and the host's address is not proven by DNSSEC",
			   "no DANE: the host's address is not proven by DNSSEC", TLSRPT_DANE_REQUIRED},
    [OUT_TLSA_NONE] = {"DANE is required, and the host has no TLSA records that DNSSEC proves",
		       "no DANE: the host has no TLSA records", TLSRPT_DANE_REQUIRED},
    [OUT_TLSA_UNUSABLE] = {"DANE is required, and no TLSA record of the host can be used",
			   "no TLSA record of the host can be used", TLSRPT_TLSA_INVALID},
};

/* 1: decided. */
static int judge_dane(const struct out_policy *p, const struct out_hosts *h, unsigned host,
		      struct out_policy_host *o)
{
	enum out_tlsa_state state = (enum out_tlsa_state)h->tlsa[host].state;

	o->by = OUT_POLICY_DANE;
	switch (state) {
	case OUT_TLSA_USABLE:
		o->level = RELAY_TLS_DANE;
		o->tlsa = h->tlsa[host].records;
		o->vouched = 1;
		o->why = "the host has TLSA records";
		return 1;
	case OUT_TLSA_FAILED:
		refuse(o, "the host's TLSA records could not be looked up", TLSRPT_DNSSEC_INVALID, 1);
		return 1;
	case OUT_TLSA_BOGUS:
		refuse(o, "the host's TLSA records failed DNSSEC validation (bogus)",
		       TLSRPT_DNSSEC_INVALID, 1);
		return 1;
	default:
		break;
	}
	if (p->level == RELAY_TLS_DANE) {
		o->by = p->by;
		refuse(o, without[state].text, without[state].failure, 0);
		return 1;
	}
	o->why = without[state].trace;
	if (state == OUT_TLSA_UNUSABLE) { /* RFC 7672 2.2: TLS all the same */
		if (o->level < RELAY_TLS_ENCRYPT)
			o->level = RELAY_TLS_ENCRYPT;
		o->failure = without[state].failure;
	} else {
		o->by = p->by;
	}
	return 0;
}

/* --- MTA-STS */

static void judge_sts(const struct out_policy *p, const struct out_hosts *h, unsigned host,
		      struct out_policy_host *o)
{
	enum out_policy_hook_mode mode = out_policy_hook_sts_mode(p->sts);
	int match = out_policy_hook_sts_match(p->sts, h->names[host]);

	if (mode == OUT_POLICY_HOOK_ENFORCE) {
		o->by = OUT_POLICY_STS;
		o->level = RELAY_TLS_VERIFY;
		o->vouched = 1;
		o->why = "the domain's MTA-STS policy is enforced";
		if (!match)
			refuse(o, "the host is not one that the domain's MTA-STS policy names",
			       TLSRPT_VALIDATION_FAILURE, 0);
	} else if (mode == OUT_POLICY_HOOK_TESTING) {
		if (o->by == p->by)
			o->by = OUT_POLICY_STS_TESTING;
		o->trial = 1;
		o->why = match ? "the domain's MTA-STS policy is in testing"
			       : "the host is not one that the domain's MTA-STS policy (testing) names";
		if (!match)
			o->failure = TLSRPT_VALIDATION_FAILURE;
	}
}

/* --- the whole */

/* RFC 8689 4.2.1: the name must be proven, and the host verify as it. */
static void judge_requiretls(const struct out_policy *p, struct out_policy_host *o)
{
	if (o->level == RELAY_TLS_DANE)
		return;
	o->level = RELAY_TLS_VERIFY;
	if (!o->vouched)
		refuse(o,
		       p->requiretls == OUT_ROUTE_SENSITIVE
			   ? "sensitive content needs mail hosts that DNSSEC or MTA-STS proves"
			   : "REQUIRETLS needs mail hosts that DNSSEC or MTA-STS proves",
		       TLSRPT_VALIDATION_FAILURE, 0);
	else if (o->by == OUT_POLICY_NOBODY)
		o->by = p->by;
}

void out_policy_judge(const struct out_policy *p, const struct out_hosts *h, unsigned host,
		      struct out_policy_host *out)
{
	*out = (struct out_policy_host){.level = p->level,
					.by = p->by,
					.vouched = p->named || p->mx_secure,
					.why = p->sts_failure
						   ? "the domain's MTA-STS policy could not be had"
						   : "nothing more is asked for"};
	if (p->sts_failure)
		out->failure = p->sts_failure;
	if (p->by != OUT_POLICY_NOBODY)
		out->why = p->by == OUT_POLICY_EXCEPTION ? "an exception of the administrator"
							 : "the route says so";
	if (!(p->dane && judge_dane(p, h, host, out)) && p->sts)
		judge_sts(p, h, host, out);
	if (p->requiretls && !out->refuse)
		judge_requiretls(p, out);
}
