/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_hits.h"

#include <stdio.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/ledger/ledger_text.h"
#include "sys/sys_map.h"

int ledger_hits_place_parse(struct span text, struct ledger_hits_place *out)
{
	ptrdiff_t colon = span_find(text, ':');

	*out = (struct ledger_hits_place){.first = 0};
	if (!text.n)
		return 0;
	if (colon < 0 || num_parse_u64(span_sub(text, 0, (size_t)colon), &out->first) < 0 ||
	    num_parse_u64(span_sub(text, (size_t)colon + 1, text.n), &out->at) < 0)
		return ERR_FORMAT;
	return 0;
}

void ledger_hits_place_format(char dst[LEDGER_HITS_PLACE], const struct ledger_hits_place *p)
{
	snprintf(dst, LEDGER_HITS_PLACE, "%llu:%llu", (unsigned long long)p->first, (unsigned long long)p->at);
}

static int is(struct span s, const char *want)
{
	return !want[0] || span_equal(s, span_str(want));
}

static int matches(const struct ledger_filter *f, const struct ledger_event *e)
{
	return (!f->since || e->at >= f->since) && (!f->until || e->at < f->until) && is(e->customer_text, f->customer) &&
	       is(e->campaign_text, f->campaign);
}

struct walk {
	const struct ledger_filter *f;
	int csv;
	size_t page, look, start;
	struct buf *out;
	unsigned count;
};

static int add(struct walk *w, const struct ledger_record *r)
{
	struct ledger_event e;

	if (r->kind != LEDGER_EVENT || ledger_record_get_event(r->body, &e) < 0 || !matches(w->f, &e))
		return 0;
	w->count++;
	if (w->csv)
		ledger_text_event_csv(w->out, &e);
	else
		ledger_text_event_json(w->out, &e);
	return buf_failed(w->out);
}

/* 1: enough, up to *at. */
static int walk_file(struct walk *w, struct span log, uint64_t *at)
{
	struct ledger_record r;
	int n, err = 0;

	while (err == 0 && *at < log.n) {
		if (buf_size(w->out) - w->start >= w->page || !w->look)
			return 1;
		n = ledger_record_parse(span_sub(log, (size_t)*at, log.n), &r);
		if (n <= 0)
			return 0;
		err = add(w, &r);
		*at += (size_t)n;
		w->look -= (size_t)n < w->look ? (size_t)n : w->look;
	}
	return err;
}

int ledger_hits_text(const struct ledger_query_in *in, const struct ledger_filter *f, struct ledger_hits_place *place,
		     int csv, size_t page, struct buf *out, unsigned *count)
{
	struct walk w = {.f = f, .csv = csv, .page = page, .look = LEDGER_HITS_LOOK, .start = buf_size(out), .out = out};
	char path[4200];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < in->count; i++) {
		const struct ledger_file *file = &in->all[i];
		struct span log;
		if (file->first < place->first)
			continue;
		if (file->first > place->first)
			*place = (struct ledger_hits_place){.first = file->first};
		ledger_files_path(in->files, path, sizeof(path), file->first, ".log");
		if (sys_map_open(path, file->size, &log) < 0)
			continue;
		sys_map_in_order(log);
		rc = walk_file(&w, log, &place->at);
		sys_map_close(&log);
	}
	*count = w.count;
	return rc;
}
