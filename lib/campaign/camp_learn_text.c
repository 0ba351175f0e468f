/* SPDX-License-Identifier: Apache-2.0 */
/* The proofs of one text, walked side by side. */
#include <stdio.h>

#include "campaign/camp_learn_own.h"
#include "core/err.h"

struct walk {
	const struct camp_learn_proof *proofs;
	unsigned n;
	const char *const *fields;
	unsigned n_fields;
	struct span rest[CAMP_LEARN_PROOFS];
	const struct span *text;
	const char *part;
	unsigned *found;
	struct camp_learn_error *e;
};

static int refuse(struct walk *w, unsigned proof, const char *text, const char *what)
{
	size_t i, at = w->text[proof].n - w->rest[proof].n;
	unsigned line = 1, column = 1;

	for (i = 0; i < at; i++) {
		if (w->text[proof].p[i] == '\n') {
			line++;
			column = 1;
		} else if ((w->text[proof].p[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	snprintf(w->e->place, sizeof(w->e->place), "%s of %s, line %u, column %u", w->part, w->proofs[proof].name, line, column);
	snprintf(w->e->text, sizeof(w->e->text), "%s%s%s", text, *what ? ": " : "", what);
	return ERR_FORMAT;
}

static const char *reference(uint8_t c, unsigned form)
{
	static const char *const named[][2] = {
		{"&amp;", "&#38;"}, {"&lt;", "&#60;"}, {"&gt;", "&#62;"}, {"&quot;", "&#34;"}, {"&#39;", "&apos;"}};
	const char *of = "&<>\"'", *p = c ? strchr(of, c) : NULL;

	if (!p || (form == 2 && c == '\''))
		return NULL;
	return named[p - of][form & 1];
}

/* How much of s is the value in that form: 0 raw, 1..3 HTML, 4 and 5 percent; 0: it does not stand there. */
static size_t form_length(struct span s, struct span v, unsigned form)
{
	size_t at = 0, i;

	for (i = 0; i < v.n; i++) {
		char room[8];
		const char *want = NULL;
		uint8_t c = v.p[i];

		if (form >= 1 && form <= 3)
			want = reference(c, form - 1);
		else if (form >= 4 && c == ' ' && form == 5)
			want = "+";
		else if (form >= 4 && !(((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
					(c && strchr("-._~", c)))) {
			snprintf(room, sizeof(room), "%%%02X", c);
			want = room;
		}
		if (!want) {
			if (at >= s.n || s.p[at] != c)
				return 0;
			at++;
		} else {
			size_t n = strlen(want);
			if (!span_equal(span_sub(s, at, n), span_of(want, n)))
				return 0;
			at += n;
		}
	}
	return at;
}

/* The longest form that stands at s. */
static size_t value_length(struct span s, struct span v, int *percent)
{
	size_t best = 0, n;
	unsigned form;

	for (form = 0; form < 6; form++) {
		n = form_length(s, v, form);
		if (n > best) {
			best = n;
			*percent = form >= 4;
		}
	}
	return best;
}

/* The field whose value stands here in all proofs: its index; n_fields: none; ERR_FORMAT: two. */
static int field_here(struct walk *w, size_t length[CAMP_LEARN_PROOFS], int *percent)
{
	int which = (int)w->n_fields;
	unsigned f, k;

	for (f = 0; f < w->n_fields; f++) {
		size_t len[CAMP_LEARN_PROOFS];
		int form = 0;

		for (k = 0; k < w->n; k++) {
			len[k] = value_length(w->rest[k], w->proofs[k].value[f], &form);
			if (!len[k])
				break;
		}
		if (k < w->n)
			continue;
		if (which != (int)w->n_fields)
			return refuse(w, 0, "two fields could stand here: give them values that differ", w->fields[f]);
		which = (int)f;
		*percent = form;
		memcpy(length, len, sizeof(len));
	}
	return which;
}

/* 1 if all proofs have the same octet here. */
static int same_octet(const struct walk *w)
{
	unsigned k;

	for (k = 0; k < w->n; k++)
		if (!w->rest[k].n || w->rest[k].p[0] != w->rest[0].p[0])
			return 0;
	return 1;
}

static int ended(const struct walk *w)
{
	unsigned k, n = 0;

	for (k = 0; k < w->n; k++)
		n += w->rest[k].n == 0;
	return n == w->n;
}

/* Which proof differs from the first, for the message. */
static unsigned other(const struct walk *w)
{
	unsigned k;

	for (k = 1; k < w->n; k++)
		if (w->rest[k].n != 0 && (!w->rest[0].n || w->rest[k].p[0] != w->rest[0].p[0]))
			return k;
	return w->n - 1;
}

static int step(struct walk *w, struct buf *out)
{
	size_t length[CAMP_LEARN_PROOFS] = {0};
	int percent = 0, f = field_here(w, length, &percent);
	unsigned k;

	if (f < 0)
		return f;
	if (f < (int)w->n_fields) {
		const uint8_t *last = buf_size(out) ? buf_ptr(out) + buf_size(out) - 1 : NULL;
		if (last && *last == '{')
			return refuse(w, 0, "a brace directly before a field cannot be written in a source", w->fields[f]);
		w->found[f] |= CAMP_LEARN_FOUND | (percent ? CAMP_LEARN_PERCENT : 0u) |
			       (last && *last == '=' ? CAMP_LEARN_AFTER_EQUALS : 0u);
		for (k = 0; k < w->n; k++)
			w->rest[k] = span_sub(w->rest[k], length[k], w->rest[k].n);
		return buf_putf(out, "{{%s}}", w->fields[f]);
	}
	if (!same_octet(w))
		return refuse(w, other(w), "the proofs differ here, and no field's value explains it", "");
	/* "{{" of the text itself is written "{{{" */
	if (w->rest[0].n >= 2 && w->rest[0].p[0] == '{' && w->rest[0].p[1] == '{') {
		int brace = buf_put_str(out, "{{{");
		for (k = 0; k < w->n; k++) {
			if (w->rest[k].n < 2 || w->rest[k].p[1] != '{')
				return refuse(w, k, "the proofs differ here, and no field's value explains it", "");
			w->rest[k] = span_sub(w->rest[k], 2, w->rest[k].n);
		}
		return brace;
	}
	k = (unsigned)buf_put(out, w->rest[0].p, 1);
	if ((int)k < 0)
		return (int)k;
	for (k = 0; k < w->n; k++)
		w->rest[k] = span_sub(w->rest[k], 1, w->rest[k].n);
	return 0;
}

int camp_learn_text(const struct camp_learn_proof *proofs, unsigned n_proofs, const char *const *fields, unsigned n_fields,
		    const struct span *text, const char *part, struct buf *out, unsigned *found, struct camp_learn_error *e)
{
	struct walk w = {.proofs = proofs, .n = n_proofs, .fields = fields, .n_fields = n_fields, .text = text, .part = part,
			 .found = found, .e = e};
	unsigned k;
	int rc = 0;

	for (k = 0; k < n_proofs; k++)
		w.rest[k] = text[k];
	while (rc == 0 && !ended(&w))
		rc = step(&w, out);
	if (rc == ERR_LIMIT)
		return refuse(&w, 0, "the text is too long", "");
	return rc;
}
