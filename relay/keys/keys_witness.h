/* SPDX-License-Identifier: Apache-2.0 */
/* keys_witness - relay remembers how far keyd's store had come, and whose keys were destroyed.
 *
 * Story:     an older copy of keyd's store that is put back, with whatever keyd itself remembers,
 *            looks whole to keyd. So relay keeps the store's last mark and all its tombstones in
 *            STATE/keyd.witness, shows them at each connect (keyd locks if its store is older), and
 *            takes the present ones, then and once a minute. What it holds is no secret and cannot
 *            be forged into a destruction: tombstones carry keyd's MAC.
 * Files:     replaced whole. One that is damaged is said so and begun anew; one that cannot be
 *            written is said so, and tried again a minute later.
 * Errors:    none reach the mail: a witness that fails is logged.
 * Source:    sealpost-keyproto(7) witness; sealpost-relay(8).
 * Thread:    control's. */
#ifndef RELAY_KEYS_KEYS_WITNESS_H
#define RELAY_KEYS_KEYS_WITNESS_H

#include "evt/evt_loop.h"

struct keys_witness;

/* state: relay's directory; keyd: path of its socket. NULL: out of memory. */
struct keys_witness *keys_witness_new(struct evt_loop *loop, const char *keyd, const char *state);
void keys_witness_free(struct keys_witness *w);

#endif
