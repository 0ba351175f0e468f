/* SPDX-License-Identifier: Apache-2.0 */
/* ledger's sealing: recipients of a batch go to keyd by customer, and come back sealed and indexed. */
#include "relay/ledger/ledger_own.h"

#include <stdlib.h>

#include "core/err.h"

/* Some entries of one customer: a request. */
struct group {
	struct ledger_entry **entries;
	unsigned count;
	struct ledger_keys_item items[LEDGER_KEYS_BATCH];
};

static int by_customer(const void *a, const void *b)
{
	const struct ledger_entry *x = *(struct ledger_entry *const *)a, *y = *(struct ledger_entry *const *)b;
	int c = strcmp((const char *)x->row.customer.p, (const char *)y->row.customer.p);

	return c ? c : x->row.row < y->row.row ? -1 : 1;
}

static const char *customer_of(const struct group *g)
{
	return (const char *)g->entries[0]->row.customer.p; /* it ends in a NUL */
}

/* Fills aads and items for sealing. */
static int prepare(struct ledger *l, struct group *g)
{
	struct ledger_writer *w = &l->writer;
	size_t ends[LEDGER_KEYS_BATCH], from = 0;
	int err = 0;

	buf_reset(&w->aads);
	for (unsigned i = 0; err == 0 && i < g->count; i++) {
		err = ledger_record_aad(&w->aads, customer_of(g), l->files.uuid, g->entries[i]->row.row);
		ends[i] = buf_size(&w->aads);
	}
	for (unsigned i = 0; err == 0 && i < g->count; i++) {
		g->items[i] = (struct ledger_keys_item){.aad = span_sub(buf_span(&w->aads), from, ends[i] - from),
							.data = g->entries[i]->plain};
		from = ends[i];
	}
	return err;
}

static int seal(struct ledger *l, struct group *g)
{
	struct ledger_keys *k = l->options.write_keys;
	int err = prepare(l, g);

	if (err == 0)
		err = k->fields(k, KEYPROTO_SEAL_FIELDS, customer_of(g), 0, g->items, g->count, &l->writer.sealed);
	for (unsigned i = 0; err == 0 && i < g->count; i++) {
		if (ledger_keys_later(g->items[i].err))
			err = g->items[i].err;
		g->entries[i]->sealed_at = g->items[i].at;
		g->entries[i]->sealed_n = g->items[i].err ? 0 : g->items[i].n;
	}
	return err;
}

static int make_indexes(struct ledger *l, struct group *g)
{
	struct ledger_keys *k = l->options.write_keys;
	struct ledger_entry *indexed[LEDGER_KEYS_BATCH];
	struct buf *out = &l->writer.indexes;
	unsigned n = 0;
	int err;

	buf_reset(out);
	for (unsigned i = 0; i < g->count; i++)
		if (g->entries[i]->folded.n) {
			indexed[n] = g->entries[i];
			g->items[n++] = (struct ledger_keys_item){.aad = SPAN_LIT(LEDGER_KEYS_LABEL),
								  .data = g->entries[i]->folded};
		}
	if (n == 0)
		return 0;
	err = k->fields(k, KEYPROTO_BLIND_INDEX, customer_of(g), 0, g->items, n, out);
	for (unsigned i = 0; err == 0 && i < n; i++) {
		if (ledger_keys_later(g->items[i].err))
			err = g->items[i].err;
		if (g->items[i].err || g->items[i].n < LEDGER_INDEX)
			continue;
		memcpy(indexed[i]->index, buf_ptr(out) + g->items[i].at, LEDGER_INDEX);
		indexed[i]->row.flags |= LEDGER_INDEXED;
	}
	return err;
}

static int do_group(struct ledger *l, struct group *g)
{
	int err = seal(l, g);

	if (err == 0)
		err = make_indexes(l, g);
	if (err == ERR_NOTFOUND || err == ERR_GONE) {
		for (unsigned i = 0; i < g->count; i++) {
			g->entries[i]->sealed_n = 0;
			g->entries[i]->row.flags |= LEDGER_DESTROYED;
		}
		err = 0;
	}
	return err;
}

int ledger_seal_batch(struct ledger *l, struct ledger_entry **batch, unsigned count)
{
	struct ledger_entry **order = l->writer.order;
	struct group g = {.count = 0};
	unsigned n = 0;
	int err = 0;

	buf_reset(&l->writer.sealed);
	for (unsigned i = 0; i < count; i++) {
		batch[i]->sealed_n = 0;
		batch[i]->row.flags &= (uint8_t)~(LEDGER_INDEXED | LEDGER_DESTROYED);
		if (batch[i]->plain.n)
			order[n++] = batch[i];
	}
	qsort(order, n, sizeof(*order), by_customer);
	for (unsigned i = 0; err == 0 && i < n; i += g.count) {
		size_t bytes = 0;
		g.entries = order + i;
		for (g.count = 0; i + g.count < n && g.count < LEDGER_KEYS_BATCH; g.count++) {
			const struct ledger_entry *e = order[i + g.count];
			bytes += e->plain.n + e->row.customer.n + 128;
			if (g.count && (bytes > LEDGER_KEYS_BYTES ||
					!span_equal(e->row.customer, order[i]->row.customer)))
				break;
		}
		err = do_group(l, &g);
	}
	return err;
}
