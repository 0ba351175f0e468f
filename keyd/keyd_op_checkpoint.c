/* SPDX-License-Identifier: Apache-2.0 */
/* CHECKPOINT and CHECKPOINT_LAST: how far a chained record of relay's has come, signed.
 *
 *   no note yet           any number     -> signed
 *   the number after it                  -> signed
 *   its number            the same again -> answered as before, nothing is written
 *   beyond the next one                  -> signed, if an officer accepted an older copy of the
 *                                           store since; else refused
 *   all else                             -> refused
 *
 * The last one is a note of the store, "checkpoint/NAME". The decision is taken in the change, when
 * all changes before it are in the ring, so two requests at once cannot both be the next. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_audit_key.h"
#include "keyd/keyd_op.h"
#include "keyproto/keyproto_checkpoint.h"
#include "wire/wire_put.h"

#define NOTE_NAME "checkpoint/"
#define KEY_LABEL "audit/"
#define NOTE_SIZE (8 + 8 + 32 + 4 + 64 + 8)

_Static_assert(KEYPROTO_CHECKPOINT_HASH == 32 && KEYPROTO_CHECKPOINT_SIG == 64, "as in NOTE_SIZE");

struct note {
	uint64_t counter, rows;
	uint8_t hash[KEYPROTO_CHECKPOINT_HASH];
	uint32_t version;
	uint8_t sig[KEYPROTO_CHECKPOINT_SIG];
	uint64_t sequence; /* of the store when it was made */
};

struct checkpoint {
	struct keyd_op_change op;
	struct note note; /* what is asked for, and then what is answered */
	uint64_t last;	  /* counter of the one before */
	int jumped, key_made;
	char name[KEYPROTO_NAME_MAX + 1];
};

/* "checkpoint/ledger", "audit/ledger". */
static const char *named(char out[KEYPROTO_KEYNAME_MAX + 1], const char *prefix, struct span name)
{
	size_t n = strlen(prefix);

	if (name.n > KEYPROTO_NAME_MAX - n)
		return NULL;
	memcpy(out, prefix, n);
	memcpy(out + n, name.p, name.n);
	out[n + name.n] = '\0';
	return out;
}

/* 0, ERR_NOTFOUND, or ERR_DAMAGED. */
static int note_get(const struct keyd_ring *ring, struct span name, struct note *out)
{
	char text[KEYPROTO_KEYNAME_MAX + 1];
	const char *note_name = named(text, NOTE_NAME, name);
	struct span value = note_name ? keyd_ring_note(ring, note_name) : span_of(NULL, 0);
	struct wire_get g;

	if (!value.n)
		return ERR_NOTFOUND;
	if (value.n != NOTE_SIZE)
		return ERR_DAMAGED;
	wire_get_init(&g, value);
	out->counter = wire_get_u64(&g);
	out->rows = wire_get_u64(&g);
	memcpy(out->hash, wire_get_raw(&g, sizeof(out->hash)).p, sizeof(out->hash));
	out->version = wire_get_u32(&g);
	memcpy(out->sig, wire_get_raw(&g, sizeof(out->sig)).p, sizeof(out->sig));
	out->sequence = wire_get_u64(&g);
	return 0;
}

static int note_put(struct keyd_change *change, struct span name, const struct note *n)
{
	char text[KEYPROTO_KEYNAME_MAX + 1];
	struct keyd_record_note m = {.name = span_str(named(text, NOTE_NAME, name))};
	struct buf value, record;
	int rc;

	buf_init(&value, NOTE_SIZE);
	buf_init(&record, KEYD_RECORD_BODY_MAX);
	wire_put_u64(&value, n->counter);
	wire_put_u64(&value, n->rows);
	wire_put_raw(&value, n->hash, sizeof(n->hash));
	wire_put_u32(&value, n->version);
	wire_put_raw(&value, n->sig, sizeof(n->sig));
	wire_put_u64(&value, n->sequence);
	m.value = buf_span(&value);
	rc = buf_failed(&value);
	if (rc == 0)
		rc = keyd_record_note_put(&record, &m);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_NOTE, buf_span(&record));
	buf_clear(&record);
	buf_clear(&value);
	return rc;
}

/* 1: an officer accepted an older copy of the store since it stood at sequence. */
static int accepted_since(const struct keyd_ring *ring, uint64_t sequence)
{
	struct span value = keyd_ring_note(ring, KEYD_WITNESS_ACCEPTED);
	struct wire_get g;

	wire_get_init(&g, value);
	return value.n == 8 && wire_get_u64(&g) > sequence;
}

enum verdict { SIGN, AGAIN, REFUSE };

static enum verdict judge(const struct keyd_ring *ring, const struct note *last,
			  struct checkpoint *c)
{
	const struct note *n = &c->note;

	c->last = last->counter;
	if (last->counter && n->counter == last->counter)
		return n->rows == last->rows && !memcmp(n->hash, last->hash, sizeof(n->hash))
			   ? AGAIN
			   : REFUSE;
	if (!last->counter || n->counter == last->counter + 1)
		return SIGN;
	c->jumped = n->counter > last->counter && accepted_since(ring, last->sequence);
	return c->jumped ? SIGN : REFUSE;
}

static int sign(struct checkpoint *c, const struct keyd_crypto_key *key)
{
	const struct keyproto_checkpoint m = {span_str(c->name), c->note.counter, c->note.rows,
					      c->note.hash};
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct buf text;
	int rc;

	buf_init(&text, KEYPROTO_CHECKPOINT_TEXT);
	rc = keyproto_checkpoint_text(&text, &m);
	if (rc == 0)
		rc = keyd_crypto_sign(key, KEYPROTO_ALG_ED25519, buf_span(&text), sig);
	if (rc == KEYPROTO_CHECKPOINT_SIG)
		memcpy(c->note.sig, sig, KEYPROTO_CHECKPOINT_SIG);
	else if (rc >= 0)
		rc = ERR_CRYPTO;
	buf_clear(&text);
	return rc < 0 ? rc : 0;
}

static int checkpoint_make(struct keyd_change *change)
{
	struct checkpoint *c = (struct checkpoint *)change;
	struct keyd_ring *ring = change->keyd->ring;
	struct keyd_crypto_key *key = NULL;
	struct note last = {.counter = 0};
	char label[KEYPROTO_KEYNAME_MAX + 1];
	enum verdict verdict;
	int64_t version;
	int rc = note_get(ring, span_str(c->name), &last);

	if (rc < 0 && rc != ERR_NOTFOUND)
		return rc;
	verdict = judge(ring, &last, c);
	if (verdict == AGAIN)
		c->note = last;
	if (verdict != SIGN)
		return verdict == AGAIN ? 0 : ERR_BADSTATE;
	version = keyd_audit_key_of(change, span_str(named(label, KEY_LABEL, span_str(c->name))),
				    &key, &c->key_made);
	rc = version < 0 ? (int)version : 0;
	c->note.version = (uint32_t)version;
	c->note.sequence = keyd_ring_sequence(ring);
	if (rc == 0)
		rc = sign(c, key);
	if (rc == 0)
		rc = note_put(change, span_str(c->name), &c->note);
	keyd_crypto_free(key);
	return rc;
}

/* Success is counted only: relay makes one every few moments. */
static void say(struct keyd *k, const struct checkpoint *c, int rc)
{
	char text[KEYPROTO_KEYNAME_MAX + 1];
	const struct keyd_session *s = c->op.late.session;
	struct keyd_audit_use use = {.event = AUDIT_USE,
				     .op = KEYPROTO_CHECKPOINT,
				     .role = s->role,
				     .uid = s->uid,
				     .subject = span_str(c->name),
				     .count = 1,
				     .failed = rc < 0};

	keyd_audit_use(k, &use);
	if (rc == 0 && c->key_made)
		keyd_audit_key_say(k, named(text, KEY_LABEL, span_str(c->name)));
	if (rc == ERR_BADSTATE)
		log_event(LOG_LEVEL_WARN, s->name, "checkpoint-refused",
			  "name=%s counter=%" PRIu64 " last=%" PRIu64, c->name, c->note.counter,
			  c->last);
	if (rc == 0 && c->jumped) {
		log_event(LOG_LEVEL_WARN, s->name, "checkpoint-jumped",
			  "name=%s counter=%" PRIu64 " last=%" PRIu64, c->name, c->note.counter,
			  c->last);
		keyd_audit_event(k, AUDIT_ROLLBACK, AUDIT_STR(SOURCE, c->name),
				 AUDIT_NUM(SEEN, c->note.counter & INT64_MAX),
				 AUDIT_STR(STATE, "jumped"));
	}
}

static void checkpoint_done(struct keyd_change *change, int rc)
{
	struct checkpoint *c = (struct checkpoint *)change;
	const struct keyproto_checkpoint_signed m = {c->note.version, c->note.sig};
	struct buf reply;

	buf_init(&reply, 256);
	say(change->keyd, c, rc);
	if (rc == 0)
		rc = keyproto_checkpoint_signed_put(&reply, &m);
	keyd_op_late_answer(&c->op.late, rc, buf_span(&reply));
	buf_clear(&reply);
	free(c);
}

int keyd_op_checkpoint(struct keyd_op_call *call)
{
	struct keyproto_checkpoint m;
	struct checkpoint *c;

	if (keyproto_checkpoint_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.name) < 0)
		return ERR_DENIED;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ERR_NOMEM;
	c->op.change.make = checkpoint_make;
	c->op.change.done = checkpoint_done;
	c->note.counter = m.counter;
	c->note.rows = m.rows;
	memcpy(c->note.hash, m.hash, sizeof(c->note.hash));
	memcpy(c->name, m.name.p, m.name.n);
	call->counted = 1; /* by say */
	return keyd_op_change_start(&c->op, call);
}

int keyd_op_checkpoint_last(struct keyd_op_call *call)
{
	char label[KEYPROTO_KEYNAME_MAX + 1];
	struct keyproto_checkpoint_last m;
	struct keyd_ring_info info;
	struct span name;
	struct note last;
	int rc;

	if (keyproto_bytes_get(call->body, &name) < 0 || !keyproto_name_ok(name))
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, name) < 0)
		return ERR_DENIED;
	rc = note_get(call->keyd->ring, name, &last);
	if (rc < 0)
		return rc;
	call->subject = name;
	named(label, KEY_LABEL, name);
	snprintf(label + strlen(label), sizeof(label) - strlen(label), "#%" PRIu32, last.version);
	if (keyd_ring_key(call->keyd->ring, span_str(label), &info) < 0 ||
	    info.spki.n != KEYPROTO_CHECKPOINT_SPKI)
		return ERR_DAMAGED;
	m = (struct keyproto_checkpoint_last){.counter = last.counter,
					      .rows = last.rows,
					      .hash = last.hash,
					      .version = last.version,
					      .signature = last.sig,
					      .spki = info.spki.p};
	return keyproto_checkpoint_last_put(call->reply, &m);
}
