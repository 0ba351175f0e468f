/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of a message that passes the gate: the same new body for any cutting, octets outside what was
 * touched are as they were, undoing restores all, and the gate reads what it should. First octet: number
 * of edits; four for each (part, place, length, text); then the message. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_splice.h"
#include "core/err.h"
#include "test/unit/gate_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EDITS = 8 };

struct play {
	struct gate_play old, new;
	struct camp_edit_part parts[MAIL_GATE_MAX_PARTS];
	struct camp_edit edits[EDITS], undo[EDITS];
	struct {
		size_t from, to;
	} marks[EDITS];
	struct {
		uint64_t from, to, new_from, new_to;
	} regions[EDITS];
	size_t n, n_regions;
	struct buf body, again, message;
};

static void must(int truth)
{
	if (!truth)
		abort();
}

static int take(void *arg, struct span raw)
{
	return buf_put_span(arg, raw);
}

static void note(void *arg, uint64_t from, uint64_t to, uint64_t new_from, uint64_t new_to)
{
	struct play *p = arg;

	must(p->n_regions < EDITS && from <= to && new_from <= new_to);
	p->regions[p->n_regions].from = from;
	p->regions[p->n_regions].to = to;
	p->regions[p->n_regions].new_from = new_from;
	p->regions[p->n_regions++].new_to = new_to;
}

static int splice(struct play *p, struct buf *out, struct span body, const struct camp_edit *edits,
		  size_t n, const struct gate_play *g, int piece)
{
	struct camp_splice *s;
	int rc;

	for (unsigned i = 0; i < g->n_parts; i++) {
		const struct gate_play_part *q = &g->parts[i];
		p->parts[i] =
		    (struct camp_edit_part){q->index,	 q->encoding, q->protect, q->width,
					    q->raw_from, q->raw_to,   q->decoded};
	}
	p->n_regions = 0;
	rc = camp_splice_new(&s, edits, n, p->parts, g->n_parts);
	if (rc < 0)
		return rc;
	camp_splice_watch(s, note, p);
	while (rc == 0 && body.n) {
		size_t k = piece ? (size_t)piece : body.n;
		rc = camp_splice_feed(s, span_sub(body, 0, k), take, out);
		body = span_sub(body, k, body.n);
	}
	if (rc == 0)
		rc = camp_splice_end(s, take, out);
	camp_splice_free(s);
	return rc;
}

static size_t place(const struct gate_play_part *q, size_t at)
{
	while (at < q->n_sources && (buf_ptr(&q->octets)[at] & 0xc0) == 0x80)
		at++;
	return at < q->n_sources ? at : q->n_sources;
}

static uint64_t source(const struct gate_play_part *q, size_t at)
{
	return at < q->n_sources ? q->sources[at] : q->tail;
}

/* Edits go forward: one that would not is left out. */
static void add(struct play *p, const uint8_t *d)
{
	static const char *const texts[] = {"",	  "https://t.shop.example/c/A?=b", "-", "--", " ",
					    "x ="};
	const struct gate_play_part *q = &p->old.parts[d[0] % p->old.n_parts];
	const struct camp_edit *last = p->n ? &p->edits[p->n - 1] : NULL;
	size_t from = place(q, d[1]), to = place(q, from + d[2]);

	if (!q->text || q->protect || (last && last->part > q->index) ||
	    (last && last->part == q->index && p->marks[p->n - 1].to >= from))
		return;
	p->marks[p->n].from = from;
	p->marks[p->n].to = to;
	p->edits[p->n++] = (struct camp_edit){q->index, CAMP_EDIT_TEXT, source(q, from),
					      source(q, to), span_str(texts[d[3] % 6])};
}

static void check_rest(const struct play *p)
{
	struct span old = p->old.body, new = buf_span(&p->body);
	uint64_t at = 0, new_at = 0;

	for (size_t i = 0; i <= p->n_regions; i++) {
		uint64_t to = i < p->n_regions ? p->regions[i].from : old.n;
		uint64_t new_to = i < p->n_regions ? p->regions[i].new_from : new.n;
		must(to >= at && to - at == new_to - new_at);
		must(to == at || !memcmp(old.p + at, new.p + new_at, to - at));
		at = i < p->n_regions ? p->regions[i].to : 0;
		new_at = i < p->n_regions ? p->regions[i].new_to : 0;
	}
}

/* The text with its edits. Joined lines of format=flowed read otherwise. */
static void check_text(const struct play *p, const struct gate_play_part *a,
		       const struct gate_play_part *b)
{
	struct span s = buf_span(&a->octets);
	struct buf want;
	size_t at = 0;

	buf_init(&want, 1 << 24);
	for (size_t i = 0; i < p->n; i++) {
		if (p->edits[i].part != a->index)
			continue;
		buf_put_span(&want, span_sub(s, at, p->marks[i].from - at));
		buf_put_span(&want, p->edits[i].text);
		at = p->marks[i].to;
	}
	buf_put_span(&want, span_sub(s, at, s.n));
	while (buf_size(&want) && want.data[want.len - 1] == '\n')
		want.len--;
	must(a->flowed || span_find(s, '\r') >= 0 ||
	     span_equal(buf_span(&want), buf_span(&b->octets)));
	buf_clear(&want);
}

/* An edit may make text that the gate has a rule against; it may not make another tree. */
static void check_result(struct play *p, struct span header)
{
	buf_put_span(&p->message, header);
	buf_put_span(&p->message, buf_span(&p->body));
	if (gate_play_run(&p->new, buf_span(&p->message), 0, GATE_PLAY_WHOLE) < 0) {
		enum mail_gate_rule r = p->new.verdict.rule;
		must(r == MAIL_GATE_BOUNDARY_INLINE || r == MAIL_GATE_UUENCODE ||
		     r == MAIL_GATE_TEXT_FORM);
		return;
	}
	must(p->new.n_parts == p->old.n_parts);
	for (unsigned i = 0; i < p->old.n_parts; i++)
		if (p->old.parts[i].text)
			check_text(p, &p->old.parts[i], &p->new.parts[i]);
	for (size_t i = 0; i < p->n_regions; i++) {
		unsigned k = p->new.n_parts - 1;
		while (p->new.parts[k].multipart ||
		       p->new.parts[k].raw_from > p->regions[i].new_from ||
		       p->new.parts[k].raw_to < p->regions[i].new_to) {
			must(k > 0);
			k--;
		}
		p->undo[i] = (struct camp_edit){k, CAMP_EDIT_RAW, p->regions[i].new_from,
						p->regions[i].new_to,
						span_sub(p->old.body, p->regions[i].from,
							 p->regions[i].to - p->regions[i].from)};
	}
	buf_reset(&p->again);
	if (p->new.parts[0].protect)
		return;
	if (splice(p, &p->again, buf_span(&p->body), p->undo, p->n_regions, &p->new, 5) !=
	    ERR_DENIED)
		must(span_equal(buf_span(&p->again), p->old.body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct play play;
	struct play *p = &play;
	size_t n = size ? data[0] % EDITS : 0;
	struct span message;

	if (size < 1 + n * 4)
		return 0;
	message = span_of(data + 1 + n * 4, size - 1 - n * 4);
	buf_init(&p->body, 1 << 24);
	buf_init(&p->again, 1 << 24);
	buf_init(&p->message, 1 << 24);
	p->n = 0;
	if (gate_play_run(&p->old, message, 0, GATE_PLAY_WHOLE) == 0 && p->old.body.n) {
		for (size_t i = 0; i < n; i++)
			add(p, data + 1 + i * 4);
		int rc = splice(p, &p->body, p->old.body, p->edits, p->n, &p->old, 0);
		must(rc == 0 || rc == ERR_DENIED || rc == ERR_LIMIT);
		must(splice(p, &p->again, p->old.body, p->edits, p->n, &p->old, 3) == rc);
		if (rc == 0) {
			must(span_equal(buf_span(&p->body), buf_span(&p->again)));
			check_rest(p);
			check_result(p, span_sub(message, 0, message.n - p->old.body.n));
			gate_play_clear(&p->new);
		}
	}
	gate_play_clear(&p->old);
	buf_clear(&p->body);
	buf_clear(&p->again);
	buf_clear(&p->message);
	return 0;
}
