/* SPDX-License-Identifier: Apache-2.0 */
/* Notes of the ring: small settings that outlive a restart. There are few. */
#include <stdlib.h>

#include "core/err.h"
#include "keyd/keyd_ring_in.h"

#define NOTES_MAX 64

/* Where the note hangs, or would. */
static struct keyd_ring_note **find(struct keyd_ring_note **first, struct span name,
				    unsigned *count)
{
	struct keyd_ring_note **at = first;

	for (*count = 0; *at && !span_equal(span_str((*at)->name), name); at = &(*at)->next)
		++*count;
	return at;
}

static void note_free(struct keyd_ring_note *n)
{
	free(n->name);
	free(n->value);
	free(n);
}

static struct keyd_ring_note *note_new(const struct keyd_record_note *m)
{
	struct keyd_ring_note *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->name = keyd_ring_text(m->name);
	n->value = keyd_ring_copy(m->value);
	n->size = m->value.n;
	if (n->name && n->value)
		return n;
	note_free(n);
	return NULL;
}

int keyd_ring_note_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_ring_note **at, *old, *note = NULL;
	struct keyd_record_note m;
	unsigned count;

	(void)fresh;
	if (keyd_record_note_get(body, &m) < 0)
		return ERR_DAMAGED;
	at = find(&r->notes, m.name, &count);
	old = *at;
	if (!old && count >= NOTES_MAX)
		return ERR_DAMAGED;
	if (m.value.n && !(note = note_new(&m)))
		return ERR_NOMEM;
	if (old) {
		*at = old->next;
		note_free(old);
	}
	if (note) {
		note->next = *at;
		*at = note;
	}
	return 0;
}

struct span keyd_ring_note(const struct keyd_ring *r, const char *name)
{
	for (const struct keyd_ring_note *n = r->notes; n; n = n->next)
		if (!strcmp(n->name, name))
			return span_of(n->value, n->size);
	return span_of(NULL, 0);
}

int keyd_ring_note_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (const struct keyd_ring_note *n = r->notes; rc == 0 && n; n = n->next) {
		struct keyd_record_note m = {span_str(n->name), span_of(n->value, n->size)};
		rc = keyd_ring_walk(w, KEYD_RECORD_NOTE, keyd_record_note_put(&w->body, &m));
	}
	return rc;
}

void keyd_ring_note_clear(struct keyd_ring *r)
{
	for (struct keyd_ring_note *n = r->notes, *next; n; n = next) {
		next = n->next;
		note_free(n);
	}
}
