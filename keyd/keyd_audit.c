/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_audit_key.h"
#include "keyd/keyd_audit_sum.h"
#include "keyd/keyd_ring_start.h"

#define MINUTE	 (60 * CLOCK_SEC)
#define KEPT_MAX (1024 * 1024) /* bytes of lines that wait for better times */

/* BEFORE fails with its waits. The others are kept: SUMS must leave the last room alone. */
enum kind { BEFORE, AFTER, SUMS };

struct batch {
	struct keyd_pool_job job;
	struct keyd_audit *audit;
	struct keyd_audit_file_batch b;
	enum kind kind;
	unsigned lines;
	struct keyd_audit_key signer, former;
	struct keyd_audit_wait *waits, **last_wait;
	struct keyd_audit_file_tail tail;
	struct keyd_audit_file_news news;
	int rc;
	struct batch *next;
};

struct keyd_audit {
	struct keyd *keyd;
	struct keyd_audit_file *file; /* the disk thread's */
	char *dir;
	struct keyd_audit_file_tail start, head;
	struct batch *first, **last; /* to be written */
	struct batch *running;
	struct batch *kept, **last_kept; /* failed; tried again by the tick */
	size_t kept_bytes;
	uint64_t lost; /* lines that did not even fit there */
	int writable, gap;
	struct keyd_audit_key signer, former;
	uint64_t unsigned_lines;
	struct keyd_audit_key_making making;
	int64_t minute; /* when sums are due */
	struct keyd_audit_sum sums;
};

void keyd_audit_ready(struct keyd *k)
{
	if (k->audit)
		keyd_audit_key_make(k, &k->audit->making);
}

void keyd_audit_forget(struct keyd *k)
{
	if (!k->audit)
		return;
	keyd_audit_key_clear(&k->audit->signer);
	keyd_audit_key_clear(&k->audit->former);
}

/* --- batches */

static void batch_free(struct batch *b)
{
	if (!b)
		return;
	buf_clear(&b->b.bodies);
	keyd_audit_key_clear(&b->signer);
	keyd_audit_key_clear(&b->former);
	free(b);
}

static void run_next(struct keyd_audit *a);

/* The batch that a line of this kind joins, or NULL: no memory. */
static struct batch *open_batch(struct keyd_audit *a, enum kind kind)
{
	struct batch *b = a->first;

	while (b && b->next)
		b = b->next;
	if (b && b->kind == kind && buf_size(&b->b.bodies) + AUDIT_LINE_MAX < KEYD_AUDIT_FILE_BATCH)
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->audit = a;
	b->kind = kind;
	b->last_wait = &b->waits;
	buf_init(&b->b.bodies, KEYD_AUDIT_FILE_BATCH);
	*a->last = b;
	a->last = &b->next;
	return b;
}

/* Where the store is: each line is a witness of it. */
static void add_mark(const struct keyd *k, struct audit_value *at, char branch[17])
{
	struct keyproto_mark mark;

	if (!k->ring)
		return;
	keyd_ring_mark(k->ring, keyd_generation(k), &mark);
	if (!mark.branch)
		return;
	snprintf(branch, 17, "%016" PRIx64, mark.branch);
	at[0] = (struct audit_value)AUDIT_NUM(GENERATION, mark.generation);
	at[1] = (struct audit_value)AUDIT_NUM(MARK, mark.sequence);
	at[2] = (struct audit_value)AUDIT_STR(BRANCH, branch);
	at[3] = (struct audit_value){0};
}

/* One line into a batch; the batch, or NULL with *rc. */
static struct batch *add(struct keyd_audit *a, enum kind kind, unsigned event,
			 const struct audit_value *values, int *rc)
{
	struct audit_value all[AUDIT_LINE_FIELDS + 1];
	struct batch *b = open_batch(a, kind);
	char branch[17];
	unsigned n = 0;

	while (values[n].field && n < AUDIT_LINE_FIELDS - 3)
		n++;
	memcpy(all, values, n * sizeof(all[0]));
	all[n] = (struct audit_value){0};
	add_mark(a->keyd, &all[n], branch);
	*rc = b ? audit_line_body(&b->b.bodies, clock_wall(), event, all) : ERR_NOMEM;
	if (*rc == 0)
		*rc = buf_put_str(&b->b.bodies, "\n");
	if (*rc < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "audit-line-refused", "event=%s error=\"%s\"",
			  audit_event_name(event), err_text(*rc));
		return NULL;
	}
	b->lines++;
	return b;
}

/* On the disk thread. */
static void work(struct keyd_pool_job *job)
{
	struct batch *b = (struct batch *)job;

	b->rc = keyd_audit_file_append(b->audit->file, &b->b);
	keyd_audit_file_tail(b->audit->file, &b->tail);
	keyd_audit_file_news(b->audit->file, &b->news);
}

static void tell_news(const struct keyd_audit_file_news *n)
{
	if (n->cut)
		log_event(LOG_LEVEL_WARN, NULL, "audit-cut", "bytes=%" PRIu64, n->cut);
	if (n->damaged_file)
		log_event(LOG_LEVEL_ERROR, NULL, "audit-damaged",
			  "file=%" PRIu32 " line=%u why=\"%s\"", n->damaged_file, n->damaged_line,
			  n->damage);
	if (n->room_gone)
		log_event(LOG_LEVEL_ERROR, NULL, "audit-room", "state=used");
	if (n->room_back)
		log_event(LOG_LEVEL_INFO, NULL, "audit-room", "state=held");
}

static void note_failure(struct keyd_audit *a, int rc)
{
	if (!a->writable)
		return;
	a->writable = 0;
	log_event(LOG_LEVEL_ERROR, NULL, "audit-failed", "error=\"%s\"", err_text(rc));
	if (!a->gap) {
		a->gap = 1;
		add(a, SUMS, AUDIT_GAP,
		    (const struct audit_value[]){AUDIT_STR(WHY, err_text(rc)), {0}}, &rc);
	}
}

static void note_success(struct keyd_audit *a, const struct batch *b)
{
	a->head = b->tail;
	a->unsigned_lines = b->b.checkpoint ? 0 : a->unsigned_lines + b->lines;
	if (b->kind == AFTER || a->writable)
		return;
	a->writable = 1;
	a->gap = 0;
	log_event(LOG_LEVEL_INFO, NULL, "audit-recovered", "lost=%" PRIu64, a->lost);
}

static void keep(struct keyd_audit *a, struct batch *b)
{
	if (a->kept_bytes + buf_size(&b->b.bodies) > KEPT_MAX) {
		a->lost += b->lines;
		batch_free(b);
		return;
	}
	a->kept_bytes += buf_size(&b->b.bodies);
	b->next = NULL;
	*a->last_kept = b;
	a->last_kept = &b->next;
}

static void written(struct keyd_pool_job *job)
{
	struct batch *b = (struct batch *)job;
	struct keyd_audit *a = b->audit;
	struct keyd_audit_wait *w = b->waits, *next;
	int rc = b->rc;

	a->running = NULL;
	tell_news(&b->news);
	keyd_audit_key_clear(&b->signer);
	keyd_audit_key_clear(&b->former);
	if (rc < 0)
		note_failure(a, rc);
	else
		note_success(a, b);
	b->waits = NULL;
	for (; w; w = next) {
		next = w->next;
		w->seq = rc < 0 ? 0 : b->b.first + w->at;
		w->done(w, rc);
	}
	if (rc < 0 && b->kind != BEFORE)
		keep(a, b);
	else
		batch_free(b);
	run_next(a);
}

static void prepare(struct keyd_audit *a, struct batch *b)
{
	hex_encode(b->b.store, keyd_store_id(a->keyd), 16);
	b->b.wall = clock_wall();
	b->b.last_words = b->kind == AFTER;
	keyd_audit_key_load(a->keyd->ring, &a->signer, &a->former);
	b->b.checkpoint = a->signer.key != NULL;
	if (!b->b.checkpoint)
		return;
	keyd_audit_key_copy(&b->signer, &a->signer);
	b->b.signer = &b->signer.by;
	keyd_audit_key_copy(&b->former, &a->former);
	b->b.former = b->former.key ? &b->former.by : NULL;
}

static void run_next(struct keyd_audit *a)
{
	struct batch *b = a->first;

	if (a->running || !b)
		return;
	a->first = b->next;
	if (!a->first)
		a->last = &a->first;
	b->next = NULL;
	b->job.work = work;
	b->job.done = written;
	a->running = b;
	prepare(a, b);
	keyd_pool_run(a->keyd->disk, &b->job);
}

void keyd_audit_put(struct keyd *k, unsigned event, const struct audit_value *values)
{
	int rc;

	if (!k->audit)
		return;
	if (!add(k->audit, AFTER, event, values, &rc))
		k->audit->lost++;
	run_next(k->audit);
}

void keyd_audit_wait(struct keyd *k, struct keyd_audit_wait *w, enum keyd_audit_how how,
		     unsigned event, const struct audit_value *values)
{
	enum kind kind = how == KEYD_AUDIT_BEFORE ? BEFORE : AFTER;
	struct batch *b;
	int rc = 0;

	w->next = NULL;
	w->seq = 0;
	b = k->audit ? add(k->audit, kind, event, values, &rc) : NULL;
	if (!b) {
		w->done(w, rc);
		return;
	}
	w->at = b->lines - 1;
	*b->last_wait = w;
	b->last_wait = &w->next;
	run_next(k->audit);
}

/* --- sums */

void keyd_audit_use(struct keyd *k, const struct keyd_audit_use *use)
{
	struct keyd_audit_sum_row key = {.event = use->event,
					 .op = use->op,
					 .role = use->role,
					 .uid = use->uid,
					 .count = use->count,
					 .failed = use->failed};

	if (k->audit)
		keyd_audit_sum_add(&k->audit->sums, &key, use->subject);
}

static void write_row(struct keyd_audit *a, const struct keyd_audit_sum_row *r)
{
	const char *role = keyproto_role_name(r->role);
	struct audit_value v[8];
	unsigned n = 0;
	int rc;

	if (r->event != AUDIT_SESSIONS)
		v[n++] = (struct audit_value)AUDIT_STR(OP, keyproto_op_name(r->op));
	v[n++] = (struct audit_value)AUDIT_STR(ROLE, role ? role : "none");
	v[n++] = (struct audit_value)AUDIT_NUM(UID, r->uid);
	if (r->event == AUDIT_USE)
		v[n++] = (struct audit_value)AUDIT_SPAN(SUBJECT, span_of(r->subject, r->n));
	v[n++] = (struct audit_value)AUDIT_NUM(COUNT, r->count);
	if (r->event == AUDIT_USE)
		v[n++] = (struct audit_value)AUDIT_NUM(FAILED, r->failed);
	v[n] = (struct audit_value){0};
	add(a, SUMS, r->event, v, &rc);
}

static void write_sums(struct keyd_audit *a)
{
	struct keyd_audit_sum *s = &a->sums;
	int rc;

	for (unsigned i = 0; i < s->count; i++)
		write_row(a, &s->rows[i]);
	if (s->more)
		add(a, SUMS, AUDIT_USE_MORE,
		    (const struct audit_value[]){
			AUDIT_NUM(COUNT, s->more), AUDIT_NUM(FAILED, s->more_failed), {0}},
		    &rc);
	/* Lines that nobody signed yet are signed at least each minute. */
	if (s->count || s->more || a->unsigned_lines)
		open_batch(a, SUMS);
	keyd_audit_sum_reset(s);
}

/* What is kept goes behind what waits. */
static void try_again(struct keyd_audit *a)
{
	if (!a->kept)
		return;
	*a->last = a->kept;
	a->last = a->last_kept;
	a->kept = NULL;
	a->last_kept = &a->kept;
	a->kept_bytes = 0;
}

void keyd_audit_tick(struct keyd *k)
{
	struct keyd_audit *a = k->audit;

	if (!a)
		return;
	try_again(a);
	if (a->writable && clock_mono() >= a->minute) {
		a->minute = clock_mono() + MINUTE;
		write_sums(a);
	}
	run_next(a);
}

/* --- begin and end */

int keyd_audit_open(struct keyd *k)
{
	struct keyd_audit *a = calloc(1, sizeof(*a));
	struct keyd_audit_file_news news;
	int rc;

	if (!a)
		return ERR_NOMEM;
	a->keyd = k;
	a->last = &a->first;
	a->last_kept = &a->kept;
	a->minute = clock_mono() + MINUTE;
	a->dir = strdup(k->conf->audit); /* a reload does not move it */
	a->file = a->dir ? keyd_audit_file_new(a->dir, KEYD_AUDIT_FILE_SIZE) : NULL;
	if (!a->file) {
		free(a->dir);
		free(a);
		return ERR_NOMEM;
	}
	k->audit = a;
	a->writable = 1;
	rc = keyd_audit_file_open(a->file, 1);
	if (rc < 0)
		note_failure(a, rc);
	keyd_audit_file_news(a->file, &news);
	tell_news(&news);
	keyd_audit_file_tail(a->file, &a->start);
	a->head = a->start;
	return 0;
}

void keyd_audit_close(struct keyd *k)
{
	struct keyd_audit *a = k->audit;
	struct batch *b;

	if (!a)
		return;
	try_again(a);
	write_sums(a);
	keyd_audit_event(k, AUDIT_STOP, AUDIT_STR(STATE, keyproto_state_name(k->state)));
	while (a->running)
		keyd_pool_drain(k->disk);
	while ((b = a->kept)) {
		a->kept = b->next;
		a->lost += b->lines;
		batch_free(b);
	}
	if (a->lost)
		log_event(LOG_LEVEL_ERROR, NULL, "audit-lost", "lines=%" PRIu64, a->lost);
	keyd_audit_forget(k);
	keyd_audit_file_free(a->file);
	free(a->dir);
	free(a);
	k->audit = NULL;
}

int keyd_audit_writable(const struct keyd *k)
{
	return !k->audit || k->audit->writable;
}

const struct keyd_audit_file_tail *keyd_audit_tail(const struct keyd *k)
{
	static const struct keyd_audit_file_tail none;

	return k->audit ? &k->audit->start : &none;
}

const char *keyd_audit_dir(const struct keyd *k)
{
	return k->audit->dir;
}

void keyd_audit_head(const struct keyd *k, struct keyd_audit_file_tail *out)
{
	memset(out, 0, sizeof(*out));
	if (k->audit)
		*out = k->audit->head;
}

void keyd_audit_json(const struct keyd *k, struct buf *out)
{
	const struct keyd_audit *a = k->audit;

	if (!a) {
		buf_put_str(out, "null");
		return;
	}
	buf_putf(out,
		 "{\"writable\":%s,\"file\":%" PRIu32 ",\"seq\":%" PRIu64 ",\"unsigned\":%" PRIu64
		 ",\"kept_bytes\":%zu,\"lost\":%" PRIu64 "}",
		 a->writable ? "true" : "false", a->head.file, a->head.seq, a->unsigned_lines,
		 a->kept_bytes, a->lost);
}
