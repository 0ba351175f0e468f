/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "campaign/camp_splice.h"
#include "core/err.h"
#include "test/unit/gate_play.h"
#include "test/unit/mime_world.h"

enum { MESSAGES = 10000, EDITS = 64, LOGIC = -100 };

struct region {
	uint64_t from, to, new_from, new_to;
};

/* A message, what the gate read, edits, and what came of them. */
struct world {
	struct buf message, body, back;
	struct gate_play old, new;
	struct camp_edit edits[EDITS];
	struct {
		size_t from, to; /* in the canonical text */
	} marks[EDITS];
	size_t n_edits;
	struct camp_edit_part parts[MAIL_GATE_MAX_PARTS];
	struct region regions[EDITS];
	size_t n_regions;
	char texts[EDITS][128];
};
static struct world w;
static unsigned seed_now;

static void note(void *arg, uint64_t from, uint64_t to, uint64_t new_from, uint64_t new_to)
{
	struct world *x = arg;

	assert_true(x->n_regions < EDITS);
	x->regions[x->n_regions++] = (struct region){from, to, new_from, new_to};
}

static int take(void *arg, struct span raw)
{
	return buf_put_span(arg, raw);
}

static void parts_of(struct camp_edit_part *dst, const struct gate_play *p)
{
	for (unsigned i = 0; i < p->n_parts; i++) {
		const struct gate_play_part *q = &p->parts[i];
		dst[i] = (struct camp_edit_part){q->index,    q->encoding, q->protect, q->width,
						 q->raw_from, q->raw_to,   q->decoded};
	}
}

/* The body with the edits carried out, appended to out. piece: as for gate_play. */
static int splice(struct buf *out, struct span body, const struct camp_edit *edits, size_t n,
		  const struct gate_play *p, int piece)
{
	struct camp_splice *s;
	int rc;

	parts_of(w.parts, p);
	w.n_regions = 0;
	rc = camp_splice_new(&s, edits, n, w.parts, p->n_parts);
	if (rc < 0)
		return LOGIC + rc;
	camp_splice_watch(s, note, &w);
	while (body.n && rc == 0) {
		size_t k = piece > 0   ? (size_t)piece
			   : piece < 0 ? 1 + gate_play_random(200)
				       : body.n;
		rc = camp_splice_feed(s, span_sub(body, 0, k), take, out);
		body = span_sub(body, k, body.n);
	}
	if (rc == 0)
		rc = camp_splice_end(s, take, out);
	camp_splice_free(s);
	return rc;
}

static void world_clear(void)
{
	gate_play_clear(&w.old);
	gate_play_clear(&w.new);
	buf_clear(&w.message);
	buf_clear(&w.body);
	buf_clear(&w.back);
}

static void read_old(void)
{
	gate_play_run(&w.old, buf_span(&w.message), 0, GATE_PLAY_WHOLE);
	if (w.old.rc < 0)
		fail_msg("refused: %s at %u\n%.*s", mail_gate_rule_name(w.old.verdict.rule),
			 (unsigned)w.old.verdict.offset, (int)buf_size(&w.message),
			 (const char *)buf_ptr(&w.message));
}

/* The new body behind the old header section, through the gate. */
static void read_new(void)
{
	struct buf m;

	buf_init(&m, 1 << 24);
	buf_put(&m, buf_ptr(&w.message), buf_size(&w.message) - w.old.body.n);
	buf_put_span(&m, buf_span(&w.body));
	gate_play_run(&w.new, buf_span(&m), 0, GATE_PLAY_WHOLE);
	if (w.new.rc < 0)
		fail_msg("result refused: %s at %u\n%.*s", mail_gate_rule_name(w.new.verdict.rule),
			 (unsigned)w.new.verdict.offset, (int)buf_size(&m),
			 (const char *)buf_ptr(&m));
	w.new.body = buf_span(&w.body);
	buf_clear(&m);
}

/* --- edits at random */

static int is_start(struct span s, size_t i)
{
	return i >= s.n || (s.p[i] & 0xc0) != 0x80;
}

/* Somewhere from at on: sometimes a link, which does not end next to a blank or a line end. */
static int choose(const struct gate_play_part *q, size_t at, size_t *from, size_t *to)
{
	struct span s = buf_span(&q->octets);
	const uint8_t *link = s.n > at ? memmem(s.p + at, s.n - at, "https://", 8) : NULL;

	if (link && (q->flowed || gate_play_random(3))) {
		*from = (size_t)(link - s.p);
		*to = *from;
		while (*to < s.n && s.p[*to] != '"')
			++*to;
		return 1;
	}
	if (q->flowed || at > s.n)
		return 0;
	*from = at + gate_play_random((unsigned)(s.n - at + 1 < 200 ? s.n - at + 1 : 200));
	*to = *from + gate_play_random(30) * (gate_play_random(2) ? 1 : 5);
	while (!is_start(s, *from))
		++*from;
	if (*to > s.n)
		*to = s.n;
	while (!is_start(s, *to))
		++*to;
	return 1;
}

static uint64_t source(const struct gate_play_part *q, size_t at)
{
	return at < q->n_sources ? q->sources[at] : q->tail;
}

static void add_edit(const struct gate_play_part *q, size_t from, size_t to)
{
	static const char *const texts[] = {
	    "https://t.shop.example/c/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "",
	    "-",
	    "--",
	    "a=b",
	    "x y ",
	    "\t",
	    "<img src=\"https://t.shop.example/o/x\" alt=\"\" width=1>"};
	struct camp_edit *e = &w.edits[w.n_edits];
	char *text = w.texts[w.n_edits];

	strcpy(text, texts[q->flowed ? 0 : gate_play_random(8)]);
	if (!strcmp(q->charset, "utf-8") && !gate_play_random(5))
		strcat(text, "\xe2\x82\xac");
	*e = (struct camp_edit){q->index, CAMP_EDIT_TEXT, source(q, from),
				from == to ? source(q, from) : source(q, to), span_str(text)};
	w.marks[w.n_edits].from = from;
	w.marks[w.n_edits++].to = to;
}

static void make_edits(void)
{
	w.n_edits = 0;
	for (unsigned i = 0; i < w.old.n_parts; i++) {
		const struct gate_play_part *q = &w.old.parts[i];
		size_t at = 0, from, to;
		if (!q->text || q->protect || !gate_play_random(4))
			continue;
		for (unsigned n = gate_play_random(5); n && w.n_edits < EDITS; n--) {
			if (!choose(q, at, &from, &to))
				break;
			add_edit(q, from, to);
			at = to + 1;
		}
	}
}

/* --- what must hold */

/* The canonical text with its edits: what the result should read. */
static void expect(struct buf *out, const struct gate_play_part *q)
{
	struct span s = buf_span(&q->octets);
	size_t at = 0;

	for (size_t i = 0; i < w.n_edits; i++) {
		if (w.edits[i].part != q->index)
			continue;
		buf_put_span(out, span_sub(s, at, w.marks[i].from - at));
		buf_put_span(out, w.edits[i].text);
		at = w.marks[i].to;
	}
	buf_put_span(out, span_sub(s, at, s.n));
	while (buf_size(out) && out->data[out->len - 1] == '\n')
		out->len--;
}

static void parts_read_the_same(void)
{
	assert_int_equal(w.old.n_parts, w.new.n_parts);
	for (unsigned i = 0; i < w.old.n_parts; i++) {
		const struct gate_play_part *a = &w.old.parts[i], *b = &w.new.parts[i];
		struct buf want;
		buf_init(&want, 1 << 24);
		if (a->text)
			expect(&want, a);
		else
			buf_put_span(&want, buf_span(&a->octets));
		assert_int_equal(buf_size(&want), buf_size(&b->octets));
		if (buf_size(&want))
			assert_memory_equal(buf_ptr(&want), buf_ptr(&b->octets), buf_size(&want));
		assert_string_equal(a->type, b->type);
		buf_clear(&want);
	}
}

/* Outside the regions no octet changed; within them only lines with edits did. */
static void the_rest_is_untouched(void)
{
	struct span old = w.old.body, new = buf_span(&w.body);
	uint64_t at = 0, new_at = 0;

	for (size_t i = 0; i <= w.n_regions; i++) {
		struct region end = {old.n, old.n, new.n, new.n};
		struct region r = i < w.n_regions ? w.regions[i] : end;
		assert_true(r.from >= at && r.new_from >= new_at);
		assert_int_equal(r.from - at, r.new_from - new_at);
		assert_memory_equal(old.p + at, new.p + new_at, r.from - at);
		at = r.to;
		new_at = r.new_to;
	}
}

static uint64_t line_start(struct span body, uint64_t at)
{
	while (at && body.p[at - 1] != '\n')
		at--;
	return at;
}

/* A region of quoted-printable is of lines that hold edits; elsewhere it is the edit. */
static void regions_are_small(void)
{
	size_t k = 0;

	for (size_t i = 0; i < w.n_edits; i++) {
		const struct camp_edit *e = &w.edits[i];
		const struct gate_play_part *q = &w.old.parts[e->part];
		const struct region *r;
		if (q->encoding == MAIL_CTE_BASE64)
			continue;
		while (k < w.n_regions && w.regions[k].to < e->to)
			k++;
		assert_true(k < w.n_regions);
		r = &w.regions[k];
		assert_true(r->from <= e->from && r->to >= e->to);
		if (q->encoding != MAIL_CTE_QP)
			assert_true(r->from == e->from && r->to == e->to);
	}
	for (k = 0; k < w.n_regions; k++) {
		const struct region *r = &w.regions[k];
		int found = 0;
		for (size_t i = 0; i < w.n_edits && !found; i++)
			found = w.edits[i].from >= r->from && w.edits[i].from <= r->to &&
				line_start(w.old.body, w.edits[i].from) <= r->from;
		for (size_t i = 0; i < w.n_edits && !found; i++) /* in decoded places */
			found = w.old.parts[w.edits[i].part].encoding == MAIL_CTE_BASE64;
		assert_true(found);
	}
}

static unsigned part_at(const struct gate_play *p, uint64_t from, uint64_t to)
{
	for (unsigned i = p->n_parts; i-- > 0;)
		if (!p->parts[i].multipart && p->parts[i].raw_from <= from &&
		    to <= p->parts[i].raw_to)
			return i;
	fail_msg("a region lies in a part");
	return 0;
}

/* Edits that undo what changed. */
static void undo_restores(void)
{
	static struct camp_edit undo[EDITS];
	struct span old = w.old.body;
	size_t n = w.n_regions;

	for (size_t i = 0; i < n; i++) {
		const struct region *r = &w.regions[i];
		undo[i] = (struct camp_edit){
		    part_at(&w.new, r->new_from, r->new_to), CAMP_EDIT_RAW, r->new_from, r->new_to,
		    span_sub(old, (size_t)r->from, (size_t)(r->to - r->from))};
	}
	buf_reset(&w.back);
	assert_int_equal(splice(&w.back, buf_span(&w.body), undo, n, &w.new, GATE_PLAY_RANDOM), 0);
	assert_int_equal(buf_size(&w.back), old.n);
	assert_memory_equal(buf_ptr(&w.back), old.p, old.n);
}

/* Whether base64 has the one form that its width gives. */
static int is_regular(const struct gate_play_part *q, struct span body)
{
	struct span raw = span_sub(body, (size_t)q->raw_from, (size_t)(q->raw_to - q->raw_from));

	for (size_t column = 0, i = 0; i < raw.n; i++) {
		if (raw.p[i] != '\r') {
			if (++column > q->width)
				return 0;
			continue;
		}
		if (column != q->width && memchr(raw.p + i + 2, '\n', raw.n - i - 2))
			return 0;
		if (column != q->width && i + 2 != raw.n)
			return 0;
		column = 0;
		i++;
	}
	return q->width != 76 || raw.n > 78;
}

/* The edits backwards as TEXT: decoded text as it was; where nothing was encoded, each octet too. */
static void texts_put_back(void)
{
	static struct camp_edit undo[EDITS];
	long shift = 0;
	int exact = 1;

	for (size_t i = 0; i < w.n_edits; i++) {
		const struct camp_edit *e = &w.edits[i];
		const struct gate_play_part *a = &w.old.parts[e->part], *b = &w.new.parts[e->part];
		struct span was = span_sub(buf_span(&a->octets), w.marks[i].from,
					   w.marks[i].to - w.marks[i].from);
		size_t from, to;
		if (i && e->part != e[-1].part)
			shift = 0;
		from = (size_t)((long)w.marks[i].from + shift);
		to = from + e->text.n;
		shift += (long)e->text.n - (long)was.n;
		if (span_find(was, '\n') >= 0 || span_find(was, '\r') >= 0 || to > b->n_sources ||
		    !strcmp(a->charset, "iso-8859-1"))
			return; /* cannot be said as TEXT */
		undo[i] = (struct camp_edit){e->part, CAMP_EDIT_TEXT, source(b, from),
					     from == to ? source(b, from) : source(b, to), was};
		exact &= a->encoding < MAIL_CTE_QP ||
			 (a->encoding == MAIL_CTE_BASE64 && a->width == b->width &&
			  is_regular(a, w.old.body));
	}
	buf_reset(&w.back);
	if (splice(&w.back, buf_span(&w.body), undo, w.n_edits, &w.new, GATE_PLAY_RANDOM) < 0)
		return; /* a line that begins with dashes cannot be put back so */
	if (exact) {
		assert_int_equal(buf_size(&w.back), w.old.body.n);
		assert_memory_equal(buf_ptr(&w.back), w.old.body.p, w.old.body.n);
	}
}

static void check_new_lines(void)
{
	struct span new = buf_span(&w.body);

	for (size_t i = 0; i < w.n_regions; i++) {
		const struct region *r = &w.regions[i];
		const struct gate_play_part *q =
		    &w.new.parts[part_at(&w.new, r->new_from, r->new_to)];
		size_t column = 0;
		for (uint64_t k = r->new_from; k < r->new_to; k++) {
			column = new.p[k] == '\n' ? 0 : column + 1;
			if (q->encoding == MAIL_CTE_QP)
				assert_true(column <= 76 + (new.p[k] == '\r'));
		}
	}
}

/* With SEED=n: what is done to that message. */
static void tell(void)
{
	print_message("%.*s\n", (int)buf_size(&w.message), (const char *)buf_ptr(&w.message));
	for (size_t i = 0; i < w.n_edits; i++)
		print_message("edit of part %u: %u-%u [%.*s]\n", w.edits[i].part,
			      (unsigned)w.edits[i].from, (unsigned)w.edits[i].to,
			      (int)w.edits[i].text.n, (const char *)w.edits[i].text.p);
	for (size_t i = 0; i < w.n_regions; i++)
		print_message("region %u-%u became %u-%u\n", (unsigned)w.regions[i].from,
			      (unsigned)w.regions[i].to, (unsigned)w.regions[i].new_from,
			      (unsigned)w.regions[i].new_to);
	print_message("%.*s\n", (int)buf_size(&w.body), (const char *)buf_ptr(&w.body));
}

/* 0: edited; < 0: the edits cannot be made. */
static int one_message(unsigned seed)
{
	struct buf again;
	int rc;

	buf_init(&w.message, 1 << 24);
	buf_init(&w.body, 1 << 24);
	buf_init(&w.back, 1 << 24);
	mime_world_make(&w.message, seed);
	read_old();
	make_edits();
	rc = splice(&w.body, w.old.body, w.edits, w.n_edits, &w.old, GATE_PLAY_WHOLE);
	if (getenv("SEED"))
		tell();
	if (rc < 0) {
		assert_true(rc == ERR_DENIED || rc == ERR_LIMIT);
		return rc;
	}
	read_new();
	parts_read_the_same();
	the_rest_is_untouched();
	regions_are_small();
	check_new_lines();
	undo_restores();
	texts_put_back();
	buf_init(&again, 1 << 24);
	assert_int_equal(
	    splice(&again, w.old.body, w.edits, w.n_edits, &w.old, seed % 3 ? GATE_PLAY_RANDOM : 1),
	    0);
	assert_true(span_equal(buf_span(&again), buf_span(&w.body)));
	buf_reset(&again);
	assert_int_equal(splice(&again, w.old.body, NULL, 0, &w.old, GATE_PLAY_RANDOM), 0);
	assert_true(span_equal(buf_span(&again), w.old.body));
	buf_clear(&again);
	return 0;
}

static void ten_thousand_messages(void **state)
{
	unsigned from = 0, to = MESSAGES, edited = 0, refused = 0;
	const char *seed = getenv("SEED"); /* one of them alone */

	(void)state;
	if (seed) {
		from = (unsigned)atoi(seed);
		to = from + 1;
	}
	for (unsigned i = from; i < to; i++) {
		int rc;
		seed_now = i;
		rc = one_message(i);
		refused += rc < 0;
		edited += rc == 0 && w.n_edits;
		world_clear();
	}
	if (!seed)
		assert_true(edited > MESSAGES / 2 && refused < MESSAGES / 20);
}

/* --- single cases: one leaf, LF written for CR LF */

static void begin_case(const char *fields, const char *body)
{
	buf_init(&w.message, 1 << 24);
	buf_init(&w.body, 1 << 24);
	buf_init(&w.back, 1 << 24);
	buf_putf(&w.message,
		 "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n%s\r\n\r\n",
		 fields);
	for (; *body; body++)
		buf_put(&w.message, *body == '\n' ? "\r\n" : body, *body == '\n' ? 2 : 1);
	w.n_edits = 0;
	read_old();
}

/* Puts text in the place of the first "old" of the first leaf's text. */
static void replace(const char *old, const char *text)
{
	const struct gate_play_part *q = w.old.parts;
	const uint8_t *at;

	while (!q->text)
		q++;
	at = memmem(buf_ptr(&q->octets), buf_size(&q->octets), old, strlen(old));
	assert_non_null(at);
	size_t from = (size_t)(at - buf_ptr(&q->octets)), to = from + strlen(old);
	w.edits[w.n_edits++] = (struct camp_edit){q->index, CAMP_EDIT_TEXT, source(q, from),
						  source(q, to), span_str(text)};
}

static int run_case(void)
{
	return splice(&w.body, w.old.body, w.edits, w.n_edits, &w.old, GATE_PLAY_RANDOM);
}

static void body_is(const char *want)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (; *want; want++)
		buf_put(&b, *want == '\n' ? "\r\n" : want, *want == '\n' ? 2 : 1);
	assert_int_equal(run_case(), 0);
	assert_int_equal(buf_size(&b), buf_size(&w.body));
	assert_memory_equal(buf_ptr(&b), buf_ptr(&w.body), buf_size(&b));
	buf_clear(&b);
	world_clear();
}

#define QP     "Content-Transfer-Encoding: quoted-printable"
#define BASE64 "Content-Transfer-Encoding: base64"
#define EIGHT  "Content-Transfer-Encoding: 8bit"

static void quoted_printable_is_wrapped_where_it_changed(void **state)
{
	(void)state;
	begin_case(QP, "untouched=\n line\n<a href=3D\"OLD\">caf=c3=a9</a>=\nrest=20\n");
	replace("OLD", "https://t.shop.example/c/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?=&b");
	body_is("untouched=\n line\n<a href=3D\"https://t.shop.example/c/"
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA?=3D=\n&b\">caf=c3=a9</a>=\nrest=20\n");
	begin_case(QP, "a O=\nL=\nD b\nc\n");
	replace("OLD", "new");
	body_is("a new b\nc\n");
	begin_case(QP, "one\nOLD\nthree\n");
	replace("OLD\nth", "");
	body_is("one\nree\n");
	begin_case(QP, "one OLD\ntwo\n");
	replace("OLD", "");
	body_is("one=20\ntwo\n");
	begin_case(QP, "OLDx\n");
	replace("OLD", "--");
	body_is("=2D-x\n");
	begin_case(QP, "--OLD\n");
	replace("OLD", "boundary");
	body_is("=2D-boundary\n");
	begin_case(QP, "-- OLD\n");
	replace("OLD", "x");
	body_is("-- x\n");
	/* 76 characters without a soft break are a line; with one, 75 */
	begin_case(QP,
		   "OLD456789012345678901234567890123456789012345678901234567890123456789012345\n");
	replace("OLD", "123");
	body_is("123456789012345678901234567890123456789012345678901234567890123456789012345\n");
	begin_case(
	    QP, "OLD4567890123456789012345678901234567890123456789012345678901234567890123456\n");
	replace("OLD", "123");
	body_is("1234567890123456789012345678901234567890123456789012345678901234567890123456\n");
	begin_case(
	    QP, "OLD45678901234567890123456789012345678901234567890123456789012345678901234567\n");
	replace("OLD", "123");
	body_is(
	    "123456789012345678901234567890123456789012345678901234567890123456789012345=\n67\n");
}

static void base64_keeps_its_width(void **state)
{
	(void)state;
	begin_case(BASE64, "YWJj\nT0xE\nZGVm\nZw==\n\n"); /* abcOLDdefg */
	replace("OLD", "12345");
	body_is("YWJj\nMTIz\nNDVk\nZWZn\n\n");
	begin_case(BASE64, "YWJj\nT0xE\nZGVm\nZw==\n\n");
	replace("OLD", "");
	body_is("YWJj\nZGVm\nZw==\n\n");
	begin_case(BASE64, "YWJjT0xE\nZGVmZ2hp\n");
	replace("hi", "hiJKL");
	body_is("YWJjT0xE\nZGVmZ2hp\nSktM\n");
	begin_case(BASE64, "YW\nJjT0x\nE\n"); /* ragged up to the line that changes */
	replace("OLD", "xyz");
	body_is("YW\nJj\neH\nl6\n");
}

static void plain_lines_stay_lines(void **state)
{
	static char line[1000];

	(void)state;
	begin_case(EIGHT, "caf\xc3\xa9 \"OLD\"\nOLD\n");
	replace("OLD", "https://t.shop.example/\xc3\xa9");
	body_is("caf\xc3\xa9 \"https://t.shop.example/\xc3\xa9\"\nOLD\n");
	memset(line, 'x', 995);
	memcpy(line + 995, "OLD", 4);
	begin_case(EIGHT, line);
	replace("OLD", "NEW");
	assert_int_equal(run_case(), 0);
	buf_reset(&w.body);
	w.edits[0].text = SPAN_LIT("FOUR");
	assert_int_equal(run_case(), ERR_LIMIT);
	world_clear();
	begin_case(EIGHT, "a\nOLDx\n");
	replace("OLD", "--");
	assert_int_equal(run_case(), ERR_DENIED);
	world_clear();
	begin_case(EIGHT, "a\n-OLDx\n");
	replace("OLD", "-");
	assert_int_equal(run_case(), ERR_DENIED);
	world_clear();
	begin_case(EIGHT, "a\n--OLD\n");
	replace("OLD", "boundary");
	assert_int_equal(run_case(), ERR_DENIED);
	world_clear();
	begin_case(EIGHT, "a\n-- OLD\n");
	replace("OLD", "-");
	body_is("a\n-- -\n");
}

static void what_must_not_be_edited_is_not(void **state)
{
	(void)state;
	begin_case("X: y", "one two\n"); /* 7bit */
	replace("one", "\xc3\xa9");
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT);
	w.edits[0].text = SPAN_LIT("a\nb");
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT);
	w.edits[0].text = SPAN_LIT("fine");
	w.edits[1] = w.edits[0];
	w.n_edits = 2;
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT); /* overlap */
	w.edits[1] = (struct camp_edit){0, CAMP_EDIT_RAW, 4, 5, SPAN_LIT("x")};
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT); /* kinds */
	w.edits[1] = (struct camp_edit){0, CAMP_EDIT_TEXT, 4, 5000, SPAN_LIT("x")};
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT);
	w.edits[1] = (struct camp_edit){1, CAMP_EDIT_TEXT, 4, 5, SPAN_LIT("x")};
	assert_int_equal(run_case(), LOGIC + ERR_FORMAT);
	world_clear();
	begin_case("X: y", "-----BEGIN PGP SIGNED MESSAGE-----\n\nOLD\n");
	replace("OLD", "new");
	assert_int_equal(run_case(), LOGIC + ERR_DENIED);
	world_clear();
	begin_case(QP, "a OLD b\n");
	replace("OLD", "new");
	w.old.body = SPAN_LIT("a OL");
	assert_int_equal(run_case(), ERR_FORMAT); /* another body than was read */
	world_clear();
}

static void edits_are_sorted(void **state)
{
	static struct camp_edit e[500];

	(void)state;
	for (size_t i = 0; i < 500; i++)
		e[i] = (struct camp_edit){
		    .part = gate_play_random(4), .from = gate_play_random(100), .to = i};
	assert_int_equal(camp_edit_sort(e, 500), 0);
	for (size_t i = 1; i < 500; i++) {
		assert_true(e[i - 1].part <= e[i].part);
		if (e[i - 1].part == e[i].part)
			assert_true(e[i - 1].from < e[i].from ||
				    (e[i - 1].from == e[i].from && e[i - 1].to < e[i].to));
	}
}

/* What failed, to be looked at alone: SEED=n. */
static int tell_seed(void **state)
{
	(void)state;
	if (seed_now + 1 < MESSAGES)
		print_message("SEED=%u\n", seed_now);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quoted_printable_is_wrapped_where_it_changed),
	    cmocka_unit_test(base64_keeps_its_width),
	    cmocka_unit_test(plain_lines_stay_lines),
	    cmocka_unit_test(what_must_not_be_edited_is_not),
	    cmocka_unit_test(edits_are_sorted),
	    cmocka_unit_test_teardown(ten_thousand_messages, tell_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
