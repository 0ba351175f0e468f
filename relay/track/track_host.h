/* SPDX-License-Identifier: Apache-2.0 */
/* track_host - the web server that links lead to: HTTPS, and nothing but clicks, pixels and unsubscribing.
 *
 * Story:     new opens the listeners (so that a start with a wrong address fails), start begins the thread. A connection
 *            (track_conn) is accepted within limits, does its handshake with the certificate of the name that the client
 *            asks for (SNI; an unknown one fails the handshake), and brings requests one after the other, read by
 *            lib/http. A request is answered by track_visit. A reload of the configuration, or of certificates, is seen
 *            within a second; if it does not work, what was there stays.
 * Limits:    tracking.connections, tracking.rate, tracking.header, tracking.idle; TRACK_HOST_REQUESTS on a connection.
 * Thread:    new, start, stop, free: control's. stop ends the thread; what is still under way elsewhere comes home after
 *            it, until free.
 * Source:    tracking.* of relay.yaml; sealpost-tracking(8). */
#ifndef RELAY_TRACK_TRACK_HOST_H
#define RELAY_TRACK_TRACK_HOST_H

#include "relay/track/track_own.h"

#define TRACK_HOST_REQUESTS 100

/* NULL: *err, *why. */
struct track_host *track_host_new(struct track *t, const struct relay_conf *conf, int *err, const char **why);
int track_host_start(struct track_host *h);
void track_host_stop(struct track_host *h);
void track_host_free(struct track_host *h);

struct track_host_numbers {
	uint64_t requests, refused; /* refused: for what they were, or too many */
	unsigned connections;
};
void track_host_numbers(struct track_host *h, struct track_host_numbers *out);

#endif
