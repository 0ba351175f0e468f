/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_learn.h"

#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_learn_own.h"
#include "core/err.h"
#include "core/hex.h"

static int refuse(struct camp_learn_error *e, const char *place, const char *text)
{
	snprintf(e->place, sizeof(e->place), "%s", place);
	snprintf(e->text, sizeof(e->text), "%s", text);
	return ERR_FORMAT;
}

static int values_differ(const struct camp_learn_proof *proofs, unsigned n, const char *const *fields, unsigned n_fields,
			 struct camp_learn_error *e)
{
	unsigned f, a, b;

	for (f = 0; f < n_fields; f++) {
		for (a = 0; a < n; a++) {
			if (!proofs[a].value[f].n)
				return refuse(e, fields[f], "has no value in one of the proofs");
			for (b = 0; b < a; b++)
				if (span_equal(proofs[a].value[f], proofs[b].value[f]))
					return refuse(e, fields[f],
						      "has the same value in two proofs: each needs its own, or fixed text "
						      "cannot be told from it");
		}
	}
	return 0;
}

static int same_shape(const struct camp_learn_proof *a, const struct camp_learn_proof *b, struct camp_learn_error *e)
{
	unsigned i;

	if (strcmp(a->from_addr, b->from_addr) != 0 || strcmp(a->from_name, b->from_name) != 0)
		return refuse(e, b->name, "another From than in the first proof");
	if (a->n_parts != b->n_parts)
		return refuse(e, b->name, "another number of parts than in the first proof");
	for (i = 0; i < a->n_parts; i++) {
		const struct camp_learn_part *x = &a->part[i], *y = &b->part[i];
		if (strcmp(x->type, y->type) != 0 || x->is_text != y->is_text || x->flowed != y->flowed)
			return refuse(e, b->name, "its parts are of other types than those of the first proof");
		if (!x->is_text && (x->size != y->size || memcmp(x->sha256, y->sha256, CAMP_HASH) != 0 ||
				    strcmp(x->name, y->name) != 0 || strcmp(x->cid, y->cid) != 0))
			return refuse(e, b->name, "a file differs from that of the first proof");
	}
	return 0;
}

static int all_are(const struct camp_learn_proof *proofs, unsigned n, unsigned f, int (*is)(uint8_t))
{
	unsigned k;
	size_t i;

	for (k = 0; k < n; k++)
		for (i = 0; i < proofs[k].value[f].n; i++)
			if (!is(proofs[k].value[f].p[i]))
				return 0;
	return 1;
}

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static int code(uint8_t c)
{
	return digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-';
}

static int lettered(uint8_t c)
{
	return c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == ' ' || c == '\'' || c == '-' || c == '.';
}

static int is_rcpt(const struct camp_learn_proof *proofs, unsigned n, unsigned f)
{
	unsigned k;

	for (k = 0; k < n; k++)
		if (!proofs[k].rcpt || !span_equal(proofs[k].value[f], span_str(proofs[k].rcpt)))
			return 0;
	return 1;
}

/* The narrowest type that has room for the values seen: a guess, which the author may change. */
static const char *type_of(const struct camp_learn_proof *proofs, unsigned n, unsigned f, unsigned found)
{
	if (is_rcpt(proofs, n, f))
		return "rcpt-email";
	if (found & CAMP_LEARN_PERCENT)
		return "url-query";
	if (all_are(proofs, n, f, digit))
		return "int";
	if ((found & CAMP_LEARN_AFTER_EQUALS) && all_are(proofs, n, f, code))
		return "code";
	if (all_are(proofs, n, f, lettered))
		return "name";
	return all_are(proofs, n, f, code) ? "code" : "text-nolink";
}

static json_t *fields_of(const struct camp_learn_proof *proofs, unsigned n, const char *const *fields, unsigned n_fields,
			 const unsigned *found)
{
	json_t *all = json_object();
	unsigned f, k;

	for (f = 0; f < n_fields; f++) {
		size_t longest = 0;
		for (k = 0; k < n; k++)
			longest = proofs[k].value[f].n > longest ? proofs[k].value[f].n : longest;
		longest = 2 * longest < 32 ? 32 : 2 * longest > CAMP_FIELD_MAX ? CAMP_FIELD_MAX : 2 * longest;
		json_object_set_new(all, fields[f],
				    json_pack("{s:s, s:I}", "type", type_of(proofs, n, f, found[f]), "max", (json_int_t)longest));
	}
	return all;
}

static json_t *file_of(const struct camp_learn_part *p)
{
	char hash[HEX_SIZE(CAMP_HASH)];
	json_t *v;

	hex_encode(hash, p->sha256, CAMP_HASH);
	v = json_pack("{s:s, s:s, s:I, s:s}", "type", p->type, "name", p->name, "size", (json_int_t)p->size, "sha256", hash);
	if (*p->cid)
		json_object_set_new(v, "cid", json_string(p->cid));
	if (*p->disposition)
		json_object_set_new(v, "disposition", json_string(p->disposition));
	return v;
}

struct learn {
	const struct camp_learn_proof *proofs;
	unsigned n;
	const char *const *fields;
	unsigned n_fields;
	unsigned found[CAMP_FIELDS];
	struct camp_learn_error *e;
};

/* part: index, or -1 for the subject. */
static int text_of(struct learn *l, int part, json_t **text)
{
	struct span all[CAMP_LEARN_PROOFS];
	char name[32] = "subject";
	struct buf out;
	unsigned k;
	int rc;

	for (k = 0; k < l->n; k++)
		all[k] = part < 0 ? l->proofs[k].subject : l->proofs[k].part[part].text;
	if (part >= 0)
		snprintf(name, sizeof(name), "parts[%d]", part);
	buf_init(&out, CAMP_TEMPLATE_MAX);
	rc = camp_learn_text(l->proofs, l->n, l->fields, l->n_fields, all, name, &out, l->found, l->e);
	if (rc == 0) {
		*text = json_stringn((const char *)buf_ptr(&out), buf_size(&out));
		if (!*text)
			rc = refuse(l->e, name, "not UTF-8");
	}
	buf_clear(&out);
	return rc;
}

static int parts_of(struct learn *l, json_t *parts)
{
	unsigned i;

	for (i = 0; i < l->proofs[0].n_parts; i++) {
		const struct camp_learn_part *p = &l->proofs[0].part[i];
		json_t *v, *text = NULL;
		int rc;

		if (!p->is_text) {
			json_array_append_new(parts, file_of(p));
			continue;
		}
		rc = text_of(l, (int)i, &text);
		if (rc < 0)
			return rc;
		v = json_pack("{s:s, s:o}", "type", p->type, "text", text);
		if (p->flowed)
			json_object_set_new(v, "flowed", json_true());
		json_array_append_new(parts, v);
	}
	return 0;
}

static int all_found(const struct learn *l)
{
	unsigned f;

	for (f = 0; f < l->n_fields; f++)
		if (!l->found[f])
			return refuse(l->e, l->fields[f], "its values are in none of the texts");
	return 0;
}

int camp_learn(const struct camp_learn_proof *proofs, unsigned n_proofs, const char *const *fields, unsigned n_fields,
	       json_t **source, struct camp_learn_error *e)
{
	struct learn l = {.proofs = proofs, .n = n_proofs, .fields = fields, .n_fields = n_fields, .e = e};
	json_t *subject = NULL, *parts = json_array();
	unsigned k;
	int rc = 0;

	*source = NULL;
	if (n_proofs < CAMP_LEARN_PROOFS_MIN || n_proofs > CAMP_LEARN_PROOFS)
		rc = refuse(e, "proofs", "three proofs at least, and 32 at most");
	else if (n_fields > CAMP_FIELDS)
		rc = refuse(e, "fields", "more than 64 fields");
	for (k = 1; rc == 0 && k < n_proofs; k++)
		rc = same_shape(&proofs[0], &proofs[k], e);
	if (rc == 0)
		rc = values_differ(proofs, n_proofs, fields, n_fields, e);
	if (rc == 0)
		rc = text_of(&l, -1, &subject);
	if (rc == 0)
		rc = parts_of(&l, parts);
	if (rc == 0)
		rc = all_found(&l);
	if (rc == 0)
		*source = json_pack("{s:i, s:{s:s, s:s}, s:O, s:O, s:o}", "v", 1, "from", "addr", proofs[0].from_addr, "name",
				    proofs[0].from_name, "subject", subject, "parts", parts, "fields",
				    fields_of(proofs, n_proofs, fields, n_fields, l.found));
	if (rc == 0 && !*source)
		rc = ERR_NOMEM;
	json_decref(subject);
	json_decref(parts);
	return rc;
}
