/* SPDX-License-Identifier: Apache-2.0 */
/* api_envelope - opens a stored message's envelope for control: a worker does it, for workers have keys.
 * Thread: called by, and answering on, control. */
#ifndef RELAY_API_API_ENVELOPE_H
#define RELAY_API_API_ENVELOPE_H

#include "relay/relay.h"
#include "relay/spool/spool_message.h"

/* fn exactly once, later: err 0 and e (valid during the call), or ERR_*. */
int api_envelope_open(struct relay *r, uint64_t id, struct spool_place at,
		      void (*fn)(void *arg, int err, const struct spool_envelope *e), void *arg);

#endif
