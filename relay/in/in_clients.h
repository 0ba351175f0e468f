/* SPDX-License-Identifier: Apache-2.0 */
/* in_clients - how many sessions each client address has, over all workers.
 *
 * Story:  in_conn enters the address of each session and leaves it at the end. IPv6 clients count by /64, which is
 *         what one customer of a provider has. Touched twice a connection, so one lock is enough.
 * Thread: any. */
#ifndef RELAY_IN_IN_CLIENTS_H
#define RELAY_IN_IN_CLIENTS_H

#include <stdint.h>
#include <sys/socket.h>

/* 1 if one more session is within limit (it is counted then); 0 if not, or out of memory. */
int in_clients_enter(const struct sockaddr_storage *a, unsigned limit);
/* The same for the sessions of one credential. */
int in_clients_enter_credential(int64_t id, unsigned limit);
void in_clients_leave_credential(int64_t id);

/* Once for each enter that gave 1. */
void in_clients_leave(const struct sockaddr_storage *a);

#endif
