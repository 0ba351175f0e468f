/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/num.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_anchor.h"
#include "keyd/keyd_op_backup.h"
#include "keyd/keyd_recall.h"
#include "keyd/keyd_ring_anchor.h"
#include "keyd/keyd_rotate_key.h"
#include "keyd/keyd_selftest.h"
#include "keyd/keyd_session.h"
#include "keyd/keyd_slot.h"

void keyd_new_epoch(struct keyd *k)
{
	k->epoch++;
	list_each(s, &k->sessions, struct keyd_session, link)
		keyd_session_push(s);
}

/* The one place where the state changes. */
static void enter(struct keyd *k, unsigned state, const char *why)
{
	log_event(state == KEYPROTO_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, NULL, "state-changed",
		  "from=%s to=%s why=\"%s\"", k->state ? keyproto_state_name(k->state) : "start",
		  keyproto_state_name(state), why);
	keyd_audit_event(k, AUDIT_STATE,
			 AUDIT_STR(FROM, k->state ? keyproto_state_name(k->state) : "start"),
			 AUDIT_STR(TO, keyproto_state_name(state)), AUDIT_STR(WHY, why));
	k->state = state;
	k->why = state == KEYPROTO_ERROR ? why : NULL;
	keyd_unseal_drop(&k->unseal);
	keyd_new_epoch(k);
}

struct keyd *keyd_new(struct keyd_conf *conf, struct evt_loop *loop)
{
	struct keyd *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	list_init(&k->sessions);
	k->loop = loop;
	k->started = clock_mono();
	k->rate = calloc(1, sizeof(*k->rate));
	k->scratch = secret_alloc(sizeof(*k->scratch));
	keyd_change_init(k);
	keyd_witness_init(&k->witness);
	keyd_unseal_init(&k->unseal, loop);
	k->rotate_key = keyd_rotate_key_new(k);
	if (loop) {
		k->pool = keyd_pool_new(loop, 2, 0);
		k->disk = keyd_pool_new(loop, 1, 0);
		k->idle = keyd_pool_new(loop, 1, 1);
	}
	k->rotate = keyd_rotate_new(k);
	k->shred = keyd_shred_new(k);
	if (!k->rate || !k->scratch || !k->rotate || !k->rotate_key || !k->shred ||
	    (loop && (!k->pool || !k->disk || !k->idle))) {
		keyd_free(k);
		return NULL;
	}
	k->conf = conf;
	keyd_rate_init(k->rate, conf->limits.derive_existing, conf->limits.derive_burst);
	keyd_watch_init(k);
	return k;
}

void keyd_free(struct keyd *k)
{
	if (!k)
		return;
	k->stopping = 1;
	keyd_watch_clear(k);
	if (k->shred)
		keyd_shred_close(k->shred);
	if (k->rotate)
		keyd_rotate_close(k->rotate);
	/* Jobs end first: they may still change the state. The disk thread last: others' done may
	 * ask something of it. */
	keyd_token_quit(k->token);
	keyd_pool_free(k->pool);
	k->pool = NULL;
	keyd_pool_free(k->idle);
	k->idle = NULL;
	keyd_change_close(k);
	keyd_audit_close(k);
	keyd_pool_free(k->disk);
	k->disk = NULL;
	keyd_rotate_key_free(k->rotate_key);
	k->rotate_key = NULL;
	keyd_quorum_clear(&k->quorum);
	if (k->ring && k->store && keyd_store_changed(k->store) &&
	    keyd_store_snapshot(k->store, k->ring) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "snapshot-failed", "when=stop");
	keyd_op_backup_end(k);
	keyd_shred_free(k->shred);
	keyd_rotate_free(k->rotate);
	keyd_unseal_clear(&k->unseal);
	keyd_ring_free(k->ring);
	keyd_store_close(k->store);
	keyd_witness_clear(&k->witness);
	secret_free(k->scratch, sizeof(*k->scratch));
	keyd_conf_free(k->conf);
	free(k->rate);
	keyd_token_stop(k->token);
	free(k);
}

/* The end of the audit log is a witness of the store. */
static void hear_audit(struct keyd *k)
{
	const struct keyd_audit_file_tail *tail = keyd_audit_tail(k);
	struct keyproto_mark mark = {tail->generation, tail->mark, 0};
	char id[HEX_SIZE(16)];
	uint8_t branch[8];

	hex_encode(id, keyd_store_id(k), 16);
	if (strcmp(id, tail->store) ||
	    hex_decode(branch, sizeof(branch), span_str(tail->branch)) != sizeof(branch))
		return;
	mark.branch = num_get_u64(branch);
	keyd_witness_heard(k, KEYD_WITNESS_AUDIT, &mark);
}

int keyd_start(struct keyd *k)
{
	const char *why = "the store cannot be opened", *part;
	int rc;

	part = keyd_selftest();
	if (part) {
		log_event(LOG_LEVEL_ERROR, NULL, "selftest-failed", "part=%s", part);
		enter(k, KEYPROTO_ERROR, "a self-test failed");
		return 0;
	}
	k->tested = 1;
	rc = keyd_store_open(k->conf->state, &k->store, &why);
	if (rc == ERR_BUSY)
		return rc;
	if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "store-refused", "error=\"%s\" why=\"%s\"",
			  err_text(rc), why);
		enter(k, KEYPROTO_ERROR, why);
		return 0;
	}
	rc = keyd_audit_open(k); /* the directory is ours alone now */
	if (rc < 0)
		return rc;
	keyd_audit_event(k, AUDIT_START, {0});
	keyd_watch_told(k);
	hear_audit(k);
	if (!keyd_store_head(k->store)) {
		enter(k, KEYPROTO_EMPTY, "no store yet");
		return 0;
	}
	enter(k, KEYPROTO_LOCKED, "store found");
	keyd_open_slots(k);
	return 0;
}

void keyd_warn_peers(const struct keyd_conf *conf)
{
	for (size_t i = 0; i < conf->peer_count; i++)
		if (!conf->peers[i].known)
			log_event(LOG_LEVEL_WARN, NULL, "peer-unknown", "user=%s",
				  conf->peers[i].name);
}

/* A file that confinement did not foresee. */
static int slot_elsewhere(const struct keyd_conf *a, const struct keyd_conf *b)
{
	for (size_t i = 0; i < b->slots.count; i++) {
		const char *path = keyd_conf_slot(b, i)->path;
		size_t j = 0;
		while (path && j < a->slots.count &&
		       (!keyd_conf_slot(a, j)->path || strcmp(keyd_conf_slot(a, j)->path, path)))
			j++;
		if (path && j == a->slots.count)
			return 1;
	}
	return 0;
}

/* The first key that changed and is not looked at again before a restart, or NULL. */
static const char *changed_key(const struct keyd_conf *a, const struct keyd_conf *b)
{
	if (strcmp(a->state, b->state))
		return "state";
	if (strcmp(a->audit, b->audit))
		return "audit";
	if (strcmp(a->socket, b->socket))
		return "socket";
	if (strcmp(a->admin_socket, b->admin_socket))
		return "admin_socket";
	if (a->mode != b->mode)
		return "socket_mode";
	if (slot_elsewhere(a, b))
		return "slots";
	if (!a->anchor != !b->anchor || (a->anchor && strcmp(a->anchor, b->anchor)))
		return "anchor";
	if (a->sandbox != b->sandbox)
		return "sandbox";
	return keyd_conf_token_changed(a, b);
}

void keyd_reload(struct keyd *k, struct keyd_conf *conf)
{
	const char *fixed = changed_key(k->conf, conf);

	if (fixed)
		log_event(LOG_LEVEL_WARN, NULL, "config-needs-restart", "key=%s", fixed);
	keyd_warn_peers(conf);
	keyd_conf_free(k->conf);
	k->conf = conf;
	keyd_watch_reload(k);
	keyd_rate_init(k->rate, conf->limits.derive_existing, conf->limits.derive_burst);
	keyd_rotate_look(k->rotate);
	keyd_rotate_key_kick(k);
	keyd_shred_look(k->shred);
	log_event(LOG_LEVEL_INFO, NULL, "reloaded", "peers=%zu", conf->peer_count);
}

/* A ring with nothing in it under this root. */
static struct keyd_ring *empty_ring(const uint8_t id[16], const uint8_t root[32])
{
	struct keyd_root_keys *keys = secret_alloc(sizeof(*keys));

	if (!keys)
		return NULL;
	if (keyd_root_derive(root, keys) < 0) {
		secret_free(keys, sizeof(*keys));
		return NULL;
	}
	return keyd_ring_new(id, &keys);
}

/* The ring of a store that has an anchor is told it, or that it is not there. */
static int use_anchor(struct keyd *k, struct keyd_ring *ring)
{
	const struct keyd_snapshot_head *head = keyd_store_head(k->store);
	uint8_t *anchor;
	int rc;

	k->anchor_why = NULL;
	if (keyd_anchor_none(head->anchor))
		return 0;
	anchor = secret_alloc(32);
	if (!anchor)
		return ERR_NOMEM;
	rc = k->conf->anchor ? keyd_anchor_read(k->conf->anchor, head->id, head->anchor, anchor)
			     : ERR_NOTFOUND;
	if (rc == 0)
		rc = keyd_ring_anchor_use(ring, anchor);
	else
		keyd_ring_anchor_missing(ring);
	secret_free(anchor, 32);
	if (rc == ERR_NOTFOUND)
		k->anchor_why =
		    k->conf->anchor
			? "the anchor of this store is not in the file that anchor: names"
			: "the store has an anchor, and keyd.yaml names none";
	else if (rc < 0)
		k->anchor_why = "the file that anchor: names cannot be read, or is not private";
	return rc == ERR_NOMEM ? rc : 0;
}

/* A new store is born under an anchor if one is configured. */
static int make_anchor(struct keyd *k, struct keyd_ring *ring, struct keyd_snapshot_head *head)
{
	uint8_t *anchor;
	int rc;

	if (!k->store || !k->conf->anchor)
		return 0;
	anchor = secret_alloc(32);
	rc = anchor ? keyd_anchor_add(k->conf->anchor, head->id, head->anchor, head->anchor, anchor)
		    : ERR_NOMEM;
	if (rc == 0)
		rc = keyd_ring_anchor_use(ring, anchor);
	secret_free(anchor, 32);
	head->anchored = clock_wall();
	return rc;
}

static void become_ready(struct keyd *k, struct keyd_ring *ring, const char *why)
{
	struct keyd_ring_counts n;

	k->ring = ring;
	keyd_change_open(k);
	keyd_rate_reset(k->rate);
	keyd_ring_counts(ring, &n);
	log_event(LOG_LEVEL_INFO, NULL, "ring-loaded",
		  "customers=%" PRIu32 " deks=%" PRIu32 " keks=%" PRIu32 " keys=%" PRIu32,
		  n.customers, n.deks, n.keks, n.keys);
	enter(k, KEYPROTO_READY, why);
	keyd_audit_ready(k);
	keyd_rotate_open(k->rotate);
	keyd_rotate_key_kick(k);
	keyd_shred_open(k->shred);
}

int keyd_unlock(struct keyd *k, const uint8_t root[32])
{
	const char *why = "the store does not verify";
	struct keyd_root_keys *keys = secret_alloc(sizeof(*keys));
	struct keyd_ring *ring = keys ? empty_ring(keyd_store_head(k->store)->id, root) : NULL;
	int rc = ring ? keyd_root_derive(root, keys) : ERR_NOMEM;

	if (rc == 0)
		rc = use_anchor(k, ring);
	if (rc == 0)
		rc = keyd_store_load(k->store, keys, ring, &why);
	secret_free(keys, sizeof(*keys));
	if (rc == ERR_NOTFOUND && k->anchor_why) {
		keyd_ring_free(ring);
		log_event(LOG_LEVEL_ERROR, NULL, "anchor-missing", "why=\"%s\"", k->anchor_why);
		return ERR_BADSTATE;
	}
	if (rc == 0) {
		rc = keyd_witness_check(k, ring, keyd_store_head(k->store));
		if (rc == 0)
			rc = keyd_witness_prepare(k, ring);
		if (rc == 0) {
			become_ready(k, ring, "unsealed");
			keyd_witness_ready(k);
			return 0;
		}
		keyd_store_seal(k->store);
		keyd_ring_free(ring);
		return rc; /* said where it was found */
	}
	keyd_ring_free(ring);
	log_event(LOG_LEVEL_ERROR, NULL, "store-failed", "error=\"%s\" why=\"%s\"", err_text(rc),
		  why);
	if (rc == ERR_DAMAGED || rc == ERR_DENIED)
		enter(k, KEYPROTO_ERROR, why);
	return rc;
}

/* All 256 shards of a new store. */
static int make_keks(struct keyd_ring *ring)
{
	struct buf body;
	int rc = 0;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	for (unsigned i = 0; rc == 0 && i < KEYD_RING_SHARDS; i++) {
		buf_reset(&body);
		rc = keyd_ring_make_kek(ring, i, 1, &body);
		if (rc == 0)
			rc = keyd_ring_apply(ring, KEYD_RECORD_KEK, buf_span(&body), 1);
	}
	buf_clear(&body);
	return rc;
}

int keyd_create(struct keyd *k, const struct keyd_snapshot_head *head, const uint8_t root[32])
{
	struct keyd_root_keys *keys = secret_alloc(sizeof(*keys));
	struct keyd_ring *ring = keys ? empty_ring(head->id, root) : NULL;
	struct keyd_snapshot_head h = *head;
	int rc = ring ? keyd_root_derive(root, keys) : ERR_NOMEM;

	if (rc == 0)
		rc = make_anchor(k, ring, &h);
	if (rc == 0)
		rc = make_keks(ring);
	if (rc == 0 && k->store)
		rc = keyd_store_create(k->store, &h, keys, ring);
	secret_free(keys, sizeof(*keys));
	if (rc < 0) {
		keyd_ring_free(ring);
		log_event(LOG_LEVEL_ERROR, NULL, "init-failed", "error=\"%s\"", err_text(rc));
		return rc;
	}
	log_event(LOG_LEVEL_INFO, NULL, "initialised", "slots=%u", head->slot_count);
	become_ready(k, ring, "initialised");
	return 0;
}

int keyd_open_slots(struct keyd *k)
{
	const struct keyd_snapshot_head *head = keyd_store_head(k->store);
	struct keyd_slot_vault *v = keyd_slot_vault_new();
	struct keyd_slot_outcome outcome;
	int rc = v ? keyd_slot_gather(k->conf, KEYPROTO_SLOT_ANY, head, NULL, v) : ERR_NOMEM;

	if (rc == 0) {
		rc = keyd_slot_open(v, head, 0, k->token, &outcome);
		keyd_slot_log(v, &outcome, NULL);
		keyd_audit_event(k, AUDIT_UNSEAL, AUDIT_NUM(SLOT, rc == 0 ? outcome.id : 0),
				 AUDIT_STR(RESULT, rc == 0 ? "opened" : "failed"));
	}
	if (rc == 0)
		rc = keyd_unlock(k, v->root);
	else if (rc != ERR_NOMEM)
		rc = ERR_AUTH;
	keyd_slot_vault_free(v);
	return rc;
}

void keyd_restored(struct keyd *k)
{
	keyd_store_settle(k->store);
	enter(k, KEYPROTO_LOCKED, "restored from a backup");
	keyd_recall(k);
	keyd_open_slots(k);
}

static void forget_keys(struct keyd *k)
{
	keyd_op_backup_end(k);
	keyd_shred_close(k->shred);
	keyd_rotate_close(k->rotate);
	keyd_change_close(k);
	keyd_ring_free(k->ring);
	k->ring = NULL;
	if (k->store)
		keyd_store_seal(k->store);
	keyd_watch_drop_proposals(k);
	keyd_audit_forget(k);
	secret_wipe(k->scratch, sizeof(*k->scratch));
}

void keyd_lock(struct keyd *k, const char *why)
{
	forget_keys(k);
	enter(k, KEYPROTO_LOCKED, why);
}

void keyd_fail(struct keyd *k, const char *why)
{
	forget_keys(k);
	enter(k, KEYPROTO_ERROR, why);
}

void keyd_emptied(struct keyd *k)
{
	const char *why = "the store cannot be opened";
	int rc;

	keyd_store_close(k->store);
	k->store = NULL;
	rc = keyd_store_open(k->conf->state, &k->store, &why);
	if (rc < 0)
		enter(k, KEYPROTO_ERROR, why);
	else if (keyd_store_head(k->store))
		enter(k, KEYPROTO_LOCKED, "the store could not be destroyed");
	else
		enter(k, KEYPROTO_EMPTY, "everything was destroyed");
}

uint64_t keyd_generation(const struct keyd *k)
{
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;

	return head ? head->generation : 1;
}

const uint8_t *keyd_store_id(const struct keyd *k)
{
	static const uint8_t none[16];
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;

	return head ? head->id : none;
}
