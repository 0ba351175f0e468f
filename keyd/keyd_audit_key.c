/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_audit_key.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"

static int sign(void *arg, struct span data, uint8_t sig[AUDIT_SIG])
{
	uint8_t room[KEYD_CRYPTO_SIG_MAX];
	int n = keyd_crypto_sign(arg, KEYPROTO_ALG_ED25519, data, room);

	if (n != AUDIT_SIG)
		return n < 0 ? n : ERR_CRYPTO;
	memcpy(sig, room, AUDIT_SIG);
	return 0;
}

void keyd_audit_key_clear(struct keyd_audit_key *s)
{
	keyd_crypto_free(s->key);
	memset(s, 0, sizeof(*s));
}

void keyd_audit_key_copy(struct keyd_audit_key *to, const struct keyd_audit_key *from)
{
	*to = *from;
	to->key = from->key ? keyd_crypto_ref(from->key) : NULL;
	to->by.arg = to->key;
}

void keyd_audit_key_load(struct keyd_ring *ring, struct keyd_audit_key *now,
			 struct keyd_audit_key *former)
{
	struct span label = span_str(KEYD_AUDIT_KEY_LABEL);
	struct keyd_ring_info info;
	struct keyd_crypto_key *key;

	if (!ring || keyd_ring_key(ring, label, &info) < 0 || info.type != KEYPROTO_KEY_ED25519 ||
	    info.spki.n != AUDIT_SPKI)
		return;
	if (now->key && memcmp(now->by.spki, info.spki.p, AUDIT_SPKI) == 0)
		return;
	if (keyd_ring_private(ring, label, &key) < 0)
		return;
	keyd_audit_key_clear(former);
	*former = *now;
	now->key = key;
	now->by = (struct keyd_audit_file_signer){.sign = sign, .arg = key};
	memcpy(now->by.spki, info.spki.p, AUDIT_SPKI);
}

int keyd_audit_key_put(struct keyd_change *c, struct span label, struct keyd_crypto_key **key)
{
	struct keyd *k = c->keyd;
	struct keyd_ring_info info;
	struct buf record;
	int rc;

	if (keyd_ring_key(k->ring, label, &info) == 0)
		return ERR_EXISTS;
	rc = keyd_crypto_generate(KEYPROTO_KEY_ED25519, key);
	if (rc < 0)
		return rc;
	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_key(k->ring, label, KEYPROTO_KEY_ED25519, *key, keyd_generation(k),
				clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_KEY, buf_span(&record));
	buf_clear(&record);
	if (rc < 0) {
		keyd_crypto_free(*key);
		*key = NULL;
	}
	return rc;
}

int64_t keyd_audit_key_of(struct keyd_change *c, struct span label, struct keyd_crypto_key **key,
			  int *made)
{
	struct keyd_ring_info info;
	int rc;

	if (keyd_ring_key(c->keyd->ring, label, &info) < 0) {
		rc = keyd_audit_key_put(c, label, key);
		*made = rc == 0;
		return rc < 0 ? rc : 1;
	}
	if (info.type != KEYPROTO_KEY_ED25519)
		return ERR_BADSTATE;
	rc = keyd_ring_private(c->keyd->ring, label, key);
	return rc < 0 ? rc : (int64_t)info.version;
}

void keyd_audit_key_say(struct keyd *k, const char *label)
{
	keyd_audit_event(k, AUDIT_SIGNING_KEY, AUDIT_STR(LABEL, label), AUDIT_STR(TYPE, "ed25519"),
			 AUDIT_STR(STATE, "active"));
	log_event(LOG_LEVEL_INFO, NULL, "key-added", "label=%s type=ed25519", label);
	keyd_new_epoch(k);
}

static int make(struct keyd_change *c)
{
	struct keyd_crypto_key *key = NULL;
	int rc = keyd_audit_key_put(c, span_str(KEYD_AUDIT_KEY_LABEL), &key);

	keyd_crypto_free(key);
	return rc;
}

static void made(struct keyd_change *c, int rc)
{
	struct keyd *k = c->keyd;

	((struct keyd_audit_key_making *)c)->running = 0;
	if (rc == 0) {
		keyd_audit_key_say(k, KEYD_AUDIT_KEY_LABEL);
	} else if (rc != ERR_EXISTS && rc != ERR_LOCKED) {
		log_event(LOG_LEVEL_ERROR, NULL, "audit-key-failed", "error=\"%s\"", err_text(rc));
	}
}

void keyd_audit_key_make(struct keyd *k, struct keyd_audit_key_making *m)
{
	struct keyd_ring_info info;

	if (m->running || keyd_ring_key(k->ring, span_str(KEYD_AUDIT_KEY_LABEL), &info) == 0)
		return;
	m->running = 1;
	m->change.make = make;
	m->change.done = made;
	keyd_change_start(k, &m->change);
}
