/* SPDX-License-Identifier: Apache-2.0 */
/* keys_object_priv - what the three files of keys_object share: keys_object.c (life, state of
 * keyd), keys_object_stock.c (keys for new objects), keys_object_open.c (keys of objects that
 * exist).
 *
 * Ownership: customers live as long as the keys_object, or until they are the least recently used
 *            of too many. Whatever is on its way to keyd (fetches, flights) knows its
 *            keys_object, and forgets it when that is freed: the answer, which always comes, then
 *            frees the rest.
 * Thread:    the worker's. */
#ifndef RELAY_KEYS_KEYS_OBJECT_PRIV_H
#define RELAY_KEYS_KEYS_OBJECT_PRIV_H

#include "relay/keys/keys_object.h"

#define KEYS_OBJECT_STOCK	  64   /* keys of one request */
#define KEYS_OBJECT_REFILL	  32   /* ask again when so many are left */
#define KEYS_OBJECT_STOCK_MAX	  1024 /* for one customer under the heaviest burst */
#define KEYS_OBJECT_BATCHES_MAX	  96   /* 8 KiB of locked memory each, of a worker */
#define KEYS_OBJECT_CUSTOMERS_MAX 64
#define KEYS_OBJECT_ENVELOPE_USES 65536
#define KEYS_OBJECT_CACHE	  64			    /* opened envelope keys */
#define KEYS_OBJECT_AGE		  (INT64_C(3600) * 1000000) /* usec: nothing is kept longer */
#define KEYS_OBJECT_TIMEOUT	  (INT64_C(10) * 1000000)

struct keys_object_batch { /* secret memory */
	struct keys_object_batch *next;
	int64_t made;
	unsigned count, taken;
	struct keys_object_body keys[KEYS_OBJECT_STOCK];
};

struct keys_object_customer {
	struct list_link link; /* most recently used first */
	char name[KEYPROTO_NAME_MAX + 1];
	struct keys_object_batch *first, *last;
	unsigned have, asked; /* keys in hand, keys on their way */
	unsigned target;
	int64_t began;	    /* when the first batch became the first */
	int64_t not_before; /* keyd refused: ask again then */
	int err;	    /* why, until then */
	unsigned pinned;    /* on its way to keyd, or in use here: not to be evicted */
	struct keys_object_envelope *envelope; /* secret memory */
	int64_t envelope_made;
	unsigned envelope_uses;
	int envelope_asked;
	struct list waiters; /* struct keys_object_wait */
};

struct keys_object_cached { /* a remembered envelope key; keys[] is beside, in secret memory */
	uint64_t used;	    /* 0: empty */
	uint32_t keyref;
	uint8_t salt[KEYPROTO_SALT];
	uint8_t context[KEYPROTO_CONTEXT_MAX];
	int context_size;
};

struct keys_object {
	struct evt_loop *loop;
	struct keyproto_client_ev *keyd;
	unsigned state;
	unsigned generation; /* grows with each change of state: older answers are dropped */
	struct list customers;
	unsigned customer_count, batches;
	struct list fetches;
	/* open */
	struct evt_defer defer;
	struct list requests;	 /* waiting for keys */
	struct list ready;	 /* answered; fn is next */
	struct list unsent;	 /* derivations of this turn */
	struct list sent_shared; /* envelope keys under way: later wishes join */
	struct list flights;
	int64_t tickets;
	uint64_t ticks;
	struct keys_object_cached cached[KEYS_OBJECT_CACHE];
	uint8_t (*cache_keys)[KEYPROTO_OBJECT_KEY];
};

/* ERR_* that a state of keyd means, 0 if it is ready. */
int keys_object_state_err(unsigned state);

/* keys_object_stock.c */
void keys_object_stock_drop(struct keys_object *k, struct keys_object_customer *c);
void keys_object_stock_refill(struct keys_object *k, struct keys_object_customer *c);
void keys_object_stock_refuse(struct keys_object *k, int err); /* tells all waiters */
void keys_object_stock_free(struct keys_object *k);

/* keys_object_open.c */
void keys_object_open_init(struct keys_object *k);
/* Remembers an envelope's key. */
void keys_object_open_remember(struct keys_object *k, uint32_t keyref, const uint8_t *salt,
			       struct span context, const uint8_t *key);
void keys_object_open_forget(struct keys_object *k);
void keys_object_open_free(struct keys_object *k);

#endif
