/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_index.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define MAGIC "SPLEDGX1"
#define DOMAIN_SIZE (16 + sizeof(struct ledger_stat))
#define CUSTOMER_SIZE 12

/* --- counters */

void ledger_stat_add(struct ledger_stat *s, const struct ledger_row *r)
{
	s->attempts++;
	s->delivered += r->outcome == LEDGER_OUTCOME_DELIVERED;
	s->deferred += r->outcome == LEDGER_OUTCOME_DEFERRED;
	s->bounced += r->outcome == LEDGER_OUTCOME_BOUNCED || r->outcome == LEDGER_OUTCOME_EXPIRED;
	s->failures += r->failure.n != 0;
	if (!(r->flags & LEDGER_REACHED))
		return;
	s->reached++;
	if (!r->tls) {
		s->clear++;
		return;
	}
	s->encrypted++;
	s->tls13 += r->tls == LEDGER_TLS_V13;
	s->tls12 += r->tls == LEDGER_TLS_V12;
	s->tlsother += r->tls != LEDGER_TLS_V13 && r->tls != LEDGER_TLS_V12;
	s->pkix += r->by == LEDGER_BY_PKIX;
	s->dane_ee += r->by == LEDGER_BY_DANE_EE;
	s->dane_ta += r->by == LEDGER_BY_DANE_TA;
	s->sts += r->by == LEDGER_BY_STS;
	s->plain += r->by == LEDGER_BY_NONE || r->by > LEDGER_BY_STS;
}

void ledger_stat_sum(struct ledger_stat *s, const struct ledger_stat *more)
{
#define ADD(name) s->name += more->name;
	LEDGER_STATS(ADD)
#undef ADD
}

/* --- making */

struct key {
	uint64_t key;
	uint32_t row;
};
struct domain {
	struct span name;
	uint32_t count, at;
	struct ledger_stat stat;
};
struct customer {
	struct span name;
	uint32_t keyref;
};
struct making {
	uint32_t rows, room;
	uint32_t *offsets;
	struct key *recipients, *messages;
	uint32_t *domain_of; /* of each row */
	uint32_t recipient_count;
	struct domain *domains;
	uint32_t domain_count, domain_room;
	uint32_t *slots, slot_count; /* hash table of domains: number + 1 */
	struct customer *customers;
	uint32_t customer_count;
	uint64_t first;
	int64_t oldest, newest, sealed; /* sealed: the oldest that has a sealed field */
};

static void making_clear(struct making *m)
{
	free(m->offsets);
	free(m->recipients);
	free(m->messages);
	free(m->domain_of);
	free(m->domains);
	free(m->slots);
	free(m->customers);
}

static int grow(void **p, size_t count, size_t size)
{
	void *q = realloc(*p, count * size);

	if (!q)
		return ERR_NOMEM;
	*p = q;
	return 0;
}

static int grow_rows(struct making *m)
{
	uint32_t room = m->room ? m->room * 2 : 4096;

	if (grow((void **)&m->offsets, room, sizeof(*m->offsets)) < 0 ||
	    grow((void **)&m->recipients, room, sizeof(*m->recipients)) < 0 ||
	    grow((void **)&m->messages, room, sizeof(*m->messages)) < 0 ||
	    grow((void **)&m->domain_of, room, sizeof(*m->domain_of)) < 0)
		return ERR_NOMEM;
	m->room = room;
	return 0;
}

static uint32_t hash_of(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 16777619u;
	return h;
}

static uint32_t *slot_of(struct making *m, struct span name)
{
	uint32_t at = hash_of(name) & (m->slot_count - 1);

	while (m->slots[at] && !span_equal(m->domains[m->slots[at] - 1].name, name))
		at = (at + 1) & (m->slot_count - 1);
	return &m->slots[at];
}

static int grow_domains(struct making *m)
{
	uint32_t room = m->domain_room ? m->domain_room * 2 : 256;

	if (grow((void **)&m->domains, room, sizeof(*m->domains)) < 0)
		return ERR_NOMEM;
	m->domain_room = room;
	free(m->slots);
	m->slot_count = room * 2;
	m->slots = calloc(m->slot_count, sizeof(*m->slots));
	if (!m->slots)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < m->domain_count; i++)
		*slot_of(m, m->domains[i].name) = i + 1;
	return 0;
}

static int note_domain(struct making *m, const struct ledger_row *r)
{
	uint32_t *slot;

	if (m->domain_count == m->domain_room && grow_domains(m) < 0)
		return ERR_NOMEM;
	slot = slot_of(m, r->domain);
	if (!*slot) {
		m->domains[m->domain_count] = (struct domain){.name = r->domain};
		*slot = ++m->domain_count;
	}
	m->domains[*slot - 1].count++;
	ledger_stat_add(&m->domains[*slot - 1].stat, r);
	m->domain_of[m->rows] = *slot - 1;
	return 0;
}

static uint32_t keyref_of(struct span sealed)
{
	return sealed.n > 5 ? num_get_u32(sealed.p + 1) : 0;
}

static int note_customer(struct making *m, const struct ledger_row *r)
{
	uint32_t keyref = keyref_of(r->sealed);

	for (uint32_t i = m->customer_count; i-- > 0;)
		if (m->customers[i].keyref == keyref && span_equal(m->customers[i].name, r->customer))
			return 0;
	if (grow((void **)&m->customers, m->customer_count + 1, sizeof(*m->customers)) < 0)
		return ERR_NOMEM;
	m->customers[m->customer_count++] = (struct customer){r->customer, keyref};
	return 0;
}

static int note_row(struct making *m, const struct ledger_row *r, uint32_t offset)
{
	if (m->rows == m->room && grow_rows(m) < 0)
		return ERR_NOMEM;
	if (note_domain(m, r) < 0 || note_customer(m, r) < 0)
		return ERR_NOMEM;
	if (m->rows == 0)
		m->oldest = m->newest = r->at;
	m->oldest = r->at < m->oldest ? r->at : m->oldest;
	m->newest = r->at > m->newest ? r->at : m->newest;
	if (r->sealed.n && (!m->sealed || r->at < m->sealed))
		m->sealed = r->at;
	m->offsets[m->rows] = offset;
	m->messages[m->rows] = (struct key){r->id, m->rows};
	if (r->flags & LEDGER_INDEXED)
		m->recipients[m->recipient_count++] = (struct key){num_get_u64(r->index), m->rows};
	m->rows++;
	return 0;
}

static int note_record(struct making *m, const struct ledger_record *r, size_t offset)
{
	struct ledger_head h;
	struct ledger_row row;

	if (r->kind == LEDGER_HEAD && ledger_record_get_head(r->body, &h) == 0)
		m->first = h.first;
	if (r->kind != LEDGER_ROW)
		return 0;
	if (offset > UINT32_MAX || ledger_record_get_row(r->body, &row) < 0)
		return ERR_DAMAGED;
	return note_row(m, &row, (uint32_t)offset);
}

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->row < y->row ? -1 : 1;
}

static void put_keys(struct buf *out, struct key *keys, uint32_t count)
{
	uint8_t *p;

	if (!count)
		return;
	qsort(keys, count, sizeof(*keys), by_key);
	p = buf_reserve(out, count * (size_t)12);
	if (!p)
		return;
	for (uint32_t i = 0; i < count; i++) {
		num_put_u64(p + 8 * (size_t)i, keys[i].key);
		num_put_u32(p + 8 * (size_t)count + 4 * (size_t)i, keys[i].row);
	}
	buf_commit(out, count * (size_t)12);
}

/* Domain numbers in order of names, and where the rows of each begin. */
static int by_name(const void *a, const void *b, void *arg)
{
	const struct domain *d = arg;
	const struct span x = d[*(const uint32_t *)a].name, y = d[*(const uint32_t *)b].name;
	int c = memcmp(x.p ? x.p : (const uint8_t *)"", y.p ? y.p : (const uint8_t *)"", x.n < y.n ? x.n : y.n);

	return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

static void put_by_domain(struct making *m, struct buf *out, const uint32_t *order)
{
	uint8_t *p = m->rows ? buf_reserve(out, m->rows * (size_t)4) : NULL;
	uint32_t at = 0;

	if (!p)
		return;
	for (uint32_t i = 0; i < m->domain_count; i++) {
		m->domains[order[i]].at = at;
		at += m->domains[order[i]].count;
	}
	for (uint32_t row = 0; row < m->rows; row++)
		num_put_u32(p + 4 * (size_t)m->domains[m->domain_of[row]].at++, row);
	for (uint32_t i = 0; i < m->domain_count; i++)
		m->domains[i].at -= m->domains[i].count;
	buf_commit(out, m->rows * (size_t)4);
}

static void put_names(struct making *m, struct buf *out, const uint32_t *order, uint64_t *names)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < m->domain_count; i++) {
		const struct domain *d = &m->domains[order[i]];
		wire_put_u32(out, at);
		wire_put_u32(out, (uint32_t)d->name.n);
		wire_put_u32(out, d->at);
		wire_put_u32(out, d->count);
#define PUT(name) wire_put_u64(out, d->stat.name);
		LEDGER_STATS(PUT)
#undef PUT
		at += (uint32_t)d->name.n;
	}
	for (uint32_t i = 0; i < m->customer_count; i++) {
		wire_put_u32(out, at);
		wire_put_u32(out, (uint32_t)m->customers[i].name.n);
		wire_put_u32(out, m->customers[i].keyref);
		at += (uint32_t)m->customers[i].name.n;
	}
	for (uint32_t i = 0; i < m->domain_count; i++)
		buf_put_span(out, m->domains[order[i]].name);
	for (uint32_t i = 0; i < m->customer_count; i++)
		buf_put_span(out, m->customers[i].name);
	*names = at;
}

static int put_all(struct making *m, struct span log, struct buf *out)
{
	uint32_t *order = malloc((m->domain_count + 1) * sizeof(*order));
	size_t base = buf_size(out);
	uint64_t names = 0;
	struct buf head;
	uint8_t *p = buf_reserve(out, LEDGER_INDEX_HEAD + m->rows * (size_t)4);

	if (!order || !p) {
		free(order);
		return ERR_NOMEM;
	}
	memset(p, 0, LEDGER_INDEX_HEAD);
	for (uint32_t i = 0; i < m->rows; i++)
		num_put_u32(p + LEDGER_INDEX_HEAD + 4 * (size_t)i, m->offsets[i]);
	buf_commit(out, LEDGER_INDEX_HEAD + m->rows * (size_t)4);
	put_keys(out, m->recipients, m->recipient_count);
	put_keys(out, m->messages, m->rows);
	for (uint32_t i = 0; i < m->domain_count; i++)
		order[i] = i;
	if (m->domain_count)
		qsort_r(order, m->domain_count, sizeof(*order), by_name, m->domains);
	put_by_domain(m, out, order);
	put_names(m, out, order, &names);
	free(order);
	buf_init(&head, LEDGER_INDEX_HEAD);
	buf_put(&head, MAGIC, 8);
	wire_put_u64(&head, log.n);
	wire_put_u64(&head, m->first);
	wire_put_u32(&head, m->rows);
	wire_put_u32(&head, m->recipient_count);
	wire_put_u32(&head, m->domain_count);
	wire_put_u32(&head, m->customer_count);
	wire_put_u64(&head, names);
	wire_put_u64(&head, (uint64_t)m->oldest);
	wire_put_u64(&head, (uint64_t)m->newest);
	wire_put_u64(&head, (uint64_t)m->sealed);
	if (!buf_failed(out) && !buf_failed(&head))
		memcpy(out->data + out->off + base, buf_ptr(&head), buf_size(&head));
	buf_clear(&head);
	return buf_failed(out);
}

int ledger_index_make(struct span log, struct buf *out)
{
	struct making m = {.rows = 0};
	struct ledger_record r;
	size_t at = 0;
	int err = 0, n;

	while (err == 0 && at < log.n) {
		n = ledger_record_parse(span_sub(log, at, log.n), &r);
		err = n <= 0 ? ERR_DAMAGED : note_record(&m, &r, at);
		at += n > 0 ? (size_t)n : 0;
	}
	if (err == 0)
		err = put_all(&m, log, out);
	making_clear(&m);
	return err;
}

/* --- reading */

int ledger_index_head(struct span bytes, struct ledger_index *x)
{
	struct wire_get g;
	struct span magic;

	memset(x, 0, sizeof(*x));
	wire_get_init(&g, span_sub(bytes, 0, LEDGER_INDEX_HEAD));
	magic = wire_get_raw(&g, 8);
	x->size = wire_get_u64(&g);
	x->first = wire_get_u64(&g);
	x->rows = wire_get_u32(&g);
	x->recipients = wire_get_u32(&g);
	x->domains = wire_get_u32(&g);
	x->customers = wire_get_u32(&g);
	x->names.n = (size_t)wire_get_u64(&g);
	x->oldest = (int64_t)wire_get_u64(&g);
	x->newest = (int64_t)wire_get_u64(&g);
	x->sealed = (int64_t)wire_get_u64(&g);
	return g.failed || !span_equal(magic, SPAN_LIT(MAGIC)) || bytes.n < LEDGER_INDEX_HEAD ? ERR_FORMAT : 0;
}

int ledger_index_of(struct span bytes, struct ledger_index *x)
{
	uint64_t want;
	const uint8_t *p;

	if (ledger_index_head(bytes, x) < 0 || x->recipients > x->rows || x->names.n > bytes.n)
		return ERR_FORMAT;
	want = LEDGER_INDEX_HEAD + (uint64_t)x->rows * 20 + (uint64_t)x->recipients * 12 +
	       (uint64_t)x->domains * DOMAIN_SIZE + (uint64_t)x->customers * CUSTOMER_SIZE + x->names.n;
	if (want != bytes.n)
		return ERR_FORMAT;
	x->bytes = bytes;
	p = bytes.p + LEDGER_INDEX_HEAD;
	x->offsets = p;
	p += (size_t)x->rows * 4;
	x->recipient_keys = p;
	x->recipient_rows = p + (size_t)x->recipients * 8;
	p += (size_t)x->recipients * 12;
	x->message_keys = p;
	x->message_rows = p + (size_t)x->rows * 8;
	p += (size_t)x->rows * 12;
	x->by_domain = p;
	p += (size_t)x->rows * 4;
	x->domain_rows = p;
	p += (size_t)x->domains * DOMAIN_SIZE;
	x->customer_rows = p;
	p += (size_t)x->customers * CUSTOMER_SIZE;
	x->names.p = p;
	return 0;
}

uint32_t ledger_index_offset(const struct ledger_index *x, uint32_t row)
{
	return row < x->rows ? ledger_index_row(x->offsets, row) : UINT32_MAX;
}

/* The first of count sorted keys that is not below key. */
static uint32_t lower(const uint8_t *keys, uint32_t count, uint64_t key)
{
	uint32_t lo = 0, hi = count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (num_get_u64(keys + 8 * (size_t)mid) < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static uint32_t equal(const uint8_t *keys, uint32_t count, uint64_t key, uint32_t *at)
{
	uint32_t n = 0;

	*at = lower(keys, count, key);
	while (*at + n < count && num_get_u64(keys + 8 * (size_t)(*at + n)) == key)
		n++;
	return n;
}

uint32_t ledger_index_recipient(const struct ledger_index *x, const uint8_t index[LEDGER_INDEX], uint32_t *at)
{
	return equal(x->recipient_keys, x->recipients, num_get_u64(index), at);
}

uint32_t ledger_index_message(const struct ledger_index *x, uint64_t id, uint32_t *at)
{
	return equal(x->message_keys, x->rows, id, at);
}

static int name_at(const struct ledger_index *x, uint32_t at, uint32_t n, struct span *out)
{
	if (at > x->names.n || n > x->names.n - at)
		return ERR_FORMAT;
	*out = span_sub(x->names, at, n);
	return 0;
}

int ledger_index_domain_at(const struct ledger_index *x, uint32_t i, struct ledger_index_domain *out)
{
	struct wire_get g;
	uint32_t at, n;

	if (i >= x->domains)
		return ERR_FORMAT;
	wire_get_init(&g, span_of(x->domain_rows + (size_t)i * DOMAIN_SIZE, DOMAIN_SIZE));
	at = wire_get_u32(&g);
	n = wire_get_u32(&g);
	out->at = wire_get_u32(&g);
	out->count = wire_get_u32(&g);
#define GET(name) out->stat.name = wire_get_u64(&g);
	LEDGER_STATS(GET)
#undef GET
	if (out->at > x->rows || out->count > x->rows - out->at)
		return ERR_FORMAT;
	return name_at(x, at, n, &out->name);
}

static int compare(struct span x, struct span y)
{
	size_t n = x.n < y.n ? x.n : y.n;
	int c = n ? memcmp(x.p, y.p, n) : 0;

	return c ? c : x.n < y.n ? -1 : x.n > y.n;
}

int ledger_index_domain(const struct ledger_index *x, struct span name, struct ledger_index_domain *out)
{
	uint32_t lo = 0, hi = x->domains;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c;
		if (ledger_index_domain_at(x, mid, out) < 0)
			return ERR_FORMAT;
		c = compare(out->name, name);
		if (c == 0)
			return 0;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return ERR_NOTFOUND;
}

int ledger_index_customer_at(const struct ledger_index *x, uint32_t i, struct ledger_index_customer *out)
{
	const uint8_t *p = x->customer_rows + (size_t)i * CUSTOMER_SIZE;

	if (i >= x->customers)
		return ERR_FORMAT;
	out->keyref = num_get_u32(p + 8);
	return name_at(x, num_get_u32(p), num_get_u32(p + 4), &out->name);
}
