/* SPDX-License-Identifier: Apache-2.0 */
/* store_credential - rows of the credentials by which clients log in here (inbound), and by which relay logs in at
 * next hops (upstream).
 *
 * Story:     secret is sealed by keyd under purpose CRED of the row's customer with store_aad(customer, "credential",
 *            "secret", id); login (upstream's user name) likewise in column "login". inbound: the secret is an
 *            Argon2id hash in its text form, or there is none and the row has the fingerprint of a certificate. So a
 *            row is made first, to have its id, and completed when keyd has sealed: both in one transaction's view,
 *            since a row without secret and fingerprint logs nobody in.
 * Ownership: texts and spans of a row hold until the next step.
 * Errors:    of store.h; ERR_EXISTS: kind and name, or the fingerprint, are taken; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_CREDENTIAL_H
#define RELAY_STORE_STORE_CREDENTIAL_H

#include "relay/store/store.h"

enum store_credential_kind { STORE_CREDENTIAL_INBOUND = 1, STORE_CREDENTIAL_UPSTREAM = 2 };
#define STORE_CREDENTIAL_FINGERPRINT 32

struct store_credential {
	int64_t id;
	int kind; /* enum store_credential_kind */
	const char *name, *customer;
	struct span login, secret; /* sealed; empty: none */
	struct span fingerprint;   /* STORE_CREDENTIAL_FINGERPRINT octets, or empty */
	const char *messages, *recipients; /* rates, "": none */
	int64_t connections;		   /* 0: no limit */
	int disabled;
	int64_t created, changed; /* wall usec */
};

/* A new row; id, login and secret of c are not looked at. Its id, or ERR_*. */
int64_t store_credential_add(struct store *s, const struct store_credential *c);
/* Puts the sealed parts (empty: leaves that one) in, and the time. */
int store_credential_seal(struct store *s, int64_t id, struct span login, struct span secret, int64_t now);
int store_credential_disable(struct store *s, int64_t id, int disabled, int64_t now);
int store_credential_remove(struct store *s, int64_t id);
#define STORE_CREDENTIAL_CUSTOMER 65
/* Id by kind and name, or ERR_NOTFOUND; and whose it is, unless customer is NULL. */
int64_t store_credential_find(struct store *s, int kind, const char *name,
			      char customer[STORE_CREDENTIAL_CUSTOMER]);
/* All, by kind and name: fn until it says no (not 0), which is returned. */
typedef int (*store_credential_fn)(void *arg, const struct store_credential *c);
int store_credential_each(struct store *s, store_credential_fn fn, void *arg);
/* The same by id. */
int store_credential_each_by_id(struct store *s, store_credential_fn fn, void *arg);

/* login (secret 0) or secret (1) sealed anew: ERR_EXISTS if it is not old any more. */
int store_credential_reseal(struct store *s, int64_t id, int secret, struct span old, struct span fresh);

#endif
