/* SPDX-License-Identifier: Apache-2.0 */
/* relay_credential - control's part in credentials: keeps the rows, has keyd open and seal them, hands them out.
 *
 * Story:  whenever keyd becomes READY, and after each change, the sealed hashes of inbound credentials are opened and
 *         published to in_auth; upstream credentials go to the workers sealed as they are. When keyd goes away nothing is
 *         published: nobody can log in. A row that cannot be opened is left out and said (credential-unusable).
 * Thread: control's. */
#ifndef RELAY_RELAY_CREDENTIAL_H
#define RELAY_RELAY_CREDENTIAL_H

#include "relay/relay_control.h"
#include "relay/store/store_credential.h"

extern const struct relay_control_part relay_credential_part;

/* c with name, customer, limits and fingerprint; login and password in clear (empty: none; they are used within the
 * call). done: 0 and the id, or ERR_EXISTS, ERR_NOTFOUND (customer), ERR_AWAY, ERR_LOCKED... Returns 0 if done will be
 * called, or ERR_*. */
typedef void (*relay_credential_fn)(void *arg, int err, int64_t id);
int relay_credential_add(struct relay *r, const struct store_credential *c, struct span login,
			 struct span password, relay_credential_fn done, void *arg);
/* A new password (and login, of upstream) for one that exists. */
int relay_credential_change(struct relay *r, int kind, const char *name, struct span login,
			    struct span password, relay_credential_fn done, void *arg);
/* The rows have changed: reads and hands them out anew. */
void relay_credential_again(struct relay *r);
int relay_credential_disable(struct relay *r, int kind, const char *name, int disabled);
int relay_credential_remove(struct relay *r, int kind, const char *name);

#endif
