/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_head.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"

#define ADDED_MAX (512u << 10)

void filter_head_init(struct filter_head *h)
{
	memset(h, 0, sizeof(*h));
	buf_init_wiped(&h->raw, FILTER_HEAD_MAX + 4096);
}

static void drop_field(struct filter_head_field *f)
{
	if (f->own) {
		secret_wipe(f->own, f->text.n);
		free(f->own);
	}
}

void filter_head_clear(struct filter_head *h)
{
	for (unsigned i = 0; i < h->count; i++)
		drop_field(&h->fields[i]);
	free(h->fields);
	buf_clear(&h->raw);
	filter_head_init(h);
}

/* Length of the name that s begins with if s is the first line of a field, else 0. Blanks before the colon were
 * once allowed (RFC 5322 4.5) and are still met. */
static size_t name_of(struct span s)
{
	size_t n = 0, i;

	while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f && s.p[n] != ':')
		n++;
	for (i = n; i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'); i++)
		;
	return n && i < s.n && s.p[i] == ':' ? n : 0;
}

int filter_head_name_ok(struct span name)
{
	if (!name.n || name.n > 500)
		return 0;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
			return 0;
	return 1;
}

/* A place at index i; NULL: no memory. */
static struct filter_head_field *place(struct filter_head *h, unsigned i)
{
	if (h->count == h->room) {
		unsigned room = h->room ? 2 * h->room : 32;
		struct filter_head_field *more = realloc(h->fields, room * sizeof(*more));

		if (!more)
			return NULL;
		h->fields = more;
		h->room = room;
	}
	memmove(h->fields + i + 1, h->fields + i, (h->count - i) * sizeof(*h->fields));
	h->count++;
	return &h->fields[i];
}

/* The section is gathered: cuts it into fields. */
static int cut(struct filter_head *h)
{
	struct span all = span_sub(buf_span(&h->raw), 0, h->fields_end);
	size_t at = 0;

	h->done = 1;
	while (at < all.n) {
		struct span rest = span_sub(all, at, all.n);
		struct filter_head_field *f = place(h, h->count);
		size_t n = 0;

		if (!f)
			return ERR_NOMEM;
		do { /* lines end in LF, for smtp_data lets no others pass */
			ptrdiff_t lf = span_find(span_sub(rest, n, rest.n), '\n');
			n = lf < 0 ? rest.n : n + (size_t)lf + 1;
		} while (n < rest.n && (rest.p[n] == ' ' || rest.p[n] == '\t'));
		*f = (struct filter_head_field){
		    .text = span_sub(rest, 0, n), .name = name_of(rest), .ours = at < h->trace};
		at += n;
	}
	return 0;
}

int filter_head_trace(struct filter_head *h, struct span received)
{
	h->trace = h->line = received.n;
	return buf_put_span(&h->raw, received);
}

/* A whole line has come, of n octets: does the section go on? */
static int goes_on(struct filter_head *h, size_t n)
{
	struct span line = span_of(buf_ptr(&h->raw) + h->line, n);
	int first = h->line == h->trace;

	h->fields_end = h->body = h->line;
	if (n == 2 && line.p[0] == '\r') { /* the empty line belongs to neither */
		h->body += 2;
		return 0;
	}
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return !first;
	return name_of(line) > 0;
}

int filter_head_feed(struct filter_head *h, struct span in, size_t *used)
{
	*used = 0;
	while (*used < in.n && !h->done) {
		struct span rest = span_sub(in, *used, in.n);
		ptrdiff_t lf = span_find(rest, '\n');
		size_t n = lf < 0 ? rest.n : (size_t)lf + 1, line;

		if (buf_size(&h->raw) + n > h->trace + FILTER_HEAD_MAX)
			return ERR_LIMIT;
		if (buf_put_span(&h->raw, span_sub(rest, 0, n)) < 0)
			return ERR_NOMEM;
		*used += n;
		if (lf < 0)
			break;
		line = buf_size(&h->raw) - h->line;
		if (!goes_on(h, line))
			return cut(h);
		h->line += line;
	}
	return 0;
}

int filter_head_end(struct filter_head *h)
{
	if (h->done)
		return 0;
	h->fields_end = h->body = buf_size(&h->raw);
	return cut(h);
}

struct span filter_head_rest(const struct filter_head *h)
{
	return span_sub(buf_span(&h->raw), h->body, SIZE_MAX);
}

size_t filter_head_body(const struct filter_head *h)
{
	return h->body;
}

int filter_head_next(const struct filter_head *h, unsigned *at, struct span *name,
		     struct span *value)
{
	const struct filter_head_field *f;
	size_t colon;

	while (*at < h->count && h->fields[*at].ours)
		++*at;
	if (*at >= h->count)
		return 0;
	f = &h->fields[(*at)++];
	colon = f->name + (size_t)span_find(span_sub(f->text, f->name, f->text.n), ':');
	*name = span_sub(f->text, 0, f->name);
	*value = span_sub(f->text, colon + 1, f->text.n - colon - 3);
	return 1;
}

/* --- changes */

/* Writes value line by line; returns the octets. dst NULL: only counts. */
static size_t put_value(uint8_t *dst, struct span value)
{
	size_t n = 0;
	int first = 1;

	while (value.n) {
		ptrdiff_t lf = span_find(value, '\n');
		struct span line = lf < 0 ? value : span_sub(value, 0, (size_t)lf);
		int tab;

		value = lf < 0 ? span_of(NULL, 0) : span_sub(value, (size_t)lf + 1, value.n);
		while (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!line.n && !first)
			continue;
		tab = !first && line.p[0] != ' ' && line.p[0] != '\t';
		if (!first) {
			if (dst)
				memcpy(dst + n, "\r\n\t", 3);
			n += tab ? 3 : 2;
		}
		for (size_t i = 0; i < line.n; i++, n++) /* a CR within a line becomes a blank */
			if (dst)
				dst[n] = line.p[i] == '\r' || !line.p[i] ? ' ' : line.p[i];
		first = 0;
	}
	return n;
}

static int make_field(struct filter_head *h, struct span name, struct span value, int blank,
		      struct filter_head_field *f)
{
	size_t head = name.n + 1 + (blank ? 1 : 0), n = head + put_value(NULL, value) + 2;
	uint8_t *p;

	if (!filter_head_name_ok(name))
		return ERR_FORMAT;
	if (h->added + n > ADDED_MAX)
		return ERR_LIMIT;
	p = malloc(n + 1); /* put_value may write a tab too many */
	if (!p)
		return ERR_NOMEM;
	memcpy(p, name.p, name.n);
	p[name.n] = ':';
	if (blank)
		p[name.n + 1] = ' ';
	put_value(p + head, value);
	memcpy(p + n - 2, "\r\n", 2);
	*f = (struct filter_head_field){.text = span_of(p, n), .own = p, .name = name.n};
	h->added += n;
	h->changed = 1;
	return 0;
}

int filter_head_insert(struct filter_head *h, uint32_t index, struct span name, struct span value,
		       int blank)
{
	struct filter_head_field f, *at;
	int err = make_field(h, name, value, blank, &f);

	if (err < 0)
		return err;
	at = place(h, index < h->count ? index : h->count);
	if (!at) {
		drop_field(&f);
		return ERR_NOMEM;
	}
	*at = f;
	return 0;
}

int filter_head_add(struct filter_head *h, struct span name, struct span value, int blank)
{
	return filter_head_insert(h, UINT32_MAX, name, value, blank);
}

/* The index-th field of this name that filters see, or -1. */
static int find(const struct filter_head *h, uint32_t index, struct span name)
{
	for (unsigned i = 0; i < h->count; i++) {
		const struct filter_head_field *f = &h->fields[i];

		if (!f->ours && span_equal_nocase(span_sub(f->text, 0, f->name), name) &&
		    --index == 0)
			return (int)i;
	}
	return -1;
}

static void delete (struct filter_head *h, unsigned i)
{
	drop_field(&h->fields[i]);
	memmove(h->fields + i, h->fields + i + 1, (--h->count - i) * sizeof(*h->fields));
	h->changed = 1;
}

int filter_head_change(struct filter_head *h, uint32_t index, struct span name, struct span value,
		       int blank)
{
	int i = find(h, index ? index : 1, name), err;
	struct filter_head_field f;

	if (!value.n) {
		if (i >= 0)
			delete (h, (unsigned)i);
		return filter_head_name_ok(name) ? 0 : ERR_FORMAT;
	}
	if (i < 0)
		return filter_head_add(h, name, value, blank);
	err = make_field(h, name, value, blank, &f);
	if (err < 0)
		return err;
	drop_field(&h->fields[i]);
	h->fields[i] = f;
	return 0;
}

int filter_head_given(const struct filter_head *h, struct span name)
{
	int i = find(h, 1, name);

	return i >= 0 && find(h, 2, name) < 0 && h->fields[i].own != NULL;
}

int filter_head_render(const struct filter_head *h, struct buf *out)
{
	for (unsigned i = 0; i < h->count; i++)
		buf_put_span(out, h->fields[i].text);
	return buf_put(out, "\r\n", 2);
}
