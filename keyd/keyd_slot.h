/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_slot - opens and makes slots with what keyd.yaml names and what people give.
 *
 * Story:     the loop gathers secrets into a vault: from the files and credentials that keyd.yaml
 *            names (keyd_slot_gather), or from a request (keyd_slot_give). A worker thread then
 *            opens slots with them (keyd_slot_open) and wraps the root anew (keyd_slot_make):
 *            Argon2 takes a quarter of a second, a token as long as it likes. Only the vault and
 *            what is passed in is touched there.
 * Ownership: a vault is one piece of secret memory, wiped when it is freed.
 * Errors:    ERR_AUTH (no secret opens any slot), ERR_FORMAT (a passphrase that is too short, a
 *            share with a typo), ERR_NOTFOUND (keyd.yaml names no such secret, or it is not there),
 *            ERR_NOMEM; of files sys_file's, of tokens keyd_token's.
 * Thread:    _gather and _give: any, they read files. _open and _make: any. */
#ifndef KEYD_KEYD_SLOT_H
#define KEYD_KEYD_SLOT_H

#include "keyd/keyd_conf.h"
#include "keyd/keyd_snapshot.h"
#include "keyproto/keyproto_slot.h"

struct keyd_slot_secret {
	uint8_t method;
	uint8_t unattended; /* keyd has it from a file: nobody is there who knows it */
	uint8_t entry;	    /* of keyd.yaml, if unattended */
	uint32_t slot;	    /* the only slot that it may be tried on; 0: any of its method */
	size_t n;
	uint8_t bytes[KEYD_ROOT_SECRET_MAX];
};

/* Secrets that are tried in their order, and the root that came out of one. */
struct keyd_slot_vault {
	uint8_t root[32];
	unsigned count;
	struct keyd_slot_secret secrets[KEYD_ROOT_SLOTS_MAX];
};
struct keyd_slot_vault *keyd_slot_vault_new(void);
void keyd_slot_vault_free(struct keyd_slot_vault *v);

/* Adds what keyd.yaml names for this method (KEYPROTO_SLOT_ANY: for each that opens by itself), if
 * head has such a slot. What cannot be had is logged under session's name. ERR_NOTFOUND: nothing
 * was added. */
int keyd_slot_gather(const struct keyd_conf *conf, unsigned method,
		     const struct keyd_snapshot_head *head, const char *session,
		     struct keyd_slot_vault *v);
/* Adds the secret of a slot to be made as this entry says: a key file is made if it is not there.
 * given: passphrase, or PIN if keyd.yaml names none. */
int keyd_slot_gather_new(const struct keyd_conf *conf, size_t entry, struct span given,
			 struct keyd_slot_vault *v);
/* Adds what a request brought. */
int keyd_slot_give(unsigned method, struct span secret, struct keyd_slot_vault *v);
/* First entry of keyd.yaml with this method, and with this name unless it is empty; -1. */
int keyd_slot_entry(const struct keyd_conf *conf, unsigned method, struct span name);

/* What happened in keyd_slot_open: for the log. */
struct keyd_slot_outcome {
	uint32_t id;			 /* the slot that opened */
	unsigned used;			 /* the secret that opened it */
	int errors[KEYD_ROOT_SLOTS_MAX]; /* of each secret that was tried */
	const char *why;		 /* of a token's failure, or NULL; static */
};

struct keyd_token;
/* Tries each secret on each slot of its method; only: on no slot but this (0: on all). The root is
 * left in v. token: may be NULL. */
int keyd_slot_open(struct keyd_slot_vault *v, const struct keyd_snapshot_head *head, uint32_t only,
		   struct keyd_token *token, struct keyd_slot_outcome *out);
/* Logs each secret of keyd.yaml that did not open anything. */
void keyd_slot_log(const struct keyd_slot_vault *v, const struct keyd_slot_outcome *out,
		   const char *session);

/* What the asker is told: that keyd may not read a file, or use a token, is not that he may not ask. */
int keyd_slot_reply(int rc);

/* The shares of one new slot; secret memory. */
struct keyd_slot_shares {
	unsigned count;
	char texts[KEYD_ROOT_SHARES_MAX][KEYD_SHARE_TEXT];
};
/* Wraps v->root into s, whose id, method, created, name, shares' numbers and token's URI are set.
 * secret: as gathered, of that method. shares: filled for a shares slot. */
int keyd_slot_make(struct keyd_root_slot *s, const uint8_t store[16],
		   const struct keyd_slot_vault *v, const struct keyd_slot_secret *secret,
		   struct keyd_token *token, struct keyd_slot_shares *shares, const char **why);

#endif
