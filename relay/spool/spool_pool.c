/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>

#include "core/secret.h"
#include "relay/spool/spool_message_priv.h"

/* Memory for a message of usual size, for one chunk, and for a whole stretch. */
static const size_t class_size[SPOOL_BUFFER_CLASSES] = {8192, SEAL_CHUNK_SEALED, SPOOL_STRETCH};
static const unsigned class_keep[SPOOL_BUFFER_CLASSES] = {256, 64, 8};

static atomic_int fresh_count;

struct spool_fresh *spool_fresh_alloc(void)
{
	return secret_alloc(sizeof(struct spool_fresh));
}

void spool_fresh_discard(struct spool_fresh *f)
{
	secret_free(f, sizeof(*f));
}

struct spool_fresh *spool_fresh_share(struct spool_fresh *f)
{
	if (atomic_fetch_add_explicit(&fresh_count, 1, memory_order_relaxed) < SPOOL_FRESH_MAX)
		return f;
	spool_fresh_free(f);
	return NULL;
}

void spool_fresh_claim(struct spool_fresh *f)
{
	if (f)
		atomic_fetch_sub_explicit(&fresh_count, 1, memory_order_relaxed);
}

void spool_fresh_free(struct spool_fresh *f)
{
	spool_fresh_claim(f);
	spool_fresh_discard(f);
}

size_t spool_buffer_size(int class)
{
	return class_size[class];
}

struct spool_pool *spool_pool_of(struct relay_worker *w)
{
	struct spool_pool *p = w->pool;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	for (int i = 0; i < SPOOL_BUFFER_CLASSES; i++)
		list_init(&p->buffers[i]);
	list_init(&p->writers);
	list_init(&p->readers);
	list_init(&p->states);
	buf_init_wiped(&p->plain, SPOOL_ENVELOPE_MAX);
	buf_init(&p->aad, 1024);
	w->pool = p;
	return p;
}

struct spool_buffer *spool_pool_buffer(struct spool_pool *p, int class)
{
	struct list_link *l = list_pop_front(&p->buffers[class]);
	struct spool_buffer *b;

	if (l) {
		b = list_entry(l, struct spool_buffer, link);
		p->buffer_count[class]--;
	} else {
		b = malloc(sizeof(*b) + class_size[class]);
		if (!b)
			return NULL;
	}
	memset(b, 0, sizeof(*b));
	b->class = class;
	return b;
}

void spool_pool_buffer_back(struct spool_pool *p, struct spool_buffer *b)
{
	if (!b)
		return;
	if (p->buffer_count[b->class] >= class_keep[b->class]) {
		free(b);
		return;
	}
	list_push_front(&p->buffers[b->class], &b->link);
	p->buffer_count[b->class]++;
}

static void destroy_all(struct list *l, void (*destroy)(struct list_link *))
{
	struct list_link *k;

	while ((k = list_pop_front(l)))
		destroy(k);
}

void spool_pool_free(struct spool_pool *p)
{
	struct list_link *l;

	if (!p)
		return;
	for (int i = 0; i < SPOOL_BUFFER_CLASSES; i++)
		while ((l = list_pop_front(&p->buffers[i])))
			free(list_entry(l, struct spool_buffer, link));
	destroy_all(&p->writers, spool_writer_destroy);
	destroy_all(&p->readers, spool_reader_destroy);
	destroy_all(&p->states, spool_message_destroy);
	buf_clear(&p->plain);
	buf_clear(&p->aad);
	free(p);
}
