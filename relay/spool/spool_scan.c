/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_scan.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"

#define WINDOW \
	(2u << 20) /* read at a time; grows to SPOOL_RECORD_MAX for a record that is larger */
#define SMALL  (64u << 10) /* the same where only heads are read */
#define SECTOR 4096u	   /* given up when it cannot be read */

struct window {
	uint8_t *p;
	size_t room;
	uint32_t at, n; /* bytes at..at+n of the segment are in p */
};

/* Has the bytes at offset in the window, n of them if the scanned range has as many. ERR_IO,
 * ERR_NOMEM. */
static int need(struct spool_scan *sc, struct window *w, uint32_t offset, uint32_t n)
{
	uint32_t left = sc->end - offset, step = sc->heads_only ? SMALL : WINDOW, keep = 0;
	int err;

	if (n > left)
		n = left;
	if (offset >= w->at && offset - w->at <= w->n && w->n - (offset - w->at) >= n)
		return 0;
	if (step < n)
		step = n;
	if (step > left)
		step = left;
	if (step > w->room) {
		uint8_t *more = realloc(w->p, step);
		if (!more)
			return ERR_NOMEM;
		w->p = more;
		w->room = step;
	}
	if (w->p && offset >= w->at && offset - w->at < w->n) {
		keep = w->n - (offset - w->at);
		memmove(w->p, w->p + (offset - w->at), keep);
	}
	w->at = offset;
	w->n = keep;
	if (keep >= step)
		return 0;
	err = sc->read(sc->arg, w->p + keep, step - keep, offset + keep);
	if (err < 0 && step > n) {
		/* perhaps only what is beyond the need cannot be read */
		step = n;
		err = sc->read(sc->arg, w->p + keep, step - keep, offset + keep);
	}
	w->n = err < 0 ? keep : step;
	return err < 0 ? ERR_IO : 0;
}

static struct span seen(const struct window *w, uint32_t offset)
{
	return span_of(w->p + (offset - w->at), w->n - (offset - w->at));
}

/* >0: a record's head and meta; ERR_FORMAT: none begins here; ERR_IO, ERR_NOMEM. */
static int look(struct spool_scan *sc, struct window *w, uint32_t offset, struct spool_record *r)
{
	int n, err = need(sc, w, offset, SPOOL_HEAD);

	if (err < 0)
		return err;
	n = spool_record_get(r, &sc->mark, offset, sc->size, seen(w, offset));
	if (n == 0 &&
	    spool_record_size(r) <= sc->end - offset) { /* a plausible head; now its meta */
		err = need(sc, w, offset, SPOOL_HEAD + r->meta);
		if (err < 0)
			return err;
		n = spool_record_get(r, &sc->mark, offset, sc->size, seen(w, offset));
	}
	return n > 0 && spool_record_size(r) <= sc->end - offset ? n : ERR_FORMAT;
}

/* The next offset at which the segment's mark stands, or end. *lost: behind the last sector that
 * cannot be read. */
static int next_mark(struct spool_scan *sc, struct window *w, uint32_t *offset, uint32_t *lost)
{
	while (*offset < sc->end && sc->end - *offset >= SPOOL_HEAD) {
		struct span s;
		int err = need(sc, w, *offset, SPOOL_HEAD);
		if (err == ERR_NOMEM)
			return err;
		if (err < 0) {
			uint32_t skip = SECTOR - *offset % SECTOR;
			*offset = sc->end - *offset < skip ? sc->end : *offset + skip;
			*lost = *offset;
			continue;
		}
		s = seen(w, *offset);
		for (size_t i = 0; i + 8 <= s.n; i += SPOOL_ALIGN)
			if (num_get_u64(s.p + i) == sc->mark.nonce) {
				*offset += (uint32_t)i;
				return 0;
			}
		*offset += (uint32_t)(s.n & ~(size_t)(SPOOL_ALIGN - 1));
	}
	*offset = sc->end;
	return 0;
}

static int one_record(struct spool_scan *sc, struct window *w, uint32_t offset,
		      const struct spool_record *r, uint32_t head)
{
	struct span all, meta, data = {NULL, 0};
	int whole = 1, err;

	if (!sc->heads_only) {
		err = need(sc, w, offset, head + r->data);
		if (err == ERR_NOMEM)
			return err;
		if (err < 0) {
			err = need(sc, w, offset, head);
			if (err < 0)
				return err == ERR_NOMEM ? err : 0;
			whole = 0;
		} else {
			data = span_sub(seen(w, offset), head, r->data);
			whole = spool_record_check(r, data) == 0;
		}
	}
	all = seen(w, offset);
	meta = span_sub(all, SPOOL_HEAD, r->meta);
	return sc->record(sc->arg, r, offset, meta, data, whole);
}

int spool_scan_run(struct spool_scan *sc)
{
	struct window w = {0};
	uint32_t offset = sc->from, gap = 0, lost = 0;
	int err = 0;

	sc->tail = sc->from;
	if (sc->end > sc->size)
		sc->end = sc->size;
	while (!err && offset < sc->end && sc->end - offset >= SPOOL_HEAD) {
		struct spool_record r;
		int n = look(sc, &w, offset, &r);
		if (n > 0) {
			if (gap && sc->gap)
				sc->gap(sc->arg, gap, offset);
			gap = lost = 0;
			err = one_record(sc, &w, offset, &r, (uint32_t)n);
			offset += spool_record_size(&r);
			sc->tail = offset;
			continue;
		}
		if (n == ERR_NOMEM) {
			err = n;
			break;
		}
		gap = gap ? gap : offset;
		/* a broken head of this life, not what was there before it */
		if (need(sc, &w, offset, 8) == 0 &&
		    num_get_u64(seen(&w, offset).p) == sc->mark.nonce)
			lost = offset + SPOOL_HEAD;
		offset += SPOOL_ALIGN;
		err = next_mark(sc, &w, &offset, &lost);
	}
	if (!err && gap && lost > gap && sc->gap)
		sc->gap(sc->arg, gap, lost < sc->end ? lost : sc->end);
	free(w.p);
	return err;
}
