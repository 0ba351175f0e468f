/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/err.h"
#include "mail/mail_charset.h"
#include "mail/mail_gate_own.h"

enum { FIELD_NONE = -1, FIELD_OTHER = -2 };

/* --- what MIME fields say */

static struct span trim(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_sub(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static enum mail_gate_rule read_version(struct mail_gate *g, struct span value)
{
	(void)g;
	return span_equal(value, SPAN_LIT("1.0")) ? MAIL_GATE_NONE : MAIL_GATE_MIME_VERSION;
}

static enum mail_gate_rule read_encoding(struct mail_gate *g, struct span value)
{
	int cte = mail_cte_parse(value);

	if (cte < 0)
		return MAIL_GATE_UNKNOWN_ENCODING;
	mail_gate_own_level(g)->part.encoding = (enum mail_cte)cte;
	return MAIL_GATE_NONE;
}

static enum mail_gate_rule read_id(struct mail_gate *g, struct span value)
{
	struct mail_gate_level *l = mail_gate_own_level(g);

	if (value.n < 3 || value.p[0] != '<' || value.p[value.n - 1] != '>')
		return MAIL_GATE_CONTENT_FIELD;
	value = span_sub(value, 1, value.n - 2);
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] <= ' ' || strchr("<>\"(),;\\", value.p[i]))
			return MAIL_GATE_CONTENT_FIELD;
	return span_copy_str(l->cid, sizeof(l->cid), value) < 0 ? MAIL_GATE_FIELD_SIZE
								: MAIL_GATE_NONE;
}

/* Fields that may stand once, and those that say how to read a part. PART: also in a part's header. */
enum { TOP = 0, PART = 1, MIME = 2 };
static const struct {
	const char *name;
	int where;
	enum mail_gate_rule (*read)(struct mail_gate *g, struct span value);
} FIELDS[] = {
    {"content-type", PART | MIME, mail_gate_own_content_type},
    {"content-transfer-encoding", PART | MIME, read_encoding},
    {"content-disposition", PART | MIME, mail_gate_own_disposition},
    {"content-id", PART | MIME, read_id},
    {"mime-version", PART, read_version},
    {"content-language", PART, NULL},
    {"from", TOP, NULL},
    {"sender", TOP, NULL},
    {"reply-to", TOP, NULL},
    {"to", TOP, NULL},
    {"cc", TOP, NULL},
    {"bcc", TOP, NULL},
    {"subject", TOP, NULL},
    {"date", TOP, NULL},
    {"message-id", TOP, NULL},
    {"in-reply-to", TOP, NULL},
    {"references", TOP, NULL},
};
enum { N_FIELDS = sizeof(FIELDS) / sizeof(FIELDS[0]), CONTENT_TYPE = 0, MIME_VERSION = 4 };

/* --- fields */

void mail_gate_own_header_begin(struct mail_gate *g)
{
	g->header_octets = 0;
	g->header_fields = 0;
	g->field = FIELD_NONE;
	g->value_n = 0;
}

static int count(struct mail_gate *g, size_t octets)
{
	g->header_octets += octets;
	if (g->header_octets > MAIL_GATE_MAX_HEADER)
		return mail_gate_own_fail(g, MAIL_GATE_HEADER_SIZE, g->offset);
	return 0;
}

static int check_name(struct mail_gate *g, struct span name)
{
	if (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
		return mail_gate_own_fail(g, MAIL_GATE_BLANK_BEFORE_COLON, g->offset + name.n - 1);
	if (!name.n || name.n > GATE_NAME)
		return mail_gate_own_fail(g, MAIL_GATE_FIELD_NAME, g->offset);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
			return mail_gate_own_fail(g, MAIL_GATE_FIELD_NAME, g->offset + i);
	return 0;
}

/* Mail programs show what lies there as if it were in the message (Thunderbird). */
static int leads_elsewhere(struct span name)
{
	static const char *const names[] = {"x-mozilla-external-attachment-url", "x-mozilla-cloud-part"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal_nocase(name, span_str(names[i])))
			return 1;
	return 0;
}

static int find_field(struct span name)
{
	for (int i = 0; i < N_FIELDS; i++)
		if (span_equal_nocase(name, span_str(FIELDS[i].name)))
			return i;
	return FIELD_OTHER;
}

int mail_gate_own_field_begin(struct mail_gate *g, struct span name)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	int part = g->state == GATE_HEADER, rc = check_name(g, name), known;

	if (rc == 0)
		rc = count(g, name.n + 3); /* with ":" and the line end */
	if (rc < 0)
		return rc;
	if (part ? g->header_fields >= MAIL_GATE_MAX_FIELDS
		 : g->header_fields >= MAIL_GATE_MAX_FIELDS)
		return mail_gate_own_fail(g, MAIL_GATE_HEADER_FIELDS, g->offset);
	g->field = find_field(name);
	g->value_n = 0;
	known = g->field >= 0 && (!part || FIELDS[g->field].where & PART);
	if (leads_elsewhere(name))
		return mail_gate_own_fail(g, MAIL_GATE_PART_ELSEWHERE, g->offset);
	if (part && !known && !span_equal_nocase(name, SPAN_LIT("x-attachment-id")))
		rc = mail_gate_own_fail(g, MAIL_GATE_PART_FIELD, g->offset);
	if (rc == 0 && known) {
		if (l->seen & 1U << g->field)
			return mail_gate_own_fail(g, MAIL_GATE_DUPLICATE_HEADER, g->offset);
		l->seen |= 1U << g->field;
	}
	return rc;
}

/* A line of the value: the first, or a fold with its blanks. */
int mail_gate_own_field_text(struct mail_gate *g, struct span text, int first)
{
	int mime = g->field >= 0 && FIELDS[g->field].read;
	int rc = count(g, text.n + (first ? 0 : 2));

	if (rc < 0)
		return rc;
	if (!first && (!text.n || (text.p[0] != ' ' && text.p[0] != '\t') || !trim(text).n))
		return mail_gate_own_fail(g, MAIL_GATE_FIELD_FOLD, g->offset);
	for (size_t i = 0; i < text.n;) {
		int n = mail_charset_char(span_sub(text, i, text.n));
		if ((text.p[i] < ' ' && text.p[i] != '\t') || text.p[i] == 0x7f)
			return mail_gate_own_fail(g, MAIL_GATE_FIELD_CONTROL, g->offset + i);
		if (n <= 0 || (n > 1 && mime && !g->tolerant))
			return mail_gate_own_fail(g, MAIL_GATE_FIELD_8BIT, g->offset + i);
		i += (size_t)n;
	}
	if (!mime)
		return 0;
	if (text.n > sizeof(g->value) - g->value_n)
		return mail_gate_own_fail(g, MAIL_GATE_FIELD_SIZE, g->offset);
	memcpy(g->value + g->value_n, text.p, text.n);
	g->value_n += text.n;
	return 0;
}

int mail_gate_own_field_end(struct mail_gate *g)
{
	enum mail_gate_rule rule = MAIL_GATE_NONE;
	int field = g->field;

	g->field = FIELD_NONE;
	if (field >= 0 && FIELDS[field].read)
		rule = FIELDS[field].read(g, trim(span_of(g->value, g->value_n)));
	return rule ? mail_gate_own_fail(g, rule, g->offset) : 0;
}

int mail_gate_own_header_line(struct mail_gate *g, struct span line)
{
	ptrdiff_t colon;
	int rc;

	if (line.p[0] == ' ' || line.p[0] == '\t') {
		if (g->field == FIELD_NONE)
			return mail_gate_own_fail(g, MAIL_GATE_FIELD_FOLD, g->offset);
		return mail_gate_own_field_text(g, line, 0);
	}
	if (g->field != FIELD_NONE) {
		rc = mail_gate_own_field_end(g);
		if (rc < 0)
			return rc;
	}
	colon = span_find(line, ':');
	if (colon < 0)
		return mail_gate_own_fail(g, MAIL_GATE_FIELD_NAME, g->offset);
	rc = mail_gate_own_field_begin(g, span_sub(line, 0, (size_t)colon));
	g->header_fields++;
	return rc < 0 ? rc
		      : mail_gate_own_field_text(g, span_sub(line, (size_t)colon + 1, line.n), 1);
}

/* --- what the header section as a whole says */

static int is_type(const struct mail_gate_level *l, const char *type)
{
	return !strcmp(l->type, type);
}

/* Readers show the part that start= names, not the first one. */
static int check_start(struct mail_gate *g, const struct mail_gate_level *above)
{
	const struct mail_gate_level *l = mail_gate_own_level(g);
	size_t n = strlen(l->cid);

	if (!above || !above->start[0] || above->children != 1)
		return 0;
	if (n && strlen(above->start) == n + 2 && above->start[0] == '<' && above->start[n + 1] == '>' &&
	    !memcmp(above->start + 1, l->cid, n))
		return 0;
	return mail_gate_own_fail(g, MAIL_GATE_RELATED_START, g->offset);
}

static int check_boundary(struct mail_gate *g)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	size_t n = strlen(l->boundary);

	if (!n)
		return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_MISSING, g->offset);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)l->boundary[i];
		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		      strchr("'()+_,-./:=? ", c)))
			return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_ILLEGAL, g->offset);
	}
	if (l->boundary[0] == ' ' || l->boundary[n - 1] == ' ')
		return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_ILLEGAL, g->offset);
	/* readers differ on whether a delimiter must match to its end */
	for (int i = 0; i < g->top; i++) {
		const struct mail_gate_level *o = &g->levels[i];
		size_t shared = n < o->boundary_n ? n : o->boundary_n;
		if (!memcmp(l->boundary, o->boundary, shared))
			return mail_gate_own_fail(g, MAIL_GATE_BOUNDARY_NESTED, g->offset);
	}
	l->boundary_n = n;
	return 0;
}

static int check_text(struct mail_gate *g)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	int charset;

	if (!l->charset[0])
		snprintf(l->charset, sizeof(l->charset), "us-ascii");
	l->part.text = strcmp(l->disposition, "attachment") != 0;
	if (!l->part.text)
		return 0;
	charset = mail_charset_parse(span_str(l->charset));
	if (charset < 0 || (charset == MAIL_CHARSET_OTHER && !g->tolerant))
		return mail_gate_own_fail(g, MAIL_GATE_CHARSET, g->offset);
	return 0;
}

static int ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcasecmp(s + n - m, end);
}

static int check_leaf(struct mail_gate *g)
{
	struct mail_gate_level *l = mail_gate_own_level(g);

	if (is_type(l, "message/partial"))
		return mail_gate_own_fail(g, MAIL_GATE_MESSAGE_PARTIAL, g->offset);
	if (is_type(l, "message/external-body"))
		return mail_gate_own_fail(g, MAIL_GATE_EXTERNAL_BODY, g->offset);
	if (is_type(l, "message/rfc822") && l->part.encoding >= MAIL_CTE_QP)
		return mail_gate_own_fail(g, MAIL_GATE_ENCODING_ON_MULTIPART, g->offset);
	if (is_type(l, "application/ms-tnef") || is_type(l, "application/vnd.ms-tnef") ||
	    ends_in(l->filename, "winmail.dat") || ends_in(l->name, "winmail.dat"))
		return mail_gate_own_fail(g, MAIL_GATE_TNEF, g->offset);
	return strncmp(l->type, "text/", 5) ? 0 : check_text(g);
}

static int is_protected(const struct mail_gate_level *l)
{
	static const char *const types[] = {"multipart/signed", "multipart/encrypted",
					    "application/pkcs7-mime", "application/x-pkcs7-mime"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (is_type(l, types[i]))
			return 1;
	return 0;
}

int mail_gate_own_header_end(struct mail_gate *g)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	const struct mail_gate_level *above = g->top ? l - 1 : NULL;
	int rc = g->field == FIELD_NONE ? 0 : mail_gate_own_field_end(g);

	if (rc == 0)
		rc = check_start(g, above);
	if (rc < 0)
		return rc;
	for (int i = 0; i < N_FIELDS && !above; i++)
		if (FIELDS[i].where & MIME && l->seen & 1U << i && !(l->seen & 1U << MIME_VERSION))
			return mail_gate_own_fail(g, MAIL_GATE_MIME_VERSION, 0);
	if (!(l->seen & 1U << CONTENT_TYPE))
		snprintf(l->type, sizeof(l->type), "%s",
			 above && is_type(above, "multipart/digest") ? "message/rfc822"
								     : "text/plain");
	l->part.protect = is_protected(l) || (above && above->part.protect);
	l->part.multipart = !strncmp(l->type, "multipart/", 10);
	if (!l->part.multipart)
		return check_leaf(g);
	if (l->part.encoding >= MAIL_CTE_QP)
		return mail_gate_own_fail(g, MAIL_GATE_ENCODING_ON_MULTIPART, g->offset);
	return check_boundary(g);
}
