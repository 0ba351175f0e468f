/* SPDX-License-Identifier: Apache-2.0 */
/* policy_fake - exceptions and MTA-STS as outgoing mail sees them, for tests: linked instead of
 * relay/out/out_policy_hook.c.
 *
 * Story: knobs are in policy_fake; policy_fake_reset puts them back. */
#ifndef TEST_UNIT_POLICY_FAKE_H
#define TEST_UNIT_POLICY_FAKE_H

#include "relay/out/out_policy_hook.h"

struct sts_policy {
	int refs;
	enum out_policy_hook_mode mode;
	const char *id;
	const char *host; /* the one that it names */
};

struct policy_fake {
	int exception; /* level, or -1 */
	struct sts_policy *sts; /* of every domain; NULL: none */
	enum tlsrpt_result failure; /* told beside it */
	int result;
	int hold; /* answered by policy_fake_release */
	unsigned asked, cancelled;
	/* of TLS reports */
	unsigned sessions, failures, untried;
	enum tlsrpt_result last;
	char domain[256], mx[256], local[64];
};
extern struct policy_fake policy_fake;

void policy_fake_reset(void);
void policy_fake_release(void);

#endif
