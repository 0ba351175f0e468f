/* SPDX-License-Identifier: Apache-2.0 */
/* relay_control - what the control thread keeps in the store and hands to the others: a table of parts.
 *
 * Story:  start opens the store, then each part in order (before queue and workers run: a part that fails stops the
 *         start), then connects to keyd. Each part hears of every change of keyd's state, so it can open what lies
 *         sealed. stop closes all in the reverse order, when the other threads have ended.
 *         A part is a row in relay_control.c; its state hangs off struct relay.
 * Thread: control's. */
#ifndef RELAY_RELAY_CONTROL_H
#define RELAY_RELAY_CONTROL_H

#include "relay/relay.h"

struct relay_control_part {
	/* 0 or ERR_*, with *why. May be NULL, as the others. */
	int (*open)(struct relay *r, const char **why);
	void (*keyd)(struct relay *r, unsigned state); /* KEYPROTO_AWAY or enum keyproto_state */
	void (*close)(struct relay *r);
};

int relay_control_start(struct relay *r, const char **why);
void relay_control_stop(struct relay *r);

#endif
