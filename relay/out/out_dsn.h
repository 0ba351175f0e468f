/* SPDX-License-Identifier: Apache-2.0 */
/* out_dsn - writes the message that tells a sender what became of his.
 *
 * Story:  three parts: a text for people, message/delivery-status with a block per recipient, and
 *         the headers of the original, or all of it (full). It tells of failures, of delays (results
 *         DEFERRED of a job QUEUE_DELAY), and of deliveries to servers that send no reports
 *         ("relayed"), each as the recipient's NOTIFY allows (out_dsn_tells). Goes from the null
 *         sender to the envelope sender, so it can never cause another one; whoever calls checks that
 *         there is a sender. All that came from outside is put in as one folded line of printable
 *         ASCII: nothing in it can begin a header or a part. Addresses that are not ASCII are written
 *         as utf-8-addr-xtext (RFC 6533), so that the report passes where SMTPUTF8 does not; only such
 *         a sender himself makes it need SMTPUTF8.
 * Limits: OUT_DSN_HEADERS bytes of original headers (cut before a header, never within),
 *         OUT_SESSION_RECIPIENTS recipients: at most OUT_DSN_MAX bytes without the body of the
 *         original. Lines end with CRLF and are at most 998 octets long.
 * Thread: pure; any. Time, identity and boundary are arguments.
 * Source: RFC 3461, 3462 (6522), 3464, 3834, 6533. */
#ifndef RELAY_OUT_OUT_DSN_H
#define RELAY_OUT_OUT_DSN_H

#include "core/buf.h"
#include "relay/queue/queue.h"

#define OUT_DSN_HEADERS 65536
#define OUT_DSN_MAX	(512u << 10)

struct out_dsn {
	const char *hostname;
	uint64_t id;	      /* of the report */
	const char *boundary; /* occurs nowhere else: random */
	int64_t now;	      /* wall usec */
	uint64_t original;    /* message id */
	const struct spool_envelope *envelope;
	const struct queue_result *results; /* those that out_dsn_tells not of are skipped */
	unsigned count;
	int delay;	     /* DEFERRED is told: the message is late */
	int64_t until;	     /* wall usec: delayed ones are tried so long */
	const char *remote;  /* host that answered; NULL if none did */
	struct span headers; /* whole lines, no empty one; may be empty */
	int full; /* headers are not used: the caller appends the original, then out_dsn_end */
};

/* Whether the sender hears of this result: not if the envelope is of a report of ours, or the
 * recipient's NOTIFY says so. Without NOTIFY he hears of failures and delays. */
int out_dsn_tells(const struct spool_envelope *e, const struct queue_result *r, int delay);
/* Appends the report; with full, all that stands before the original. *flags: SPOOL_8BIT, SPOOL_UTF8. */
int out_dsn_format(const struct out_dsn *d, struct buf *out, int *flags);
/* full: appends what stands behind the original. whole: that ended with a line end. */
int out_dsn_end(const struct out_dsn *d, int whole, struct buf *out);

/* Gathers the header section of a message from stretches of it, in headers (maximum
 * OUT_DSN_HEADERS). 1 when it has all it can use, 0: give the next stretch. */
int out_dsn_gather(struct buf *headers, struct span stretch);
/* After the last stretch: leaves whole lines. Needed if gather never said 1. */
void out_dsn_gathered(struct buf *headers);

#endif
