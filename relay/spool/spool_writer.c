/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/spool/spool_message_priv.h"

#define KEEP 256 /* writers in the pool */

/*            begin                     commit
 *   (pool) --------> OPEN -------------------------> ENDING --COMMIT posted--> POSTED --answer-->
 * (pool) | abort                           | a PART failed, or no memory v v DROPPING <-------
 * done(error) -------+          (with no PART out: straight to the pool) ENDING and DROPPING wait
 * until no PART is with the spool. */
enum writer_state { OPEN, ENDING, POSTED, DROPPING };

struct spool_writer {
	struct list_link link; /* in the pool */
	struct relay_worker *w;
	struct spool_pool *pool;
	struct seal_chunk *cipher;
	struct spool_fresh *keys;
	uint64_t id;
	char customer[KEYPROTO_NAME_MAX + 1];
	int state;
	int err; /* sticky */

	struct spool_buffer *cur; /* NULL: none under way */
	size_t plain;		  /* bytes of the chunk under way, behind cur->sealed */
	uint64_t chunk;		  /* its number */
	uint64_t size;		  /* plain bytes so far */

	struct spool_place *parts; /* filled in as they come back */
	unsigned part_count, part_room;
	unsigned out;	  /* PARTs with the spool */
	size_t unwritten; /* their bytes */

	void (*room)(void *arg);
	void *room_arg;
	void (*settled)(void *arg);
	void *settled_arg;
	spool_writer_done_fn done;
	void *done_arg;
	struct buf head;
	struct spool_job drop;
	struct evt_defer defer; /* an end that must not come within commit */
};

static struct spool_writer *writer_new(struct spool_pool *pool)
{
	struct list_link *l = list_pop_front(&pool->writers);
	struct spool_writer *sw;

	if (l) {
		pool->writer_count--;
		return list_entry(l, struct spool_writer, link);
	}
	sw = calloc(1, sizeof(*sw));
	if (!sw)
		return NULL;
	sw->cipher = seal_chunk_new();
	if (!sw->cipher) {
		free(sw);
		return NULL;
	}
	buf_init(&sw->head, SPOOL_ENVELOPE_MAX + 4096);
	return sw;
}

void spool_writer_destroy(struct list_link *l)
{
	struct spool_writer *sw = list_entry(l, struct spool_writer, link);

	seal_chunk_free(sw->cipher);
	buf_clear(&sw->head);
	free(sw->parts);
	free(sw);
}

/* The plain bytes of the chunk under way become zeros. */
static void wipe_chunk(struct spool_writer *sw)
{
	if (sw->cur && sw->plain)
		secret_wipe(sw->cur->data + sw->cur->sealed, sw->plain);
	sw->plain = 0;
}

static void buffer_back(struct spool_writer *sw)
{
	wipe_chunk(sw);
	spool_pool_buffer_back(sw->pool, sw->cur);
	sw->cur = NULL;
}

static void release(struct spool_writer *sw)
{
	struct spool_pool *pool = sw->pool;

	evt_loop_undefer(sw->w->loop, &sw->defer);
	buffer_back(sw);
	seal_chunk_forget(sw->cipher);
	spool_fresh_discard(sw->keys);
	sw->keys = NULL;
	if (sw->head.cap > 65536)
		buf_clear(&sw->head);
	if (pool->writer_count >= KEEP) {
		spool_writer_destroy(&sw->link);
		return;
	}
	pool->writer_count++;
	list_push_front(&pool->writers, &sw->link);
}

static void start(struct spool_writer *sw, struct relay_worker *w, const char *customer)
{
	sw->w = w;
	sw->pool = w->pool;
	sw->id = sw->keys->body.id;
	memcpy(sw->customer, customer, strlen(customer) + 1);
	sw->state = OPEN;
	sw->err = 0;
	sw->plain = 0;
	sw->chunk = sw->size = 0;
	sw->part_count = sw->out = 0;
	sw->unwritten = 0;
	sw->room = NULL;
	sw->settled = NULL;
	buf_reset(&sw->head);
}

int spool_writer_begin(struct relay_worker *w, const char *customer, struct spool_writer **out,
		       uint64_t *id)
{
	struct spool_pool *pool = spool_pool_of(w);
	int err = spool_log_ready(w->relay->spool);
	struct spool_writer *sw = NULL;
	struct spool_fresh *keys;

	if (err < 0)
		return err;
	keys = pool ? spool_fresh_alloc() : NULL;
	if (!keys)
		return ERR_NOMEM;
	err = keys_object_take(w->keys, customer, &keys->body, &keys->envelope);
	if (err == 0) {
		sw = writer_new(pool);
		err = sw ? seal_chunk_set_key(sw->cipher, keys->body.key) : ERR_NOMEM;
	}
	if (err < 0) {
		spool_fresh_discard(keys);
		if (sw)
			spool_writer_destroy(&sw->link);
		return err;
	}
	sw->keys = keys;
	start(sw, w, customer);
	*out = sw;
	*id = sw->id;
	return 0;
}

/* --- giving up */

static void dropped(struct relay_msg *m, void *receiver)
{
	struct spool_job *j = (struct spool_job *)m;

	(void)receiver;
	release(list_entry(j, struct spool_writer, drop));
}

static void drop(struct spool_writer *sw)
{
	sw->state = DROPPING;
	sw->settled = NULL;
	buffer_back(sw);
	if (sw->out)
		return; /* goes on when the last PART is back */
	if (sw->part_count == 0) {
		release(sw);
		return;
	}
	sw->drop = (struct spool_job){
	    .msg.run = dropped, .kind = SPOOL_DROP, .id = sw->id, .reply = sw->w->inbox};
	spool_log_post(sw->w->relay->spool, &sw->drop);
}

void spool_writer_abort(struct spool_writer *sw)
{
	if (sw)
		drop(sw);
}

/* --- committing */

static void fail(struct spool_writer *sw)
{
	sw->done(sw->done_arg, sw->err, (struct spool_place){0}, NULL);
	drop(sw);
}

static void fail_later(void *arg)
{
	fail(arg);
}

static void committed(struct relay_msg *m, void *receiver)
{
	struct spool_job *j = (struct spool_job *)m;
	struct spool_writer *sw = list_entry(j, struct spool_buffer, job)->writer;
	struct spool_fresh *fresh = NULL;

	(void)receiver;
	if (j->result == 0) {
		fresh = spool_fresh_share(sw->keys);
		sw->keys = NULL;
	}
	sw->done(sw->done_arg, j->result, j->place, fresh);
	release(sw);
}

static void post_commit(struct spool_writer *sw)
{
	struct spool_job *j = &sw->cur->job;

	sw->state = POSTED;
	j->head = buf_span(&sw->head);
	j->parts = sw->parts;
	j->part_count = sw->part_count;
	spool_log_post(sw->w->relay->spool, j);
}

/* --- PARTs */

static void part_back(struct relay_msg *m, void *receiver)
{
	struct spool_job *j = (struct spool_job *)m;
	struct spool_buffer *b = list_entry(j, struct spool_buffer, job);
	struct spool_writer *sw = b->writer;
	void (*room)(void *) = sw->room, (*settled)(void *) = sw->settled;

	(void)receiver;
	sw->out--;
	sw->unwritten -= b->sealed;
	if (j->result < 0)
		sw->err = j->result;
	else
		sw->parts[b->part] = j->place;
	spool_pool_buffer_back(sw->pool, b);
	if (sw->state == OPEN) {
		if (settled && sw->out == 0) {
			sw->settled = NULL;
			settled(sw->settled_arg); /* it may be gone now */
			return;
		}
		if (room && (sw->err < 0 || sw->unwritten <= SPOOL_UNWRITTEN_MAX / 2)) {
			sw->room = NULL;
			room(sw->room_arg);
		}
	} else if (sw->out == 0) {
		if (sw->state == DROPPING)
			drop(sw);
		else if (sw->err < 0)
			fail(sw);
		else
			post_commit(sw);
	}
}

static int post_part(struct spool_writer *sw)
{
	struct spool_buffer *b = sw->cur;

	if (sw->part_count == sw->part_room) {
		unsigned room = sw->part_room ? 2 * sw->part_room : 16;
		struct spool_place *more = realloc(sw->parts, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		sw->parts = more;
		sw->part_room = room;
	}
	b->writer = sw;
	b->part = sw->part_count++;
	b->job = (struct spool_job){.msg.run = part_back,
				    .kind = SPOOL_PART,
				    .id = sw->id,
				    .body = span_of(b->data, b->sealed),
				    .reply = sw->w->inbox};
	sw->cur = NULL;
	sw->out++;
	sw->unwritten += b->sealed;
	spool_log_post(sw->w->relay->spool, &b->job);
	return 0;
}

/* --- bytes */

/* A buffer with room for at least one more plain byte and the tag of its chunk. */
static int make_room(struct spool_writer *sw)
{
	struct spool_buffer *old = sw->cur, *b;
	size_t used = old ? old->sealed + sw->plain : 0;

	if (old && used + SEAL_CHUNK_TAG < spool_buffer_size(old->class))
		return 0;
	b = spool_pool_buffer(sw->pool, old ? old->class + 1 : SPOOL_BUFFER_SMALL);
	if (!b)
		return ERR_NOMEM;
	if (old) {
		memcpy(b->data, old->data, used);
		b->sealed = old->sealed;
		if (sw->plain)
			secret_wipe(old->data + old->sealed, sw->plain);
		spool_pool_buffer_back(sw->pool, old);
	}
	sw->cur = b;
	return 0;
}

static int seal_chunk_now(struct spool_writer *sw)
{
	uint8_t *at = sw->cur->data + sw->cur->sealed;
	int err = seal_chunk_seal(sw->cipher, sw->chunk, at, sw->plain, at);

	if (err < 0)
		return err;
	sw->chunk++;
	sw->cur->sealed += sw->plain + SEAL_CHUNK_TAG;
	sw->plain = 0;
	return sw->cur->sealed == SPOOL_STRETCH ? post_part(sw) : 0;
}

/* Takes as much of p as the chunk or the buffer under way holds. */
static int write_some(struct spool_writer *sw, const uint8_t *p, size_t n, size_t *taken)
{
	int err = make_room(sw);
	size_t room;

	if (err < 0)
		return err;
	room = spool_buffer_size(sw->cur->class) - sw->cur->sealed - sw->plain - SEAL_CHUNK_TAG;
	if (room > SEAL_CHUNK_PLAIN - sw->plain)
		room = SEAL_CHUNK_PLAIN - sw->plain;
	if (n > room)
		n = room;
	memcpy(sw->cur->data + sw->cur->sealed + sw->plain, p, n);
	sw->plain += n;
	sw->size += n;
	*taken = n;
	return sw->plain == SEAL_CHUNK_PLAIN ? seal_chunk_now(sw) : 0;
}

int spool_writer_write(struct spool_writer *sw, const uint8_t *p, size_t n)
{
	size_t taken;

	if (sw->err == 0 && sw->unwritten > SPOOL_UNWRITTEN_MAX)
		return ERR_BUSY;
	while (n && sw->err == 0) {
		sw->err = write_some(sw, p, n, &taken);
		if (sw->err == 0) {
			p += taken;
			n -= taken;
		}
	}
	return sw->err;
}

int spool_writer_room(struct spool_writer *sw, void (*room)(void *arg), void *arg)
{
	if (sw->err < 0 || sw->unwritten <= SPOOL_UNWRITTEN_MAX)
		return 1;
	sw->room = room;
	sw->room_arg = arg;
	return 0;
}

int spool_writer_settled(struct spool_writer *sw, void (*settled)(void *arg), void *arg)
{
	if (sw->out == 0)
		return 1;
	sw->settled = settled;
	sw->settled_arg = arg;
	return 0;
}

void spool_writer_written(const struct spool_writer *sw, struct spool_written *w)
{
	size_t sealed = sw->cur ? sw->cur->sealed : 0;

	*w = (struct spool_written){.log = sw->w->relay->spool,
				    .id = sw->id,
				    .key = sw->keys->body.key,
				    .parts = sw->parts,
				    .part_count = sw->part_count,
				    .err = sw->err};
	if (sw->cur) {
		w->sealed = span_of(sw->cur->data, sealed);
		w->plain = span_of(sw->cur->data + sealed, sw->plain);
	}
}

static int finish(struct spool_writer *sw, const struct spool_envelope *e)
{
	struct spool_envelope mine = *e;
	int err;

	mine.customer = sw->customer;
	mine.size = sw->size;
	if (e->count < 1 || e->count > SPOOL_RECIPIENTS_MAX)
		return ERR_LIMIT;
	/* make_room asks for one byte more than the tag; the last chunk may be empty */
	err = make_room(sw);
	if (err == 0)
		err = seal_chunk_now(sw);
	if (err == 0)
		err = spool_payload_commit_put(sw->pool, &sw->head, sw->id, sw->keys, sw->size,
					       &mine);
	if (err < 0)
		return err;
	sw->cur->writer = sw;
	sw->cur->job = (struct spool_job){.msg.run = committed,
					  .kind = SPOOL_COMMIT,
					  .id = sw->id,
					  .recipients = (uint16_t)e->count,
					  .body = span_of(sw->cur->data, sw->cur->sealed),
					  .created = e->created,
					  .reply = sw->w->inbox};
	return 0;
}

void spool_writer_commit(struct spool_writer *sw, const struct spool_envelope *e,
			 spool_writer_done_fn done, void *arg)
{
	sw->state = ENDING;
	sw->room = NULL;
	sw->settled = NULL;
	sw->done = done;
	sw->done_arg = arg;
	if (sw->err == 0)
		sw->err = finish(sw, e);
	if (sw->out)
		return;
	if (sw->err == 0) {
		post_commit(sw);
		return;
	}
	sw->defer.fn = fail_later;
	sw->defer.arg = sw;
	evt_loop_defer(sw->w->loop, &sw->defer);
}
