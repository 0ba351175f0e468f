/* SPDX-License-Identifier: Apache-2.0 */
/* tls_check's last word: what a delivery would do now. */
#include <string.h>

#include "relay/out/out_verdict.h"
#include "relay/tls/tls_check_own.h"

static const char *outcome_name(int outcome)
{
	return outcome == SPOOL_DELIVERED ? "delivered" : outcome == SPOOL_BOUNCED ? "bounced" : "deferred";
}

static json_t *say(int outcome, const char *host, json_t *text)
{
	return json_pack("{s:s, s:s, s:o}", "outcome", outcome_name(outcome), "host", host, "text",
			 text ? text : json_string("?"));
}

static json_t *would_go(const struct tls_check_try *t)
{
	const struct out_conn_peer *p = &t->peer;

	if (!p->tls.version)
		return json_sprintf("would be sent to %s in clear text", p->host);
	if (!strcmp(p->verified_by, "none"))
		return json_sprintf("would be sent to %s under %s, to whoever is there: nothing proves the host",
				    p->host, p->tls.version);
	return json_sprintf("would be sent to %s under %s, verified by %s", p->host, p->tls.version,
			    !strcmp(p->verified_by, "dane-ee")	 ? "DANE-EE"
			    : !strcmp(p->verified_by, "dane-ta") ? "DANE-TA"
			    : !strcmp(p->verified_by, "sts")	 ? "PKIX, as MTA-STS demands"
								 : "PKIX");
}

static json_t *would_not(const struct queue_result *v)
{
	const char *text = v->code ? v->reply : out_verdict_text(v);

	return v->outcome == SPOOL_BOUNCED ? json_sprintf("would be returned to its sender: %s", text)
					   : json_sprintf("would wait: %s", text);
}

/* As out_conn: one that could not be reached says less than one that was; what waits may be tried again. */
static int telling(const struct queue_result *v)
{
	return v->reason == QUEUE_CONNECT || v->reason == QUEUE_TIMEOUT ? 1
	       : v->outcome == SPOOL_BOUNCED				? 2
									: 3;
}

json_t *tls_check_verdict(const struct tls_check *k)
{
	const struct tls_check_try *worst = NULL;
	struct queue_result v;
	int deferred = 0;

	if (k->failure.outcome)
		return say(k->failure.outcome, "", would_not(&k->failure));
	for (unsigned i = 0; i < k->try_count; i++) {
		const struct tls_check_try *t = &k->tries[i];
		if (t->ready)
			return say(SPOOL_DELIVERED, t->peer.host, would_go(t));
		deferred |= t->verdict.outcome == SPOOL_DEFERRED;
		if (!worst || telling(&t->verdict) > telling(&worst->verdict))
			worst = t;
	}
	if (!worst)
		return say(SPOOL_DEFERRED, "", json_string("would wait, it seems: the lookups took too long"));
	v = worst->verdict;
	if (deferred)
		v.outcome = SPOOL_DEFERRED;
	return say(v.outcome, worst->peer.host, would_not(&v));
}
