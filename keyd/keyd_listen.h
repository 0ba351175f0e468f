/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_listen - the two Unix sockets, and a session for each connection.
 *
 * Story:     a peer is who the kernel says he is at connect (SO_PEERCRED); his roles come from
 *            the configuration. He has 10 s for HELLO. A peer who asks but does not read is not
 *            read from either, and is dropped when that lasts 10 s.
 * Ownership: owns listeners, connections and their sessions.
 * Errors:    as evt_listen_unix.
 * Source:    DESIGN section 3; keys socket, admin_socket, socket_mode, limits.connections.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_LISTEN_H
#define KEYD_KEYD_LISTEN_H

#include "keyd/keyd.h"

struct keyd_listen;

/* failed: the path that could not be opened. */
int keyd_listen_open(struct keyd *k, struct keyd_listen **out, const char **failed);
/* Ends all sessions. */
void keyd_listen_close(struct keyd_listen *l);
/* Ends sessions whose uid no longer has their role: after keyd_reload. */
void keyd_listen_recheck(struct keyd_listen *l);

#endif
