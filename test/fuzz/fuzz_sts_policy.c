/* SPDX-License-Identifier: Apache-2.0 */
/* MTA-STS: byte 0 says whether the rest is a TXT record or a policy. What is accepted keeps the
 * bounds that the RFC sets, is accepted again as it was kept, and its patterns match what they
 * name and nothing else. */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "relay/sts/sts_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void check_record(struct span txt)
{
	char id[STS_POLICY_ID];

	if (sts_record_parse(txt, id) == 0)
		must(id[0] &&
		     strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
			 strlen(id));
}

static void check_pattern(const struct sts_policy *p, const char *pattern)
{
	char host[600];
	int wild = pattern[0] == '*';

	must(strspn(pattern + (wild ? 2 : 0), "abcdefghijklmnopqrstuvwxyz0123456789.-") ==
	     strlen(pattern) - (wild ? 2 : 0));
	snprintf(host, sizeof(host), "%s%s", wild ? "x" : "", pattern + wild);
	must(sts_policy_match(p, host));
	if (p->count > 1)
		return;
	snprintf(host, sizeof(host), "y.%s%s", wild ? "x" : "", pattern + wild);
	must(!sts_policy_match(p, host));
	must(!wild || !sts_policy_match(p, pattern + 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sts_policy *p, *again;
	const char *why = NULL;
	int err = 1;

	if (!size)
		return 0;
	if (data[0] & 1) {
		check_record(span_of(data + 1, size - 1));
		return 0;
	}
	p = sts_policy_parse(span_of(data + 1, size - 1), "1", 0, &err, &why);
	if (!p) {
		must(err < 0 && why);
		return 0;
	}
	must(err == 0 && p->max_age <= STS_POLICY_MAX_AGE && p->count <= STS_POLICY_PATTERNS);
	must(p->count || p->mode == STS_NONE);
	must(p->expires == p->max_age * CLOCK_SEC && strlen(p->text) == p->size);
	for (unsigned i = 0; i < p->count; i++)
		check_pattern(p, p->patterns[i]);
	again = sts_policy_parse(span_of(p->text, p->size), "1", 0, &err, &why);
	must(again && again->count == p->count && again->mode == p->mode &&
	     again->max_age == p->max_age);
	sts_policy_unref(again);
	sts_policy_unref(p);
	return 0;
}
