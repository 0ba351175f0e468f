/* SPDX-License-Identifier: Apache-2.0 */
/* keys_cred - user and password for the login at a next hop: sealed in the store, opened by keyd when one is needed.
 *
 * Story:     control reads the upstream rows of store_credential into the book, which all threads may read: it holds
 *            sealed bytes only. It does so at start, and whoever changes a row calls keys_cred_load again. A worker
 *            that is to log in asks its keys_cred by name; keyd opens the two fields, and they stay in secret memory
 *            for at most KEYS_CRED_KEPT, or until keyd goes away or the book changes, whichever is first. Questions
 *            for one name share one question to keyd.
 * Ownership: spans of an answer hold during the callback.
 * Errors:    of a question: ERR_NOTFOUND (no such credential), ERR_GONE (its customer is destroyed), ERR_DENIED
 *            (disabled), ERR_AWAY, ERR_LOCKED, ERR_BUSY, ERR_TIMEOUT, ERR_AUTH or ERR_DAMAGED (it does not open),
 *            ERR_LIMIT (over KEYS_CRED_PART octets), ERR_NOMEM.
 * Limits:    KEYS_CRED_ROWS rows, KEYS_CRED_PART octets of user or password.
 * Thread:    the book any; keys_cred its loop's.
 * Source:    routes[].credential of relay.yaml; DESIGN section 4. */
#ifndef RELAY_KEYS_KEYS_CRED_H
#define RELAY_KEYS_KEYS_CRED_H

#include "core/clock.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/relay_control.h"

#define KEYS_CRED_KEPT (5 * 60 * CLOCK_SEC)
#define KEYS_CRED_ROWS 1024
#define KEYS_CRED_PART 512

/* --- the book */
struct keys_cred_row {
	const char *name, *customer;
	int disabled;
	struct span login_aad, login, secret_aad, secret; /* sealed */
};
struct keys_cred_book;
struct keys_cred_book *keys_cred_book_new(void);
void keys_cred_book_free(struct keys_cred_book *b);
/* From now on these, and no others. ERR_LIMIT, ERR_NOMEM: nothing has changed. */
int keys_cred_book_set(struct keys_cred_book *b, const struct keys_cred_row *rows, unsigned count);

/* (control) The book from the store. */
int keys_cred_load(struct relay *r);
extern const struct relay_control_part keys_cred_part;

/* --- a worker's */
struct keys_cred;
struct keys_cred_query;
typedef void (*keys_cred_fn)(void *arg, int result, struct span user, struct span password);

struct keys_cred *keys_cred_new(struct evt_loop *l, struct keyproto_client_ev *keyd, struct keys_cred_book *b);
/* No query may be open; after the client of keyd is freed, whose last answers it must hear. NULL is fine. */
void keys_cred_free(struct keys_cred *k);
/* What keyd's client tells: all that is open is wiped unless keyd is ready. */
void keys_cred_state(struct keys_cred *k, unsigned state);

/* fn once: within the call (then NULL is returned), or later. */
struct keys_cred_query *keys_cred_get(struct keys_cred *k, const char *name, keys_cred_fn fn, void *arg);
/* fn is not called any more. NULL is fine. */
void keys_cred_cancel(struct keys_cred_query *q);

#endif
