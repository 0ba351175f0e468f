/* SPDX-License-Identifier: Apache-2.0 */
/* keys_reseal - after a customer got a new DEK: what relay keeps under the older ones is sealed
 * anew, until nothing is.
 *
 *     look --> customers with older DEKs --> walk all sources --found some--> again, later
 *      ^                                        | found none, and settled
 *      |                                        v
 *      +------------ later <--no-- objects of before the rotation all gone? --yes--> DEK_EMPTY
 *
 * Story:     control has one. It looks at start, when keyd's epoch grows (keys_reseal_look), and
 *            now and then. Each kind of thing that lies sealed in relay's state is a source, a row
 *            in a table: it tells its sealed items in order, and puts a new one in place of an old
 *            one. keyd turns old into new (RESEAL_FIELDS), so no plaintext comes here. At most rate
 *            items a second are looked at, so nobody notices. A DEK is said to be empty when one
 *            whole walk, begun no earlier than settle after the new DEK was first seen here, found
 *            nothing under an older one, and objects (mail in the spool) of that time are gone.
 *            What was under way when the rotation came has ended by then. Nothing of this is kept:
 *            after a restart it begins again, which only costs time.
 * Ownership: borrows sources and client. Free it after the client, which answers what is under way.
 * Errors:    an item that keyd refuses (damaged, moved) stays, is logged, and keeps its DEK alive.
 * Limits:    256 customers at a time; the others' turn comes when these are done.
 * Thread:    its loop's. */
#ifndef RELAY_KEYS_KEYS_RESEAL_H
#define RELAY_KEYS_KEYS_RESEAL_H

#include "keyproto/keyproto_client_ev.h"

#define KEYS_RESEAL_BATCH 64
#define KEYS_RESEAL_BYTES 49152 /* of AAD and sealed bytes in one batch: they travel in one frame */

struct keys_reseal_item {
	uint64_t id;	    /* the source's own */
	struct span aad;    /* as it was sealed with */
	struct span sealed; /* seal_field.h */
};

struct keys_reseal_source {
	const char *name; /* for the log: "credentials" */
	uint8_t purpose;  /* KEYPROTO_FOR_FIELD or KEYPROTO_FOR_CRED */
	/* The customer's items behind *cursor (0: from the first), which is moved on: at most
	 * KEYS_RESEAL_BATCH of them and KEYS_RESEAL_BYTES. Spans hold until the next call. Returns
	 * their number, 0 at the end, or ERR_*. */
	int (*next)(void *arg, const char *customer, uint64_t *cursor,
		    struct keys_reseal_item *items);
	/* Puts fresh in place of what item says, unless that has changed meanwhile (ERR_EXISTS) or
	 * is gone (ERR_NOTFOUND). */
	int (*replace)(void *arg, const char *customer, const struct keys_reseal_item *item,
		       struct span fresh);
	void *arg;
};

struct keys_reseal_options {
	const struct keys_reseal_source *sources;
	unsigned source_count;
	int64_t rate;	/* items a second */
	int64_t settle; /* usec */
	/* Finds out when the oldest object that still lives was made (clock_wall; 0: there is
	 * none), and calls answer with it, later, once; a negative ERR_*: not known. */
	void (*objects)(void *arg, void (*answer)(void *to, int64_t oldest), void *to);
	void *arg;
};

struct keys_reseal;

/* options are copied, sources are not. NULL: out of memory. */
struct keys_reseal *keys_reseal_new(struct evt_loop *loop, struct keyproto_client_ev *keyd,
				    const struct keys_reseal_options *options);
void keys_reseal_free(struct keys_reseal *r);
/* keyd is READY, or its epoch has grown. */
void keys_reseal_look(struct keys_reseal *r);

#endif
