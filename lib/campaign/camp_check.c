/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_check.h"

#include <stdlib.h>
#include <string.h>

#include "campaign/camp_check_own.h"
#include "core/err.h"

int camp_check_fail(struct camp_check *k, enum camp_verdict v)
{
	if (k->result.verdict == CAMP_PASS) {
		k->result.verdict = v;
		k->result.rule = camp_verdict_name(v);
	}
	return v == CAMP_MEMORY ? ERR_NOMEM : ERR_FORMAT;
}

static int fail_part(struct camp_check *k, const struct mail_gate_part *part, enum camp_verdict v)
{
	k->result.part = part->index;
	k->result.offset = part->raw_from;
	return camp_check_fail(k, v);
}

/* --- the tree -------------------------------------------------------------------------------- */

static int same(const char *want, const char *have)
{
	return strcmp(want ? want : "", have) == 0;
}

static const char *name_of(const struct mail_gate_part *part)
{
	return *part->filename ? part->filename : part->name;
}

static int charset_fits(const struct camp_mime *row, const struct mail_gate_part *part)
{
	/* the text is compared as UTF-8: one that is ASCII throughout may say so */
	if (!part->text || strcmp(part->charset, "us-ascii") == 0)
		return 1;
	return same(row->charset ? row->charset : "utf-8", part->charset);
}

/* CAMP_PASS, or in what the part differs from the row. */
static enum camp_verdict compare(const struct camp_check *k, const struct camp_mime *row,
				 const struct mail_gate_part *part)
{
	const char *name = row->att == CAMP_NONE ? "" : k->m->attachments[row->att].name;

	if (row->depth != part->depth || !same(row->type, part->type))
		return CAMP_PART_TYPE;
	if (!same(row->disposition, part->disposition))
		return CAMP_PART_DISPOSITION;
	if (!same(name, name_of(part)) ||
	    (*part->name && *part->filename && !same(name, part->name)))
		return CAMP_PART_NAME;
	if (!same(row->cid, part->cid))
		return CAMP_PART_CID;
	/* delsp: a reader that does not know it shows blanks where the template has none */
	if (!charset_fits(row, part) || row->flowed != part->flowed || part->delsp)
		return CAMP_PART_CHARSET;
	return CAMP_PASS;
}

static unsigned behind(const struct camp_manifest *m, unsigned row)
{
	unsigned next = row + 1;

	while (next < m->n_mime && m->mime[next].depth > m->mime[row].depth)
		next++;
	return next;
}

/* The row this part is, optional ones stepped over; k->row is then the one after it. */
static enum camp_verdict next_row(struct camp_check *k, const struct mail_gate_part *part,
				  const struct camp_mime **row)
{
	enum camp_verdict first = CAMP_PART_EXTRA;

	while (k->row < k->m->n_mime) {
		enum camp_verdict v = compare(k, &k->m->mime[k->row], part);

		if (v == CAMP_PASS) {
			*row = &k->m->mime[k->row++];
			return CAMP_PASS;
		}
		if (first == CAMP_PART_EXTRA)
			first = v;
		if (!k->m->mime[k->row].optional)
			return first;
		k->row = behind(k->m, k->row);
	}
	return first;
}

static int begin_digest(struct camp_check *k)
{
	k->octets = 0;
	if (!k->digest)
		k->digest = EVP_MD_CTX_new();
	return k->digest && EVP_DigestInit_ex(k->digest, EVP_sha256(), NULL) == 1
		   ? 0
		   : camp_check_fail(k, CAMP_MEMORY);
}

static int on_begin(void *arg, const struct mail_gate_part *part)
{
	struct camp_check *k = arg;
	enum camp_verdict v = next_row(k, part, &k->current);
	int r;

	if (v != CAMP_PASS)
		return fail_part(k, part, v);
	if (k->current->multipart)
		return 0;
	k->first_place = k->n_places;
	if (k->current->tpl != CAMP_NONE) {
		if (!part->text) /* said to be an attachment: no template was approved for that */
			return fail_part(k, part, CAMP_PART_DISPOSITION);
		camp_match_begin(&k->match, k->c, k->current->tpl, &k->match_params);
		return 0;
	}
	r = begin_digest(k);
	return r ? r : part->text ? MAIL_GATE_AS_DATA : 0;
}

#define AT_END UINT64_MAX /* of a place, until the part is over */

/* --- text ------------------------------------------------------------------------------------ */

static int on_mark(void *arg, const struct camp_mark *mark)
{
	struct camp_check *k = arg;
	struct camp_place *p;

	if (mark->kind == CAMP_MARK_LINK_TO) {
		p = &k->places[k->n_places - 1];
		p->to = mark->at_end ? AT_END : mark->source;
		p->values = (uint32_t)buf_size(&k->values);
		p->n_values = (uint32_t)mark->values.n;
		return buf_put_span(&k->values, mark->values) ? camp_check_fail(k, CAMP_MEMORY) : 0;
	}
	if (k->n_places == k->cap_places) {
		unsigned cap = k->cap_places ? 2 * k->cap_places : 64;
		struct camp_place *more = realloc(k->places, cap * sizeof(*more));

		if (!more)
			return camp_check_fail(k, CAMP_MEMORY);
		k->places = more;
		k->cap_places = cap;
	}
	p = &k->places[k->n_places++];
	*p = (struct camp_place){.part = k->part, .kind = mark->kind, .link = mark->link};
	p->from = p->to = mark->at_end ? AT_END : mark->source;
	return 0;
}

static int fail_text(struct camp_check *k, const struct mail_gate_part *part)
{
	if (k->result.verdict != CAMP_PASS)
		return ERR_FORMAT;
	k->result.part = part->index;
	k->result.offset = k->match.canonical;
	k->result.line = k->match.lines + 1;
	k->result.tpl = k->current->tpl;
	k->result.tpl_offset = k->match.blob;
	k->result.field = k->match.field;
	return camp_check_fail(k, k->match.verdict);
}

static int on_text(void *arg, const struct mail_gate_part *part, struct span canonical,
		   const struct mail_gate_run *runs, size_t n_runs)
{
	struct camp_check *k = arg;

	k->part = part->index;
	if (camp_match_feed_runs(&k->match, canonical, runs, n_runs) != 0)
		return fail_text(k, part);
	return 0;
}

/* Places whose octet behind is the part's end, now that this is known. */
static void settle(struct camp_check *k, const struct mail_gate_part *part)
{
	for (unsigned i = k->first_place; i < k->n_places; i++) {
		if (k->places[i].from == AT_END)
			k->places[i].from = part->tail;
		if (k->places[i].to == AT_END)
			k->places[i].to = part->tail;
	}
}

static int note_part(struct camp_check *k, const struct mail_gate_part *part)
{
	if (k->n_places == k->first_place)
		return 0;
	if (part->protect) {
		k->skipped += k->n_places - k->first_place;
		k->n_places = k->first_place;
		return 0;
	}
	k->parts[k->n_parts++] = (struct camp_edit_part){.index = part->index,
							 .encoding = part->encoding,
							 .protect = part->protect,
							 .width = part->width,
							 .raw_from = part->raw_from,
							 .raw_to = part->raw_to,
							 .size = part->decoded};
	return 0;
}

static int end_text(struct camp_check *k, const struct mail_gate_part *part)
{
	k->part = part->index;
	if (camp_match_end(&k->match) != 0)
		return fail_text(k, part);
	settle(k, part);
	return note_part(k, part);
}

/* --- attachments ----------------------------------------------------------------------------- */

static int on_data(void *arg, const struct mail_gate_part *part, struct span decoded)
{
	struct camp_check *k = arg;
	const struct camp_attachment *a = &k->m->attachments[k->current->att];

	k->octets += decoded.n;
	if (k->octets > a->size)
		return fail_part(k, part, CAMP_PART_SIZE);
	return EVP_DigestUpdate(k->digest, decoded.p, decoded.n) == 1
		   ? 0
		   : camp_check_fail(k, CAMP_MEMORY);
}

static int end_data(struct camp_check *k, const struct mail_gate_part *part)
{
	const struct camp_attachment *a = &k->m->attachments[k->current->att];
	const uint8_t *want = a->sha256;
	uint8_t have[CAMP_HASH];
	struct camp_check_signed_part *s = NULL;

	if (EVP_DigestFinal_ex(k->digest, have, NULL) != 1)
		return camp_check_fail(k, CAMP_MEMORY);
	if (a->by_header) {
		s = camp_check_part_of(k, part->index);
		if (!s)
			return fail_part(k, part, CAMP_PART_SIGNED);
		s->seen = 1;
		want = s->sha256;
	}
	if (k->octets != (s ? s->size : a->size))
		return fail_part(k, part, CAMP_PART_SIZE);
	return memcmp(have, want, CAMP_HASH) == 0 ? 0 : fail_part(k, part, CAMP_PART_DIGEST);
}

static int on_end(void *arg, const struct mail_gate_part *part)
{
	struct camp_check *k = arg;

	if (part->multipart)
		return 0;
	return k->current->tpl != CAMP_NONE ? end_text(k, part) : end_data(k, part);
}

/* --- the whole ------------------------------------------------------------------------------- */

static int set_rcpt(struct camp_check *k, struct span rcpt)
{
	if (rcpt.n >= 2 && rcpt.p[0] == '<' && rcpt.p[rcpt.n - 1] == '>')
		rcpt = span_sub(rcpt, 1, rcpt.n - 2);
	if (span_copy_str(k->rcpt, sizeof(k->rcpt), rcpt) != 0)
		k->rcpt[0] = 0; /* nothing equals it: refused at To */
	k->match_params =
	    (struct camp_match_params){.rcpt = span_str(k->rcpt), .mark = on_mark, .arg = k};
	return 0;
}

struct camp_check *camp_check_new(const struct camp_compiled *c,
				  const struct camp_check_params *params)
{
	static const struct mail_gate_fns fns = {
	    .begin = on_begin, .text = on_text, .data = on_data, .end = on_end};
	struct camp_check *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->gate = mail_gate_new(&fns, k, 0);
	if (!k->gate) {
		free(k);
		return NULL;
	}
	k->c = c;
	k->m = camp_template_manifest(c);
	buf_init(&k->values, (size_t)CAMP_PLACES * CAMP_TEMPLATES * (CAMP_LINK_DATA + 1));
	k->result = (struct camp_check_result){.verdict = CAMP_PASS,
					       .rule = "pass",
					       .tpl = CAMP_NONE,
					       .field = CAMP_NONE};
	set_rcpt(k, params->rcpt);
	return k;
}

void camp_check_free(struct camp_check *k)
{
	if (!k)
		return;
	mail_gate_free(k->gate);
	EVP_MD_CTX_free(k->digest);
	buf_clear(&k->values);
	free(k->places);
	free(k);
}

/* What the gate says becomes the verdict, unless the judge itself stopped it. */
static int gated(struct camp_check *k, int r)
{
	struct mail_gate_verdict v;

	if (r == 0 || k->result.verdict != CAMP_PASS)
		return r;
	v = mail_gate_verdict(k->gate);
	k->result.verdict = mail_gate_rule_class(v.rule) == 552	  ? CAMP_TOO_BIG
			    : mail_gate_rule_class(v.rule) == 554 ? CAMP_AMBIGUOUS
								  : CAMP_MEMORY;
	k->result.rule = mail_gate_rule_name(v.rule);
	k->result.part = v.part;
	k->result.offset = v.offset;
	return r;
}

int camp_check_header(struct camp_check *k, struct span name, struct span value)
{
	int r;

	if (k->result.verdict != CAMP_PASS)
		return ERR_FORMAT;
	r = gated(k, mail_gate_header(k->gate, name, value));
	return r ? r : camp_check_field(k, name, value);
}

int camp_check_eoh(struct camp_check *k)
{
	int r;

	if (k->result.verdict != CAMP_PASS)
		return ERR_FORMAT;
	r = camp_check_fields(k);
	return r ? r : gated(k, mail_gate_eoh(k->gate));
}

int camp_check_body(struct camp_check *k, struct span piece)
{
	if (k->result.verdict != CAMP_PASS)
		return ERR_FORMAT;
	return gated(k, mail_gate_body(k->gate, piece));
}

int camp_check_end(struct camp_check *k)
{
	int r;

	if (k->result.verdict != CAMP_PASS)
		return ERR_FORMAT;
	r = gated(k, mail_gate_end(k->gate));
	if (r)
		return r;
	while (k->row < k->m->n_mime && k->m->mime[k->row].optional)
		k->row = behind(k->m, k->row);
	if (k->row < k->m->n_mime)
		return camp_check_fail(k, CAMP_PART_MISSING);
	for (unsigned i = 0; i < k->n_signed; i++)
		if (!k->signed_part[i].seen)
			return camp_check_fail(k, CAMP_PART_SIGNED);
	k->done = 1;
	return 0;
}

struct camp_check_result camp_check_result(const struct camp_check *k)
{
	return k->result;
}

const struct camp_place *camp_check_places(const struct camp_check *k, size_t *n)
{
	*n = k->done ? k->n_places : 0;
	return k->places;
}

struct span camp_check_values(const struct camp_check *k, const struct camp_place *p)
{
	return span_sub(buf_span(&k->values), p->values, p->n_values);
}

const struct camp_edit_part *camp_check_parts(const struct camp_check *k, size_t *n)
{
	*n = k->done ? k->n_parts : 0;
	return k->parts;
}

size_t camp_check_skipped(const struct camp_check *k)
{
	return k->skipped;
}
