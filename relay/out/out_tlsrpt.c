/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_tlsrpt.h"

#include "core/buf.h"
#include "relay/out/out_policy_hook.h"
#include "relay/out/out_tlsa.h"
#include "relay/tlsrpt/tlsrpt.h"

#define TLSA_TEXT (3 * 4 + 2 * 2048 + 1)

/* A result that is of one kind of policy is of that, whatever else applied. */
static const uint8_t kinds[TLSRPT_COUNT] = {[TLSRPT_TLSA_INVALID] = TLSRPT_KIND_DANE,
					    [TLSRPT_DNSSEC_INVALID] = TLSRPT_KIND_DANE,
					    [TLSRPT_DANE_REQUIRED] = TLSRPT_KIND_DANE,
					    [TLSRPT_STS_POLICY_FETCH_ERROR] = TLSRPT_KIND_STS,
					    [TLSRPT_STS_POLICY_INVALID] = TLSRPT_KIND_STS,
					    [TLSRPT_STS_WEBPKI_INVALID] = TLSRPT_KIND_STS};

static enum tlsrpt_kind kind_of(enum out_policy_by by, enum tlsrpt_result result)
{
	if (kinds[result])
		return (enum tlsrpt_kind)kinds[result];
	if (by == OUT_POLICY_STS || by == OUT_POLICY_STS_TESTING)
		return TLSRPT_KIND_STS;
	return by == OUT_POLICY_DANE ? TLSRPT_KIND_DANE : TLSRPT_KIND_NONE;
}

static void put_tlsa(struct buf *out, const struct out_tlsa *t)
{
	char text[TLSA_TEXT];

	for (unsigned i = 0; t && i < t->usable; i++) {
		out_tlsa_text(text, sizeof(text), &t->records[i]);
		buf_put_str(out, text);
		buf_put_str(out, "\n");
	}
}

static void put_policy(struct buf *out, const struct out_policy *p, const struct out_tlsa *tlsa, enum tlsrpt_kind kind)
{
	if (kind == TLSRPT_KIND_DANE)
		put_tlsa(out, tlsa);
	else if (kind == TLSRPT_KIND_STS && p->sts)
		buf_put(out, out_policy_hook_sts_text(p->sts),
			strnlen(out_policy_hook_sts_text(p->sts), TLSRPT_POLICY));
}

void out_tlsrpt_session(struct relay *r, const struct out_policy *p, const struct out_policy_host *must,
			const char *domain, const struct out_conn_peer *peer)
{
	struct tlsrpt_session s = {.domain = domain,
				   .kind = kind_of(must->by, peer->failure),
				   .result = peer->failure,
				   .mx = peer->host,
				   .ip = peer->address,
				   .from = peer->local,
				   .reason = peer->why};
	struct buf policy;

	if (p->relaxed || must->level == RELAY_TLS_NONE)
		return;
	if (kinds[peer->failure] == TLSRPT_KIND_STS) /* it is the policy that failed, not this host */
		s.mx = s.ip = s.from = s.reason = NULL;
	buf_init(&policy, 2 * TLSRPT_POLICY);
	put_policy(&policy, p, must->tlsa, s.kind);
	s.policy = buf_span(&policy);
	tlsrpt_note(r, &s);
	buf_clear(&policy);
}

void out_tlsrpt_untried(struct relay *r, const char *domain, enum tlsrpt_result result, const char *why)
{
	const struct tlsrpt_session s = {
	    .domain = domain, .kind = kind_of(OUT_POLICY_NOBODY, result), .result = result, .reason = why};

	if (result != TLSRPT_OK)
		tlsrpt_note(r, &s);
}
