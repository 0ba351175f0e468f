/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "campaign/camp_manifest_own.h"
#include "core/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One row as JSON has it. */
struct row {
	uint32_t d, tpl, att, pixel_at;
	char *type, *charset, *cid, *disposition;
	int optional, flowed;
};

static int read_true(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	if (!json_is_true(v))
		return camp_manifest_bad(r, "must be true or left out");
	*(int *)dst = 1;
	return 0;
}

static int read_type(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_lower(r, v, dst);
	const char *s = *(char **)dst, *slash = ret ? NULL : strchr(s, '/');

	if (ret)
		return ret;
	if (!slash || slash == s || !slash[1] || strpbrk(slash + 1, "/;,()<>@:\\\"[]?=") ||
	    strlen(s) > 127)
		return camp_manifest_bad(r, "is no type of a part");
	return 0;
}

static int place_row(struct camp_manifest_reader *r, const struct row *w)
{
	const struct camp_mime *last = r->m->n_mime ? &r->m->mime[r->m->n_mime - 1] : NULL;

	if (!last)
		return w->d == 0 && !w->optional
			   ? 0
			   : camp_manifest_bad(r, "the first row is the message: depth 0");
	if (w->d < 1 || w->d > CAMP_DEPTH)
		return camp_manifest_bad(r, "d must be 1 to %d", CAMP_DEPTH);
	if (w->d > last->depth + (last->multipart ? 1U : 0U))
		return camp_manifest_bad(r, "lies in no multipart");
	if (last->multipart && w->d <= last->depth)
		return camp_manifest_bad(r, "the multipart before it is empty");
	return 0;
}

static int leaf_row(struct camp_manifest_reader *r, const struct row *w)
{
	int multipart = strncmp(w->type, "multipart/", 10) == 0;
	int text = strncmp(w->type, "text/", 5) == 0;

	if (multipart)
		return w->tpl == CAMP_NONE && w->att == CAMP_NONE
			   ? 0
			   : camp_manifest_bad(r, "a multipart has neither tpl nor att");
	if ((w->tpl == CAMP_NONE) == (w->att == CAMP_NONE))
		return camp_manifest_bad(r, "needs tpl or att, and not both");
	if (w->tpl != CAMP_NONE && (!text || w->tpl >= r->m->n_templates))
		return camp_manifest_bad(
		    r, text ? "there is no template %u" : "tpl %u: templates are for text parts",
		    w->tpl);
	if (w->att != CAMP_NONE && w->att >= r->m->n_attachments)
		return camp_manifest_bad(r, "there is no attachment %u", w->att);
	if (w->att != CAMP_NONE && strcmp(r->m->attachments[w->att].type, w->type) != 0)
		return camp_manifest_bad(r, "the attachment is of another type");
	return 0;
}

static int is_html(const char *type)
{
	return strcmp(type, "text/html") == 0 || strcmp(type, "text/x-amp-html") == 0;
}

static int pixel_row(struct camp_manifest_reader *r, const struct row *w)
{
	struct camp_template *t;

	if (w->pixel_at == CAMP_NONE)
		return 0;
	if (w->tpl == CAMP_NONE || strcmp(w->type, "text/html") != 0)
		return camp_manifest_bad(r, "pixel_at is for text/html with a template");
	t = &r->m->templates[w->tpl];
	if (w->pixel_at > t->size || (t->pixel_at != CAMP_NONE && t->pixel_at != w->pixel_at))
		return camp_manifest_bad(r, "pixel_at is not in the template, or at two places");
	t->pixel_at = w->pixel_at;
	return 0;
}

static int read_row(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
#define R(member) offsetof(struct row, member)
	static const struct camp_manifest_member members[] = {
	    {"d", camp_manifest_u32, R(d), 0},
	    {"type", read_type, R(type), 0},
	    {"charset", camp_manifest_lower, R(charset), 1},
	    {"tpl", camp_manifest_u32, R(tpl), 1},
	    {"att", camp_manifest_u32, R(att), 1},
	    {"pixel_at", camp_manifest_u32, R(pixel_at), 1},
	    {"optional", read_true, R(optional), 1},
	    {"cid", camp_manifest_text, R(cid), 1},
	    {"disposition", camp_manifest_lower, R(disposition), 1},
	    {"flowed", read_true, R(flowed), 1},
	};
#undef R
	struct row w = {.tpl = CAMP_NONE, .att = CAMP_NONE, .pixel_at = CAMP_NONE};
	int ret = camp_manifest_object(r, v, members, COUNT(members), &w);

	if (ret == 0)
		ret = place_row(r, &w);
	if (ret == 0)
		ret = leaf_row(r, &w);
	if (ret == 0)
		ret = pixel_row(r, &w);
	if (ret)
		return ret;
	*(struct camp_mime *)dst = (struct camp_mime){
	    .depth = w.d,
	    .type = w.type,
	    .charset = w.charset,
	    .cid = w.cid,
	    .disposition = w.disposition,
	    .multipart = strncmp(w.type, "multipart/", 10) == 0,
	    .optional = w.optional,
	    .flowed = w.flowed,
	    .tpl = w.tpl,
	    .att = w.att,
	};
	if (w.tpl != CAMP_NONE && is_html(w.type))
		r->m->templates[w.tpl].html = 1;
	return 0;
}

int camp_manifest_read_mime(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;
	int ret = camp_manifest_array(r, v, CAMP_PARTS, sizeof(*m->mime), read_row,
				      (void **)&m->mime, &m->n_mime);

	if (ret == 0 && m->n_mime == 0)
		return camp_manifest_bad(r, "is empty");
	if (ret == 0 && m->mime[m->n_mime - 1].multipart)
		return camp_manifest_bad(r, "the last multipart is empty");
	return ret;
}

/* What runs, hides what runs, or unpacks to what runs: never a part that only its sender vouches for. */
static const char *const risky_types[] = {"application/x-msdownload",
					  "application/x-msdos-program",
					  "application/x-executable",
					  "application/x-sh",
					  "application/javascript",
					  "application/zip",
					  "application/gzip",
					  "application/x-gzip",
					  "application/x-7z-compressed",
					  "application/x-rar-compressed",
					  "application/vnd.rar",
					  "application/x-tar",
					  "application/x-bzip2",
					  "application/x-xz",
					  "application/java-archive",
					  "application/octet-stream",
					  "application/hta",
					  "application/x-iso9660-image",
					  "application/vnd.ms-cab-compressed",
					  "application/msword",
					  "application/vnd.ms-excel",
					  "application/vnd.ms-powerpoint",
					  "image/svg+xml"};
static const char *const risky_ends[] = {
    "exe",  "scr",  "com", "bat", "cmd",  "pif",   "msi",  "ps1",  "vbs",  "vbe",  "js",
    "jse",  "wsf",  "wsh", "hta", "jar",  "lnk",   "dll",  "cpl",  "reg",  "sh",   "zip",
    "rar",  "7z",   "gz",  "tgz", "bz2",  "xz",	   "tar",  "cab",  "iso",  "img",  "vhd",
    "doc",  "xls",  "ppt", "one", "docm", "dotm",  "xlsm", "xltm", "xlam", "pptm", "potm",
    "ppam", "ppsm", "svg", "htm", "html", "shtml", "url"};

static int is_risky(const struct camp_attachment *a)
{
	const char *dot = strrchr(a->name, '.');

	for (size_t i = 0; i < COUNT(risky_types); i++)
		if (strcmp(a->type, risky_types[i]) == 0)
			return 1;
	if (strstr(a->type, "macroenabled") || strncmp(a->type, "text/", 5) == 0 ||
	    strncmp(a->type, "message/", 8) == 0)
		return 1;
	for (size_t i = 0; dot && i < COUNT(risky_ends); i++)
		if (strcasecmp(dot + 1, risky_ends[i]) == 0)
			return 1;
	return 0;
}

static int read_attachment(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
#define A(member) offsetof(struct camp_attachment, member)
	static const struct camp_manifest_member members[] = {
	    {"type", read_type, A(type), 0},
	    {"name", camp_manifest_text, A(name), 0},
	    {"size", camp_manifest_u64, A(size), 0},
	    {"sha256", camp_manifest_sha256, A(sha256), 2},
	};
#undef A
	struct camp_attachment *a = dst;
	int ret = camp_manifest_object(r, v, members, COUNT(members), dst);

	if (ret)
		return ret;
	a->by_header = json_is_null(json_object_get(v, "sha256"));
	if (a->by_header && !r->m->signed_part)
		return camp_manifest_bad(r, "without sha256 only in mode signed-part");
	if (a->by_header && is_risky(a))
		return camp_manifest_bad(
		    r, "programs, archives and documents with macros need a sha256");
	return 0;
}

int camp_manifest_read_attachments(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;

	return camp_manifest_array(r, v, CAMP_ATTACHMENTS, sizeof(*m->attachments), read_attachment,
				   (void **)&m->attachments, &m->n_attachments);
}

static int same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Two rows that one part could be. */
static int alike(const struct camp_manifest *m, const struct camp_mime *a,
		 const struct camp_mime *b)
{
	const char *na = a->att == CAMP_NONE ? "" : m->attachments[a->att].name;
	const char *nb = b->att == CAMP_NONE ? "" : m->attachments[b->att].name;

	return a->depth == b->depth && strcmp(a->type, b->type) == 0 && same_text(a->cid, b->cid) &&
	       same_text(a->disposition, b->disposition) && strcmp(na, nb) == 0;
}

/* An optional row must be told from all that may stand in its place: those behind it up to the first
 * that is not optional. */
int camp_manifest_join_mime(struct camp_manifest_reader *r)
{
	const struct camp_manifest *m = r->m;

	for (unsigned i = 1; i < m->n_mime; i++) {
		if (!m->mime[i].optional)
			continue;
		for (unsigned j = i + 1; j < m->n_mime && m->mime[j].depth >= m->mime[i].depth;
		     j++) {
			if (m->mime[j].depth > m->mime[i].depth)
				continue;
			if (alike(m, &m->mime[i], &m->mime[j])) {
				camp_manifest_enter(r, "mime", 0);
				camp_manifest_enter(r, NULL, i);
				return camp_manifest_bad(r, "cannot be told from row %u", j);
			}
			if (!m->mime[j].optional)
				break;
		}
	}
	return 0;
}
