/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void place_of(struct camp_finding *f, struct span text)
{
	size_t i;

	f->line = f->column = text.n ? 1 : 0;
	for (i = 0; i < f->offset && i < text.n; i++) {
		if (text.p[i] == '\n') {
			f->line++;
			f->column = 1;
		} else if ((text.p[i] & 0xc0) != 0x80) {
			f->column++;
		}
	}
}

/* A text may quote the source, which may be cut within a character or hold what a terminal obeys. */
static void make_plain(char *text)
{
	char *p;

	for (p = text; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
}

static int has_room(struct camp_findings *fs, const char *rule, const char *part)
{
	unsigned same = 0;
	size_t i;

	if (fs->n == CAMP_FINDINGS)
		return 0;
	for (i = 0; i < fs->n; i++)
		same += strcmp(fs->item[i].rule, rule) == 0 && strcmp(fs->item[i].part, part) == 0;
	if (same >= CAMP_FINDINGS_RULE)
		return 0;
	if (fs->n == fs->room) {
		size_t room = fs->room ? 2 * fs->room : 16;
		struct camp_finding *more = realloc(fs->item, room * sizeof(*more));
		if (!more) {
			fs->failed = 1;
			return 0;
		}
		fs->item = more;
		fs->room = room;
	}
	return 1;
}

void camp_finding_add(struct camp_findings *fs, enum camp_finding_level level, const char *rule, const char *part,
		      struct span text, size_t offset, const char *format, ...)
{
	struct camp_finding *f;
	va_list args;

	*(level == CAMP_FINDING_ERROR ? &fs->errors : &fs->warnings) += 1;
	if (!has_room(fs, rule, part))
		return;
	f = &fs->item[fs->n++];
	memset(f, 0, sizeof(*f));
	f->level = level;
	snprintf(f->rule, sizeof(f->rule), "%s", rule);
	snprintf(f->part, sizeof(f->part), "%s", part);
	f->offset = offset < text.n ? offset : text.n;
	place_of(f, text);
	va_start(args, format);
	vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	make_plain(f->part);
	make_plain(f->text);
}

void camp_finding_clear(struct camp_findings *fs)
{
	free(fs->item);
	memset(fs, 0, sizeof(*fs));
}

/* By insertion: they come almost sorted, and are few. */
void camp_finding_sort(struct camp_findings *fs)
{
	struct camp_finding f;
	size_t i, k;

	for (i = 1; i < fs->n; i++) {
		f = fs->item[i];
		for (k = i; k; k--) {
			int order = strcmp(fs->item[k - 1].part, f.part);
			if (order < 0 || (order == 0 && fs->item[k - 1].offset <= f.offset))
				break;
			fs->item[k] = fs->item[k - 1];
		}
		fs->item[k] = f;
	}
}

json_t *camp_finding_json(const struct camp_findings *fs)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; all && i < fs->n; i++) {
		const struct camp_finding *f = &fs->item[i];
		if (json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:s}", "level",
							 f->level == CAMP_FINDING_ERROR ? "error" : "warning", "rule", f->rule,
							 "part", f->part, "offset", (json_int_t)f->offset, "line",
							 (int)f->line, "column", (int)f->column, "text", f->text)) < 0) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}
