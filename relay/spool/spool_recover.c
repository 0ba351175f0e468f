/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/spool/spool_replay.h"
#include "relay/spool/spool_scan.h"

#define SUSPECTS_MAX 64 /* per segment; more are counted as one */

struct names {
	uint32_t *all;
	size_t count, room;
};

struct suspect { /* something is wrong there: damage, or never wholly written */
	uint32_t from, to;
	uint64_t id;
	uint8_t kind; /* 0: no record could be read */
};

struct recovery {
	struct spool_log *s;
	struct spool_report *report;
	struct names segments, kept;
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

/* --- files */

static int add_name(struct names *n, uint32_t number)
{
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		uint32_t *more = realloc(n->all, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		n->all = more;
		n->room = room;
	}
	n->all[n->count++] = number;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int list(struct recovery *v)
{
	int fd = openat(v->s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint32_t number;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	errno = 0;
	while (!err && (e = readdir(d))) {
		if (spool_segment_number(e->d_name, "seg", &number))
			err = add_name(&v->segments, number);
		else if (spool_segment_number(e->d_name, "free", &number))
			err = add_name(&v->kept, number);
		else if (spool_segment_number(e->d_name, "new", &number))
			v->s->io->unlink(v->s->dir, e->d_name);
	}
	if (!err && errno)
		err = ERR_IO;
	closedir(d);
	if (v->segments.count)
		qsort(v->segments.all, v->segments.count, sizeof(uint32_t), by_number);
	return err;
}

static void rename_segment(struct spool_log *s, uint32_t number, const char *suffix)
{
	char from[SPOOL_NAME_SIZE], to[SPOOL_NAME_SIZE];

	spool_segment_name(from, number, "seg");
	spool_segment_name(to, number, suffix);
	s->io->rename(s->dir, from, to);
}

/* Without a title, the first record still tells in which life of the file it was written. */
static int guess_title(struct recovery *v, int fd, uint32_t size, struct spool_title *t)
{
	uint8_t buf[SPOOL_HEAD + SPOOL_CLOSE_SIZE];
	struct spool_record r;
	struct span b = {buf, sizeof(buf)};

	if (spool_io_read(v->s->io, fd, buf, sizeof(buf), SPOOL_FIRST) < 0)
		return ERR_DAMAGED;
	t->mark.nonce = num_get_u64(buf);
	t->size = size & ~(SPOOL_PAGE - 1);
	t->created = 0;
	return spool_record_get(&r, &t->mark, SPOOL_FIRST, t->size, b) > 0 ? 0 : ERR_DAMAGED;
}

/* What kind of file it is: 0 a segment, ERR_NOTFOUND none that is in use, ERR_DAMAGED. */
static int read_title(struct recovery *v, int fd, uint32_t number, uint32_t size,
		      struct spool_title *t, int *damaged)
{
	uint8_t page[SPOOL_PAGE];
	int err;

	*damaged = 0;
	err = spool_io_read(v->s->io, fd, page, sizeof(page), 0);
	if (!err)
		err = spool_record_get_title(page, t);
	if (!err && t->mark.number != number)
		err = ERR_NOTFOUND;
	if (!err || err == ERR_NOTFOUND)
		return err;
	*damaged = 1;
	t->mark.number = number;
	return guess_title(v, fd, size, t);
}

static int load(struct recovery *v, uint32_t number)
{
	struct spool_log *s = v->s;
	char name[SPOOL_NAME_SIZE];
	struct spool_title t;
	struct spool_segment *g;
	struct stat st;
	int err, damaged, fd;

	spool_segment_name(name, number, "seg");
	fd = spool_segment_open(s->io, s->dir, name, O_RDWR, &err);
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "spool-refused", "file=%s reason=\"%s\"", name,
			  err_text(fd < 0 ? err : ERR_IO));
		if (fd >= 0)
			close(fd);
		return fd < 0 ? err : ERR_IO;
	}
	err = read_title(v, fd, number, (uint32_t)st.st_size, &t, &damaged);
	if (damaged) {
		v->report->damaged_records++;
		log_event(LOG_LEVEL_ERROR, NULL, "spool-damaged",
			  "segment=%08x offset=0 bytes=%u kind=title readable=%s", number,
			  SPOOL_PAGE, err ? "no" : "yes");
	}
	if (err) {
		close(fd);
		rename_segment(s, number, err == ERR_NOTFOUND ? "free" : "damaged");
		return err == ERR_NOTFOUND ? add_name(&v->kept, number) : 0;
	}
	g = spool_segment_new(&t, fd);
	if (!g) {
		close(fd);
		return ERR_NOMEM;
	}
	g->damaged = (uint8_t)damaged;
	/* where reading must stop, until more is known */
	atomic_store(&g->end, st.st_size < t.size ? (uint32_t)st.st_size : t.size);
	err = spool_segment_set_add(&s->set, g);
	if (err)
		spool_segment_unref(g);
	return err;
}

static void load_kept(struct recovery *v)
{
	for (size_t i = 0; i < v->kept.count; i++) {
		char name[SPOOL_NAME_SIZE];
		struct stat st;
		int err, fd;
		spool_segment_name(name, v->kept.all[i], "free");
		fd = spool_segment_open(v->s->io, v->s->dir, name, O_RDWR, &err);
		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == v->s->options.segment_size)
			spool_prepare_keep(&v->s->prepare, v->kept.all[i]);
		else
			v->s->io->unlink(v->s->dir, name);
		if (fd >= 0)
			close(fd);
	}
}

/* The CLOSEs that stand first in a segment. 1 if there was one; *last is the last. */
static int read_closings(struct recovery *v, const struct spool_segment *g,
			 struct spool_close *last)
{
	uint8_t buf[SPOOL_CLOSINGS_MAX * (SPOOL_HEAD + SPOOL_CLOSE_SIZE)];
	uint32_t offset = SPOOL_FIRST, at = 0, n = sizeof(buf);
	struct spool_segment *closed;
	struct spool_record r;
	int any = 0;

	if (g->end < SPOOL_FIRST + n)
		n = g->end > SPOOL_FIRST ? g->end - SPOOL_FIRST : 0;
	if (!n || spool_segment_read(v->s->io, v->s->dir, g, buf, n, SPOOL_FIRST) < 0)
		return 0;
	while (spool_record_get(&r, &g->mark, offset + at, g->size, span_of(buf + at, n - at)) >
		   0 &&
	       r.kind == SPOOL_CLOSE && spool_record_get_close(buf + at + SPOOL_HEAD, last) == 0) {
		any = 1;
		at += spool_record_size(&r);
		closed = spool_segment_set_find(&v->s->set, last->mark.number);
		if (closed && closed->mark.nonce == last->mark.nonce && last->end <= closed->size) {
			closed->closed = last->end;
			closed->stable = last->stable;
		}
	}
	return any;
}

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
					    "drop",    "close", "check",  "end"};
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
		log_event(LOG_LEVEL_ERROR, w->id && w->kind <= SPOOL_STATE ? id : NULL,
			  "spool-damaged", "segment=%08x offset=%u bytes=%u kind=%s",
			  v->g->mark.number, w->from, w->to - w->from, kinds[w->kind & 7]);
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

/* Where the last checkpoint that a CLOSE names began; segment 0: from the very beginning. */
static struct spool_close last_check(struct recovery *v)
{
	struct spool_close c, newest = {0};

	for (size_t i = 0; i < v->s->set.count; i++)
		if (read_closings(v, v->s->set.all[i], &c))
			newest = c;
	return newest;
}

static int replay_all(struct recovery *v, struct spool_segment **used, int *torn)
{
	struct spool_close c = last_check(v);
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
static int is_there(struct recovery *v, const struct spool_entry *e)
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
	       r.kind == SPOOL_COMMIT && r.id == e->id;
	for (unsigned i = 0; good && i < e->parts; i++)
		good = spool_record_get_place(p + SPOOL_HEAD + i * SPOOL_PLACE_SIZE, &part) == 0 &&
		       part_is_there(v, &part, e->id, whole);
	free(p);
	return good;
}

static void pin(struct spool_log *s, uint32_t number)
{
	struct spool_segment *g = spool_segment_set_find(&s->set, number);

	if (g)
		g->pins++;
}

/* A COMMIT of which nothing says that it was ever stable was answered to nobody: then its PARTs may be missing. */
static void not_there(struct recovery *v, const struct spool_entry *e)
{
	struct spool_segment *g = spool_segment_set_find(&v->s->set, e->at.segment);
	struct spool_point at = {e->at.segment, e->at.offset};
	char id[ID_TEXT_SIZE];

	if (g && e->at.offset >= g->stable && !spool_point_before(at, v->from)) {
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
		for (unsigned k = 0; k < e->segment_count; k++)
			pin(v->s, e->segments[k]);
		pin(v->s, e->at.segment);
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
		if (good && !torn && g->mark.number == used->mark.number + 1) {
			spool_prepare_found(&s->prepare, g);
			continue;
		}
		rename_segment(s, g->mark.number, g->damaged ? "damaged" : "free");
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
	err = list(v);
	for (size_t i = 0; !err && i < v->segments.count; i++)
		err = load(v, v->segments.all[i]);
	if (!err)
		err = replay_all(v, &used, &torn);
	if (!err) {
		load_kept(v);
		settle(v);
		if (!used && s->set.count)
			used = s->set.all[0];
		if (used)
			choose(v, used, torn, fresh);
		s->check.done = v->replay.complete;
		s->check.done_records = v->replay.complete_records;
		report->segments = s->set.count;
		report->live = s->live.committed;
		report->messages = s->live.committed + v->replay.finished;
	}
	spool_replay_clear(&v->replay);
	free(v->segments.all);
	free(v->kept.all);
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
