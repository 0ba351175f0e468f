/* SPDX-License-Identifier: Apache-2.0 */
/* relay_worker - one event loop with its SMTP sessions in and out, and its connection to keyd.
 *
 * Story:  start makes the thread and waits until its listeners stand. stop_mail ends sessions (in, then out) within
 *         the grace time and tells control; end stops the loop and joins.
 * Thread: called by control. */
#ifndef RELAY_RELAY_WORKER_H
#define RELAY_RELAY_WORKER_H

#include "relay/relay.h"

/* 0, or ERR_* with *why naming what failed (a listener's address, mostly). */
int relay_worker_start(struct relay_worker *w, struct relay *r, int index, const char **why);
/* Posts; relay->workers_busy falls by one when done. */
void relay_worker_stop_mail(struct relay_worker *w);
void relay_worker_end(struct relay_worker *w);

#endif
