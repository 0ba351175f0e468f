/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_query.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/num.h"
#include "sys/sys_map.h"

/* One file, open for a question. */
struct view {
	const struct ledger_query_in *in;
	const struct ledger_file *file;
	struct span log, bytes; /* log: mapped when a row is looked at; most files have none to look at */
	struct ledger_index x;
	int indexed;
	uint32_t *offsets; /* of an open file; NULL: the index has them */
	uint32_t rows;
	uint32_t *list; /* candidates, ascending; NULL: all */
	uint32_t listed;
};

static void view_close(struct view *v)
{
	sys_map_close(&v->log);
	sys_map_close(&v->bytes);
	free(v->offsets);
	free(v->list);
}

/* Without an index: hops from record to record. */
static int find_offsets(struct view *v)
{
	size_t at = 0, room = v->file->rows + 1;
	struct ledger_record r;
	int n;

	v->offsets = malloc(room * sizeof(*v->offsets));
	if (!v->offsets)
		return ERR_NOMEM;
	for (; at < v->log.n && at < UINT32_MAX; at += (size_t)n) {
		n = ledger_record_parse(span_sub(v->log, at, v->log.n), &r);
		if (n <= 0)
			break;
		if (r.kind != LEDGER_ROW)
			continue;
		if (v->rows + 1 >= room) {
			uint32_t *more = realloc(v->offsets, room * 2 * sizeof(*more));
			if (!more)
				return ERR_NOMEM;
			v->offsets = more;
			room *= 2;
		}
		v->offsets[v->rows++] = (uint32_t)at;
	}
	return 0;
}

static int view_log(struct view *v)
{
	char path[4200];

	if (v->log.p)
		return 0;
	ledger_files_path(v->in->files, path, sizeof(path), v->file->first, ".log");
	return sys_map_open(path, v->file->size, &v->log);
}

static int view_open(struct view *v, const struct ledger_query_in *in, const struct ledger_file *file)
{
	char path[4200];
	int err;

	*v = (struct view){.in = in, .file = file};
	if (file->closed) {
		ledger_files_path(in->files, path, sizeof(path), file->first, ".idx");
		v->indexed = sys_map_open(path, 0, &v->bytes) == 0 && ledger_index_of(v->bytes, &v->x) == 0 &&
			     v->x.first == file->first;
	}
	v->rows = v->indexed ? v->x.rows : 0;
	if (v->indexed)
		return 0;
	err = view_log(v);
	return err < 0 ? err : find_offsets(v);
}

static int row_of(const struct view *v, uint32_t i, struct ledger_row *r, struct span *record)
{
	uint32_t at = v->offsets ? v->offsets[i] : ledger_index_offset(&v->x, i);
	struct ledger_record rec;
	int n = at < v->log.n ? ledger_record_parse(span_sub(v->log, at, v->log.n), &rec) : 0;

	if (n <= 0 || rec.kind != LEDGER_ROW || ledger_record_get_row(rec.body, r) < 0)
		return ERR_DAMAGED;
	*record = span_sub(v->log, at, (size_t)n);
	return 0;
}

/* --- candidates */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int take_list(struct view *v, const uint8_t *list, uint32_t at, uint32_t count)
{
	uint32_t *more = realloc(v->list, (v->listed + (size_t)count + 1) * sizeof(*more));

	if (!more)
		return ERR_NOMEM;
	v->list = more;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t row = ledger_index_row(list, at + i);
		if (row < v->rows)
			v->list[v->listed++] = row;
	}
	return 0;
}

static int candidates(struct view *v, const struct ledger_filter *f)
{
	struct ledger_index_domain d;
	uint32_t at = 0, n;
	int err = 0;

	if (!v->indexed || !(f->by_recipient || f->id || f->domain[0]))
		return 0;
	if (f->by_recipient) {
		err = take_list(v, NULL, 0, 0);
		for (unsigned i = 0; err == 0 && i < f->index_count; i++) {
			n = ledger_index_recipient(&v->x, f->indexes[i].index, &at);
			err = take_list(v, v->x.recipient_rows, at, n);
		}
	} else if (f->id) {
		n = ledger_index_message(&v->x, f->id, &at);
		err = take_list(v, v->x.message_rows, at, n);
	} else {
		n = ledger_index_domain(&v->x, span_str(f->domain), &d) == 0 ? d.count : 0;
		err = take_list(v, v->x.by_domain, n ? d.at : 0, n);
	}
	if (err == 0 && v->listed > 1)
		qsort(v->list, v->listed, sizeof(*v->list), by_number);
	return err;
}

/* --- matching */

static int is(struct span s, const char *want)
{
	return !want[0] || span_equal(s, span_str(want));
}

static int has_index(const struct ledger_filter *f, const struct ledger_row *r)
{
	if (!(r->flags & LEDGER_INDEXED))
		return 0;
	for (unsigned i = 0; i < f->index_count; i++)
		if (!memcmp(f->indexes[i].index, r->index, LEDGER_INDEX) &&
		    span_equal(r->customer, span_str(f->indexes[i].customer)))
			return 1;
	return 0;
}

static int matches(const struct ledger_filter *f, const struct ledger_row *r)
{
	return (!f->since || r->at >= f->since) && (!f->until || r->at < f->until) &&
	       (!f->id || r->id == f->id) && (!f->outcome || r->outcome == f->outcome) &&
	       is(r->domain, f->domain) && is(r->customer, f->customer) && is(r->campaign, f->campaign) &&
	       (!f->by_recipient || has_index(f, r));
}

static int out_of_time(const struct ledger_filter *f, const struct ledger_file *file)
{
	return !file->rows || (f->since && file->newest < f->since) || (f->until && file->oldest >= f->until);
}

/* Whether rows of the file lie behind the cursor. */
static int all_passed(const struct ledger_filter *f, const struct ledger_file *file)
{
	if (!f->after)
		return 0;
	return f->oldest_first ? file->first + file->rows - 1 <= f->after : file->first >= f->after;
}

struct walk {
	const struct ledger_filter *f;
	uint64_t budget;
	ledger_query_fn fn;
	void *arg;
	uint64_t *cursor;
};

static int walk_view(struct walk *k, struct view *v)
{
	uint32_t n = v->list ? v->listed : v->rows;
	struct ledger_row r;
	struct span record;

	if (!n || view_log(v) < 0)
		return 0;
	for (uint32_t k2 = 0; k2 < n; k2++) {
		uint32_t j = k->f->oldest_first ? k2 : n - 1 - k2, i = v->list ? v->list[j] : j;
		uint64_t number = v->file->first + i;
		if (k->f->after && (k->f->oldest_first ? number <= k->f->after : number >= k->f->after))
			continue;
		if (k->budget == 0)
			return 1;
		k->budget--;
		if (row_of(v, i, &r, &record) == 0 && matches(k->f, &r) && k->fn(k->arg, &r, record)) {
			*k->cursor = number;
			return 1;
		}
		*k->cursor = number;
	}
	return 0;
}

int ledger_query_rows(const struct ledger_query_in *in, const struct ledger_filter *f, uint64_t budget,
		      ledger_query_fn fn, void *arg, uint64_t *cursor)
{
	struct walk k = {f, budget, fn, arg, cursor};
	int rc = 0;

	*cursor = f->after;
	for (size_t i = 0; rc == 0 && i < in->count; i++) {
		const struct ledger_file *file = &in->all[f->oldest_first ? i : in->count - 1 - i];
		struct view v;
		if (out_of_time(f, file) || all_passed(f, file))
			continue;
		if (view_open(&v, in, file) == 0) {
			rc = candidates(&v, f);
			if (rc == 0)
				rc = walk_view(&k, &v);
		}
		view_close(&v);
	}
	return rc;
}

/* --- counters */

static uint32_t hash_of(struct span s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ s.p[i]) * 16777619u;
	return h;
}

static uint32_t *slot_of(struct ledger_query_stats *s, struct span name)
{
	size_t at = hash_of(name) & (s->slot_count - 1);

	while (s->slots[at] && !span_equal(span_str(s->all[s->slots[at] - 1].domain), name))
		at = (at + 1) & (s->slot_count - 1);
	return &s->slots[at];
}

static int grow(struct ledger_query_stats *s)
{
	size_t room = s->room ? s->room * 2 : 64;
	struct ledger_query_stat *all = realloc(s->all, room * sizeof(*all));
	uint32_t *slots = calloc(room * 2, sizeof(*slots));

	if (all)
		s->all = all;
	if (!all || !slots) {
		free(slots);
		return ERR_NOMEM;
	}
	s->room = room;
	free(s->slots);
	s->slots = slots;
	s->slot_count = room * 2;
	for (size_t i = 0; i < s->count; i++)
		*slot_of(s, span_str(s->all[i].domain)) = (uint32_t)i + 1;
	return 0;
}

static struct ledger_stat *stat_of(struct ledger_query_stats *s, struct span name)
{
	uint32_t *slot;
	char *copy;

	if (s->count == s->room && grow(s) < 0)
		return NULL;
	slot = slot_of(s, name);
	if (!*slot) {
		copy = malloc(name.n + 1);
		if (!copy)
			return NULL;
		if (name.n)
			memcpy(copy, name.p, name.n);
		copy[name.n] = '\0';
		s->all[s->count] = (struct ledger_query_stat){.domain = copy};
		*slot = (uint32_t)++s->count;
	}
	return &s->all[*slot - 1].stat;
}

static int count_row(void *arg, const struct ledger_row *r, struct span record)
{
	struct ledger_stat *s = stat_of(arg, r->domain);

	(void)record;
	if (!s)
		return 1;
	ledger_stat_add(s, r);
	return 0;
}

static int sum_domain(const struct view *v, uint32_t i, struct ledger_query_stats *out)
{
	struct ledger_index_domain d;
	struct ledger_stat *s;

	if (ledger_index_domain_at(&v->x, i, &d) < 0)
		return 0;
	s = stat_of(out, d.name);
	if (!s)
		return ERR_NOMEM;
	ledger_stat_sum(s, &d.stat);
	return 0;
}

/* The index has the sums, if the whole file is within the time asked for. */
static int sum_view(const struct view *v, const struct ledger_filter *f, struct ledger_query_stats *out)
{
	struct ledger_index_domain d;
	struct ledger_stat *s;
	int err = 0;

	if (!f->domain[0]) {
		for (uint32_t i = 0; err == 0 && i < v->x.domains; i++)
			err = sum_domain(v, i, out);
		return err;
	}
	if (ledger_index_domain(&v->x, span_str(f->domain), &d) < 0)
		return 0;
	s = stat_of(out, d.name);
	if (!s)
		return ERR_NOMEM;
	ledger_stat_sum(s, &d.stat);
	return 0;
}

static int whole(const struct ledger_filter *f, const struct ledger_file *file)
{
	return (!f->since || file->oldest >= f->since) && (!f->until || file->newest < f->until);
}

int ledger_query_stats(const struct ledger_query_in *in, const struct ledger_filter *f,
		       struct ledger_query_stats *out)
{
	uint64_t cursor = 0;
	int err = 0;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; err == 0 && i < in->count; i++) {
		struct walk k = {f, UINT64_MAX, count_row, out, &cursor};
		struct view v;
		if (out_of_time(f, &in->all[i]))
			continue;
		if (view_open(&v, in, &in->all[i]) == 0) {
			if (v.indexed && whole(f, v.file)) {
				err = sum_view(&v, f, out);
			} else {
				err = candidates(&v, f);
				if (err == 0)
					err = walk_view(&k, &v) ? ERR_NOMEM : 0;
			}
		}
		view_close(&v);
	}
	return err;
}

void ledger_query_stats_clear(struct ledger_query_stats *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->all[i].domain);
	free(s->all);
	free(s->slots);
	memset(s, 0, sizeof(*s));
}

/* --- customers */

static int customers_of_rows(const struct view *v, uint64_t after, ledger_query_customer_fn fn, void *arg)
{
	uint32_t from = after >= v->file->first ? (uint32_t)(after - v->file->first + 1) : 0;
	struct span last = {NULL, 0}, record;
	uint32_t last_ref = 0, keyref;
	struct ledger_row r;
	int rc = 0;

	for (uint32_t i = from; rc == 0 && i < v->rows; i++) {
		if (row_of(v, i, &r, &record) < 0)
			continue;
		keyref = r.sealed.n > 5 ? num_get_u32(r.sealed.p + 1) : 0;
		if (last.p && keyref == last_ref && span_equal(last, r.customer))
			continue;
		last = r.customer;
		last_ref = keyref;
		rc = fn(arg, last, keyref);
	}
	return rc;
}

int ledger_query_customers(const struct ledger_query_in *in, uint64_t after, ledger_query_customer_fn fn,
			   void *arg)
{
	struct ledger_index_customer c;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < in->count; i++) {
		struct view v;
		if (!in->all[i].rows || in->all[i].first + in->all[i].rows - 1 <= after)
			continue;
		if (view_open(&v, in, &in->all[i]) == 0) {
			for (uint32_t k = 0; v.indexed && rc == 0 && k < v.x.customers; k++)
				if (ledger_index_customer_at(&v.x, k, &c) == 0)
					rc = fn(arg, c.name, c.keyref);
			if (!v.indexed)
				rc = customers_of_rows(&v, after, fn, arg);
		}
		view_close(&v);
	}
	return rc;
}
