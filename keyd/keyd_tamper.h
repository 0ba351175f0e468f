/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_tamper - signs that somebody tries things: counted over a sliding window, with a limit each.
 *
 * Story:  what goes wrong now and then in good faith (a mistyped passphrase, a damaged field) goes
 *         wrong often when somebody tries. At its limit keyd locks, and the counters begin anew.
 *         A limit of 0 never locks; it counts all the same. A debugger, and an older copy of the
 *         store, have the limit 1 and no window.
 * Limits: the window moves in KEYD_TAMPER_SLICES steps, so what is counted is at most one step
 *         older than the window.
 * Source: keys tamper.*; sealpost-keyd(8).
 * Thread: one. Pure: time is an argument (clock_mono). */
#ifndef KEYD_KEYD_TAMPER_H
#define KEYD_KEYD_TAMPER_H

#include <stdint.h>

#define KEYD_TAMPER_SLICES 60

/* X(symbol, name) */
#define KEYD_TAMPER_LIST(X)                                          \
	X(AUTH, "auth")	    /* secrets that open no slot */          \
	X(DENIED, "denied") /* operations that a role may not do */  \
	X(MAC, "mac")	    /* fields and MACs that do not verify */ \
	X(TRACER, "tracer") /* a debugger is attached */             \
	X(ROLLBACK, "rollback")
enum keyd_tamper_what {
#define KEYD_TAMPER_X(sym, name) KEYD_TAMPER_##sym,
	KEYD_TAMPER_LIST(KEYD_TAMPER_X)
#undef KEYD_TAMPER_X
	    KEYD_TAMPER_COUNT
};
const char *keyd_tamper_name(unsigned what);

struct keyd_tamper {
	int64_t slice; /* usec of one step */
	struct keyd_tamper_counter {
		uint64_t limit, total;
		int64_t at; /* number of the newest step */
		uint64_t slices[KEYD_TAMPER_SLICES];
	} counters[KEYD_TAMPER_COUNT];
};

/* window: usec, at least KEYD_TAMPER_SLICES. Counts are kept if t was in use. */
void keyd_tamper_set(struct keyd_tamper *t, int64_t window, uint64_t auth, uint64_t denied,
		     uint64_t mac);
/* 1: the limit is reached; all counters but the totals are zero again. */
int keyd_tamper_note(struct keyd_tamper *t, unsigned what, uint64_t n, int64_t now);
/* Counted within the window. */
uint64_t keyd_tamper_recent(struct keyd_tamper *t, unsigned what, int64_t now);

#endif
