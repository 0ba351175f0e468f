/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_audit_sum - what happens too often for a line each: counted for a minute.
 *
 * Story:  one counter for each event, operation, role, uid and subject (customer or label). When
 *         the table is full, all that has no place is counted together: the log then says that
 *         there was more, and how much.
 * Limits: KEYD_AUDIT_SUM_MAX counters in fixed memory.
 * Thread: one. Pure. */
#ifndef KEYD_KEYD_AUDIT_SUM_H
#define KEYD_KEYD_AUDIT_SUM_H

#include <stdint.h>

#include "core/span.h"
#include "keyproto/keyproto_msg.h"

#define KEYD_AUDIT_SUM_MAX 512

struct keyd_audit_sum_row {
	unsigned event, op, role;
	uint32_t uid;
	uint64_t count, failed;
	uint8_t n; /* bytes of subject */
	char subject[KEYPROTO_NAME_MAX];
};

struct keyd_audit_sum {
	unsigned count;
	uint64_t more, more_failed;
	struct keyd_audit_sum_row rows[KEYD_AUDIT_SUM_MAX];
	uint16_t slots[2 * KEYD_AUDIT_SUM_MAX]; /* row + 1 by hash of its key; 0: free */
};

void keyd_audit_sum_reset(struct keyd_audit_sum *s);
/* Adds key's count and failed. A subject longer than a name is cut. */
void keyd_audit_sum_add(struct keyd_audit_sum *s, const struct keyd_audit_sum_row *key,
			struct span subject);

#endif
