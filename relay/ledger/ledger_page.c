/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_page.h"

#include <stdlib.h>

#include "core/err.h"

#define RECORDS_MAX (LEDGER_PAGE_ROWS * (size_t)LEDGER_RECORD_MAX)

struct ledger_page *ledger_page_new(void)
{
	struct ledger_page *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	buf_init(&p->records, RECORDS_MAX);
	buf_init_wiped(&p->plain, RECORDS_MAX);
	return p;
}

void ledger_page_free(struct ledger_page *p)
{
	if (!p)
		return;
	buf_clear(&p->records);
	buf_clear(&p->plain);
	free(p);
}

int ledger_page_add(struct ledger_page *p, struct span record)
{
	size_t at = buf_size(&p->records);

	if (p->count == LEDGER_PAGE_ROWS || buf_put_span(&p->records, record) < 0)
		return 1;
	p->rows[p->count++] = (struct ledger_page_row){.at = at, .n = record.n};
	return 0;
}

static void row_of(const struct ledger_page *p, unsigned i, struct ledger_row *r)
{
	struct ledger_record rec = {.kind = 0};

	memset(r, 0, sizeof(*r));
	if (ledger_record_parse(span_sub(buf_span(&p->records), p->rows[i].at, p->rows[i].n), &rec) > 0)
		ledger_record_get_row(rec.body, r);
}

/* --- opening */

static int by_customer(const void *a, const void *b, void *arg)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	struct ledger_row p, q;
	int c;

	row_of(arg, x, &p);
	row_of(arg, y, &q);
	if (p.customer.n != q.customer.n)
		return p.customer.n < q.customer.n ? -1 : 1;
	c = p.customer.n ? memcmp(p.customer.p, q.customer.p, p.customer.n) : 0;
	return c ? c : x < y ? -1 : 1;
}

static int is_destroyed(int err)
{
	return err == ERR_GONE || err == ERR_NOTFOUND;
}

static const char *why_not(int err)
{
	switch (err) {
	case ERR_GONE:
	case ERR_NOTFOUND:
		return "the customer's keys were destroyed";
	case ERR_LOCKED:
		return "keyd is locked";
	case ERR_AUTH:
	case ERR_FORMAT:
		return "cannot be opened: not what was sealed";
	default:
		return "keyd does not answer";
	}
}

/* order[from .. from + n) are of one customer. */
static void open_some(struct ledger_page *p, struct ledger_keys *k, const uint8_t *uuid, unsigned from, unsigned n)
{
	char customer[256] = "";
	size_t ends[LEDGER_KEYS_BATCH], start = 0;
	struct ledger_row r;
	struct buf aads;
	int err = 0;

	buf_init(&aads, 65536);
	for (unsigned i = 0; err == 0 && i < n; i++) {
		row_of(p, p->order[from + i], &r);
		if (i == 0)
			err = span_copy_str(customer, sizeof(customer), r.customer);
		if (err == 0)
			err = ledger_record_aad(&aads, customer, uuid, r.row);
		ends[i] = buf_size(&aads);
		p->items[i].data = r.sealed;
	}
	for (unsigned i = 0; err == 0 && i < n; i++) {
		p->items[i].aad = span_sub(buf_span(&aads), start, ends[i] - start);
		start = ends[i];
	}
	if (err == 0)
		err = k->fields(k, KEYPROTO_OPEN_FIELDS, customer, 0, p->items, n, &p->plain);
	for (unsigned i = 0; i < n; i++) {
		struct ledger_page_row *row = &p->rows[p->order[from + i]];
		int e = err < 0 ? err : p->items[i].err;
		row->opened = e == 0;
		row->why = e ? why_not(e) : NULL;
		if (e && !is_destroyed(e)) {
			p->closed++;
			p->closed_why = row->why;
		}
		row->plain_at = p->items[i].at;
		row->plain_n = p->items[i].n;
	}
	buf_clear(&aads);
}

void ledger_page_open(struct ledger_page *p, struct ledger_keys *k, const uint8_t uuid[LEDGER_UUID])
{
	struct ledger_row first, r;
	unsigned n = 0, count, i;

	for (i = 0; i < p->count; i++) {
		row_of(p, i, &r);
		if (r.sealed.n)
			p->order[n++] = i;
		else if (r.flags & LEDGER_DESTROYED)
			p->rows[i].why = "the customer's keys were destroyed";
	}
	qsort_r(p->order, n, sizeof(*p->order), by_customer, p);
	for (i = 0; i < n; i += count) {
		size_t bytes = 0;
		row_of(p, p->order[i], &first);
		for (count = 0; i + count < n && count < LEDGER_KEYS_BATCH; count++) {
			row_of(p, p->order[i + count], &r);
			bytes += r.sealed.n + r.customer.n + 64;
			if (count && (bytes > LEDGER_KEYS_BYTES || !span_equal(first.customer, r.customer)))
				break;
		}
		open_some(p, k, uuid, i, count);
	}
}

/* --- text */

int ledger_page_text(const struct ledger_page *p, struct buf *out, int csv, const char *between)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct ledger_page_row *row = &p->rows[i];
		struct ledger_text_plain plain = {.why = row->why};
		struct ledger_row r;
		row_of(p, i, &r);
		if (row->opened)
			ledger_text_split(span_sub(buf_span(&p->plain), row->plain_at, row->plain_n), &plain);
		if (i)
			buf_put_str(out, between);
		if (csv)
			ledger_text_csv(out, &r, &plain);
		else
			ledger_text_json(out, &r, &plain);
	}
	return buf_failed(out);
}
