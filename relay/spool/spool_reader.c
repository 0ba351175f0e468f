/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/spool/spool_message_priv.h"

#define KEEP	    64 /* readers in the pool */
#define TRIES	    3  /* to read a PART that is moved */
#define RECORD_KEEP 65536
#define RECORD_MAX  (SPOOL_ENVELOPE_MAX + SPOOL_PART_MAX + 65536)

struct spool_reader {
	struct list_link link; /* in the pool */
	struct relay_worker *w;
	struct spool_pool *pool;
	struct seal_chunk *cipher;
	struct spool_fresh *keys;
	uint64_t id;
	struct spool_place at; /* of the COMMIT when we were opened */

	spool_reader_open_fn opened;
	void *arg;
	int result;
	int64_t ticket; /* of keys_object; 0: none */
	struct evt_defer defer;

	struct buf record; /* the COMMIT, sealed */
	struct spool_head head;
	struct spool_envelope envelope;
	struct spool_place *parts;
	unsigned part_count;

	int err;	 /* sticky */
	struct buf part; /* the PART under way, sealed */
	unsigned
	    next_part; /* part_count: next is the COMMIT's own stretch; above: that is under way */
	struct span stretch; /* what is left of the stretch under way */
	uint64_t chunk, seen;
	uint64_t skip; /* stored bytes that are still to be passed over */
	int began;     /* the header section that stands in their place was given */
	int ended;
	size_t dirty; /* bytes of plain that were used: to wipe them */
	uint8_t plain[SEAL_CHUNK_PLAIN];
};

static struct spool_reader *reader_new(struct spool_pool *pool)
{
	struct list_link *l = list_pop_front(&pool->readers);
	struct spool_reader *r;

	if (l) {
		pool->reader_count--;
		return list_entry(l, struct spool_reader, link);
	}
	r = malloc(sizeof(*r));
	if (!r)
		return NULL;
	memset(r, 0, offsetof(struct spool_reader, plain));
	r->cipher = seal_chunk_new();
	if (!r->cipher) {
		free(r);
		return NULL;
	}
	buf_init(&r->record, RECORD_MAX);
	buf_init(&r->part, SPOOL_PART_MAX);
	return r;
}

void spool_reader_destroy(struct list_link *l)
{
	struct spool_reader *r = list_entry(l, struct spool_reader, link);

	seal_chunk_free(r->cipher);
	buf_clear(&r->record);
	buf_clear(&r->part);
	free(r);
}

static void empty(struct buf *b)
{
	buf_reset(b);
	if (b->cap > RECORD_KEEP)
		buf_clear(b);
}

void spool_reader_close(struct spool_reader *r)
{
	if (!r)
		return;
	if (r->ticket)
		keys_object_cancel(r->w->keys, r->ticket);
	evt_loop_undefer(r->w->loop, &r->defer);
	secret_wipe(r->plain, r->dirty);
	seal_chunk_forget(r->cipher);
	spool_fresh_discard(r->keys);
	spool_envelope_clear(&r->envelope);
	free(r->parts);
	empty(&r->record);
	empty(&r->part);
	if (r->pool->reader_count >= KEEP) {
		spool_reader_destroy(&r->link);
		return;
	}
	r->pool->reader_count++;
	list_push_front(&r->pool->readers, &r->link);
}

/* With keys at hand: is this the message they were made for, and does it open? */
static int unlock(struct spool_reader *r)
{
	int err = seal_chunk_check(r->keys->body.key, r->head.commitment);

	if (err == 0)
		err = seal_chunk_set_key(r->cipher, r->keys->body.key);
	if (err == 0)
		err = spool_payload_envelope(r->pool, r->id, &r->head, r->keys->envelope.key,
					     &r->envelope);
	if (err == 0 && r->envelope.skip > r->head.size)
		err = ERR_DAMAGED;
	return err;
}

static void tell(void *arg)
{
	struct spool_reader *r = arg;

	r->opened(r->arg, r->result);
}

/* What keyd's refusal means for a stored message. */
static int refusal(int err)
{
	/* no such customer or DEK, or not even askable: nothing will ever open it */
	return err == ERR_NOTFOUND || err == ERR_FORMAT || err == ERR_LIMIT ? ERR_DAMAGED : err;
}

static void got_keys(void *arg, int err, const uint8_t (*keys)[KEYPROTO_OBJECT_KEY])
{
	struct spool_reader *r = arg;

	r->ticket = 0;
	if (err == 0) {
		memcpy(r->keys->body.key, keys[0], sizeof(r->keys->body.key));
		memcpy(r->keys->envelope.key, keys[1], sizeof(r->keys->envelope.key));
		r->result = unlock(r);
	} else {
		r->result = refusal(err);
	}
	tell(r);
}

static int ask(struct spool_reader *r)
{
	const struct spool_head *h = &r->head;
	char customer[KEYPROTO_NAME_MAX + 1];
	struct keys_object_want want[2] = {
	    {customer, r->id, "body", h->keyref, h->salt},
	    {customer, h->envelope_key.object, "envelope", h->envelope_key.keyref,
	     h->envelope_key.salt},
	};
	int64_t ticket;

	r->keys = spool_fresh_alloc();
	if (!r->keys)
		return ERR_NOMEM;
	r->keys->envelope.object = h->envelope_key.object;
	r->keys->envelope.keyref = h->envelope_key.keyref;
	memcpy(r->keys->envelope.salt, h->envelope_key.salt, KEYPROTO_SALT);
	span_copy_str(customer, sizeof(customer), h->customer); /* fits: spool_payload_commit_get */
	ticket = keys_object_open(r->w->keys, want, 2, got_keys, r);
	if (ticket < 0)
		return (int)ticket;
	r->ticket = ticket;
	return 0;
}

static int fresh_fits(const struct spool_reader *r, const struct spool_fresh *f)
{
	const struct spool_head *h = &r->head;

	return f && f->body.id == r->id && f->body.keyref == h->keyref &&
	       !memcmp(f->body.salt, h->salt, KEYPROTO_SALT) &&
	       f->envelope.object == h->envelope_key.object &&
	       f->envelope.keyref == h->envelope_key.keyref &&
	       !memcmp(f->envelope.salt, h->envelope_key.salt, KEYPROTO_SALT);
}

/* Returns 1 if the answer comes by itself, else what to tell. */
static int begin(struct spool_reader *r, struct spool_place at, struct spool_fresh **fresh)
{
	int err = spool_log_read_commit(r->w->relay->spool, at, r->id, &r->record, &r->parts,
					&r->part_count);

	if (err == 0)
		err = spool_payload_commit_get(buf_span(&r->record), &r->head);
	if (err < 0)
		return err == ERR_LIMIT ? ERR_DAMAGED : err;
	spool_reader_rewind(r);
	if (fresh_fits(r, *fresh)) {
		spool_fresh_claim(*fresh);
		r->keys = *fresh;
		*fresh = NULL;
		return unlock(r);
	}
	err = ask(r);
	return err < 0 ? refusal(err) : 1;
}

struct spool_reader *spool_reader_open(struct relay_worker *w, uint64_t id, struct spool_place at,
				       struct spool_fresh *fresh, spool_reader_open_fn opened,
				       void *arg)
{
	struct spool_pool *pool = spool_pool_of(w);
	struct spool_reader *r = pool ? reader_new(pool) : NULL;

	if (r) {
		r->w = w;
		r->pool = pool;
		r->id = id;
		r->at = at;
		r->keys = NULL;
		r->head = (struct spool_head){0};
		r->opened = opened;
		r->arg = arg;
		r->ticket = 0;
		r->parts = NULL;
		r->part_count = 0;
		r->err = 0;
		r->dirty = 0;
		r->defer.fn = tell;
		r->defer.arg = r;
		r->result = begin(r, at, &fresh);
		if (r->result <= 0)
			evt_loop_defer(w->loop, &r->defer);
	}
	if (fresh)
		spool_fresh_free(fresh);
	return r;
}

const struct spool_envelope *spool_reader_envelope(const struct spool_reader *r)
{
	return &r->envelope;
}

uint64_t spool_reader_size(const struct spool_reader *r)
{
	return r->head.size - r->envelope.skip + r->envelope.head.n;
}

const struct keys_object_envelope *spool_reader_key(const struct spool_reader *r)
{
	return &r->keys->envelope;
}

/* Where the PARTs are now. */
static int find_parts(struct spool_reader *r, struct spool_log *log)
{
	struct spool_place *parts = NULL;
	unsigned count = 0;
	struct buf commit;
	int err;

	buf_init(&commit, RECORD_MAX);
	err = spool_log_read_commit(log, r->at, r->id, &commit, &parts, &count);
	buf_clear(&commit);
	if (err == 0 && count == r->part_count) {
		free(r->parts);
		r->parts = parts;
		return 0;
	}
	free(parts);
	return err < 0 ? err : ERR_DAMAGED;
}

/* The PART that comes next, into r->part. The log may have moved it since it was asked. */
static int read_part(struct spool_reader *r)
{
	struct spool_log *log = r->w->relay->spool;
	int err = ERR_NOTFOUND;

	for (int i = 0; i < TRIES && err == ERR_NOTFOUND; i++) {
		if (i && find_parts(r, log) < 0)
			break;
		buf_reset(&r->part);
		err = spool_log_read(log, r->parts[r->next_part], r->id, &r->part);
	}
	return err;
}

/* The next stretch that has bytes. Every PART holds whole chunks; the COMMIT's stretch comes last
 * and ends short. */
static int next_stretch(struct spool_reader *r)
{
	int err;

	if (r->next_part > r->part_count)
		return ERR_DAMAGED; /* no end was seen */
	if (r->next_part == r->part_count) {
		r->stretch = r->head.body;
	} else {
		err = read_part(r);
		if (err < 0)
			return err == ERR_NOTFOUND || err == ERR_LIMIT ? ERR_DAMAGED : err;
		r->stretch = buf_span(&r->part);
		if (r->stretch.n % SEAL_CHUNK_SEALED)
			return ERR_DAMAGED;
	}
	r->next_part++;
	return 0;
}

static int next_chunk(struct spool_reader *r, struct span *out)
{
	size_t n, plain;
	int err;

	while (r->stretch.n == 0) {
		err = next_stretch(r);
		if (err < 0)
			return err;
	}
	n = r->stretch.n < SEAL_CHUNK_SEALED ? r->stretch.n : SEAL_CHUNK_SEALED;
	if (n < SEAL_CHUNK_TAG)
		return ERR_DAMAGED;
	plain = n - SEAL_CHUNK_TAG;
	if (plain > r->dirty)
		r->dirty = plain;
	err = seal_chunk_open(r->cipher, r->chunk, r->stretch.p, n, r->plain);
	if (err < 0)
		return err;
	r->chunk++;
	r->seen += plain;
	r->stretch = span_sub(r->stretch, n, SIZE_MAX);
	/* the end mark; only the COMMIT's stretch can hold it */
	if (plain < SEAL_CHUNK_PLAIN) {
		if (r->seen != r->head.size)
			return ERR_DAMAGED;
		r->ended = 1;
	}
	*out = span_of(r->plain, plain);
	return plain ? 1 : 0;
}

/* The header section that a filter changed comes before all that is stored. */
static int begin_message(struct spool_reader *r, struct span *out)
{
	r->began = 1;
	r->skip = r->envelope.skip;
	*out = r->envelope.head;
	return out->n ? 1 : 0;
}

/* Less of the stretch by what is passed over; it may become empty. */
static void pass_over(struct spool_reader *r, struct span *s)
{
	size_t n = s->n < r->skip ? s->n : (size_t)r->skip;

	r->skip -= n;
	*s = span_sub(*s, n, SIZE_MAX);
}

int spool_reader_next(struct spool_reader *r, struct span *out)
{
	int rc = r->err;

	*out = span_of(NULL, 0);
	if (rc < 0)
		return rc;
	if (!r->began && begin_message(r, out))
		return 1;
	while (out->n == 0 && !r->ended) {
		rc = next_chunk(r, out);
		if (rc < 0) {
			r->err = rc;
			return rc;
		}
		pass_over(r, out);
	}
	return out->n ? 1 : 0;
}

int spool_reader_rewind(struct spool_reader *r)
{
	if (r->err < 0)
		return r->err;
	r->next_part = 0;
	r->stretch = span_of(NULL, 0);
	r->chunk = r->seen = 0;
	r->began = r->ended = 0;
	return 0;
}
