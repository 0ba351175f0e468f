/* SPDX-License-Identifier: Apache-2.0 */
/* dkim_keys - what a worker knows of keyd's DKIM keys: which versions are active; and its questions to keyd.
 *
 * Story:     get tells the active versions of a domain's keys, at once if they are known, else after keyd was asked; all who
 *            ask for one domain meanwhile share the question. What is known holds until keyd's epoch grows (it does when
 *            a key is made or activated), keyd goes away, or a signature with it is refused (stale). sign asks for one
 *            signature, by the version that the caller names, since its selector stands in what is signed.
 *            Labels are dkim/DOMAIN/rsa and dkim/DOMAIN/ed25519; private keys never leave keyd.
 * Ownership: waits are embedded in their owners; calls of sign are given back by their answer or by cancel.
 * Errors:    ERR_AWAY, ERR_LOCKED, ERR_TIMEOUT, ERR_BUSY (too many questions), ERR_NOMEM; ERR_NOTFOUND: keyd has no key for
 *            the domain (asked again after a second), or not that version; of sign also ERR_DENIED: it signs no more.
 *            Never ERR_LIMIT.
 * Thread:    its worker's. fn never comes within the call. */
#ifndef RELAY_DKIM_DKIM_KEYS_H
#define RELAY_DKIM_DKIM_KEYS_H

#include "core/list.h"
#include "keyproto/keyproto_client_ev.h"
#include "mail/mail_dkim.h"

#define DKIM_KEYS_DOMAIN_MAX (KEYPROTO_NAME_MAX - 13) /* beside "dkim/" and "/ed25519" */

struct dkim_keys;

struct dkim_keys *dkim_keys_new(struct evt_loop *loop, struct keyproto_client_ev *keyd);
/* Before the client is freed: what is under way is answered no more. NULL is fine. */
void dkim_keys_free(struct dkim_keys *k);
/* What keyd's client tells. */
void dkim_keys_state(struct dkim_keys *k, unsigned state);

struct dkim_keys_set {
	uint32_t version[MAIL_DKIM_ALG_COUNT]; /* 0: there is none, but never all 0 */
};
struct dkim_keys_wait {
	struct list_link link;
	void (*fn)(void *arg, int err, const struct dkim_keys_set *set);
	void *arg;
};
/* domain: as configured. 0: *set; 1: wait->fn comes; ERR_*. */
int dkim_keys_get(struct dkim_keys *k, const char *domain, struct dkim_keys_set *set, struct dkim_keys_wait *wait);
void dkim_keys_unwait(struct dkim_keys_wait *wait);
/* Asks anew before it tells of this domain again. */
void dkim_keys_stale(struct dkim_keys *k, const char *domain);

struct dkim_keys_call;
typedef void (*dkim_keys_sign_fn)(void *arg, int err, struct span signature);
/* data: as keyd takes it (RSA: the input, Ed25519: its digest). *call: for cancel, until fn. */
int dkim_keys_sign(struct dkim_keys *k, const char *domain, enum mail_dkim_alg alg, uint32_t version, struct span data,
		   dkim_keys_sign_fn fn, void *arg, struct dkim_keys_call **call);
/* NULL is fine. */
void dkim_keys_cancel(struct dkim_keys_call *call);

#endif
