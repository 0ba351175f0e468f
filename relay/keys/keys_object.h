/* SPDX-License-Identifier: Apache-2.0 */
/* keys_object - what a worker has of keyd for objects: new keys ahead, old keys on demand.
 *
 * Story:     for each customer that receives mail, a small stock of {id, keyref, salt, key} is
 *            fetched ahead in batches (64; refilled at 32), so accepting never waits. The context
 *            binds id and kind, so an id is handed out with its key. One envelope key per
 *            customer is held too, renewed each hour or 65,536 uses. When keyd goes away or
 *            locks, the whole stock is wiped at once: take then says ERR_AWAY or ERR_LOCKED
 *            (451).
 * Ownership: keys live in secret memory; take copies into the caller's secret memory.
 * Thread:    one per worker, its own. */
#ifndef RELAY_KEYS_KEYS_OBJECT_H
#define RELAY_KEYS_KEYS_OBJECT_H

#include "core/list.h"
#include "keyproto/keyproto_client_ev.h"
#include "seal/seal_chunk.h"

struct keys_object;

struct keys_object_body { /* keep in secret memory */
	uint64_t id;
	uint32_t keyref;
	uint8_t salt[KEYPROTO_SALT];
	uint8_t key[SEAL_CHUNK_KEY];
};
/* Key for seal_field; its object id and salt let anyone with keyd derive it again. */
struct keys_object_envelope {
	uint64_t object;
	uint32_t keyref;
	uint8_t salt[KEYPROTO_SALT];
	uint8_t key[32];
};

/* loop: the one that keyd's client runs on. NULL: out of memory. */
struct keys_object *keys_object_new(struct evt_loop *loop, struct keyproto_client_ev *keyd);
/* Before or after the client is freed. Opens that are under way are never answered. */
void keys_object_free(struct keys_object *k);
/* Tell it of each change of keyd's state (the client's on_state). */
void keys_object_state(struct keys_object *k, unsigned state);
/* Begins to fetch ahead for a customer. Idempotent; take does it too. */
void keys_object_want(struct keys_object *k, const char *customer);

/* 0, or ERR_AWAY, ERR_LOCKED, ERR_BUSY (stock empty for the moment: keyd is slow),
 * ERR_NOTFOUND (customer unknown to keyd). */
int keys_object_take(struct keys_object *k, const char *customer, struct keys_object_body *body,
		     struct keys_object_envelope *envelope);

/* After ERR_BUSY: fn once, later, with 0 when take would give a key again, or with what take
 * would say. Embedded in its owner; unwait is fine at any time. Waiters are served in order. */
struct keys_object_wait {
	struct list_link link;
	void (*fn)(void *arg, int err);
	void *arg;
};
int keys_object_wait(struct keys_object *k, const char *customer, struct keys_object_wait *wait);
void keys_object_unwait(struct keys_object *k, struct keys_object_wait *wait);

/* Keys of objects that exist: count 1 or 2 (body, envelope). fn exactly once, later, or never
 * after cancel. Requests of one turn travel in one frame. keys point into secret memory, valid
 * during fn. */
struct keys_object_want {
	const char *customer;
	uint64_t object;
	const char *kind; /* "body" or "envelope" */
	uint32_t keyref;
	const uint8_t *salt;
};
typedef void (*keys_object_open_fn)(void *arg, int err, const uint8_t (*keys)[KEYPROTO_OBJECT_KEY]);
/* Returns a ticket (>0) or ERR_*. */
int64_t keys_object_open(struct keys_object *k, const struct keys_object_want *want, unsigned count,
			 keys_object_open_fn fn, void *arg);
void keys_object_cancel(struct keys_object *k, int64_t ticket);

#endif
