/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_intake - mail to bounce.domain: read in memory, never stored, answered when it has had its effect.
 *
 * Story:     at RCPT kind says what an address at bounce.domain is; new begins a message for it, write gathers it, finish
 *            reads it (bounce_notice) on the worker and posts what it says to control. Control finds the customer by the
 *            token's tag, has keyd index the named addresses (newest DEK first, then older ones), and takes the one that the
 *            token was made for. A hard bounce, or a complaint, puts it on the customer's list (bounce_list); everything
 *            is one line in the log, with the message's id and no address. Then done is called, on the worker.
 * Errors:    done: 0 (also for what says nothing, or holds no proof: there is nobody to tell); ERR_NOTFOUND: the token is
 *            of no customer here (550); else what is away (451).
 * Limits:    BOUNCE_INTAKE_MAX bytes of a message; BOUNCE_INTAKE_PENDING messages at a time in a process (ERR_BUSY).
 * Thread:    the worker's, but for what control does with it meanwhile.
 * Source:    sealpost-bounce(7). */
#ifndef RELAY_BOUNCE_BOUNCE_INTAKE_H
#define RELAY_BOUNCE_BOUNCE_INTAKE_H

#include "relay/bounce/bounce_verp.h"
#include "relay/relay.h"

#define BOUNCE_INTAKE_MAX     (1u << 20)
#define BOUNCE_INTAKE_PENDING 256

enum bounce_intake_kind { BOUNCE_INTAKE_NONE, BOUNCE_INTAKE_TOKEN, BOUNCE_INTAKE_REPORT, BOUNCE_INTAKE_UNSUBSCRIBE };
/* NONE: neither at bounce.domain nor at tracking.mailto. UNSUBSCRIBE: relay/track has it. ERR_NOTFOUND: there, but nobody. v: of TOKEN; may be NULL. */
int bounce_intake_kind(const struct relay_conf *c, struct span local, struct span domain,
		       struct bounce_verp *v);

struct bounce_intake;
typedef void (*bounce_intake_fn)(void *arg, int err);

/* For mail to address, of which kind is not NONE. NULL: no memory, or too many. */
struct bounce_intake *bounce_intake_new(struct relay_worker *w, const char *address);
/* ERR_LIMIT: larger than BOUNCE_INTAKE_MAX. */
int bounce_intake_write(struct bounce_intake *i, struct span s);
/* Takes it over: done is called once, later, unless free comes first. */
void bounce_intake_finish(struct bounce_intake *i, bounce_intake_fn done, void *arg);
void bounce_intake_free(struct bounce_intake *i);

#endif
