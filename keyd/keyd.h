/* SPDX-License-Identifier: Apache-2.0 */
/* keyd - the daemon's context: pointers to its parts, and the one place where its state changes.
 *
 *              init                 unseal
 *     EMPTY ---------> READY <---------------- LOCKED
 *                        |  ----------------->
 *                        |        lock
 *     any  -- self-test or store fails --> ERROR (stays until a restart)
 *
 * Story:     keyd_new, keyd_start (self-tests, store, slots that open by themselves), then
 *            sessions come and ask through keyd_op; keyd_free. Keys exist in memory only while
 *            READY. Each change of state grows the epoch and is pushed to all sessions.
 * Ownership: owns ring, store, pools, configuration and the token helper.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include "core/list.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_change.h"
#include "keyd/keyd_conf.h"
#include "keyd/keyd_pool.h"
#include "keyd/keyd_quorum.h"
#include "keyd/keyd_rate.h"
#include "keyd/keyd_ring.h"
#include "keyd/keyd_rotate.h"
#include "keyd/keyd_sandbox.h"
#include "keyd/keyd_shred.h"
#include "keyd/keyd_store.h"
#include "keyd/keyd_tamper.h"
#include "keyd/keyd_token.h"
#include "keyd/keyd_unseal.h"
#include "keyd/keyd_watch.h"
#include "keyd/keyd_witness.h"

/* What the operations of one request work in: secret memory, wiped after use. */
struct keyd_scratch {
	uint8_t salts[KEYPROTO_BATCH_MAX][KEYPROTO_SALT];
	uint8_t keys[KEYPROTO_BATCH_MAX][KEYPROTO_OBJECT_KEY];
};

struct keyd_rotate_key;

struct keyd_counts {
	uint64_t requests[KEYPROTO_EVENT + 1]; /* by operation */
	uint64_t denied, bad_frames;
};

struct keyd {
	struct evt_loop *loop; /* NULL in tests */
	struct keyd_conf *conf;
	struct keyd_pool *pool;	  /* RSA, Argon2. NULL (and so the next two): work is done in line */
	struct keyd_pool *disk;	  /* all that waits for a disk */
	struct keyd_pool *idle;	  /* what has time */
	struct keyd_store *store; /* NULL: nothing is kept (fuzzers), or it could not be opened */
	struct keyd_ring *ring;	  /* NULL unless READY */
	struct keyd_change_queue changes;
	struct keyd_witness witness;
	struct keyd_rotate *rotate;
	struct keyd_rotate_key *rotate_key;
	struct keyd_audit *audit; /* NULL: nothing is recorded (a ring in memory alone) */
	struct keyd_quorum quorum;
	struct keyd_tamper tamper;
	struct keyd_watch watch;
	struct keyd_shred *shred;
	struct keyd_op_backup *backup; /* one that is being handed out or taken in, or NULL */
	const char *anchor_why; /* why the store could not be opened; static, or NULL */
	struct keyd_rate *rate;
	struct keyd_scratch *scratch;
	struct keyd_root_delay delay;
	struct keyd_unseal unseal; /* by shares, while it is under way */
	struct keyd_sandbox sandbox; /* what holds; set by main */
	struct keyd_token *token;    /* set by main; NULL: no slots on tokens here */
	struct list sessions; /* struct keyd_session */
	uint64_t session_count;
	unsigned state; /* enum keyproto_state */
	uint32_t epoch;
	int opening;	 /* an INIT or UNSEAL is with the pool */
	int trying;	 /* a SLOT_ADD or SLOT_TEST is */
	int host_key_plain; /* systemd's host key lies on a plain disk; set by main */
	int tested;	 /* self-tests passed */
	int stopping;	 /* keyd_free: nothing new begins */
	const char *why; /* what ERROR is about; static */
	int64_t started; /* clock_mono */
	struct keyd_counts counts;
};

/* Takes conf over on success. loop may be NULL. NULL: out of (locked) memory. */
struct keyd *keyd_new(struct keyd_conf *conf, struct evt_loop *loop);
/* Takes a last snapshot, wipes, frees. Sessions must be gone. */
void keyd_free(struct keyd *k);

/* Self-tests, store, slots. 0: EMPTY, LOCKED, READY or ERROR; ERR_BUSY: another keyd has the
 * store. */
int keyd_start(struct keyd *k);
/* Takes another configuration over: peers and limits. Sessions whose role is gone are ended by the
 * caller. */
void keyd_reload(struct keyd *k, struct keyd_conf *conf);
/* Logs users of peers: that this machine does not know (a package that is not installed). */
void keyd_warn_peers(const struct keyd_conf *conf);

/* root (32 bytes) becomes the ring of the store: READY, or ERROR with the store's fault.
 * ERR_ROLLBACK: it stays LOCKED until an officer accepts the store. */
int keyd_unlock(struct keyd *k, const uint8_t root[32]);
/* A new store with these slots (already made for head->id and root): READY. */
int keyd_create(struct keyd *k, const struct keyd_snapshot_head *head, const uint8_t root[32]);
/* Tries the slots that open by themselves, as configured. ERR_AUTH: none opened. */
int keyd_open_slots(struct keyd *k);
/* A backup was put into the place of the store: LOCKED, and what opens by itself is tried. */
void keyd_restored(struct keyd *k);
/* Ends changes (those that are with the disk thread are waited for) and wipes the keys. why: for
 * the log; static. */
void keyd_lock(struct keyd *k, const char *why);

/* Clients are to drop what they derived or cached: some of it is no longer good. */
void keyd_new_epoch(struct keyd *k);
/* All files of the store were destroyed: EMPTY, or ERROR if some are still there. */
void keyd_emptied(struct keyd *k);
/* A fault that nothing but a restart mends: wipes the keys, ERROR. why: static. */
void keyd_fail(struct keyd *k, const char *why);

/* Generation that new wraps carry. */
uint64_t keyd_generation(const struct keyd *k);
/* Identity of the store: 16 bytes, zeros while EMPTY. */
const uint8_t *keyd_store_id(const struct keyd *k);

#endif
