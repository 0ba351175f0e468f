/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_watch - once a second: is somebody looking into us? And what the counters of tampering say.
 *
 * Story:     keyd_watch_init starts the timer. Whoever sees something wrong says so with
 *            keyd_watch_tamper. At its limit keyd locks: not within that call, since whoever
 *            called may be using keys, but at the end of the turn (keyd_watch_settle). A debugger
 *            locks at once, and again each second while it stays. The timer also drives the audit
 *            log and lets proposals expire.
 * Source:    keys tamper, quorum; events tamper-noticed, tamper-lock.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_WATCH_H
#define KEYD_KEYD_WATCH_H

#include "core/buf.h"
#include "evt/evt_timer.h"
#include "keyd/keyd_tamper.h"

struct keyd;

struct keyd_watch {
	struct evt_timer timer;
	struct evt_defer settle;
	int running;
	unsigned reached; /* 1 + enum keyd_tamper_what: at its limit; 0: none */
	int tracer;	  /* was seen at the last look */
};

void keyd_watch_init(struct keyd *k);
void keyd_watch_clear(struct keyd *k);
/* keyd.yaml was read again. */
void keyd_watch_reload(struct keyd *k);
/* Records limits and quorums in the audit log. */
void keyd_watch_told(struct keyd *k);

/* what: enum keyd_tamper_what. */
void keyd_watch_tamper(struct keyd *k, unsigned what, uint64_t n);
/* Locks if a limit was reached. */
void keyd_watch_settle(struct keyd *k);
/* What the timer does. */
void keyd_watch_tick(struct keyd *k);

/* keyd locks: proposals may hold secrets, and are wiped too. */
void keyd_watch_drop_proposals(struct keyd *k);

/* {"auth":{"recent":..,"limit":..,"total":..},...} */
void keyd_watch_json(struct keyd *k, struct buf *out);

#endif
