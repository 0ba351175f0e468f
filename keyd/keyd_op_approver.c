/* SPDX-License-Identifier: Apache-2.0 */
/* APPROVER_ADD, APPROVER_REMOVE, APPROVERS: who may approve campaigns. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_manifest.h"
#include "keyproto/keyproto_manifest.h"

#define JSON_MAX (62 * 1024) /* in one reply */
#define ONE_MAX	 1024	     /* of it: one approver */

struct enrol {
	struct keyd_op_change op;
	struct keyd_record_approver m; /* its spans lie in text */
	size_t used;
	uint8_t text[2 * KEYPROTO_NAME_MAX + KEYPROTO_APPROVER_SPKI_MAX];
};

static struct span keep(struct enrol *e, struct span s)
{
	struct span kept = span_of(e->text + e->used, s.n);

	memcpy(e->text + e->used, s.p, s.n);
	e->used += s.n;
	return kept;
}

static int fingerprint(struct span spki, char out[HEX_SIZE(32)])
{
	uint8_t digest[32];

	out[0] = '\0';
	if (!EVP_Q_digest(NULL, "SHA256", NULL, spki.p, spki.n, digest, NULL))
		return ERR_CRYPTO;
	hex_encode(out, digest, sizeof(digest));
	return 0;
}

static void say(struct keyd *k, const struct keyd_session *s, const struct keyd_record_approver *m,
		const char *state)
{
	struct audit_value values[] = {AUDIT_SPAN(APPROVER, m->name), AUDIT_STR(STATE, state),
				       {0}, {0}, {0}};
	int any = span_equal(m->customer, SPAN_LIT(KEYPROTO_ANY_CUSTOMER)), n = 2;
	const char *type = keyproto_keytype_name(keyproto_approver_keytype(m->spki));
	char digest[HEX_SIZE(32)];

	if (fingerprint(m->spki, digest) == 0)
		values[n++] = (struct audit_value)AUDIT_STR(DIGEST, digest);
	if (!any)
		values[n++] = (struct audit_value)AUDIT_SPAN(CUSTOMER, m->customer);
	keyd_audit_put(k, AUDIT_APPROVER, values);
	log_event(LOG_LEVEL_INFO, s->name, "approver-changed", "approver=%.*s customer=%.*s type=%s state=%s",
		  (int)m->name.n, (const char *)m->name.p, (int)m->customer.n,
		  (const char *)m->customer.p, type ? type : "none", state);
}

static int put(struct keyd_change *change, const struct keyd_record_approver *m)
{
	struct buf record;
	int rc;

	buf_init(&record, 1024);
	rc = keyd_ring_make_approver(change->keyd->ring, m, &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_APPROVER, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static int add_make(struct keyd_change *change)
{
	struct enrol *e = (struct enrol *)change;
	int64_t customer;

	if (!span_equal(e->m.customer, SPAN_LIT(KEYPROTO_ANY_CUSTOMER))) {
		customer = keyd_ring_customer(change->keyd->ring, e->m.customer);
		if (customer < 0)
			return (int)customer;
	}
	e->m.added = clock_wall();
	return put(change, &e->m);
}

static void add_done(struct keyd_change *change, int rc)
{
	struct enrol *e = (struct enrol *)change;

	if (rc == 0)
		say(change->keyd, e->op.late.session, &e->m, "added");
	keyd_op_late_answer(&e->op.late, rc, span_of(NULL, 0));
	free(e);
}

static int remove_make(struct keyd_change *change)
{
	struct enrol *e = (struct enrol *)change;
	struct keyd_record_approver old;
	int rc = keyd_ring_approver(change->keyd->ring, e->m.name, &old);

	if (rc < 0)
		return rc;
	e->m.customer = keep(e, old.customer);
	e->m.added = old.added;
	rc = put(change, &e->m);
	e->m.spki = keep(e, old.spki); /* to be told; the record is without */
	return rc;
}

static void remove_done(struct keyd_change *change, int rc)
{
	struct enrol *e = (struct enrol *)change;

	if (rc == 0)
		say(change->keyd, e->op.late.session, &e->m, "removed");
	keyd_op_late_answer(&e->op.late, rc, span_of(NULL, 0));
	free(e);
}

int keyd_op_approver_add(struct keyd_op_call *call)
{
	struct keyproto_approver_add m;
	struct enrol *e;

	if (keyproto_approver_add_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (!keyproto_approver_keytype(m.spki))
		return ERR_FORMAT;
	e = calloc(1, sizeof(*e));
	if (!e)
		return ERR_NOMEM;
	e->op.change.make = add_make;
	e->op.change.done = add_done;
	e->m.name = keep(e, m.name);
	e->m.customer = keep(e, m.customer);
	e->m.spki = keep(e, m.spki);
	return keyd_op_change_start(&e->op, call);
}

int keyd_op_approver_remove(struct keyd_op_call *call)
{
	struct enrol *e;
	struct span name;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	if (!keyproto_manifest_person_ok(name))
		return ERR_FORMAT;
	e = calloc(1, sizeof(*e));
	if (!e)
		return ERR_NOMEM;
	e->op.change.make = remove_make;
	e->op.change.done = remove_done;
	e->m.name = keep(e, name);
	return keyd_op_change_start(&e->op, call);
}

static void put_time(struct buf *out, int64_t when)
{
	time_t t = (time_t)(when / CLOCK_SEC);
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_put_str(out, text);
}

/* Names are of no character that JSON would have to escape. */
static void put_json(struct buf *out, const struct keyd_record_approver *a)
{
	char digest[HEX_SIZE(32)], key[HEX_B64_SIZE(KEYPROTO_APPROVER_SPKI_MAX)];
	const char *type = keyproto_keytype_name(keyproto_approver_keytype(a->spki));

	if (fingerprint(a->spki, digest) < 0)
		out->failed = ERR_CRYPTO;
	hex_b64_encode(key, a->spki.p, a->spki.n);
	buf_putf(out, "%s{\"name\":\"%.*s\",\"customer\":\"%.*s\",\"type\":\"%s\",\"added\":\"",
		 buf_ptr(out)[buf_size(out) - 1] == '[' ? "" : ",", (int)a->name.n,
		 (const char *)a->name.p, (int)a->customer.n, (const char *)a->customer.p,
		 type ? type : "");
	put_time(out, a->added);
	buf_putf(out, "\",\"fingerprint\":\"%s\",\"key\":\"%s\"}", digest, key);
}

int keyd_op_approver_list(struct keyd_op_call *call)
{
	struct keyd_record_approver a;
	struct buf json;
	uint32_t at;
	int rc;

	if (keyproto_approvers_get(call->body, &at) < 0)
		return KEYD_OP_MALFORMED;
	buf_init(&json, JSON_MAX);
	buf_put_str(&json, "{\"approvers\":[");
	for (; (rc = keyd_ring_approver_at(call->keyd->ring, at, &a)) == 0 &&
	       buf_size(&json) < JSON_MAX - 2 * ONE_MAX;
	     at++)
		put_json(&json, &a);
	if (rc == 0)
		buf_putf(&json, "],\"next\":%" PRIu32 "}", at);
	else
		buf_put_str(&json, "],\"next\":null}");
	rc = buf_failed(&json) ? buf_failed(&json) : buf_put_span(call->reply, buf_span(&json));
	buf_clear(&json);
	return rc;
}
