/* SPDX-License-Identifier: Apache-2.0 */
/* INIT, LOCK and CUSTOMER_ADD. What needs Argon2 or a token is done in the pool, in secret memory. */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_slot.h"

#define REPLY_MAX 8192

/* A root and the slots that are made for it. */
struct init {
	struct keyd_op_job op;
	struct keyd_snapshot_head head;
	struct keyd_slot_vault *vault; /* secret i belongs to slot i */
	struct keyd_slot_shares *shares;
	struct keyd_token *token;
	const char *why;
	int result;
};

static void init_free(struct init *n)
{
	keyd_slot_vault_free(n->vault);
	secret_free(n->shares, sizeof(*n->shares));
	free(n);
}

static void init_work(struct keyd_pool_job *job)
{
	struct init *n = (struct init *)job;

	for (unsigned i = 0; n->result == 0 && i < n->head.slot_count; i++)
		n->result = keyd_slot_make(&n->head.slots[i], n->head.id, n->vault,
					   &n->vault->secrets[i], n->token, n->shares, &n->why);
}

static int answer_made(const struct init *n, struct buf *body)
{
	struct keyproto_slot_made m = {.count = (uint8_t)n->shares->count};

	for (unsigned i = 0; i < n->shares->count; i++)
		m.shares[i] = span_str(n->shares->texts[i]);
	for (unsigned i = 0; i < n->head.slot_count; i++)
		if (n->head.slots[i].method == KEYPROTO_SLOT_SHARES)
			m.id = n->head.slots[i].id;
	return keyproto_slot_made_put(body, &m);
}

static void init_done(struct keyd_pool_job *job)
{
	struct init *n = (struct init *)job;
	struct keyd *k = n->op.late.keyd;
	struct buf body;

	k->opening = 0;
	buf_init_wiped(&body, REPLY_MAX);
	if (n->result < 0)
		log_event(LOG_LEVEL_ERROR, n->op.late.session->name, "init-failed",
			  "error=\"%s\" why=\"%s\"", err_text(n->result), n->why ? n->why : "");
	else
		n->result = keyd_create(k, &n->head, n->vault->root);
	if (n->result == 0)
		n->result = answer_made(n, &body);
	keyd_op_late_answer(&n->op.late, n->result, buf_span(&body));
	buf_clear(&body);
	init_free(n);
}

/* Slot i as entry i of keyd.yaml says; its secret is gathered. */
static int init_slot(struct init *n, const struct keyd_conf *conf, unsigned i,
		     const struct keyproto_slot *given)
{
	const struct keyd_conf_slot *entry = keyd_conf_slot(conf, i);
	struct keyd_root_slot *s = &n->head.slots[i];

	if (entry->method != given->method)
		return ERR_FORMAT;
	s->id = i + 1;
	s->method = given->method;
	s->created = clock_wall();
	if (entry->name)
		snprintf(s->name, sizeof(s->name), "%s", entry->name);
	if (s->method == KEYPROTO_SLOT_SHARES) {
		s->shares.need = (uint8_t)entry->need;
		s->shares.of = (uint8_t)entry->of;
		if (given->secret.n)
			return ERR_FORMAT;
	}
	if (s->method == KEYPROTO_SLOT_TOKEN)
		snprintf(s->token.uri, sizeof(s->token.uri), "%s", entry->uri);
	return keyd_slot_gather_new(conf, i, given->secret, n->vault);
}

static int init_new(struct keyd_op_call *call, const struct keyproto_init *m, struct init **out)
{
	struct init *n = calloc(1, sizeof(*n));
	int rc = 0;

	if (!n)
		return ERR_NOMEM;
	n->vault = keyd_slot_vault_new();
	n->shares = secret_alloc(sizeof(*n->shares));
	n->token = call->keyd->token;
	if (!n->vault || !n->shares)
		rc = ERR_NOMEM;
	for (unsigned i = 0; rc == 0 && i < m->count; i++) {
		rc = init_slot(n, call->keyd->conf, i, &m->slots[i]);
		if (rc < 0)
			log_event(LOG_LEVEL_WARN, call->session->name, "slot-failed",
				  "entry=%u method=%s error=\"%s\" why=\"\"", i,
				  keyd_root_method_name(m->slots[i].method), err_text(rc));
	}
	if (rc < 0)
		init_free(n);
	else
		*out = n;
	return rc;
}

int keyd_op_admin_init(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_init m;
	struct init *n;
	int rc;

	if (keyproto_init_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (m.count > k->conf->slots.count)
		return ERR_FORMAT;
	rc = init_new(call, &m, &n);
	if (rc < 0)
		return rc;
	n->head.slot_count = m.count;
	n->head.next_slot = m.count + 1u;
	rand_bytes(n->head.id, sizeof(n->head.id));
	rand_bytes(n->vault->root, sizeof(n->vault->root));
	n->op.pool.work = init_work;
	n->op.pool.done = init_done;
	n->op.pool.heavy = 1;
	k->opening = 1;
	return keyd_op_job_start(&n->op, call);
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

static int customer_make(struct keyd_change *change)
{
	struct keyd *k = change->keyd;
	struct buf record;
	int rc;

	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_customer(k->ring, keyd_op_named_of((struct keyd_op_named *)change),
				     keyd_generation(k), &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_DEK, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void customer_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;

	if (rc == 0)
		log_event(LOG_LEVEL_INFO, c->op.late.session->name, "customer-added",
			  "customer=%.*s", (int)c->n, (const char *)c->text);
	keyd_op_named_answer(c, rc);
}

int keyd_op_admin_customer(struct keyd_op_call *call)
{
	struct span name;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	return keyproto_name_ok(name)
		   ? keyd_op_named_start(call, name, 0, customer_make, customer_done)
		   : ERR_FORMAT;
}
