/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_message.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/spool/spool_message_priv.h"

#define KEEP	    256 /* state jobs in the pool */
#define STATES_KEEP 4

struct news {		       /* one STATE job under way */
	struct list_link link; /* in the pool */
	struct spool_job job;
	struct spool_pool *pool;
	void (*done)(void *arg, int result);
	void *arg;
	struct buf head;
	struct spool_state *states;
	unsigned room;
};

void spool_message_destroy(struct list_link *l)
{
	struct news *n = list_entry(l, struct news, link);

	buf_clear(&n->head);
	free(n->states);
	free(n);
}

static struct news *news_new(struct spool_pool *pool, unsigned states)
{
	struct list_link *l = list_pop_front(&pool->states);
	struct news *n;

	if (l) {
		n = list_entry(l, struct news, link);
		pool->state_count--;
	} else {
		n = calloc(1, sizeof(*n));
		if (!n)
			return NULL;
		buf_init(&n->head, SPOOL_DETAIL_MAX + 1024);
	}
	n->pool = pool;
	if (states > n->room) {
		struct spool_state *more = realloc(n->states, states * sizeof(*more));
		if (!more) {
			spool_message_destroy(&n->link);
			return NULL;
		}
		n->states = more;
		n->room = states;
	}
	return n;
}

static void news_back(struct news *n)
{
	struct spool_pool *pool = n->pool;

	buf_reset(&n->head);
	if (pool->state_count >= KEEP || n->room > STATES_KEEP) {
		spool_message_destroy(&n->link);
		return;
	}
	pool->state_count++;
	list_push_front(&pool->states, &n->link);
}

static void written(struct relay_msg *m, void *receiver)
{
	struct spool_job *j = (struct spool_job *)m;
	struct news *n = list_entry(j, struct news, job);

	(void)receiver;
	if (n->done)
		n->done(n->arg, j->result);
	news_back(n);
}

int spool_message_state(struct relay_worker *w, uint64_t id, const struct spool_reader *r,
			const struct spool_state *states, unsigned count, struct span detail,
			void (*done)(void *arg, int result), void *arg)
{
	struct spool_pool *pool = spool_pool_of(w);
	struct news *n = pool ? news_new(pool, count) : NULL;

	if (!n)
		return ERR_NOMEM;
	if (count)
		memcpy(n->states, states, count * sizeof(*states));
	n->done = done;
	n->arg = arg;
	if (r && detail.n &&
	    spool_payload_state_put(pool, &n->head, id,
				    span_str(spool_reader_envelope(r)->customer),
				    spool_reader_key(r), detail) < 0)
		buf_reset(&n->head); /* the news matters more than its text */
	n->job = (struct spool_job){.msg.run = written,
				    .kind = SPOOL_STATE,
				    .id = id,
				    .head = buf_span(&n->head),
				    .states = n->states,
				    .state_count = count,
				    .reply = w->inbox};
	spool_log_post(w->relay->spool, &n->job);
	return 0;
}

/* --- reading a detail back */

struct detail {
	struct relay_worker *w;
	uint64_t id;
	spool_message_detail_fn fn;
	void *arg;
	struct spool_news news; /* points into head */
	size_t size;
	uint8_t head[];
};

static void end(struct detail *d, int result)
{
	struct spool_pool *pool = d->w->pool;
	struct buf text = pool->plain; /* fn may seal or open something itself */

	buf_init_wiped(&pool->plain, text.max);
	d->fn(d->arg, result, result == 0 ? buf_span(&text) : span_of(NULL, 0));
	buf_clear(&text);
	free(d);
}

static void got_key(void *arg, int err, const uint8_t (*keys)[KEYPROTO_OBJECT_KEY])
{
	struct detail *d = arg;

	if (err == 0)
		err = spool_payload_detail(d->w->pool, d->id, &d->news, keys[0]);
	end(d, err);
}

static int ask(struct detail *d)
{
	char customer[KEYPROTO_NAME_MAX + 1];
	struct keys_object_want want = {.customer = customer, .kind = "envelope"};
	int err = spool_payload_state_get(span_of(d->head, d->size), &d->news);
	int64_t ticket;

	if (err < 0)
		return err;
	span_copy_str(customer, sizeof(customer), d->news.customer);
	want.object = d->news.envelope_key.object;
	want.keyref = d->news.envelope_key.keyref;
	want.salt = d->news.envelope_key.salt;
	ticket = keys_object_open(d->w->keys, &want, 1, got_key, d);
	return ticket < 0 ? (int)ticket : 0;
}

void spool_message_detail_open(struct relay_worker *w, uint64_t id, struct span head,
			       spool_message_detail_fn fn, void *arg)
{
	struct detail *d = spool_pool_of(w) ? malloc(sizeof(*d) + head.n) : NULL;
	int err;

	if (!d) {
		fn(arg, ERR_NOMEM, span_of(NULL, 0));
		return;
	}
	d->w = w;
	d->id = id;
	d->fn = fn;
	d->arg = arg;
	d->size = head.n;
	if (head.n)
		memcpy(d->head, head.p, head.n);
	err = ask(d);
	if (err < 0)
		end(d, err);
}
