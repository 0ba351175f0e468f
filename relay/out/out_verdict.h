/* SPDX-License-Identifier: Apache-2.0 */
/* out_verdict - what became of a recipient, as a value: struct queue_result, filled in one way
 * everywhere.
 *
 * Story:  code is the server's reply code; 0 says that the decision is ours (name lookup, TLS
 *         policy, size). reply then begins with the enhanced code (RFC 3463) and goes on with a
 *         text: the server's, cut and with control characters and non-ASCII replaced, or ours.
 *         Texts of servers may hold addresses: they go to the queue, the trace and the DSN, never
 *         to the log.
 * Thread: pure; any. */
#ifndef RELAY_OUT_OUT_VERDICT_H
#define RELAY_OUT_OUT_VERDICT_H

#include "relay/queue/queue.h"
#include "smtp/smtp_reply.h"

#define OUT_VERDICT_STATUS 12 /* "5.123.123" and NUL */

/* Our own decision. enhanced as "5.4.4"; text without CR and LF. */
void out_verdict_ours(struct queue_result *v, int outcome, int reason, const char *enhanced,
		      const char *text);
/* Deferred, because something here failed with err: keyd (ERR_AWAY, ERR_LOCKED, ERR_BUSY), the
 * stored message (ERR_AUTH, ERR_DAMAGED, ERR_FORMAT, ERR_NOTFOUND), or whatever else is short. */
void out_verdict_local(struct queue_result *v, int err);
/* A server's reply that decides. outcome by its first digit: 2 delivered, 4 deferred, 5 bounced;
 * any other digit is a breach of protocol: deferred, QUEUE_PROTOCOL. */
void out_verdict_reply(struct queue_result *v, int reason, const struct smtp_reply_in *r);
/* What a server said, for whoever matches replies: the enhanced code first, one line, at most 512
 * octets, control characters and non-ASCII replaced. */
#define OUT_VERDICT_SAID 513
void out_verdict_said(char dst[OUT_VERDICT_SAID], const struct smtp_reply_in *r);
/* As v, for another recipient: keeps to->recipient. */
void out_verdict_copy(struct queue_result *to, const struct queue_result *v);
/* The enhanced code at the start of reply; as 4.x.y if it says 5.x.y of what waits nevertheless. If there is
 * none, or its class contradicts the outcome otherwise, the general one. */
void out_verdict_status(const struct queue_result *v, char dst[OUT_VERDICT_STATUS]);
/* What follows the enhanced code. */
const char *out_verdict_text(const struct queue_result *v);
/* A permanent failure that may be held against the host only becomes a deferral: another may do. */
void out_verdict_soften(struct queue_result *v);

#endif
