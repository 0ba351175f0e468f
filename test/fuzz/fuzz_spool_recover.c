/* SPDX-License-Identifier: Apache-2.0 */
/* Recovery over any small segment. The input is a list of steps that build its image: records with right sums
 * and any content, records with one wrong byte, raw bytes, pages that cannot be read. Then the walk and the replay must hold
 * together: records and gaps in order and inside, the table consistent, the same records whether data are read or not. */
#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/spool/spool_check.h"
#include "relay/spool/spool_replay.h"
#include "relay/spool/spool_scan.h"

#define IMAGE (128u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct spool_mark mark = {UINT64_C(0x5ea1905700000001), 3};

struct image {
	uint8_t *p;
	uint32_t at;		   /* end of what was built */
	uint32_t bad_from, bad_to; /* cannot be read */
	/* seen by the walk */
	uint32_t last; /* end of the last record or gap */
	uint32_t count, places_sum;
	struct spool_replay *replay;
};

static void must(int cond)
{
	if (!cond)
		abort();
}

/* --- building */

static uint8_t take(struct span *in)
{
	uint8_t v = in->n ? in->p[0] : 0;

	*in = span_sub(*in, 1, in->n);
	return v;
}

static uint32_t take_some(struct span *in, uint8_t *to, uint32_t n)
{
	n = n < in->n ? n : (uint32_t)in->n;
	if (n)
		memcpy(to, in->p, n);
	*in = span_sub(*in, n, in->n);
	return n;
}

static uint32_t unit_of(uint8_t kind)
{
	return spool_record_is_message(kind) ? SPOOL_PLACE_SIZE
	       : kind == SPOOL_STATE	     ? SPOOL_STATE_SIZE
	       : kind == SPOOL_CLOSE	     ? SPOOL_CLOSE_SIZE
	       : kind == SPOOL_END	     ? SPOOL_END_SIZE
					     : 1;
}

static void build_record(struct image *m, struct span *in, uint8_t kind, int spoil)
{
	struct spool_record r = {.kind = kind};
	uint8_t *head = m->p + m->at, *p;
	uint32_t units;

	r.count = take(in);
	r.id = take(in);
	if (kind == SPOOL_CHECK)
		r.id = (uint64_t)mark.number << 32 | (r.id << 6);
	r.stable = (uint32_t)take(in) << 9;
	units = take(in);
	if (m->at + SPOOL_HEAD + 2 * 256 * 32 > IMAGE)
		return;
	if (kind == SPOOL_STATE)
		r.count = (uint16_t)units;
	p = head + SPOOL_HEAD;
	memset(head, 0, SPOOL_HEAD + units * unit_of(kind) + 256);
	r.meta = units * unit_of(kind);
	take_some(in, p, r.meta);
	if (spool_record_is_mail(kind))
		r.data = take_some(in, p + r.meta, take(in));
	r.data_sum = spool_record_sum(span_of(p + r.meta, r.data), span_of(NULL, 0));
	spool_record_put(head, &mark, m->at, &r);
	if (spoil)
		head[take(in) % (SPOOL_HEAD + r.meta + r.data)] ^= (uint8_t)(take(in) | 1);
	m->at += spool_record_size(&r);
}

static void build(struct image *m, struct span in)
{
	m->at = SPOOL_FIRST;
	while (in.n && m->at + 1024 < IMAGE) {
		uint8_t op = take(&in);
		if (op % 16 <= SPOOL_COPY) {
			build_record(m, &in, op % 16, op >= 224);
		} else if (op % 16 < 12) {
			m->at += take_some(&in, m->p + m->at, take(&in));
			m->at = spool_record_round(m->at);
		} else if (op % 16 == 12) {
			m->bad_from = (uint32_t)take(&in) << 9;
			m->bad_to = m->bad_from + 512u * take(&in);
		} else {
			m->at += 16u * take(&in);
		}
	}
}

/* --- walking */

static int read_image(void *arg, void *p, size_t n, uint32_t offset)
{
	const struct image *m = arg;

	must(offset <= IMAGE && n <= IMAGE - offset);
	if (m->bad_to > m->bad_from && offset < m->bad_to && offset + n > m->bad_from)
		return ERR_IO;
	memcpy(p, m->p + offset, n);
	return 0;
}

static int on_record(void *arg, const struct spool_record *r, uint32_t offset, struct span meta,
		     struct span data, int whole)
{
	struct image *m = arg;
	struct spool_point at = {mark.number, offset};

	must(offset >= m->last && offset + spool_record_size(r) <= IMAGE);
	must(meta.n == r->meta && (!data.n || data.n == r->data));
	must(spool_record_legal(r));
	m->last = offset + spool_record_size(r);
	m->count++;
	m->places_sum += offset * 31 + r->kind;
	return m->replay ? spool_replay_record(m->replay, at, r, meta, whole) : 0;
}

static void on_gap(void *arg, uint32_t from, uint32_t to)
{
	struct image *m = arg;

	must(from >= m->last && to > from && to <= IMAGE);
	m->last = to;
}

static void walk(struct image *m, int heads_only)
{
	struct spool_scan sc = {.mark = mark,
				.size = IMAGE,
				.from = SPOOL_FIRST,
				.end = IMAGE,
				.heads_only = heads_only,
				.arg = m,
				.read = read_image,
				.record = on_record,
				.gap = on_gap};

	m->last = SPOOL_FIRST;
	m->count = m->places_sum = 0;
	must(spool_scan_run(&sc) == 0);
	must(sc.tail >= SPOOL_FIRST && sc.tail <= IMAGE);
}

static void check_table(const struct spool_live *l)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < l->slots; i++) {
		const struct spool_entry *e = spool_live_slot(l, i);
		unsigned open = 0;
		if (!e)
			continue;
		count++;
		must(spool_live_find(l, e->id) == e && spool_live_index(l, e) == i);
		must(e->at.segment && e->recipients);
		for (unsigned k = 0; k < e->recipients; k++)
			open += !spool_outcome_final(spool_live_states(e)[k].outcome);
		must(open == e->remaining);
	}
	must(count == l->count && count == l->committed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image m = {.p = calloc(1, IMAGE)};
	struct spool_replay replay;
	struct spool_live live;
	uint32_t count, sum;

	build(&m, span_of(data, size));
	must(spool_live_init(&live) == 0);
	spool_replay_init(&replay, &live);
	m.replay = &replay;
	walk(&m, 0);
	check_table(&live);
	count = m.count;
	sum = m.places_sum;
	m.replay = NULL;
	walk(&m, 1);
	/* where nothing is unreadable, reading data or not makes no difference to what records there are */
	must(m.bad_to > m.bad_from || (count == m.count && sum == m.places_sum));
	spool_replay_clear(&replay);
	spool_live_clear(&live);
	free(m.p);
	return 0;
}
