/* SPDX-License-Identifier: Apache-2.0 */
/* SLOT_ADD, SLOT_REMOVE and SLOT_TEST. keyd does not keep the root, so who adds a slot opens it
 * through another one. A slot change is a snapshot with another head. */
#include <limits.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_slot.h"

#define REPLY_MAX 8192

/* A slot that is tried, and for SLOT_ADD the one that is made. */
struct slot_job {
	struct keyd_op_job op;
	struct keyd_change change;
	struct keyd_snapshot_head head;
	struct keyd_slot_vault *vault; /* what opens */
	struct keyd_slot_outcome outcome;
	struct keyd_token *token;
	uint32_t only; /* SLOT_TEST: the slot that is to open */
	int given;     /* the opening secret came from somebody */
	int result;
	const char *why;
	/* SLOT_ADD */
	struct keyd_root_slot slot;
	struct keyd_slot_vault *fresh; /* the new slot's secret */
	struct keyd_slot_shares *shares;
	char path[PATH_MAX]; /* a key file that is made if it is not there; else empty */
};

static void job_free(struct slot_job *j)
{
	keyd_slot_vault_free(j->vault);
	keyd_slot_vault_free(j->fresh);
	secret_free(j->shares, sizeof(*j->shares));
	free(j);
}

/* A job that opens by what was given, or by what keyd.yaml names. */
static int job_new(struct keyd_op_call *call, const struct keyproto_slot *opener,
		   struct slot_job **out)
{
	struct keyd *k = call->keyd;
	struct slot_job *j = calloc(1, sizeof(*j));
	int rc = ERR_NOMEM;

	if (!j)
		return ERR_NOMEM;
	j->vault = keyd_slot_vault_new();
	j->head = *keyd_store_head(k->store);
	j->token = k->token;
	j->given = opener->secret.n > 0;
	if (j->vault && j->given)
		rc = keyd_slot_give(opener->method, opener->secret, j->vault);
	else if (j->vault)
		rc = keyd_slot_gather(k->conf, opener->method, &j->head, call->session->name,
				      j->vault);
	if (rc < 0)
		job_free(j);
	else
		*out = j;
	return rc;
}

static int job_start(struct slot_job *j, struct keyd_op_call *call,
		     void (*work)(struct keyd_pool_job *), void (*done)(struct keyd_pool_job *))
{
	j->op.pool.work = work;
	j->op.pool.done = done;
	j->op.pool.heavy = 1;
	call->keyd->trying = 1;
	return keyd_op_job_start(&j->op, call);
}

/* What all three ask first; secrets are tried one at a time, so that nobody guesses in parallel. */
static int may_try(const struct keyd *k, const struct keyproto_slot *opener)
{
	if (!k->store)
		return ERR_BADSTATE;
	if (k->trying)
		return ERR_BUSY;
	return opener->secret.n ? keyd_root_delay_check(&k->delay, clock_mono()) : 0;
}

/* A wrong secret makes everybody wait; a right one ends that. */
static void settle_delay(struct slot_job *j)
{
	struct keyd *k = j->op.late.keyd;

	if (j->given && j->outcome.id) {
		keyd_root_delay_passed(&k->delay);
	} else if (j->given && j->result == ERR_AUTH) {
		keyd_root_delay_failed(&k->delay, clock_mono());
		keyd_watch_tamper(k, KEYD_TAMPER_AUTH, 1);
	}
}

/* --- SLOT_TEST */

static void test_work(struct keyd_pool_job *job)
{
	struct slot_job *j = (struct slot_job *)job;

	j->result = keyd_slot_open(j->vault, &j->head, j->only, j->token, &j->outcome);
}

static void test_done(struct keyd_pool_job *job)
{
	struct slot_job *j = (struct slot_job *)job;
	const struct keyd_session *s = j->op.late.session;

	j->op.late.keyd->trying = 0;
	settle_delay(j);
	log_event(j->result == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, s->name, "slot-tested",
		  "slot=%u uid=%u result=\"%s\" why=\"%s\"", (unsigned)j->only, (unsigned)s->uid,
		  err_text(j->result), j->outcome.why ? j->outcome.why : "");
	keyd_op_late_answer(&j->op.late, keyd_slot_reply(j->result), span_of(NULL, 0));
	job_free(j);
}

static const struct keyd_root_slot *slot_of(const struct keyd_snapshot_head *head, uint32_t id)
{
	for (unsigned i = 0; i < head->slot_count; i++)
		if (head->slots[i].id == id)
			return &head->slots[i];
	return NULL;
}

int keyd_op_slot_test(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	const struct keyd_root_slot *slot;
	struct keyproto_slot_test m;
	struct keyproto_slot opener;
	struct slot_job *j;
	int rc;

	if (keyproto_slot_test_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	opener.secret = m.secret;
	rc = may_try(k, &opener);
	if (rc < 0)
		return rc;
	slot = slot_of(keyd_store_head(k->store), m.id);
	if (!slot)
		return ERR_NOTFOUND;
	opener.method = slot->method;
	if (keyd_root_method(slot->method)->given == KEYD_ROOT_NEVER ? m.secret.n > 0 : 0)
		return ERR_FORMAT;
	rc = job_new(call, &opener, &j);
	if (rc < 0)
		return rc;
	j->only = m.id;
	return job_start(j, call, test_work, test_done);
}

/* --- SLOT_ADD */

/* The secret of a new key file: made on this thread, since it waits for the disk. */
static int make_file(struct slot_job *j)
{
	struct keyd_slot_secret *s = &j->fresh->secrets[0];
	int rc = keyd_root_file_make(j->path);

	s->method = KEYPROTO_SLOT_FILE;
	s->n = 32;
	return rc == 0 ? keyd_root_file_read(j->path, s->bytes) : rc;
}

static void add_work(struct keyd_pool_job *job)
{
	struct slot_job *j = (struct slot_job *)job;

	j->result = keyd_slot_open(j->vault, &j->head, 0, j->token, &j->outcome);
	j->why = j->outcome.why;
	if (j->result == 0 && j->path[0])
		j->result = make_file(j);
	if (j->result == 0)
		j->result = keyd_slot_make(&j->slot, j->head.id, j->vault, &j->fresh->secrets[0],
					   j->token, j->shares, &j->why);
}

static struct slot_job *of_change(struct keyd_change *c)
{
	return (struct slot_job *)((char *)c - offsetof(struct slot_job, change));
}

/* Slots may have been removed since the job began; none was added, since trying stood. */
static int add_make(struct keyd_change *c)
{
	struct slot_job *j = of_change(c);
	struct keyd_snapshot_head *head = &j->head;
	const struct keyd_snapshot_head *now = keyd_store_head(c->keyd->store);

	if (memcmp(now->id, head->id, sizeof(head->id)) != 0 || now->next_slot != j->slot.id)
		return ERR_BADSTATE; /* another store stands there meanwhile */
	*head = *now;
	if (head->slot_count == KEYD_ROOT_SLOTS_MAX)
		return ERR_LIMIT;
	head->slots[head->slot_count++] = j->slot;
	head->next_slot = j->slot.id + 1;
	return keyd_change_head(c, head);
}

static void log_warning(void *arg, const char *text)
{
	log_event(LOG_LEVEL_WARN, arg, "slot-warning", "text=\"%s\"", text);
}

static void warn(const struct keyd *k, const struct keyd_session *s)
{
	const struct keyd_snapshot_head *head = keyd_store_head(k->store);

	keyd_root_warnings(head->slots, head->slot_count, log_warning, (void *)s->name);
}

static void answer_made(struct slot_job *j)
{
	struct keyproto_slot_made m = {.id = j->slot.id, .count = (uint8_t)j->shares->count};
	struct buf body;
	int rc;

	for (unsigned i = 0; i < j->shares->count; i++)
		m.shares[i] = span_str(j->shares->texts[i]);
	buf_init_wiped(&body, REPLY_MAX);
	rc = keyproto_slot_made_put(&body, &m);
	keyd_op_late_answer(&j->op.late, rc, buf_span(&body));
	buf_clear(&body);
}

static void log_failed(const struct keyd_session *s, unsigned method, int rc, const char *why)
{
	log_event(LOG_LEVEL_WARN, s->name, "slot-add-failed",
		  "method=%s uid=%u error=\"%s\" why=\"%s\"", keyd_root_method_name(method),
		  (unsigned)s->uid, err_text(rc), why ? why : "");
}

static void add_end(struct slot_job *j, int rc)
{
	struct keyd *k = j->op.late.keyd;
	const struct keyd_session *s = j->op.late.session;

	k->trying = 0;
	if (rc == 0) {
		keyd_audit_event(k, AUDIT_SLOT, AUDIT_NUM(SLOT, j->slot.id),
				 AUDIT_STR(METHOD, keyd_root_method_name(j->slot.method)),
				 AUDIT_STR(STATE, "added"));
		log_event(LOG_LEVEL_INFO, s->name, "slot-added", "slot=%u method=%s uid=%u",
			  (unsigned)j->slot.id, keyd_root_method_name(j->slot.method),
			  (unsigned)s->uid);
		warn(k, s);
		answer_made(j);
	} else {
		log_failed(s, j->slot.method, rc, j->why);
		keyd_op_late_answer(&j->op.late, keyd_slot_reply(rc), span_of(NULL, 0));
	}
	job_free(j);
}

static void add_written(struct keyd_change *c, int rc)
{
	add_end(of_change(c), rc);
}

static void add_done(struct keyd_pool_job *job)
{
	struct slot_job *j = (struct slot_job *)job;

	settle_delay(j);
	keyd_slot_log(j->vault, &j->outcome, j->op.late.session->name);
	if (j->result < 0) {
		add_end(j, j->result);
		return;
	}
	j->change.make = add_make;
	j->change.done = add_written;
	keyd_change_start(j->op.late.keyd, &j->change);
}

/* What the new slot is made with: from the request, or from the entry of keyd.yaml that it names. */
static int prepare(struct slot_job *j, const struct keyd_conf *conf,
		   const struct keyproto_slot_add *m)
{
	const struct keyd_conf_slot *entry = NULL;
	int at = keyd_slot_entry(conf, m->slot.method, m->name);

	j->slot.id = j->head.next_slot;
	j->slot.method = m->slot.method;
	j->slot.created = clock_wall();
	if (keyd_root_method(m->slot.method)->alone) {
		if (at < 0)
			return ERR_NOTFOUND;
		entry = keyd_conf_slot(conf, (size_t)at);
	}
	if (span_copy_str(j->slot.name, sizeof(j->slot.name),
			  entry && entry->name ? span_str(entry->name) : m->name) < 0 ||
	    !keyd_root_name_ok(span_str(j->slot.name)))
		return ERR_FORMAT;
	if (m->slot.method == KEYPROTO_SLOT_SHARES)
		j->slot.shares = (struct keyd_root_shares){.need = m->need, .of = m->of};
	if (m->slot.method == KEYPROTO_SLOT_TOKEN)
		return span_copy_str(j->slot.token.uri, sizeof(j->slot.token.uri),
				     span_str(entry->uri)) < 0
			   ? ERR_FORMAT
			   : keyd_slot_gather_new(conf, (size_t)at, m->slot.secret, j->fresh);
	if (m->slot.method == KEYPROTO_SLOT_FILE)
		return span_copy_str(j->path, sizeof(j->path), span_str(entry->path));
	if (m->slot.method == KEYPROTO_SLOT_CREDENTIAL)
		return keyd_slot_gather_new(conf, (size_t)at, m->slot.secret, j->fresh);
	if (m->slot.method == KEYPROTO_SLOT_PASSPHRASE &&
	    m->slot.secret.n < KEYD_ROOT_PASSPHRASE_MIN)
		return ERR_FORMAT;
	return keyd_slot_give(m->slot.method, m->slot.secret, j->fresh);
}

int keyd_op_slot_add(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_slot_add m;
	struct slot_job *j;
	int rc;

	if (keyproto_slot_add_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	rc = may_try(k, &m.opener);
	if (rc < 0)
		return rc;
	if (keyd_store_head(k->store)->slot_count == KEYD_ROOT_SLOTS_MAX)
		return ERR_LIMIT;
	rc = job_new(call, &m.opener, &j);
	if (rc < 0)
		return rc;
	j->fresh = keyd_slot_vault_new();
	j->shares = secret_alloc(sizeof(*j->shares));
	rc = j->fresh && j->shares ? prepare(j, k->conf, &m) : ERR_NOMEM;
	if (rc < 0) {
		log_failed(call->session, m.slot.method, rc, "what the new slot is made with");
		job_free(j);
		return keyd_slot_reply(rc);
	}
	return job_start(j, call, add_work, add_done);
}

/* --- SLOT_REMOVE */

struct removal {
	struct keyd_op_change op;
	uint32_t id;
	unsigned method;
	struct keyd_snapshot_head head;
};

static int remove_make(struct keyd_change *c)
{
	struct removal *r = (struct removal *)c;
	struct keyd_snapshot_head *head = &r->head;
	const struct keyd_root_slot *slot;
	unsigned at;

	*head = *keyd_store_head(c->keyd->store);
	slot = slot_of(head, r->id);
	if (!slot)
		return ERR_NOTFOUND;
	if (head->slot_count == 1)
		return ERR_BADSTATE; /* nothing would open the store again */
	r->method = slot->method;
	at = (unsigned)(slot - head->slots);
	head->slot_count--;
	memmove(&head->slots[at], &head->slots[at + 1],
		(head->slot_count - at) * sizeof(head->slots[0]));
	memset(&head->slots[head->slot_count], 0, sizeof(head->slots[0]));
	return keyd_change_head(c, head);
}

static void remove_done(struct keyd_change *c, int rc)
{
	struct removal *r = (struct removal *)c;
	const struct keyd_session *s = r->op.late.session;

	if (rc == 0) {
		keyd_audit_event(c->keyd, AUDIT_SLOT, AUDIT_NUM(SLOT, r->id),
				 AUDIT_STR(METHOD, keyd_root_method_name(r->method)),
				 AUDIT_STR(STATE, "removed"));
		log_event(LOG_LEVEL_WARN, s->name, "slot-removed", "slot=%u method=%s uid=%u",
			  (unsigned)r->id, keyd_root_method_name(r->method), (unsigned)s->uid);
		warn(c->keyd, s);
	}
	keyd_op_late_answer(&r->op.late, rc, span_of(NULL, 0));
	free(r);
}

int keyd_op_slot_remove(struct keyd_op_call *call)
{
	struct removal *r;
	uint32_t id;

	if (keyproto_slot_remove_get(call->body, &id) < 0)
		return KEYD_OP_MALFORMED;
	if (!call->keyd->store)
		return ERR_BADSTATE;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ERR_NOMEM;
	r->id = id;
	r->op.change.make = remove_make;
	r->op.change.done = remove_done;
	return keyd_op_change_start(&r->op, call);
}
