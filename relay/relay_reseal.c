/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_reseal.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/keys/keys_reseal.h"
#include "relay/ledger/ledger.h"
#include "relay/queue/queue.h"
#include "relay/relay_credential.h"
#include "relay/store/store_campaign.h"
#include "relay/store/store_suppression.h"
#include "relay/track/track.h"

struct relay_reseal {
	struct relay *relay;
	struct keys_reseal *reseal; /* NULL: keyd was not there yet */
	void (*answer)(void *to, int64_t oldest);
	void *to; /* its question about objects, while the queue has it */
	struct keys_reseal_source sources[3];
	/* one batch */
	const char *customer;
	uint64_t after;
	struct keys_reseal_item *items;
	size_t ends[2 * KEYS_RESEAL_BATCH]; /* of AAD and sealed bytes in text, by turns */
	unsigned count;
	struct buf text;
	int err;
};

/* --- batches */

static void batch_begin(struct relay_reseal *r, const char *customer, uint64_t after,
			struct keys_reseal_item *items)
{
	r->customer = customer;
	r->after = after;
	r->items = items;
	r->count = 0;
	r->err = 0;
	buf_reset(&r->text);
}

/* 1: no more fits. */
static int batch_add(struct relay_reseal *r, const char *table, const char *column, int64_t row, uint64_t id,
		     struct span sealed)
{
	size_t had = buf_size(&r->text);

	if (r->count == KEYS_RESEAL_BATCH)
		return 1;
	r->err = store_aad(r->relay->store, &r->text, r->customer, table, column, row);
	r->ends[2 * r->count] = buf_size(&r->text);
	if (r->err == 0)
		r->err = buf_put_span(&r->text, sealed);
	r->ends[2 * r->count + 1] = buf_size(&r->text);
	if (r->err < 0 && r->count) { /* the rest is for the next batch */
		r->text.len -= buf_size(&r->text) - had;
		r->text.failed = 0;
		r->err = 0;
		return 1;
	}
	r->items[r->count++].id = id;
	return r->err < 0;
}

static int batch_end(struct relay_reseal *r, int rc, uint64_t *cursor)
{
	struct span all = buf_span(&r->text);
	size_t at = 0;

	if (rc < 0 || r->err < 0)
		return rc < 0 ? rc : r->err;
	for (unsigned i = 0; i < r->count; i++) {
		r->items[i].aad = span_sub(all, at, r->ends[2 * i] - at);
		r->items[i].sealed = span_sub(all, r->ends[2 * i], r->ends[2 * i + 1] - r->ends[2 * i]);
		at = r->ends[2 * i + 1];
		*cursor = r->items[i].id;
	}
	return (int)r->count;
}

/* --- suppressed recipients */

static int add_suppression(void *arg, const struct store_suppression *s)
{
	return batch_add(arg, "suppression", "address", s->id, (uint64_t)s->id, s->address);
}

static int next_suppression(void *arg, const char *customer, uint64_t *cursor, struct keys_reseal_item *items)
{
	struct relay_reseal *r = arg;
	int rc;

	batch_begin(r, customer, *cursor, items);
	rc = store_suppression_each(r->relay->store, customer, (int64_t)*cursor, KEYS_RESEAL_BATCH,
				    add_suppression, r);
	return batch_end(r, rc, cursor);
}

static int replace_suppression(void *arg, const char *customer, const struct keys_reseal_item *item,
			       struct span fresh)
{
	struct relay_reseal *r = arg;

	(void)customer;
	return store_suppression_reseal(r->relay->store, (int64_t)item->id, item->sealed, fresh);
}

/* --- credentials: an item is a row's login (even) or secret (odd) */

static int add_credential(void *arg, const struct store_credential *c)
{
	struct relay_reseal *r = arg;
	uint64_t id = (uint64_t)c->id * 2;

	if (strcmp(c->customer, r->customer) != 0)
		return 0;
	if (c->login.n && id > r->after && batch_add(r, "credential", "login", c->id, id, c->login))
		return 1;
	return c->secret.n && id + 1 > r->after &&
	       batch_add(r, "credential", "secret", c->id, id + 1, c->secret);
}

static int next_credential(void *arg, const char *customer, uint64_t *cursor, struct keys_reseal_item *items)
{
	struct relay_reseal *r = arg;

	batch_begin(r, customer, *cursor, items);
	return batch_end(r, store_credential_each_by_id(r->relay->store, add_credential, r), cursor);
}

static int replace_credential(void *arg, const char *customer, const struct keys_reseal_item *item,
			      struct span fresh)
{
	struct relay_reseal *r = arg;
	int rc = store_credential_reseal(r->relay->store, (int64_t)(item->id / 2), (int)(item->id & 1),
					 item->sealed, fresh);

	(void)customer;
	if (rc == 0) /* those who hold the old one get the new one */
		relay_credential_again(r->relay);
	return rc;
}

/* --- campaigns: pieces of their packages */

static int add_campaign(void *arg, const struct store_campaign_piece *p)
{
	return batch_add(arg, "campaign_piece", "bytes", p->id, (uint64_t)p->id, p->sealed);
}

static int next_campaign(void *arg, const char *customer, uint64_t *cursor, struct keys_reseal_item *items)
{
	struct relay_reseal *r = arg;
	int rc;

	batch_begin(r, customer, *cursor, items);
	rc = store_campaign_pieces_each(r->relay->store, customer, (int64_t)*cursor, KEYS_RESEAL_BATCH,
					add_campaign, r);
	return batch_end(r, rc, cursor);
}

static int replace_campaign(void *arg, const char *customer, const struct keys_reseal_item *item,
			    struct span fresh)
{
	struct relay_reseal *r = arg;

	(void)customer;
	return store_campaign_reseal(r->relay->store, (int64_t)item->id, item->sealed, fresh);
}

/* --- objects: mail in the queue; rows of the ledger, which nothing may change; recipients of messages that are tracked, which
 * are too many to be sealed anew, and go when tracking.keep is over */

static int64_t older(int64_t a, int64_t b)
{
	return !a || (b && b < a) ? b : a;
}

static void objects_told(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct relay_reseal *r = a->arg;
	int64_t kept = older(ledger_oldest_sealed(r->relay->ledger), track_oldest_sealed(r->relay));

	(void)receiver;
	r->answer(r->to, a->err < 0 ? a->err : older(a->numbers.oldest, kept));
	queue_ask_free(a);
}

static void ask_objects(void *arg, void (*answer)(void *to, int64_t oldest), void *to)
{
	struct queue_ask *a = queue_ask_new(QUEUE_NUMBERS);
	struct relay_reseal *r = arg;

	if (!a) {
		answer(to, ERR_NOMEM);
		return;
	}
	r->answer = answer;
	r->to = to;
	a->arg = r;
	a->msg.run = objects_told;
	a->reply = r->relay->inbox;
	queue_ask_post(r->relay->queue, a);
}

/* --- life */

static int open_reseal(struct relay *relay, const char **why)
{
	struct relay_reseal *r = calloc(1, sizeof(*r));

	*why = "out of memory";
	if (!r)
		return ERR_NOMEM;
	r->relay = relay;
	buf_init(&r->text, KEYS_RESEAL_BYTES);
	r->sources[0] = (struct keys_reseal_source){"suppression", KEYPROTO_FOR_FIELD, next_suppression,
						    replace_suppression, r};
	r->sources[1] = (struct keys_reseal_source){"credentials", KEYPROTO_FOR_CRED, next_credential,
						    replace_credential, r};
	r->sources[2] = (struct keys_reseal_source){"campaigns", KEYPROTO_FOR_FIELD, next_campaign,
						    replace_campaign, r};
	relay->reseal = r;
	return 0;
}

static void keyd_changed(struct relay *relay, unsigned state)
{
	struct relay_reseal *r = relay->reseal;
	const struct relay_conf *conf = atomic_load(&relay->conf);

	if (state != KEYPROTO_READY)
		return;
	if (!r->reseal)
		r->reseal = keys_reseal_new(relay->loop, relay->keyd,
					    &(struct keys_reseal_options){.sources = r->sources,
									  .source_count = 3,
									  .rate = conf->reseal.rate,
									  .settle = conf->reseal.settle,
									  .objects = ask_objects,
									  .arg = r});
	if (r->reseal)
		keys_reseal_look(r->reseal);
}

static void close_reseal(struct relay *relay)
{
	struct relay_reseal *r = relay->reseal;

	if (!r)
		return;
	relay->reseal = NULL;
	keys_reseal_free(r->reseal);
	buf_clear(&r->text);
	free(r);
}

const struct relay_control_part relay_reseal_part = {open_reseal, keyd_changed, close_reseal};
