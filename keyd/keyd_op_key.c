/* SPDX-License-Identifier: Apache-2.0 */
/* Signing keys: made, listed, shown in public, used. RSA and new keys go to the pool. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_form.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_rotate_key.h"

#define LIST_MAX (60 * 1024) /* of JSON in one reply */

/* A next TLS key signs for its own certificate, and for those who see that certificate before the
 * key is made the active one. */
static int state_forbids(const struct keyd_ring_info *info)
{
	if (info->state == KEYD_RECORD_NEXT)
		return info->label.n <= 4 || memcmp(info->label.p, "tls/", 4) != 0;
	return info->state != KEYD_RECORD_ACTIVE;
}

struct sign_job {
	struct keyd_op_job job;
	struct keyd_crypto_key *key;
	unsigned alg;
	int result; /* length of sig, or ERR_* */
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	size_t n;
	uint8_t data[];
};

static void sign_work(struct keyd_pool_job *job)
{
	struct sign_job *j = (struct sign_job *)job;

	j->result = keyd_crypto_sign(j->key, j->alg, span_of(j->data, j->n), j->sig);
}

static int put_signature(struct buf *out, const uint8_t *sig, int n)
{
	return n < 0 ? n : keyproto_bytes_put(out, span_of(sig, (size_t)n));
}

static void sign_done(struct keyd_pool_job *job)
{
	struct sign_job *j = (struct sign_job *)job;
	struct buf body;
	int rc;

	buf_init(&body, KEYD_CRYPTO_SIG_MAX + 16);
	rc = put_signature(&body, j->sig, j->result);
	keyd_op_late_answer(&j->job.late, rc, buf_span(&body));
	buf_clear(&body);
	keyd_crypto_free(j->key);
	free(j);
}

static int sign_later(struct keyd_op_call *call, struct keyd_crypto_key *key,
		      const struct keyproto_sign *m)
{
	struct sign_job *j = malloc(sizeof(*j) + m->data.n);

	if (!j)
		return ERR_NOMEM;
	memset(j, 0, sizeof(*j));
	j->job.pool.work = sign_work;
	j->job.pool.done = sign_done;
	j->key = keyd_crypto_ref(key);
	j->job.pool.bulk = span_sub(m->label, 0, 5).n == 5 && !memcmp(m->label.p, "dkim/", 5);
	j->alg = m->alg;
	j->n = m->data.n;
	if (m->data.n)
		memcpy(j->data, m->data.p, m->data.n);
	return keyd_op_job_start(&j->job, call);
}

int keyd_op_sign(struct keyd_op_call *call)
{
	struct keyd_crypto_key *key;
	struct keyd_ring_info info;
	struct keyproto_sign m;
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct span label;
	int rc;

	if (keyproto_sign_get(call->body, &m) < 0 ||
	    !keyproto_keyname_ok(m.label, &label, NULL))
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, label) < 0)
		return ERR_DENIED;
	rc = keyd_ring_key(call->keyd->ring, m.label, &info);
	if (rc < 0)
		return rc;
	call->subject = m.label;
	if (state_forbids(&info) || !keyd_crypto_may(info.type, m.alg) ||
	    !keyd_form_ok(label, m.alg, m.data)) {
		keyd_session_denied(call->session, call->op);
		return ERR_DENIED;
	}
	rc = keyd_ring_private(call->keyd->ring, m.label, &key);
	if (rc < 0)
		return rc;
	rc = keyd_crypto_slow(info.type)
		 ? sign_later(call, key, &m)
		 : put_signature(call->reply, sig, keyd_crypto_sign(key, m.alg, m.data, sig));
	keyd_crypto_free(key);
	return rc;
}

static int put_public(struct buf *out, const struct keyd_ring_info *info)
{
	struct keyproto_public m = {(uint8_t)info->type, info->spki};

	return keyproto_public_put(out, &m);
}

int keyd_op_key_public(struct keyd_op_call *call)
{
	struct keyd_ring_info info;
	struct span name, label;
	int rc;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	if (!keyproto_keyname_ok(name, &label, NULL))
		return keyd_op_allow(call, name) < 0 ? ERR_DENIED : ERR_NOTFOUND;
	if (keyd_op_allow(call, label) < 0)
		return ERR_DENIED;
	rc = keyd_ring_key(call->keyd->ring, name, &info);
	if (rc < 0)
		return rc;
	call->subject = name;
	return put_public(call->reply, &info);
}

/* A new key: made in the pool, then a change. */
struct add_job {
	struct keyd_op_job job;
	struct keyd_change change;
	unsigned type;
	int result;
	struct keyd_crypto_key *key;
	size_t n;
	uint8_t label[KEYPROTO_NAME_MAX];
};

static void add_work(struct keyd_pool_job *job)
{
	struct add_job *j = (struct add_job *)job;

	j->result = keyd_crypto_generate(j->type, &j->key);
}

static struct add_job *of_change(struct keyd_change *c)
{
	return (struct add_job *)((char *)c - offsetof(struct add_job, change));
}

static void add_answer(struct add_job *j, int rc, struct span body)
{
	keyd_op_late_answer(&j->job.late, rc, body);
	keyd_crypto_free(j->key);
	free(j);
}

static int add_make(struct keyd_change *c)
{
	struct add_job *j = of_change(c);
	struct buf record;
	int rc;

	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_key(c->keyd->ring, span_of(j->label, j->n), j->type, j->key,
				keyd_generation(c->keyd), clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_KEY, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void add_changed(struct keyd_change *c, int rc)
{
	struct add_job *j = of_change(c);
	struct span label = span_of(j->label, j->n);
	struct keyd_ring_info info;
	struct buf reply;

	buf_init(&reply, KEYD_CRYPTO_PKCS8_MAX);
	if (rc == 0)
		rc = keyd_ring_key(c->keyd->ring, label, &info);
	if (rc == 0)
		rc = put_public(&reply, &info);
	if (rc == 0)
		log_event(LOG_LEVEL_INFO, NULL, "key-added", "label=%.*s type=%s", (int)label.n,
			  (const char *)label.p, keyproto_keytype_name(j->type));
	if (rc == 0) {
		keyd_rotate_key_kick(c->keyd);
		keyd_new_epoch(c->keyd);
	}
	add_answer(j, rc, buf_span(&reply));
	buf_clear(&reply);
}

static void add_done(struct keyd_pool_job *job)
{
	struct add_job *j = (struct add_job *)job;

	if (j->result < 0) {
		add_answer(j, j->result, span_of(NULL, 0));
		return;
	}
	j->change.make = add_make;
	j->change.done = add_changed;
	keyd_change_start(j->job.late.keyd, &j->change);
}

int keyd_op_key_add(struct keyd_op_call *call)
{
	struct keyproto_key_add m;
	struct keyd_ring_info info;
	struct add_job *j;

	if (keyproto_key_add_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.label) < 0)
		return ERR_DENIED;
	if (span_find(m.label, '/') < 1)
		return ERR_FORMAT; /* a key without a purpose */
	if (keyd_ring_key(call->keyd->ring, m.label, &info) == 0)
		return ERR_EXISTS;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ERR_NOMEM;
	j->job.pool.work = add_work;
	j->job.pool.done = add_done;
	j->type = m.type;
	j->n = m.label.n;
	memcpy(j->label, m.label.p, m.label.n);
	return keyd_op_job_start(&j->job, call);
}

struct listing {
	struct buf *out;
	size_t max;
};

static int list_one(void *arg, const struct keyd_ring_info *info)
{
	const struct listing *l = arg;

	if (buf_size(l->out) > l->max)
		return 1;
	buf_putf(l->out,
		 "%s{\"label\":\"%.*s\",\"type\":\"%s\",\"version\":%" PRIu32
		 ",\"state\":\"%s\",\"created\":%" PRId64 "}",
		 buf_ptr(l->out)[buf_size(l->out) - 1] == '[' ? "" : ",", (int)info->label.n,
		 (const char *)info->label.p, keyproto_keytype_name(info->type), info->version,
		 keyd_record_state_name(info->state), info->created);
	return 0;
}

void keyd_op_key_json(const struct keyd_ring *ring, uint32_t from, size_t max, struct buf *out)
{
	struct listing l = {out, buf_size(out) + max};
	struct keyd_ring_counts n = {.keys = 0};
	uint32_t at = 0;

	buf_put_str(out, "\"keys\":[");
	if (ring) {
		keyd_ring_counts(ring, &n);
		at = keyd_ring_keys(ring, from, list_one, &l);
	}
	buf_put_str(out, "]");
	if (at < n.keys)
		buf_putf(out, ",\"keys_next\":%" PRIu32, at);
}

int keyd_op_key_list(struct keyd_op_call *call)
{
	struct wire_get g;
	struct buf json;
	uint32_t from = 0;
	int rc;

	wire_get_init(&g, call->body);
	if (call->body.n)
		from = wire_get_u32(&g);
	if (wire_get_end(&g) < 0)
		return KEYD_OP_MALFORMED;
	buf_init(&json, LIST_MAX + 4096);
	buf_put_str(&json, "{");
	keyd_op_key_json(call->keyd->ring, from, LIST_MAX, &json);
	buf_put_str(&json, "}");
	rc = buf_failed(&json) ? buf_failed(&json) : buf_put_span(call->reply, buf_span(&json));
	buf_clear(&json);
	return rc;
}
