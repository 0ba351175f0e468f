/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_edit.h"

#include <stdlib.h>

#include "core/err.h"

void camp_edit_part_of(struct camp_edit_part *dst, const struct mail_gate_part *part)
{
	*dst = (struct camp_edit_part){.index = part->index,
				       .encoding = part->encoding,
				       .protect = part->protect,
				       .width = part->width,
				       .raw_from = part->raw_from,
				       .raw_to = part->raw_to,
				       .size = part->decoded};
}

static int before(const struct camp_edit *a, const struct camp_edit *b)
{
	if (a->part != b->part)
		return a->part < b->part;
	return a->from < b->from;
}

/* Edits come almost sorted, so each looks backwards for its place; what does not is merged. */
static void merge(struct camp_edit *e, struct camp_edit *room, size_t n)
{
	size_t half = n / 2, i = 0, k = half, out = 0;

	if (n < 2)
		return;
	merge(e, room, half);
	merge(e + half, room, n - half);
	if (!before(&e[half], &e[half - 1]))
		return;
	memcpy(room, e, half * sizeof(*e));
	while (i < half && k < n)
		e[out++] = before(&e[k], &room[i]) ? e[k++] : room[i++];
	memcpy(e + out, room + i, (half - i) * sizeof(*e));
}

int camp_edit_sort(struct camp_edit *edits, size_t n)
{
	struct camp_edit *room = malloc((n / 2 + 1) * sizeof(*room));

	if (!room)
		return ERR_NOMEM;
	merge(edits, room, n);
	free(room);
	return 0;
}

static int check_text(const struct camp_edit *e, const struct camp_edit_part *p)
{
	int seven = p->encoding == MAIL_CTE_7BIT;

	if (e->kind == CAMP_EDIT_RAW)
		return 0;
	if (e->text.n > CAMP_EDIT_OCTETS)
		return ERR_LIMIT;
	for (size_t i = 0; i < e->text.n; i++) {
		uint8_t c = e->text.p[i];
		if ((c < ' ' && c != '\t') || c == 0x7f || (seven && c > 0x7f))
			return ERR_FORMAT;
	}
	return 0;
}

static int check_place(const struct camp_edit *e, const struct camp_edit_part *p)
{
	int decoded = e->kind == CAMP_EDIT_TEXT && p->encoding == MAIL_CTE_BASE64;
	uint64_t low = decoded ? 0 : p->raw_from, high = decoded ? p->size : p->raw_to;

	return e->from < low || e->to > high || e->from > e->to ? ERR_FORMAT : 0;
}

int camp_edit_check(const struct camp_edit *edits, size_t n, const struct camp_edit_part *parts,
		    size_t n_parts, size_t *at)
{
	size_t p = 0;

	if (n > CAMP_EDIT_MAX) {
		*at = CAMP_EDIT_MAX;
		return ERR_LIMIT;
	}
	for (size_t i = 0; i < n; i++) {
		const struct camp_edit *e = &edits[i], *last = i ? e - 1 : NULL;
		int rc;
		*at = i;
		while (p < n_parts && parts[p].index < e->part)
			p++;
		if (p == n_parts || parts[p].index != e->part)
			return ERR_FORMAT;
		if (parts[p].protect)
			return ERR_DENIED;
		rc = check_place(e, &parts[p]);
		if (rc == 0)
			rc = check_text(e, &parts[p]);
		if (rc < 0)
			return rc;
		if (last && last->part == e->part &&
		    (e->from < last->to || e->from < last->from || e->kind != last->kind))
			return ERR_FORMAT;
	}
	return 0;
}
