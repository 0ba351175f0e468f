/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, on any thread, while the spool thread writes, recycles segments and moves what lives out of them. */
#include <stdlib.h>

#include "core/err.h"
#include "relay/spool/spool_log_own.h"
#include "relay/spool/spool_scan.h"

#define TRIES 3

static int parse(struct spool_record *r, const struct spool_segment *g, struct spool_place at,
		 uint64_t id, const uint8_t *p, size_t n)
{
	int head = spool_record_get(r, &g->mark, at.offset, g->size, span_of(p, n));

	if (head == 0)
		return 0;
	return head < 0 || r->id != id || !spool_record_is_mail(r->kind) ||
		       spool_record_size(r) != at.length
		   ? ERR_DAMAGED
		   : head;
}

/* Without meta, as almost all records that are read: the data straight to where they shall be. 1:
 * done; 0: it has meta, or out has no room. */
static int read_straight(struct spool_log *s, const struct spool_segment *g, struct spool_place at,
			 uint64_t id, struct buf *out, struct spool_record *r)
{
	uint8_t head[SPOOL_HEAD], pad[SPOOL_ALIGN];
	size_t n = at.length - SPOOL_HEAD, room = buf_room(out) < n ? buf_room(out) : n;
	struct iovec v[3] = {{head, sizeof(head)}, {NULL, room}, {pad, n - room}};
	int err;

	if (n - room >= SPOOL_ALIGN)
		return 0;
	v[1].iov_base = buf_reserve(out, room);
	if (!v[1].iov_base)
		return buf_failed(out);
	err = spool_segment_readv(s->io, s->dir, g, v, 3, at.offset);
	if (!err)
		err = parse(r, g, at, id, head, sizeof(head));
	if (err <= 0)
		return err;
	if (r->data > room)
		return ERR_LIMIT;
	if (spool_record_check(r, span_of(buf_ptr(out) + buf_size(out), r->data)) < 0)
		return ERR_DAMAGED;
	buf_commit(out, r->data);
	return 1;
}

static int get_parts(const uint8_t *p, const struct spool_record *r, struct spool_place **parts,
		     unsigned *count)
{
	unsigned n = r->meta / SPOOL_PLACE_SIZE;
	struct spool_place *all;

	if (!spool_record_is_message(r->kind) || !n)
		return 0;
	all = malloc(n * sizeof(*all));
	if (!all)
		return ERR_NOMEM;
	for (unsigned i = 0; i < n; i++)
		if (spool_record_get_place(p + SPOOL_HEAD + i * SPOOL_PLACE_SIZE, &all[i]) < 0) {
			free(all);
			return ERR_DAMAGED;
		}
	*parts = all;
	*count = n;
	return 0;
}

static int read_whole(struct spool_log *s, const struct spool_segment *g, struct spool_place at,
		      uint64_t id, struct buf *out, struct spool_record *r,
		      struct spool_place **parts, unsigned *part_count)
{
	uint8_t *p = malloc(at.length);
	int n, err;

	if (!p)
		return ERR_NOMEM;
	err = spool_segment_read(s->io, s->dir, g, p, at.length, at.offset);
	n = err ? err : parse(r, g, at, id, p, at.length);
	err = n > 0 ? spool_record_check(r, span_of(p + n, r->data)) : n < 0 ? n : ERR_DAMAGED;
	if (!err)
		err = buf_put(out, p + n, r->data);
	if (!err && parts)
		err = get_parts(p, r, parts, part_count);
	free(p);
	return err;
}

/* Taken out of the set while it was read: its file may have got another life. */
static int is_gone(struct spool_log *s, const struct spool_segment *g)
{
	struct spool_segment *now = spool_segment_set_get(&s->set, g->mark.number);

	spool_segment_unref(now);
	return now != g;
}

static int read_record(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out,
		       struct spool_place **parts, unsigned *part_count)
{
	struct spool_segment *g = spool_segment_set_get(&s->set, at.segment);
	struct spool_record r;
	int err;

	if (!g)
		return ERR_NOTFOUND;
	if (at.length < SPOOL_HEAD || at.length > SPOOL_RECORD_MAX || at.offset > g->size ||
	    at.length > g->size - at.offset)
		err = ERR_DAMAGED;
	else
		err = read_straight(s, g, at, id, out, &r);
	if (err == 0)
		err = read_whole(s, g, at, id, out, &r, parts, part_count);
	else if (err == 1)
		err = 0;
	if (!err && parts && !spool_record_is_message(r.kind))
		err = ERR_DAMAGED;
	if (err < 0 && err != ERR_NOMEM && is_gone(s, g))
		err = ERR_NOTFOUND;
	spool_segment_unref(g);
	return err;
}

static int count_damage(struct spool_log *s, int err)
{
	if (err == ERR_DAMAGED)
		atomic_fetch_add(&s->number.damaged, 1);
	return err;
}

/* Where the COMMIT of a living message is now. */
static int look_up(struct spool_log *s, uint64_t id, struct spool_place *at)
{
	const struct spool_entry *e;
	int err = ERR_NOTFOUND;

	pthread_mutex_lock(&s->where);
	e = spool_live_find(&s->live, id);
	if (e && e->at.segment) {
		*at = e->at;
		err = 0;
	}
	pthread_mutex_unlock(&s->where);
	return err;
}

int spool_log_read(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out)
{
	return count_damage(s, read_record(s, at, id, out, NULL, NULL));
}

int spool_log_read_commit(struct spool_log *s, struct spool_place at, uint64_t id, struct buf *out,
			  struct spool_place **parts, unsigned *part_count)
{
	size_t before = buf_size(out);
	int err;

	*parts = NULL;
	*part_count = 0;
	err = read_record(s, at, id, out, parts, part_count);
	/* it may move again while we read it */
	for (int i = 0; i < TRIES && err == ERR_NOTFOUND && look_up(s, id, &at) == 0; i++) {
		out->len = before;
		err = read_record(s, at, id, out, parts, part_count);
	}
	return count_damage(s, err);
}

struct trace {
	struct spool_log *s;
	struct spool_segment *g;
	uint64_t id;
	int told; /* of its COMMIT */
	void (*seen)(void *arg, const struct spool_seen *r);
	void *arg;
};

static int trace_read(void *arg, void *p, size_t n, uint32_t offset)
{
	struct trace *t = arg;

	return spool_segment_read(t->s->io, t->s->dir, t->g, p, n, offset);
}

static int trace_record(void *arg, const struct spool_record *r, uint32_t offset, struct span meta,
			struct span data, int whole)
{
	struct spool_seen seen = {.kind = r->kind, .time = r->time};
	struct spool_state *states = NULL;
	struct trace *t = arg;

	(void)data;
	(void)whole;
	if (r->id != t->id || !spool_record_is_mail(r->kind))
		return 0;
	/* a COPY is told of only if the COMMIT, and COPYs before, are gone */
	if (spool_record_is_message(r->kind) && t->told++)
		return 0;
	seen.place = (struct spool_place){t->g->mark.number, offset, spool_record_size(r)};
	if (spool_record_is_message(r->kind)) {
		seen.kind = SPOOL_COMMIT;
		seen.recipients = r->count;
	}
	if (r->kind == SPOOL_STATE) {
		states = malloc(r->count * sizeof(*states));
		if (!states)
			return ERR_NOMEM;
		for (unsigned i = 0; i < r->count; i++)
			if (spool_record_get_state(meta.p + i * SPOOL_STATE_SIZE,
						   &states[seen.state_count]) == 0)
				seen.state_count++;
		seen.states = states;
	}
	t->seen(t->arg, &seen);
	free(states);
	return 0;
}

int spool_log_trace(struct spool_log *s, uint64_t id,
		    void (*seen)(void *arg, const struct spool_seen *r), void *arg)
{
	struct trace t = {.s = s, .id = id, .seen = seen, .arg = arg};
	uint32_t after = 0;
	int err = 0;

	while (!err && (t.g = spool_segment_set_next(&s->set, after))) {
		struct spool_scan sc = {.mark = t.g->mark,
					.size = t.g->size,
					.from = SPOOL_FIRST,
					.end = t.g->end,
					.heads_only = 1,
					.arg = &t,
					.read = trace_read,
					.record = trace_record};
		after = t.g->mark.number;
		err = spool_scan_run(&sc);
		spool_segment_unref(t.g);
	}
	return err;
}
