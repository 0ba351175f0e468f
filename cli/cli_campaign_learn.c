/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost campaign learn: proofs as the customer's own pipeline sent them become a source. See sealpost-campaign(7). */
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_learn.h"
#include "cli/cli_campaign.h"
#include "cli/cli_yaml.h"
#include "core/err.h"
#include "mail/mail_gate.h"
#include "mail/mail_header.h"
#include "mail/mail_word.h"
#include "sys/sys_file.h"

#define MESSAGE_MAX (64u << 20)
#define PARTS	    CAMP_PARTS

/* One message, taken apart. */
struct proof {
	char *file;
	struct buf message;
	struct camp_learn_part part[PARTS];
	struct buf text[PARTS];
	char *strings[PARTS][4];
	EVP_MD_CTX *digest;
	unsigned n;
	char subject[2048];
	size_t subject_n;
	struct mail_word_mailbox from, to;
};

struct learn {
	json_t *document; /* of the values */
	const char *field[CAMP_FIELDS];
	unsigned n_fields;
	struct proof *proof;
	struct camp_learn_proof given[CAMP_LEARN_PROOFS];
	unsigned n;
};

static int begin(void *arg, const struct mail_gate_part *g)
{
	struct proof *p = arg;
	struct camp_learn_part *part = &p->part[p->n];
	const char *from[4] = {g->type, *g->filename ? g->filename : g->name, g->cid, g->disposition};
	unsigned i;

	if (g->multipart)
		return 0;
	if (p->n == PARTS)
		return ERR_LIMIT;
	for (i = 0; i < 4; i++)
		if (!(p->strings[p->n][i] = strdup(from[i])))
			return ERR_NOMEM;
	*part = (struct camp_learn_part){.type = p->strings[p->n][0], .name = p->strings[p->n][1], .cid = p->strings[p->n][2],
					 .disposition = p->strings[p->n][3], .is_text = g->text, .flowed = g->flowed};
	buf_init_wiped(&p->text[p->n], 2 * CAMP_TEMPLATE_MAX);
	if (!g->text && EVP_DigestInit_ex(p->digest, EVP_sha256(), NULL) != 1)
		return ERR_CRYPTO;
	return 0;
}

static int text(void *arg, const struct mail_gate_part *g, struct span s, const struct mail_gate_run *runs, size_t n_runs)
{
	struct proof *p = arg;

	(void)g;
	(void)runs;
	(void)n_runs;
	return buf_put_span(&p->text[p->n], s);
}

static int data(void *arg, const struct mail_gate_part *g, struct span s)
{
	struct proof *p = arg;

	(void)g;
	p->part[p->n].size += s.n;
	return EVP_DigestUpdate(p->digest, s.p, s.n) == 1 ? 0 : ERR_CRYPTO;
}

static int end(void *arg, const struct mail_gate_part *g)
{
	struct proof *p = arg;

	if (g->multipart)
		return 0;
	if (g->text)
		p->part[p->n].text = buf_span(&p->text[p->n]);
	else if (EVP_DigestFinal_ex(p->digest, p->part[p->n].sha256, NULL) != 1)
		return ERR_CRYPTO;
	p->n++;
	return 0;
}

/* Files on disk end their lines as they like; messages do not. */
static int with_crlf(struct buf *out, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_put_str(out, "\r");
		buf_put(out, s.p + i, 1);
	}
	return buf_failed(out);
}

/* As the gate wants a value: without the first blank and the last line end. */
static struct span value_of(const struct mail_header_field *f)
{
	struct span s = span_sub(f->whole, f->name.n + 1, f->whole.n);

	if (s.n && s.p[0] == ' ')
		s = span_sub(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static int take_header(struct proof *p, const struct mail_header_field *f)
{
	int n;

	if (span_equal_nocase(f->name, SPAN_LIT("Subject"))) {
		n = mail_word_decode(p->subject, sizeof(p->subject), value_of(f));
		p->subject_n = n > 0 ? (size_t)n : 0;
		return n < 0 ? n : 0;
	}
	if (span_equal_nocase(f->name, SPAN_LIT("From")))
		return mail_word_mailbox(&p->from, value_of(f));
	if (span_equal_nocase(f->name, SPAN_LIT("To")))
		return mail_word_mailbox(&p->to, value_of(f));
	return 0;
}

static int read_message(struct proof *p, struct mail_gate *g)
{
	struct mail_header h;
	struct mail_header_field f;
	int rc;

	mail_header_init(&h, buf_span(&p->message), 1);
	while ((rc = mail_header_next(&h, &f)) == 1) {
		if (take_header(p, &f) < 0)
			return cli_fail(EXIT_USAGE, "%s: %.*s cannot be read", p->file, (int)f.name.n, (const char *)f.name.p);
		rc = mail_gate_header(g, f.name, value_of(&f));
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = mail_gate_eoh(g);
	if (rc == 0)
		rc = mail_gate_body(g, h.rest);
	if (rc == 0)
		rc = mail_gate_end(g);
	if (rc < 0)
		return cli_fail(EXIT_USAGE, "%s: %s (part %u)", p->file, mail_gate_rule_name(mail_gate_verdict(g).rule),
				mail_gate_verdict(g).part);
	return *p->from.address && p->subject_n ? 0 : cli_fail(EXIT_USAGE, "%s: no From or no Subject", p->file);
}

static int read_proof(struct proof *p)
{
	static const struct mail_gate_fns fns = {.begin = begin, .text = text, .data = data, .end = end};
	struct mail_gate *g = mail_gate_new(&fns, p, 1);
	struct buf raw;
	int rc;

	buf_init_wiped(&raw, MESSAGE_MAX);
	buf_init_wiped(&p->message, 2 * MESSAGE_MAX);
	p->digest = EVP_MD_CTX_new();
	rc = sys_file_read(p->file, &raw, 0);
	if (!g || !p->digest)
		rc = cli_fail(EXIT_ENVIRONMENT, "out of memory");
	else if (rc < 0)
		rc = cli_fail(EXIT_USAGE, "%s: %s", p->file, err_text(rc));
	else if (with_crlf(&p->message, buf_span(&raw)) < 0)
		rc = cli_fail(EXIT_USAGE, "%s: too large", p->file);
	else
		rc = read_message(p, g);
	mail_gate_free(g);
	buf_clear(&raw);
	return rc;
}

static void clear_proof(struct proof *p)
{
	unsigned i, k;

	for (i = 0; i < PARTS; i++) {
		buf_clear(&p->text[i]);
		for (k = 0; k < 4; k++)
			free(p->strings[i][k]);
	}
	EVP_MD_CTX_free(p->digest);
	buf_clear(&p->message);
	free(p->file);
}

/* A file beside the one that names it. */
static char *beside(const char *path, const char *file)
{
	const char *slash = strrchr(path, '/');
	char *out = NULL;

	if (file[0] == '/' || !slash)
		return strdup(file);
	return asprintf(&out, "%.*s/%s", (int)(slash - path), path, file) < 0 ? NULL : out;
}

/* The fields of the first proof; the others must have the same. */
static int fields_of(struct learn *l, const char *path, json_t *values)
{
	const char *name;
	json_t *v;

	json_object_foreach(values, name, v) {
		if (l->n_fields == CAMP_FIELDS)
			return cli_fail(EXIT_USAGE, "%s: more than %d values", path, CAMP_FIELDS);
		l->field[l->n_fields++] = name;
	}
	return 0;
}

static int values_of(struct learn *l, const char *path, json_t *values, struct camp_learn_proof *given)
{
	unsigned i;

	if (json_object_size(values) != l->n_fields)
		return cli_fail(EXIT_USAGE, "%s: each proof needs a value for each field", path);
	for (i = 0; i < l->n_fields; i++) {
		json_t *v = json_object_get(values, l->field[i]);
		if (!json_is_string(v))
			return cli_fail(EXIT_USAGE, "%s: the value of %s must be a text (in quotes) in each proof", path, l->field[i]);
		given->value[i] = span_of(json_string_value(v), json_string_length(v));
	}
	return 0;
}

static int read_all(struct learn *l, const char *path)
{
	json_t *list = json_object_get(l->document, "proofs"), *one;
	size_t i;
	int rc = 0;

	if (!json_is_array(list) || json_array_size(list) > CAMP_LEARN_PROOFS)
		return cli_fail(EXIT_USAGE, "%s: \"proofs\" is a list of 3 to %d, each with \"file\" and \"values\"", path,
				CAMP_LEARN_PROOFS);
	rc = fields_of(l, path, json_object_get(json_array_get(list, 0), "values"));
	l->proof = calloc(json_array_size(list) + 1, sizeof(*l->proof));
	if (!l->proof)
		return cli_fail(EXIT_ENVIRONMENT, "out of memory");
	json_array_foreach(list, i, one) {
		struct proof *p = &l->proof[i];
		const char *file = json_string_value(json_object_get(one, "file"));

		if (rc != 0)
			return rc;
		if (!file)
			return cli_fail(EXIT_USAGE, "%s: proofs[%zu] has no file", path, i);
		p->file = beside(path, file);
		l->n = (unsigned)i + 1;
		rc = p->file ? read_proof(p) : cli_fail(EXIT_ENVIRONMENT, "out of memory");
		if (rc == 0)
			rc = values_of(l, path, json_object_get(one, "values"), &l->given[i]);
		l->given[i].name = p->file;
		l->given[i].subject = span_of(p->subject, p->subject_n);
		l->given[i].from_addr = p->from.address;
		l->given[i].from_name = p->from.display;
		l->given[i].rcpt = p->to.address;
		l->given[i].part = p->part;
		l->given[i].n_parts = p->n;
	}
	return rc;
}

int cli_campaign_learn(struct cli_campaign *k)
{
	struct camp_learn_error e = {"", ""};
	struct learn l = {.document = cli_yaml_load(k->args[0])};
	json_t *source = NULL;
	unsigned i;
	int rc = l.document ? read_all(&l, k->args[0]) : EXIT_USAGE;

	if (rc == 0) {
		rc = camp_learn(l.given, l.n, l.field, l.n_fields, &source, &e);
		rc = rc == 0 ? 0 : rc == ERR_FORMAT ? cli_fail(CLI_NOT_THERE, "%s: %s", e.place, e.text)
						    : cli_fail(EXIT_ENVIRONMENT, "%s", err_text(rc));
	}
	if (rc == 0 && (json_dumpf(source, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0 || putchar('\n') < 0))
		rc = EXIT_ENVIRONMENT;
	for (i = 0; l.proof && i < l.n; i++)
		clear_proof(&l.proof[i]);
	free(l.proof);
	json_decref(source);
	json_decref(l.document);
	return rc;
}
