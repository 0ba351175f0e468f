/* SPDX-License-Identifier: Apache-2.0 */
/* in_clients - how many sessions each client address, or each credential, has, over all workers.
 *
 * Story:  in_conn enters the key of each session (in_limit_client: IPv6 counts by /64, which is what one customer of a
 *         provider has; in_limit_credential after a login) and leaves it at the end. Touched twice a connection, so one
 *         lock is enough.
 * Thread: any. */
#ifndef RELAY_IN_IN_CLIENTS_H
#define RELAY_IN_IN_CLIENTS_H

#include "relay/in/in_limit.h"

/* 1 if one more session is within limit (it is counted then); 0 if not, or out of memory. */
int in_clients_enter(struct in_limit_key key, unsigned limit);
/* Once for each enter that gave 1. */
void in_clients_leave(struct in_limit_key key);

#endif
