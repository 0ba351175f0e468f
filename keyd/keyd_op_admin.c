/* SPDX-License-Identifier: Apache-2.0 */
/* INIT, UNSEAL, LOCK and CUSTOMER_ADD. What needs Argon2 is computed in the pool, in secret
 * memory. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_credential.h"
#include "keyd/keyd_op.h"

/* Secrets of one job. */
struct vault {
	uint8_t root[32];
	size_t sizes[KEYD_ROOT_SLOTS_MAX];
	uint8_t secrets[KEYD_ROOT_SLOTS_MAX][KEYD_ROOT_SECRET_MAX];
};

struct open_job {
	struct keyd_op_job job;
	struct keyd_snapshot_head head;
	struct vault *vault;
	int result;
};

static struct open_job *job_new(void (*work)(struct keyd_pool_job *),
				void (*done)(struct keyd_pool_job *))
{
	struct open_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->vault = secret_alloc(sizeof(*j->vault));
	if (!j->vault) {
		free(j);
		return NULL;
	}
	j->job.pool.work = work;
	j->job.pool.done = done;
	j->job.pool.heavy = 1;
	return j;
}

static void job_free(struct open_job *j)
{
	secret_free(j->vault, sizeof(*j->vault));
	free(j);
}

static int keep_secret(struct vault *v, unsigned i, struct span secret)
{
	if (secret.n > KEYD_ROOT_SECRET_MAX)
		return ERR_LIMIT;
	if (secret.n)
		memcpy(v->secrets[i], secret.p, secret.n);
	v->sizes[i] = secret.n;
	return 0;
}

/* The secret of slot i: from its file or credential, or as it came in the request. */
static int fetch_secret(const struct keyd_conf_slot *conf, const struct keyproto_slot *given,
			struct vault *v, unsigned i)
{
	struct buf b;
	int rc;

	if (conf->method != given->method)
		return ERR_FORMAT;
	if (given->method == KEYPROTO_SLOT_PASSPHRASE)
		return given->secret.n < KEYD_ROOT_PASSPHRASE_MIN
			   ? ERR_FORMAT
			   : keep_secret(v, i, given->secret);
	if (given->method == KEYPROTO_SLOT_FILE) {
		rc = keyd_root_file_make(conf->path);
		v->sizes[i] = 32;
		return rc == 0 ? keyd_root_file_read(conf->path, v->secrets[i]) : rc;
	}
	buf_init_wiped(&b, KEYD_ROOT_SECRET_MAX);
	rc = keyd_credential_read(conf->name, &b);
	if (rc == 0)
		rc = keep_secret(v, i, buf_span(&b));
	buf_clear(&b);
	return rc;
}

static void init_work(struct keyd_pool_job *job)
{
	struct open_job *j = (struct open_job *)job;

	for (unsigned i = 0; j->result == 0 && i < j->head.slot_count; i++)
		j->result = keyd_root_slot_make(&j->head.slots[i], j->head.id,
						span_of(j->vault->secrets[i], j->vault->sizes[i]),
						j->vault->root);
}

static void init_done(struct keyd_pool_job *job)
{
	struct open_job *j = (struct open_job *)job;
	struct keyd *k = j->job.late.keyd;

	k->opening = 0;
	if (j->result == 0)
		j->result = keyd_create(k, &j->head, j->vault->root);
	keyd_op_late_answer(&j->job.late, j->result, span_of(NULL, 0));
	job_free(j);
}

int keyd_op_admin_init(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_init m;
	struct open_job *j;
	int rc = 0;

	if (keyproto_init_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (m.count > k->conf->slots.count)
		return ERR_FORMAT;
	j = job_new(init_work, init_done);
	if (!j)
		return ERR_NOMEM;
	for (unsigned i = 0; rc == 0 && i < m.count; i++) {
		const struct keyd_conf_slot *conf = keyd_conf_slot(k->conf, i);
		j->head.slots[i].id = i + 1;
		j->head.slots[i].method = m.slots[i].method;
		j->head.slots[i].created = clock_wall();
		if (conf->name)
			rc = span_copy_str(j->head.slots[i].name, sizeof(j->head.slots[i].name),
					   span_str(conf->name));
		if (rc == 0)
			rc = fetch_secret(conf, &m.slots[i], j->vault, i);
		if (rc < 0)
			log_event(LOG_LEVEL_WARN, call->session->name, "slot-failed",
				  "slot=%u method=%s error=\"%s\"", i,
				  keyd_root_method_name(m.slots[i].method), err_text(rc));
	}
	if (rc < 0) {
		job_free(j);
		return rc;
	}
	j->head.slot_count = m.count;
	j->head.next_slot = m.count + 1u;
	rand_bytes(j->head.id, sizeof(j->head.id));
	rand_bytes(j->vault->root, sizeof(j->vault->root));
	k->opening = 1;
	return keyd_op_job_start(&j->job, call);
}

static void unseal_work(struct keyd_pool_job *job)
{
	struct open_job *j = (struct open_job *)job;

	j->result = ERR_AUTH;
	for (unsigned i = 0; j->result == ERR_AUTH && i < j->head.slot_count; i++)
		if (j->head.slots[i].method == KEYPROTO_SLOT_PASSPHRASE)
			j->result = keyd_root_slot_open(
			    &j->head.slots[i], j->head.id,
			    span_of(j->vault->secrets[0], j->vault->sizes[0]), j->vault->root);
}

static void unseal_done(struct keyd_pool_job *job)
{
	struct open_job *j = (struct open_job *)job;
	struct keyd *k = j->job.late.keyd;

	k->opening = 0;
	if (j->result == ERR_AUTH) {
		keyd_root_delay_failed(&k->delay, clock_mono());
		log_event(LOG_LEVEL_WARN, j->job.late.session->name, "unseal-failed",
			  "uid=%u failures=%u", (unsigned)j->job.late.session->uid,
			  k->delay.failures);
	} else if (j->result == 0) {
		keyd_root_delay_passed(&k->delay);
		j->result = keyd_unlock(k, j->vault->root);
	}
	keyd_op_late_answer(&j->job.late, j->result, span_of(NULL, 0));
	job_free(j);
}

int keyd_op_admin_unseal(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_slot m;
	struct open_job *j;

	if (keyproto_slot_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (!k->store)
		return ERR_BADSTATE; /* a ring that was never more than memory */
	if (m.method != KEYPROTO_SLOT_PASSPHRASE)
		return keyd_open_slots(k, m.method);
	if (keyd_root_delay_check(&k->delay, clock_mono()) < 0)
		return ERR_BUSY;
	j = job_new(unseal_work, unseal_done);
	if (!j)
		return ERR_NOMEM;
	j->head = *keyd_store_head(k->store);
	keep_secret(j->vault, 0, m.secret);
	k->opening = 1;
	return keyd_op_job_start(&j->job, call);
}

int keyd_op_admin_lock(struct keyd_op_call *call)
{
	if (call->body.n)
		return KEYD_OP_MALFORMED;
	if (call->keyd->opening)
		return ERR_BUSY;
	if (call->keyd->state == KEYPROTO_READY) {
		log_event(LOG_LEVEL_WARN, call->session->name, "locked", "uid=%u role=%s",
			  (unsigned)call->session->uid, keyproto_role_name(call->session->role));
		keyd_lock(call->keyd, "asked to lock");
	}
	return 0;
}

struct customer_change {
	struct keyd_op_change op;
	size_t n;
	uint8_t name[KEYPROTO_NAME_MAX];
};

static int customer_make(struct keyd_change *change)
{
	struct customer_change *c = (struct customer_change *)change;
	struct keyd *k = change->keyd;
	struct buf record;
	int rc;

	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_customer(k->ring, span_of(c->name, c->n), keyd_generation(k), &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_DEK, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void customer_done(struct keyd_change *change, int rc)
{
	struct customer_change *c = (struct customer_change *)change;

	if (rc == 0)
		log_event(LOG_LEVEL_INFO, c->op.late.session->name, "customer-added",
			  "customer=%.*s", (int)c->n, (const char *)c->name);
	keyd_op_late_answer(&c->op.late, rc, span_of(NULL, 0));
	free(c);
}

int keyd_op_admin_customer(struct keyd_op_call *call)
{
	struct customer_change *c;
	struct span name;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	if (!keyproto_name_ok(name))
		return ERR_FORMAT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ERR_NOMEM;
	c->op.change.make = customer_make;
	c->op.change.done = customer_done;
	c->n = name.n;
	memcpy(c->name, name.p, name.n);
	return keyd_op_change_start(&c->op, call);
}
