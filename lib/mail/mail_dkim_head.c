/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_dkim_head.h"

#include <stdlib.h>

#include "core/err.h"

static const struct {
	const char *text;
	uint8_t n, flags;
} names[] = {
#define MAIL_DKIM_ROW(sym, name, flags) {name, sizeof(name) - 1, flags},
    MAIL_DKIM_NAMES(MAIL_DKIM_ROW)
#undef MAIL_DKIM_ROW
};

void mail_dkim_head_init(struct mail_dkim_head *h, size_t max)
{
	memset(h, 0, sizeof(*h));
	h->max = max;
	buf_init_wiped(&h->text, max + MAIL_DKIM_LINE + 2);
	buf_init_wiped(&h->line, MAIL_DKIM_LINE);
}

void mail_dkim_head_clear(struct mail_dkim_head *h)
{
	buf_clear(&h->text);
	buf_clear(&h->line);
	free(h->places);
	mail_dkim_head_init(h, h->max);
}

/* --- one field in relaxed form */

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Length of the name that a line begins with if it is the first of a field, else 0. Blanks before the colon were once
 * allowed (RFC 5322 4.5). */
static size_t name_of(struct span line)
{
	size_t n = 0, i;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 0x7f && line.p[n] != ':')
		n++;
	for (i = n; i < line.n && is_blank(line.p[i]); i++)
		;
	return n && i < line.n && line.p[i] == ':' ? n : 0;
}

static struct span without_end(struct span line)
{
	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static void put_name(struct span name, struct buf *out)
{
	uint8_t *p = buf_reserve(out, name.n + 1);

	if (!p)
		return;
	for (size_t i = 0; i < name.n; i++)
		p[i] = lower(name.p[i]);
	p[name.n] = ':';
	buf_commit(out, name.n + 1);
}

/* One line of a value; *begun: something of the value was put. Never longer than the line. */
static void put_value(struct span line, int *begun, struct buf *out)
{
	uint8_t *to = buf_reserve(out, line.n ? line.n : 1), *p = to;
	int blank = 0;

	if (!to)
		return;
	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = line.p[i];
		if (is_blank(c)) {
			blank = 1;
			continue;
		}
		if (blank && *begun)
			*p++ = ' ';
		blank = 0;
		*begun = 1;
		*p++ = c;
	}
	buf_commit(out, (size_t)(p - to));
}

int mail_dkim_head_relax(struct span field, struct buf *out)
{
	size_t name = name_of(field);
	int begun = 0;

	if (!name)
		return ERR_FORMAT;
	put_name(span_sub(field, 0, name), out);
	field = span_sub(field, name + (size_t)span_find(span_sub(field, name, field.n), ':') + 1, field.n);
	while (field.n) {
		ptrdiff_t lf = span_find(field, '\n');
		size_t n = lf < 0 ? field.n : (size_t)lf + 1;
		put_value(without_end(span_sub(field, 0, n)), &begun, out);
		field = span_sub(field, n, field.n);
	}
	return buf_put(out, "\r\n", 2);
}

/* --- what is gathered */

static int listed(struct span name)
{
	for (int i = 0; i < MAIL_DKIM_NAME_COUNT; i++)
		if (name.n == names[i].n && lower(name.p[0]) == lower((uint8_t)names[i].text[0]) &&
		    span_equal_nocase(name, span_of(names[i].text, names[i].n)))
			return i;
	return -1;
}

/* All fields of that name go. */
static void leave_out(struct mail_dkim_head *h, int name)
{
	uint8_t *data = h->text.data;
	uint32_t to = 0;
	unsigned kept = 0;

	for (unsigned i = 0; i < h->count; i++) {
		struct mail_dkim_place p = h->places[i];
		if (p.name == name) {
			h->listed &= i + 1 < h->count;
			continue;
		}
		memmove(data + to, data + p.at, p.n);
		p.at = to;
		to += p.n;
		h->places[kept++] = p;
	}
	h->count = kept;
	h->text.len = to;
	h->names[name].octets = 0;
	h->names[name].left_out = 1;
}

int mail_dkim_head_choose(struct mail_dkim_head *h, size_t room)
{
	while (!h->too_long && buf_size(&h->text) > room) {
		int most = -1;
		for (int i = 0; i < MAIL_DKIM_NAME_COUNT; i++)
			if (!(names[i].flags & MAIL_DKIM_KEEP) && h->names[i].octets &&
			    (most < 0 || h->names[i].octets > h->names[most].octets))
				most = i;
		if (most < 0)
			return ERR_LIMIT;
		leave_out(h, most);
	}
	return h->too_long ? ERR_LIMIT : 0;
}

/* A line has come: is it still something that can be signed? */
static void bound(struct mail_dkim_head *h)
{
	if (mail_dkim_head_choose(h, h->max) == 0)
		return;
	h->too_long = 1;
	h->listed = 0; /* nothing more is gathered */
}

static int add_place(struct mail_dkim_head *h, int name)
{
	struct mail_dkim_place *more = h->places;
	unsigned room = h->room ? 2 * h->room : 16;

	if (h->count == h->room) {
		more = realloc(more, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		h->places = more;
		h->room = room;
	}
	h->places[h->count++] = (struct mail_dkim_place){.name = (uint8_t)name, .at = (uint32_t)buf_size(&h->text)};
	return 0;
}

/* What stands behind at belongs to the last field. */
static int account(struct mail_dkim_head *h, size_t at)
{
	struct mail_dkim_place *p = &h->places[h->count - 1];
	int err = buf_put(&h->text, "\r\n", 2);
	uint32_t more = (uint32_t)(buf_size(&h->text) - at);

	if (err < 0)
		return err;
	p->n += more;
	h->names[p->name].octets += more;
	bound(h);
	return 0;
}

static int begin_field(struct mail_dkim_head *h, struct span line, size_t name)
{
	int which = listed(span_sub(line, 0, name));
	size_t at = buf_size(&h->text), colon;
	int err;

	h->open = 1;
	h->begun = h->listed = 0;
	if (which < 0)
		return 0;
	if (++h->names[which].times > MAIL_DKIM_TIMES && !h->names[which].left_out) {
		h->too_long |= (names[which].flags & MAIL_DKIM_KEEP) != 0;
		leave_out(h, which);
	}
	if (h->names[which].left_out || h->too_long)
		return 0;
	err = add_place(h, which);
	if (err < 0)
		return err;
	h->listed = 1;
	colon = name + (size_t)span_find(span_sub(line, name, line.n), ':');
	put_name(span_sub(line, 0, name), &h->text);
	put_value(without_end(span_sub(line, colon + 1, line.n)), &h->begun, &h->text);
	return account(h, at);
}

static int continue_field(struct mail_dkim_head *h, struct span line)
{
	struct mail_dkim_place *p;
	size_t at;

	if (!h->listed)
		return 0; /* and there may be no place at all */
	p = &h->places[h->count - 1];
	h->text.len -= 2; /* its CR LF comes behind this line */
	p->n -= 2;
	h->names[p->name].octets -= 2;
	at = buf_size(&h->text);
	put_value(without_end(line), &h->begun, &h->text);
	return account(h, at);
}

enum { FIELD, EMPTY, BODY };

/* A line, with its LF unless the message ends in it. Its kind, or ERR_NOMEM. */
static int take_line(struct mail_dkim_head *h, struct span line)
{
	size_t name;
	int err;

	if (line.n == 2 && line.p[0] == '\r' && line.p[1] == '\n')
		return EMPTY;
	if (is_blank(line.p[0])) {
		if (!h->open)
			return BODY;
		err = continue_field(h, line);
	} else {
		name = name_of(line);
		if (!name)
			return BODY;
		err = begin_field(h, line, name);
	}
	return err < 0 ? err : FIELD;
}

static void finish(struct mail_dkim_head *h, int broken)
{
	h->done = 1;
	h->broken = broken;
}

/* A line of in, or its rest. Its octets, or ERR_NOMEM; 0: it belongs to the body, and so does what came of it before. */
static ptrdiff_t feed_line(struct mail_dkim_head *h, struct span in, struct span *before)
{
	ptrdiff_t lf = span_find(in, '\n');
	size_t earlier = buf_size(&h->line), n = lf < 0 ? in.n : (size_t)lf + 1;
	struct span line = span_sub(in, 0, n);
	int kind = BODY;

	if (earlier + n <= MAIL_DKIM_LINE) {
		if ((lf < 0 || earlier) && buf_put_span(&h->line, line) < 0)
			return ERR_NOMEM;
		if (lf < 0)
			return (ptrdiff_t)n;
		kind = take_line(h, earlier ? buf_span(&h->line) : line);
		if (kind < 0)
			return kind;
	}
	if (kind == BODY)
		*before = span_sub(buf_span(&h->line), 0, earlier);
	else
		buf_reset(&h->line);
	if (kind != FIELD)
		finish(h, kind == BODY);
	return kind == BODY ? 0 : (ptrdiff_t)n;
}

ptrdiff_t mail_dkim_head_feed(struct mail_dkim_head *h, struct span in, struct span *before)
{
	size_t used = 0;

	*before = span_of(NULL, 0);
	while (!h->done && used < in.n) {
		ptrdiff_t n = feed_line(h, span_sub(in, used, in.n), before);
		if (n < 0)
			return n;
		used += (size_t)n;
	}
	return (ptrdiff_t)used;
}

int mail_dkim_head_end(struct mail_dkim_head *h)
{
	int kind = FIELD;

	if (h->done)
		return 0;
	if (buf_size(&h->line))
		kind = take_line(h, buf_span(&h->line));
	if (kind < 0)
		return kind;
	finish(h, kind == BODY);
	return 0;
}

/* --- what is signed */

int mail_dkim_head_value(const struct mail_dkim_head *h, enum mail_dkim_name name, struct span *value)
{
	*value = span_of(NULL, 0);
	if (!h->names[name].times)
		return ERR_NOTFOUND;
	if (h->names[name].times > 1)
		return ERR_EXISTS;
	for (unsigned i = 0; i < h->count; i++) {
		const struct mail_dkim_place *p = &h->places[i];
		if (p->name == name) {
			size_t front = names[name].n + 1u;
			*value = span_sub(buf_span(&h->text), p->at + front, p->n - front - 2);
			return 0;
		}
	}
	return ERR_LIMIT;
}

static unsigned times_listed(const struct mail_dkim_head *h, int name)
{
	unsigned times = h->names[name].times;

	if (h->names[name].left_out)
		return 0;
	return times + ((names[name].flags & MAIL_DKIM_ALWAYS) || (times && (names[name].flags & MAIL_DKIM_FOUND)));
}

int mail_dkim_head_names(const struct mail_dkim_head *h, size_t used, size_t width, struct buf *out)
{
	int first = 1;

	for (int i = 0; i < MAIL_DKIM_NAME_COUNT; i++) {
		for (unsigned times = times_listed(h, i); times; times--) {
			if (!first) {
				buf_put(out, ":", 1);
				used++;
			}
			if (!first && used + names[i].n + 1 > width) {
				buf_put(out, "\r\n\t", 3);
				used = 8;
			}
			buf_put(out, names[i].text, names[i].n);
			used += names[i].n;
			first = 0;
		}
	}
	return buf_failed(out);
}

int mail_dkim_head_input(const struct mail_dkim_head *h, struct buf *out)
{
	for (int i = 0; i < MAIL_DKIM_NAME_COUNT; i++) {
		if (!h->names[i].octets)
			continue;
		for (unsigned k = h->count; k-- > 0;)
			if (h->places[k].name == i)
				buf_put_span(out, span_sub(buf_span(&h->text), h->places[k].at, h->places[k].n));
	}
	return buf_failed(out);
}

unsigned mail_dkim_head_left_out(const struct mail_dkim_head *h)
{
	unsigned n = 0;

	for (int i = 0; i < MAIL_DKIM_NAME_COUNT; i++)
		n += h->names[i].left_out;
	return n;
}
