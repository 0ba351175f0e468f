/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_audit - messages about the audit log, proposals, self-tests and the end of everything.
 * Rules as in keyproto_msg.h.
 *
 * Story:  AUDIT_READ reads the log as it lies in its files, a part at a time: the reader asks for
 *         file 0 first, and then for what next says, until next names file 0. head is where the log
 *         ended when the part was read: verify needs it to see that nothing is missing there.
 *         PROPOSALS: empty request, JSON reply:
 *         {"proposals":[{"number":1,"op":"zeroize","digest":"<hex>","uid":0,"approved":[0],
 *          "need":2,"expires_s":3590}]}
 *         APPROVE and WITHDRAW take one number. An operation that became a proposal answers
 *         E_QUORUM with the number as its body.
 *         SELFTEST: empty request, JSON reply: {"passed":true,"failed":null,"usec":9000}
 *         ZEROIZE: names the store, so that nobody ends another than he means. JSON reply:
 *         {"memory":{"wiped":true,"bytes":..},"files":[{"path":..,"bytes":..,"verified":true,
 *          "removed":true}]}
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_AUDIT_H
#define KEYPROTO_KEYPROTO_AUDIT_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_AUDIT_PART (32 * 1024)
#define KEYPROTO_AUDIT_HASH 32

struct keyproto_audit_at {
	uint32_t file;
	uint64_t offset;
};
int keyproto_audit_at_put(struct buf *b, const struct keyproto_audit_at *m);
int keyproto_audit_at_get(struct span body, struct keyproto_audit_at *m);

struct keyproto_audit_part {
	struct keyproto_audit_at at, next;
	uint64_t head;	     /* number of the last line */
	const uint8_t *hash; /* its hash: KEYPROTO_AUDIT_HASH bytes */
	struct span data;    /* at most KEYPROTO_AUDIT_PART bytes */
};
int keyproto_audit_part_put(struct buf *b, const struct keyproto_audit_part *m);
int keyproto_audit_part_get(struct span body, struct keyproto_audit_part *m);

/* APPROVE, WITHDRAW, the body of E_QUORUM. 0 is no number. */
int keyproto_audit_number_put(struct buf *b, uint64_t number);
int keyproto_audit_number_get(struct span body, uint64_t *number);

/* ZEROIZE. store: 16 bytes; zeros while keyd is EMPTY. */
int keyproto_audit_zeroize_put(struct buf *b, const uint8_t store[16]);
int keyproto_audit_zeroize_get(struct span body, const uint8_t **store);

#endif
