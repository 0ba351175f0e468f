/* SPDX-License-Identifier: Apache-2.0 */
/* MANIFEST_SIGN: a campaign that an approver signed is countersigned.
 *
 * All is judged in the change, when those before it are in the ring: an approver whose removal was
 * answered approves nothing any more. Nothing of a campaign but its hash comes here. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_audit_key.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_manifest.h"
#include "keyproto/keyproto_manifest.h"

#define LABEL "manifest/"

struct countersign {
	struct keyd_op_change op;
	struct keyproto_manifest_sign m; /* its spans lie in body */
	const char *why;		 /* refused: static text */
	uint32_t version;		 /* of the key */
	int key_made;
	char label[KEYPROTO_NAME_MAX + 1];
	uint8_t sig[KEYPROTO_MANIFEST_SIG];
	uint8_t body[];
};

/* Why it is not signed, or NULL. Words: they are in the audit log. */
static const char *judge(const struct keyd_ring *ring, const struct keyproto_manifest_sign *s)
{
	const struct keyproto_manifest *m = &s->manifest;
	struct keyd_record_approver a;

	if (keyproto_manifest_same_person(m->author, m->approver))
		return "approver-is-author";
	if (keyd_ring_approver(ring, m->approver, &a) < 0 || !span_equal(a.name, m->approver))
		return "no-such-approver";
	if (!span_equal(a.customer, m->customer) &&
	    !span_equal(a.customer, SPAN_LIT(KEYPROTO_ANY_CUSTOMER)))
		return "approver-of-another-customer";
	return keyproto_manifest_approver_verify(m, a.spki, s->signature) < 0 ? "bad-signature" : NULL;
}

static int sign(struct countersign *c, const struct keyd_crypto_key *key)
{
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct buf text;
	int rc;

	buf_init(&text, KEYPROTO_MANIFEST_TEXT);
	rc = keyproto_manifest_text(&text, &c->m.manifest);
	if (rc == 0)
		rc = keyd_crypto_sign(key, KEYPROTO_ALG_ED25519, buf_span(&text), sig);
	buf_clear(&text);
	if (rc != KEYPROTO_MANIFEST_SIG)
		return rc < 0 ? rc : ERR_CRYPTO;
	memcpy(c->sig, sig, sizeof(c->sig));
	return 0;
}

static int countersign_make(struct keyd_change *change)
{
	struct countersign *c = (struct countersign *)change;
	struct keyd_ring *ring = change->keyd->ring;
	int64_t customer = keyd_ring_customer(ring, c->m.manifest.customer), version;
	struct keyd_crypto_key *key = NULL;
	int rc;

	if (customer < 0)
		return (int)customer;
	c->why = judge(ring, &c->m);
	if (c->why)
		return ERR_DENIED;
	version = keyd_audit_key_of(change, span_str(c->label), &key, &c->key_made);
	if (version < 0)
		return (int)version;
	c->version = (uint32_t)version;
	rc = sign(c, key);
	keyd_crypto_free(key);
	return rc;
}

static void say(struct keyd *k, const struct countersign *c, int rc)
{
	const struct keyproto_manifest *m = &c->m.manifest;
	char hash[HEX_SIZE(KEYPROTO_MANIFEST_HASH)];

	if (rc == 0 && c->key_made)
		keyd_audit_key_say(k, c->label);
	if (rc < 0 && !c->why) /* nothing was decided: the outcome says what failed */
		return;
	hex_encode(hash, m->hash, KEYPROTO_MANIFEST_HASH);
	keyd_audit_event(k, AUDIT_MANIFEST, AUDIT_SPAN(CUSTOMER, m->customer),
			 AUDIT_SPAN(CAMPAIGN, m->campaign), AUDIT_NUM(VERSION, m->version),
			 AUDIT_STR(DIGEST, hash), AUDIT_SPAN(AUTHOR, m->author),
			 AUDIT_SPAN(APPROVER, m->approver),
			 AUDIT_STR(RESULT, c->why ? c->why : "signed"));
	log_event(c->why ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, c->op.late.session->name,
		  c->why ? "manifest-refused" : "manifest-signed",
		  "customer=%.*s campaign=%.*s version=%" PRIu32 " approver=%.*s%s%s",
		  (int)m->customer.n, (const char *)m->customer.p, (int)m->campaign.n,
		  (const char *)m->campaign.p, m->version, (int)m->approver.n,
		  (const char *)m->approver.p, c->why ? " why=" : "", c->why ? c->why : "");
}

static void countersign_done(struct keyd_change *change, int rc)
{
	struct countersign *c = (struct countersign *)change;
	const struct keyproto_manifest_signed m = {c->version, c->sig};
	struct buf reply;

	buf_init(&reply, 256);
	say(change->keyd, c, rc);
	if (rc == 0)
		rc = keyproto_manifest_signed_put(&reply, &m);
	keyd_op_late_answer(&c->op.late, rc, buf_span(&reply));
	buf_clear(&reply);
	free(c);
}

int keyd_op_manifest(struct keyd_op_call *call)
{
	struct keyproto_manifest_sign m;
	struct countersign *c;
	size_t n = sizeof(LABEL) - 1;

	if (keyproto_manifest_sign_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (m.manifest.customer.n > KEYPROTO_NAME_MAX - n)
		return ERR_LIMIT; /* his key could have no label */
	c = calloc(1, sizeof(*c) + call->body.n);
	if (!c)
		return ERR_NOMEM;
	c->op.change.make = countersign_make;
	c->op.change.done = countersign_done;
	memcpy(c->body, call->body.p, call->body.n);
	(void)keyproto_manifest_sign_get(span_of(c->body, call->body.n), &c->m);
	memcpy(c->label, LABEL, n);
	memcpy(c->label + n, m.manifest.customer.p, m.manifest.customer.n);
	return keyd_op_change_start(&c->op, call);
}
