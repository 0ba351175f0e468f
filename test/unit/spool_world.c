/* SPDX-License-Identifier: Apache-2.0 */
#include "spool_world.h"

#include <sys/mman.h>

#include "core/err.h"
#include "core/secret.h"

/* --- A spool log in memory. It answers when the test says so (world_work), and keeps its records outside
 * malloc. */

void spool_log_post(struct spool_log *s, struct spool_job *j)
{
	assert_true(s->waiting_count < 64);
	s->waiting[s->waiting_count++] = j;
}

int spool_log_ready(const struct spool_log *s)
{
	return s->ready;
}

void world_store(struct spool_log *s, struct spool_job *j)
{
	struct record *r = &s->records[s->count];

	*r = (struct record){
	    .kind = j->kind, .id = j->id, .at = s->used, .recipients = j->recipients};
	assert_true(s->used + j->head.n + j->body.n <= LOG_SIZE);
	if (j->head.n)
		memcpy(s->bytes + s->used, j->head.p, j->head.n);
	if (j->body.n)
		memcpy(s->bytes + s->used + j->head.n, j->body.p, j->body.n);
	r->size = j->head.n + j->body.n;
	s->used += r->size;
	r->part_count = j->part_count;
	assert_true(j->part_count <= 512);
	for (unsigned i = 0; i < j->part_count; i++)
		r->parts[i] = j->parts[i];
	j->place = (struct spool_place){.segment = 7, .offset = s->count++, .length = 0};
}

void world_work(struct spool_log *s)
{
	unsigned n = s->waiting_count;
	struct spool_job *jobs[64];

	memcpy(jobs, s->waiting, sizeof(jobs));
	s->waiting_count = 0;
	for (unsigned i = 0; i < n; i++) {
		s->kinds[jobs[i]->kind]++;
		jobs[i]->result = s->result;
		if (s->result == 0)
			world_store(s, jobs[i]);
		evt_inbox_post(jobs[i]->reply, &jobs[i]->msg.msg);
	}
}

static int read_record(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out,
		       const struct record **rec)
{
	const struct record *r = &s->records[at.offset];

	if (at.offset >= s->count || r->id != id ||
	    at.segment != (s->moved && r->kind == SPOOL_PART ? 8 : 7))
		return ERR_NOTFOUND;
	*rec = r;
	return buf_put(out, s->bytes + r->at, r->size);
}

int spool_log_read(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out)
{
	const struct record *r;

	return read_record(s, at, id, out, &r);
}

int spool_log_read_commit(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out,
			  struct spool_place **parts, unsigned *part_count)
{
	const struct record *r;
	int err = read_record(s, at, id, out, &r);

	*parts = NULL;
	*part_count = 0;
	if (err < 0 || r->part_count == 0)
		return err;
	*parts = malloc(r->part_count * sizeof(**parts));
	assert_non_null(*parts);
	memcpy(*parts, r->parts, r->part_count * sizeof(**parts));
	for (unsigned i = 0; i < r->part_count; i++)
		(*parts)[i].segment = s->moved ? 8 : 7;
	*part_count = r->part_count;
	return 0;
}

/* --- keys_object with a keyd that knows the customers "acme" and "other", and derives for real. */

static int derive(const char *customer, uint64_t id, const char *kind, const uint8_t *salt,
		  uint8_t *key)
{
	uint8_t dek[32] = {0}, context[255];
	int n = seal_chunk_context(context, span_str(customer), id, span_str(kind));

	if (strcmp(customer, "acme") && strcmp(customer, "other"))
		return ERR_NOTFOUND;
	strcpy((char *)dek, customer);
	return seal_chunk_derive(dek, salt, span_of(context, (size_t)n), key);
}

int keys_object_take(struct keys_object *k, const char *customer, struct keys_object_body *body,
		     struct keys_object_envelope *envelope)
{
	uint8_t key[76];

	if (k->err < 0)
		return k->err;
	memset(body->salt, (int)k->next_id, KEYPROTO_SALT);
	memset(envelope->salt, 0xee, KEYPROTO_SALT);
	body->id = ++k->next_id;
	body->keyref = 5;
	envelope->object = 99;
	envelope->keyref = 6;
	derive(customer, 99, "envelope", envelope->salt, key);
	memcpy(envelope->key, key, 32);
	return derive(customer, body->id, "body", body->salt, body->key);
}

int64_t keys_object_open(struct keys_object *k, const struct keys_object_want *want, unsigned count,
			 keys_object_open_fn fn, void *arg)
{
	struct asked *a = &k->asked[k->asked_count];

	if (k->err < 0)
		return k->err;
	assert_true(k->asked_count < 64 && count <= 2);
	*a = (struct asked){.count = count, .fn = fn, .arg = arg, .ticket = ++k->tickets};
	for (unsigned i = 0; i < count; i++) {
		a->want[i] = want[i];
		strcpy(a->customers[i], want[i].customer);
		memcpy(a->salts[i], want[i].salt, KEYPROTO_SALT);
	}
	k->asked_count++;
	k->asked_ever++;
	return a->ticket;
}

void keys_object_cancel(struct keys_object *k, int64_t ticket)
{
	for (unsigned i = 0; i < k->asked_count; i++)
		if (k->asked[i].ticket == ticket)
			k->asked[i].fn = NULL;
}

void world_answer_keys(struct keys_object *k, int err)
{
	struct asked a;
	uint8_t(*keys)[76] = secret_alloc(152);

	assert_true(k->asked_count > 0);
	a = k->asked[0];
	memmove(k->asked, k->asked + 1, --k->asked_count * sizeof(a));
	for (unsigned i = 0; err == 0 && i < a.count; i++)
		err = derive(a.customers[i], a.want[i].object, a.want[i].kind, a.salts[i], keys[i]);
	if (a.fn)
		a.fn(a.arg, err, err < 0 ? NULL : (const uint8_t(*)[76])keys);
	secret_free(keys, 152);
}

/* --- the world */

static void run_batch(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	size_t taken;

	secret_usage(&w->secret_before, &taken);
	w->log.bytes =
	    mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w->log.records = calloc(512, sizeof(struct record));
	w->keys.next_id = 1000;
	w->relay.spool = &w->log;
	w->worker.relay = &w->relay;
	w->worker.loop = evt_loop_new();
	w->worker.inbox = evt_inbox_new(w->worker.loop, run_batch, &w->worker);
	w->worker.keys = &w->keys;
	*state = w;
	return 0;
}

int world_tear_down(void **state)
{
	struct world *w = *state;
	size_t used, taken;
	int leaked;

	spool_pool_free(w->worker.pool);
	evt_inbox_free(w->worker.inbox);
	evt_loop_free(w->worker.loop);
	munmap(w->log.bytes, LOG_SIZE);
	free(w->log.records);
	secret_usage(&used, &taken);
	leaked = used != w->secret_before;
	free(w);
	if (leaked)
		print_error("secret memory was not given back\n");
	return leaked ? -1 : 0;
}

/* Lets the spool and the loop work until nothing is left to do. */
void world_settle(struct world *w)
{
	do {
		world_work(&w->log);
		for (int i = 0; i < 3; i++)
			evt_loop_turn(w->worker.loop, 0);
	} while (w->log.waiting_count);
}

void world_on_done(void *arg, int result, struct spool_place at, struct spool_fresh *fresh)
{
	struct outcome *o = arg;

	o->calls++;
	o->result = result;
	o->at = at;
	o->fresh = fresh;
}

char a_customer[] = "acme", a_sender[] = "alice-the-sender@example.test",
     a_recipient[] = "bob-the-recipient@example.test", b_recipient[] = "carol@example.test",
     a_client[] = "mail.example.test [192.0.2.7]", a_tls[] = "TLSv1.3";

struct spool_envelope *world_envelope(void)
{
	static struct spool_recipient r[2];
	static struct spool_envelope e;

	r[0] = (struct spool_recipient){a_recipient, 0, NULL};
	r[1] = (struct spool_recipient){b_recipient, 3, (char *)"rfc822;b+2B@example.org"};
	e = (struct spool_envelope){.customer = a_customer,
				    .sender = a_sender,
				    .flags = SPOOL_8BIT,
				    .created = 12345678,
				    .client = a_client,
				    .tls = a_tls,
				    .recipients = r,
				    .count = 2,
				    .campaign = (char *)"cmp_01",
				    .credential = (char *)"app1",
				    .envid = (char *)"QQ+2B1"};
	return &e;
}

/* A body that differs at every place. */
uint8_t world_byte(size_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

struct spool_writer *world_begin(struct world *w, uint64_t *id)
{
	struct spool_writer *sw;

	assert_int_equal(spool_writer_begin(&w->worker, "acme", &sw, id), 0);
	return sw;
}

int world_write(struct world *w, struct spool_writer *sw, size_t from, size_t size, size_t step)
{
	uint8_t chunk[70000];

	for (size_t i = from; i < from + size;) {
		size_t n = step < from + size - i ? step : from + size - i;
		int err;
		for (size_t j = 0; j < n; j++)
			chunk[j] = world_byte(i + j);
		err = spool_writer_write(sw, chunk, n);
		if (err == ERR_BUSY) {
			world_settle(w);
			continue;
		}
		if (err < 0)
			return err;
		i += n;
	}
	return 0;
}

uint64_t world_put(struct world *w, size_t size, size_t step, struct outcome *o)
{
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	memset(o, 0, sizeof(*o));
	assert_int_equal(world_write(w, sw, 0, size, step), 0);
	spool_writer_commit(sw, world_envelope(), world_on_done, o);
	assert_int_equal(o->calls, 0);
	world_settle(w);
	assert_int_equal(o->calls, 1);
	assert_int_equal(o->result, 0);
	return id;
}

void world_on_opened(void *arg, int result)
{
	struct opening *o = arg;

	o->calls++;
	o->result = result;
}

/* Opens and waits for it. */
struct spool_reader *world_open(struct world *w, uint64_t id, struct spool_place at,
				struct spool_fresh *fresh, int *result)
{
	struct opening o = {0};
	struct spool_reader *r = spool_reader_open(&w->worker, id, at, fresh, world_on_opened, &o);

	assert_non_null(r);
	assert_int_equal(o.calls, 0);
	evt_loop_turn(w->worker.loop, 0);
	if (w->keys.asked_count)
		world_answer_keys(&w->keys, 0);
	assert_int_equal(o.calls, 1);
	*result = o.result;
	return r;
}

/* Reads to the end, comparing; 0 or ERR_*. */
int world_read(struct spool_reader *r, size_t *total)
{
	struct span s;
	int rc;

	for (*total = 0; (rc = spool_reader_next(r, &s)) > 0; *total += s.n)
		for (size_t i = 0; i < s.n; i++)
			assert_int_equal(s.p[i], world_byte(*total + i));
	return rc;
}

void world_assert_reads(struct world *w, uint64_t id, struct outcome *o, size_t size)
{
	int result;
	struct spool_reader *r = world_open(w, id, o->at, o->fresh, &result);
	size_t total;

	assert_int_equal(result, 0);
	assert_int_equal(spool_reader_size(r), size);
	assert_int_equal(world_read(r, &total), 0);
	assert_int_equal(total, size);
	assert_int_equal(spool_reader_rewind(r), 0);
	assert_int_equal(world_read(r, &total), 0);
	assert_int_equal(total, size);
	spool_reader_close(r);
}
