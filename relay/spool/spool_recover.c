/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_recover.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/spool/spool_load.h"
#include "relay/spool/spool_replay.h"
#include "relay/spool/spool_scan.h"

#define SUSPECTS_MAX 64 /* per segment; more are counted as one */

struct suspect { /* something is wrong there: damage, or never wholly written */
	uint32_t from, to;
	uint64_t id;
	uint8_t kind; /* 0: no record could be read */
};

struct recovery {
	struct spool_log *s;
	struct spool_report *report;
	struct spool_load files;
	struct spool_replay replay;
	struct spool_point from; /* records before are passed over */
	int told;		 /* damage was logged in the first walk: not again in a second */
	/* of the segment being walked */
	struct spool_segment *g;
	uint32_t stable; /* the highest that a record names */
	uint64_t records;
	struct suspect suspects[SUSPECTS_MAX];
	unsigned suspect_count;
	int torn;
};

/* --- walking */

static void suspect(struct recovery *v, uint32_t from, uint32_t to, uint64_t id, uint8_t kind)
{
	if (v->suspect_count < SUSPECTS_MAX)
		v->suspects[v->suspect_count++] = (struct suspect){from, to, id, kind};
	else if (to > v->suspects[SUSPECTS_MAX - 1].to)
		v->suspects[SUSPECTS_MAX - 1].to = to;
}

static int read_segment(void *arg, void *p, size_t n, uint32_t offset)
{
	struct recovery *v = arg;

	return spool_segment_read(v->s->io, v->s->dir, v->g, p, n, offset);
}

static int on_record(void *arg, const struct spool_record *r, uint32_t offset, struct span meta,
		     struct span data, int whole)
{
	struct recovery *v = arg;
	struct spool_point at = {v->g->mark.number, offset};

	(void)data;
	v->records++;
	if (r->stable > v->stable)
		v->stable = r->stable;
	if (!whole)
		suspect(v, offset, offset + spool_record_size(r), r->id, r->kind);
	return spool_replay_record(&v->replay, at, r, meta, whole);
}

static void on_gap(void *arg, uint32_t from, uint32_t to)
{
	suspect(arg, from, to, 0, 0);
}

/* What lies before the stable point, which later records or the CLOSE name, was whole once. */
static void judge(struct recovery *v)
{
	static const char *const kinds[] = {"unknown", "part",	"commit", "state",
					    "drop",    "close", "check",  "end", "copy"};
	char id[ID_TEXT_SIZE];

	for (unsigned i = 0; i < v->suspect_count; i++) {
		const struct suspect *w = &v->suspects[i];
		if (w->from >= v->g->stable) {
			v->torn = 1;
			if (!v->told)
				v->report->torn_bytes += w->to - w->from;
			continue;
		}
		v->g->damaged = 1;
		if (v->told)
			continue;
		v->report->damaged_records++;
		id_format(id, w->id);
		log_event(LOG_LEVEL_ERROR, w->id && spool_record_is_mail(w->kind) ? id : NULL,
			  "spool-damaged", "segment=%08x offset=%u bytes=%u kind=%s",
			  v->g->mark.number, w->from, w->to - w->from, kinds[w->kind]);
	}
}

static int walk(struct recovery *v, struct spool_segment *g)
{
	struct spool_scan sc = {.mark = g->mark,
				.size = g->size,
				.from = SPOOL_FIRST,
				.end = g->closed ? g->closed : g->end,
				.arg = v,
				.read = read_segment,
				.record = on_record,
				.gap = on_gap};
	int err;

	if (g->mark.number == v->from.segment && v->from.offset > SPOOL_FIRST)
		sc.from = v->from.offset;
	v->g = g;
	v->stable = 0;
	v->records = 0;
	v->suspect_count = 0;
	v->torn = 0;
	err = spool_scan_run(&sc);
	if (err)
		return err;
	if (g->closed && sc.tail < g->closed) {
		struct suspect *last = v->suspect_count ? &v->suspects[v->suspect_count - 1] : NULL;
		if (last && last->from == sc.tail)
			last->to = g->closed;
		else
			suspect(v, sc.tail, g->closed, 0, 0);
	}
	if (!g->closed)
		g->stable = v->stable;
	judge(v);
	v->report->records += v->told ? 0 : v->records;
	if (!g->closed)
		g->end = sc.tail;
	return 0;
}

/* Replays from a point on. *used: the newest segment that holds a record; *torn: something was not
 * written wholly in it or in those after it. */
static int replay(struct recovery *v, struct spool_point from, struct spool_segment **used,
		  int *torn)
{
	struct spool_log *s = v->s;

	spool_live_clear(&s->live);
	spool_replay_clear(&v->replay);
	if (spool_live_init(&s->live) < 0)
		return ERR_NOMEM;
	spool_replay_init(&v->replay, &s->live);
	v->from = from;
	*used = NULL;
	*torn = 0;
	for (size_t i = 0; i < s->set.count; i++) {
		struct spool_segment *g = s->set.all[i];
		int err;
		if (g->mark.number < from.segment) {
			g->end = g->closed ? g->closed : g->end;
			*used = g;
			continue;
		}
		err = walk(v, g);
		if (err)
			return err;
		if (v->records || g->closed || g->end > SPOOL_FIRST) {
			*used = g;
			*torn = 0;
		}
		*torn |= v->torn;
	}
	return 0;
}

static int replay_all(struct recovery *v, struct spool_segment **used, int *torn)
{
	struct spool_close c = spool_load_check(&v->files);
	struct spool_point oldest = {0, 0};
	int err = replay(v, c.check, used, torn);

	if (err || !c.check.segment)
		return err;
	if (v->replay.complete.segment && !spool_point_before(v->replay.complete, c.check))
		return 0;
	/* What the checkpoint should have said must be found out from everything that is left. */
	log_event(LOG_LEVEL_ERROR, NULL, "spool-checkpoint-damaged", "segment=%08x offset=%u",
		  c.check.segment, c.check.offset);
	v->report->damaged_records++;
	v->told = 1;
	return replay(v, oldest, used, torn);
}

/* --- what should live */

static int part_is_there(struct recovery *v, const struct spool_place *at, uint64_t id, int whole)
{
	struct spool_segment *g = spool_segment_set_find(&v->s->set, at->segment);
	uint32_t n = whole ? at->length : SPOOL_HEAD;
	struct spool_record r;
	uint8_t *p;
	int good;

	if (!g || at->offset > g->end || at->length > g->end - at->offset)
		return 0;
	p = malloc(n);
	good = p && spool_segment_read(v->s->io, v->s->dir, g, p, n, at->offset) == 0 &&
	       spool_record_get(&r, &g->mark, at->offset, g->size, span_of(p, n)) > 0 &&
	       r.kind == SPOOL_PART && r.id == id && spool_record_size(&r) == at->length &&
	       (!whole || spool_record_check(&r, span_of(p + SPOOL_HEAD, r.data)) == 0);
	free(p);
	return good;
}

/* Whether all of a message is there: its COMMIT's segment, and for one that has PARTs each of them.
 */
static int is_there(struct recovery *v, struct spool_entry *e)
{
	struct spool_segment *g = spool_segment_set_find(&v->s->set, e->at.segment);
	struct spool_point at = {e->at.segment, e->at.offset};
	int whole = !spool_point_before(at, v->from), good;
	struct spool_place part;
	struct spool_record r;
	uint8_t *p;
	size_t n;

	if (!g || e->at.offset > g->end || e->at.length > g->end - e->at.offset)
		return 0;
	if (!e->parts)
		return 1;
	n = SPOOL_HEAD + (size_t)e->parts * SPOOL_PLACE_SIZE;
	p = n <= e->at.length ? malloc(n) : NULL;
	good = p && spool_segment_read(v->s->io, v->s->dir, g, p, n, e->at.offset) == 0 &&
	       spool_record_get(&r, &g->mark, e->at.offset, g->size, span_of(p, n)) == (int)n &&
	       spool_record_is_message(r.kind) && r.id == e->id;
	for (unsigned i = 0; i < e->hold_count; i++)
		e->holds[i].bytes = 0; /* a checkpoint does not say how many */
	for (unsigned i = 0; good && i < e->parts; i++)
		good = spool_record_get_place(p + SPOOL_HEAD + i * SPOOL_PLACE_SIZE, &part) == 0 &&
		       part_is_there(v, &part, e->id, whole) &&
		       spool_live_hold(&v->s->live, e, part.segment, part.length) >= 0;
	free(p);
	return good;
}

/* A COMMIT of which nothing says that it was ever stable was answered to nobody: then its PARTs may be
 * missing. Those of a COPY were stable before it was written. */
static void not_there(struct recovery *v, const struct spool_entry *e)
{
	struct spool_segment *g = spool_segment_set_find(&v->s->set, e->at.segment);
	struct spool_point at = {e->at.segment, e->at.offset};
	char id[ID_TEXT_SIZE];

	if (g && !e->copied && e->at.offset >= g->stable && !spool_point_before(at, v->from)) {
		v->report->torn_bytes += e->at.length;
		v->s->check.wanted = 1;
		return;
	}
	id_format(id, e->id);
	log_event(LOG_LEVEL_ERROR, id, "spool-damaged",
		  "segment=%08x offset=%u bytes=%u kind=message", e->at.segment, e->at.offset,
		  e->at.length);
	v->report->damaged_records++;
	if (g)
		g->damaged = 1;
}

static void settle(struct recovery *v)
{
	struct spool_live *l = &v->s->live;

	for (uint32_t i = 0; i < l->slots; i++) {
		struct spool_entry *e = spool_live_slot(l, i);
		if (!e)
			continue;
		if (!is_there(v, e)) {
			not_there(v, e);
			spool_live_remove(l, e);
			continue;
		}
		for (unsigned k = 0; k < e->hold_count; k++)
			spool_segment_set_pin(&v->s->set, e->holds[k].segment, e->holds[k].bytes);
		spool_segment_set_pin(&v->s->set, e->at.segment, e->at.length);
		if (spool_live_quarantine(e))
			atomic_fetch_add(&v->s->number.quarantined, 1);
	}
}

/* --- going on */

static int short_file(const struct spool_segment *g)
{
	struct stat st;

	return fstat(g->fd, &st) < 0 || st.st_size < g->size;
}

/* Segments behind the newest used one hold nothing: the first may be the prepared next, the others
 * are kept or go. *fresh: the newest used one must not be written any more. */
static void choose(struct recovery *v, struct spool_segment *used, int torn, int *fresh)
{
	struct spool_log *s = v->s;

	*fresh = torn || used->damaged || used->size != s->options.segment_size || short_file(used);
	while (s->set.all[s->set.count - 1] != used) {
		struct spool_segment *g = s->set.all[s->set.count - 1];
		int good = !g->damaged && g->size == s->options.segment_size && !short_file(g);
		spool_segment_set_remove(&s->set, g);
		if (good && !torn && s->set.all[s->set.count - 1] == used) {
			spool_prepare_found(&s->prepare, g);
			continue;
		}
		spool_load_rename(s, g->mark.number, g->damaged ? "damaged" : "free");
		if (good)
			spool_prepare_keep(&s->prepare, g->mark.number);
		spool_segment_unref(g);
	}
	if (torn)
		s->check.wanted = 1; /* what is not whole in it shall not be asked about again */
	else
		used->stable = used->end;
	s->current = used;
}

int spool_recover(struct spool_log *s, struct spool_report *report, int *fresh)
{
	struct recovery *v = calloc(1, sizeof(*v));
	struct spool_segment *used = NULL;
	int err, torn = 0;

	if (!v)
		return ERR_NOMEM;
	v->s = s;
	v->report = report;
	memset(report, 0, sizeof(*report));
	v->files.s = s;
	v->files.report = report;
	err = spool_load_segments(&v->files);
	if (!err)
		err = replay_all(v, &used, &torn);
	if (!err) {
		spool_load_kept(&v->files);
		settle(v);
		if (!used && s->set.count)
			used = s->set.all[0];
		if (used)
			choose(v, used, torn, fresh);
		s->check.done = v->replay.complete;
		s->check.done_records = v->replay.complete_records;
		for (size_t i = 0; i < s->set.count; i++)
			if (s->set.all[i]->mark.number >= s->check.done.segment)
				s->check.since += s->set.all[i]->end;
		report->segments = s->set.count;
		report->live = s->live.committed;
		report->messages = s->live.committed + v->replay.finished;
	}
	spool_replay_clear(&v->replay);
	spool_load_clear(&v->files);
	free(v);
	return err;
}

static int by_place(const void *a, const void *b)
{
	const struct spool_entry *x = *(struct spool_entry *const *)a;
	const struct spool_entry *y = *(struct spool_entry *const *)b;

	if (x->at.segment != y->at.segment)
		return x->at.segment < y->at.segment ? -1 : 1;
	return x->at.offset < y->at.offset ? -1 : x->at.offset > y->at.offset;
}

int spool_recover_tell(struct spool_log *s, void (*found)(void *arg, const struct spool_found *f),
		       void *arg)
{
	struct spool_entry **all = malloc((s->live.count + 1) * sizeof(struct spool_entry *));
	size_t n = 0;

	if (!all)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < s->live.slots; i++)
		if (spool_live_slot(&s->live, i))
			all[n++] = spool_live_slot(&s->live, i);
	qsort(all, n, sizeof(*all), by_place);
	for (size_t i = 0; i < n; i++) {
		struct spool_found f = {.id = all[i]->id,
					.created = all[i]->created,
					.place = all[i]->at,
					.recipients = all[i]->recipients,
					.states = spool_live_states(all[i]),
					.live = 1};
		found(arg, &f);
	}
	free(all);
	return 0;
}
