/* SPDX-License-Identifier: Apache-2.0 */
/* in_listen - accepts SMTP connections on one worker and runs a session for each.
 *
 * Story:  opens the configured listeners with SO_REUSEPORT, counts sessions against the limits (421 4.7.0 beyond
 *         them), creates an in_session per connection. On stop: no new connections; sessions get 421 4.3.2 at their next
 *         command boundary; those in DATA may finish within the grace time.
 * Thread: the worker's. */
#ifndef RELAY_IN_IN_LISTEN_H
#define RELAY_IN_IN_LISTEN_H

#include "relay/relay.h"

/* NULL: *err (ERR_*) and *which (address text) say why. */
struct in_listen *in_listen_new(struct relay_worker *w, const struct relay_conf *conf, int *err,
				const char **which);
/* Begins to stop; done(arg) is called when the last session has ended, or after grace_usec, when those left are cut
 * (but for messages that are being committed: they are answered to nobody, and queued). */
void in_listen_stop(struct in_listen *l, int64_t grace_usec, void (*done)(void *arg), void *arg);
void in_listen_free(struct in_listen *l);

#endif
