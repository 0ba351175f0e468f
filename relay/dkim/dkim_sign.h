/* SPDX-License-Identifier: Apache-2.0 */
/* dkim_sign - signs one message, as it will leave.
 *
 * Story:     new when it begins, feed its octets while they stream past (our own Received before them is not fed), then end.
 *            A header section that filters changed replaces the one that was fed (head), a body that they replaced comes
 *            as its hash (body). The answer is a header section to stand in front of the stored message: the signatures,
 *            and behind them the changed section if there is one. It goes into the envelope (head), with the skip that
 *            the filters gave, or 0.
 *            Who signs: dkim_domain; each active key of that domain (dkim_keys) makes one signature.
 *            For what is whole in memory already: dkim_sign_whole.
 * Unsigned:  a message whose domain is not configured; and one that has no From that everybody reads alike, whose header
 *            section is broken, or whose domain is another customer's: event=dkim-unsigned, counted.
 * Errors:    a message that is to be signed and cannot be is never passed on: event=dkim-failed, counted. ERR_LIMIT: its
 *            header fields are too long; else as dkim_keys: later.
 * Rotation:  a key that was active when the field was written may not be when keyd is asked: then it is written anew.
 * Memory:    flat; plaintext is wiped.
 * Thread:    its worker's. */
#ifndef RELAY_DKIM_DKIM_SIGN_H
#define RELAY_DKIM_DKIM_SIGN_H

#include "core/span.h"
#include "relay/relay.h"

struct dkim_sign;

/* conf is borrowed. may_change: head or body may follow, so nothing is decided before. NULL: no memory. */
struct dkim_sign *dkim_sign_new(struct relay_worker *w, const struct relay_conf *conf, int may_change);
/* At any time; fn does not come then. NULL is fine. */
void dkim_sign_free(struct dkim_sign *s);

/* A failure (no memory) is told by end. */
void dkim_sign_feed(struct dkim_sign *s, struct span in);
/* The section with its empty line; borrowed until fn. */
void dkim_sign_head(struct dkim_sign *s, struct span head);
void dkim_sign_body(struct dkim_sign *s, const uint8_t hash[32]);

/* err 0: both live until free. Freeing s in fn is fine. */
typedef void (*dkim_sign_fn)(void *arg, int err, struct span head, const char *domain);
/* customer NULL: made here. id: of the message, for the log; it and customer are used within the call. 0: fn comes, later;
 * 1: it is not signed, fn does not come. */
int dkim_sign_end(struct dkim_sign *s, const char *id, const char *customer, dkim_sign_fn fn, void *arg);

/* new, feed and end for a message made here. 0: *out is to be freed, in fn or before; 1: it is not signed; ERR_NOMEM. */
int dkim_sign_whole(struct relay_worker *w, const struct relay_conf *conf, const char *id, struct span message,
		    dkim_sign_fn fn, void *arg, struct dkim_sign **out);

#endif
