/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/policy_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/out/out_conn.h"

struct policy_fake policy_fake;

struct sts_lookup {
	out_policy_hook_fn fn;
	void *arg;
};
static struct sts_lookup *held[64];

void policy_fake_reset(void)
{
	memset(&policy_fake, 0, sizeof(policy_fake));
	policy_fake.exception = -1;
}

int out_policy_hook_exception(struct relay *r, const char *domain, int64_t now)
{
	(void)r;
	(void)domain;
	(void)now;
	return policy_fake.exception;
}

static void answer(out_policy_hook_fn fn, void *arg)
{
	if (policy_fake.sts)
		policy_fake.sts->refs++;
	fn(arg, policy_fake.result, policy_fake.sts, policy_fake.failure);
}

struct sts_lookup *out_policy_hook_sts(struct relay_worker *w, struct out_dns *dns,
				       const char *domain, out_policy_hook_fn fn, void *arg)
{
	(void)w;
	(void)dns;
	(void)domain;
	policy_fake.asked++;
	for (int i = 0; policy_fake.hold && i < 64; i++)
		if (!held[i]) {
			held[i] = calloc(1, sizeof(*held[i]));
			*held[i] = (struct sts_lookup){fn, arg};
			return held[i];
		}
	answer(fn, arg);
	return NULL;
}

void policy_fake_release(void)
{
	policy_fake.hold = 0;
	for (int i = 0; i < 64; i++) {
		struct sts_lookup *k = held[i];
		held[i] = NULL;
		if (k)
			answer(k->fn, k->arg);
		free(k);
	}
}

void out_policy_hook_cancel(struct sts_lookup *k)
{
	for (int i = 0; k && i < 64; i++)
		if (held[i] == k) {
			held[i] = NULL;
			policy_fake.cancelled++;
			free(k);
			return;
		}
}

enum out_policy_hook_mode out_policy_hook_sts_mode(const struct sts_policy *p)
{
	return p->mode;
}

int out_policy_hook_sts_match(const struct sts_policy *p, const char *host)
{
	return !strcmp(p->host, host);
}

const char *out_policy_hook_sts_text(const struct sts_policy *p)
{
	return p->id;
}

void out_policy_hook_sts_unref(struct sts_policy *p)
{
	if (p)
		p->refs--;
}

void out_policy_hook_session(struct relay *r, const struct out_policy *p,
			     const struct out_policy_host *must, const char *domain,
			     const struct out_conn_peer *peer)
{
	(void)r;
	(void)p;
	(void)must;
	policy_fake.sessions++;
	policy_fake.failures += peer->failure != TLSRPT_OK;
	policy_fake.last = peer->failure;
	snprintf(policy_fake.domain, sizeof(policy_fake.domain), "%s", domain);
	snprintf(policy_fake.mx, sizeof(policy_fake.mx), "%s", peer->host);
	snprintf(policy_fake.local, sizeof(policy_fake.local), "%s", peer->local);
}

void out_policy_hook_untried(struct relay *r, const char *domain, enum tlsrpt_result result, const char *why)
{
	(void)r;
	(void)domain;
	(void)why;
	policy_fake.untried += result != TLSRPT_OK;
}
