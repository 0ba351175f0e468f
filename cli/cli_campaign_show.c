/* SPDX-License-Identifier: Apache-2.0 */
/* A version as its hash says it is: everything shown comes from the manifest and templates that the hash covers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_campaign.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"

#define RENDER_MAX (4u << 20)
#define DIFF_LINES 12 /* shown of each side */
#define LINE_SHOWN 100

int cli_campaign_fetch(struct cli_campaign *k, const char *campaign, json_int_t version, struct cli_campaign_version *v)
{
	json_t *ask = cli_campaign_which(k, campaign, version);
	char hash[HEX_SIZE(CAMP_HASH)];
	const char *text;
	int rc = cli_api_body(k->cli, "POST", "/v1/campaigns/show", ask, 0, &v->row), n;

	json_decref(ask);
	v->bytes = NULL;
	v->manifest = NULL;
	if (rc)
		return rc;
	text = cli_text(v->row, "bundle");
	v->bytes = malloc(strlen(text) + 1);
	n = v->bytes ? hex_b64_decode(v->bytes, strlen(text), span_str(text)) : ERR_NOMEM;
	if (n < 0 || camp_bundle_get(span_of(v->bytes, (size_t)n), &v->bundle, &v->manifest, NULL) < 0) {
		cli_campaign_version_clear(v);
		return cli_fail(EXIT_ENVIRONMENT, "relay's answer does not hold together: its templates are not those "
						  "of its manifest");
	}
	hex_encode(hash, v->manifest->hash, CAMP_HASH);
	if (!strcmp(hash, cli_text(v->row, "hash")))
		return 0;
	cli_campaign_version_clear(v);
	return cli_fail(EXIT_ENVIRONMENT, "relay's answer does not hold together: its manifest has another hash");
}

void cli_campaign_version_clear(struct cli_campaign_version *v)
{
	json_decref(v->row);
	camp_manifest_free(v->manifest);
	free(v->bytes);
	memset(v, 0, sizeof(*v));
}

/* --- templates */

static void render(const struct cli_campaign_version *v, struct span blob, const struct camp_ops *ops, struct buf *out)
{
	static const char *const opens[] = {[CAMP_OP_OPT] = "{{#opt}}", [CAMP_OP_ALT] = "{{#alt}}"};
	static const char *const closes[] = {
	    [CAMP_OP_OPT] = "{{/opt}}", [CAMP_OP_ALT] = "{{/alt}}", [CAMP_OP_REP] = "{{/rep}}"};

	for (unsigned i = 0; i < ops->n; i++) {
		const struct camp_op *op = &ops->op[i];
		if (op->kind == CAMP_OP_LIT) {
			buf_put_span(out, span_sub(blob, op->at, op->len));
			continue;
		}
		if (op->kind == CAMP_OP_FLD) {
			buf_putf(out, "{{%s}}", v->manifest->fields[op->field].name);
			continue;
		}
		if (op->kind == CAMP_OP_REP)
			buf_putf(out, "{{#rep %u}}", op->max);
		else
			buf_put_str(out, opens[op->kind]);
		for (unsigned b = 0; b < op->n_branch; b++) {
			if (b)
				buf_put_str(out, "{{|}}");
			render(v, blob, &op->branch[b], out);
		}
		buf_put_str(out, closes[op->kind]);
	}
}

int cli_campaign_render(const struct cli_campaign_version *v, unsigned tpl, struct buf *out)
{
	if (tpl < v->manifest->n_templates && tpl < v->bundle.n_blobs)
		render(v, v->bundle.blob[tpl], &v->manifest->templates[tpl].ops, out);
	return buf_failed(out);
}

/* What others wrote goes to a terminal: controls do not. */
static void put_safe(struct span s, int lines)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == '\n' && lines)
			putchar('\n');
		else if (c < 0x20 && c != '\t')
			putchar('?');
		else if (c == 0x7f || (c == 0xc2 && i + 1 < s.n && s.p[i + 1] < 0xa0))
			putchar('?'), i += c == 0xc2;
		else
			putchar(c);
	}
}

void cli_campaign_put(struct span text)
{
	put_safe(text, 0);
}

struct span cli_campaign_line(struct span text, size_t at)
{
	size_t from = at, to = at;

	while (from && text.p[from - 1] != '\n')
		from--;
	while (to < text.n && text.p[to] != '\n')
		to++;
	if (to - from > LINE_SHOWN) { /* around the place; between characters */
		from = at - from > LINE_SHOWN / 2 ? at - LINE_SHOWN / 2 : from;
		to = to - from > LINE_SHOWN ? from + LINE_SHOWN : to;
		while (from < at && (text.p[from] & 0xc0) == 0x80)
			from++;
		while (to > at && to < text.n && (text.p[to] & 0xc0) == 0x80)
			to--;
	}
	return span_sub(text, from, to - from);
}

static void put_line(const char *head, const char *text)
{
	printf("%-11s", head);
	put_safe(span_str(text), 0);
	putchar('\n');
}

/* --- parts of the print */

static void put_when(const char *head, const char *who, json_int_t when)
{
	char text[32];

	cli_time(text, when);
	if (when && who[0])
		printf("%-11s%s, %s\n", head, who, text);
	else if (when)
		printf("%-11s%s\n", head, text);
}

static void put_head(const struct cli_campaign_version *v)
{
	const struct camp_manifest *m = v->manifest;
	char from[32], to[32];

	printf("Campaign   %s version %u (number %u)\nCustomer   %s\n", m->campaign, m->version, m->number, m->customer);
	printf("State      %s\nHash       %s\n", cli_text(v->row, "state"), cli_text(v->row, "hash"));
	put_when("Author", m->author, cli_number(v->row, "created"));
	put_when("Approver", cli_text(v->row, "approver"), cli_number(v->row, "approved"));
	put_when("Active", "", cli_number(v->row, "activated"));
	cli_time(from, m->valid_from * CLOCK_SEC);
	cli_time(to, m->valid_to * CLOCK_SEC);
	printf("Valid      %s to %s\n", from, to);
	printf("Messages   %lld of at most %llu\n", (long long)cli_number(v->row, "taken"),
	       (unsigned long long)m->max_messages);
}

static void put_audience(const char *head, const struct camp_manifest *m)
{
	if (m->has_audience)
		printf("%-11s%llu address%s\n", head, (unsigned long long)m->audience_count, m->audience_count == 1 ? "" : "es");
	else
		printf("%-11sanyone\n", head);
}

static void put_address(const char *head, const struct camp_address *a)
{
	struct buf text;

	if (!a->addr)
		return;
	buf_init(&text, 8192);
	if (a->name[0])
		buf_putf(&text, "%s <%s>", a->name, a->addr);
	else
		buf_put_str(&text, a->addr);
	printf("%-11s", head);
	put_safe(buf_span(&text), 0);
	putchar('\n');
	buf_clear(&text);
}

static void put_subject(const struct cli_campaign_version *v)
{
	struct buf text;

	buf_init_wiped(&text, RENDER_MAX);
	cli_campaign_render(v, v->manifest->subject, &text);
	printf("%-11s", "Subject");
	put_safe(buf_span(&text), 0);
	putchar('\n');
	buf_clear(&text);
}

static void put_parts(const struct camp_manifest *m)
{
	for (unsigned i = 0; i < m->n_mime; i++) {
		const struct camp_mime *p = &m->mime[i];
		printf("%-11s%*s%s", i ? "" : "Parts", (int)p->depth * 2, "", p->type);
		if (p->tpl != CAMP_NONE && p->tpl < m->n_templates)
			printf(", template %u, %u octets", p->tpl, m->templates[p->tpl].size);
		if (p->att != CAMP_NONE && p->att < m->n_attachments) {
			printf(", %llu octets, ", (unsigned long long)m->attachments[p->att].size);
			put_safe(span_str(m->attachments[p->att].name), 0);
		}
		puts(p->optional ? ", may be missing" : "");
	}
}

static void put_hosts(const struct camp_manifest *m)
{
	printf("%-11s", "Hosts");
	for (unsigned i = 0; i < m->n_hosts; i++)
		printf("%s%s", i ? ", " : "", m->hosts[i]);
	puts(m->n_hosts ? "" : "none");
}

static void put_tracking(const struct camp_manifest *m)
{
	static const char *const unsubscribe[] = {"", ", unsubscribe by https", ", unsubscribe by https and mail"};
	const struct camp_track *t = &m->track;

	if (m->has_track)
		printf("%-11s%s:%s%s%s; %s unless a message says otherwise\n", "Tracking", t->host, t->clicks ? " clicks" : "",
		       t->pixel ? " opens" : "", unsubscribe[t->unsubscribe], camp_consent_name(t->consent));
	else
		printf("%-11snone\n", "Tracking");
}

static void put_fields(const struct camp_manifest *m)
{
	static const char *const heads[] = {"FIELD", "TYPE", "CONTEXT", "LONGEST"};
	struct cli_table *t = m->n_fields ? cli_table_new(heads, 4, "lllr") : NULL;
	char max[16];

	for (unsigned i = 0; i < m->n_fields; i++) {
		const struct camp_field *f = &m->fields[i];
		snprintf(max, sizeof(max), "%u", f->max);
		cli_table_row(t, (const char *[]){f->name, camp_field_type_name(f->type), camp_context_name(f->ctx), max});
	}
	if (t)
		puts("");
	cli_table_print(t);
	cli_table_free(t);
}

static void put_links(const struct camp_manifest *m)
{
	if (m->n_links)
		puts("\nLINK  TRACKED  URL");
	for (unsigned i = 0; i < m->n_links; i++) {
		printf("%4u  %-7s  ", i, m->links[i].track ? "yes" : "no");
		put_safe(span_str(m->links[i].url), 0);
		putchar('\n');
	}
}

void cli_campaign_print(const struct cli_campaign_version *v)
{
	const struct camp_manifest *m = v->manifest;
	const json_t *findings = json_object_get(v->row, "findings");
	int errors, warnings;

	put_head(v);
	put_audience("Audience", m);
	put_address("From", &m->from);
	put_address("Reply-To", &m->reply_to);
	put_subject(v);
	if (m->list_id)
		put_line("List-Id", m->list_id);
	put_parts(m);
	put_hosts(m);
	put_tracking(m);
	put_fields(m);
	put_links(m);
	if (json_array_size(findings))
		puts("\nWARNINGS");
	cli_campaign_findings(findings, NULL, NULL, &errors, &warnings);
}

static void print_text(const struct cli_campaign_version *v)
{
	const struct camp_manifest *m = v->manifest;
	struct buf text;

	for (unsigned i = 0; i < m->n_mime; i++) {
		if (m->mime[i].tpl == CAMP_NONE)
			continue;
		buf_init_wiped(&text, RENDER_MAX);
		cli_campaign_render(v, m->mime[i].tpl, &text);
		printf("\n--- part %u, %s\n", i, m->mime[i].type);
		put_safe(buf_span(&text), 1);
		puts("");
		buf_clear(&text);
	}
}

int cli_campaign_show(struct cli_campaign *k)
{
	struct cli_campaign_version v;
	int rc = cli_campaign_fetch(k, k->args[0], k->version, &v);

	if (rc)
		return rc;
	if (k->json) {
		json_object_set_new(v.row, "manifest",
				    json_loadb((const char *)v.bundle.manifest.p, v.bundle.manifest.n,
					       JSON_REJECT_DUPLICATES, NULL));
		json_object_del(v.row, "bundle");
		cli_campaign_json(json_incref(v.row));
	} else {
		cli_campaign_print(&v);
		if (k->text)
			print_text(&v);
	}
	cli_campaign_version_clear(&v);
	return 0;
}

/* --- what differs */

static struct span line_of(struct span *rest)
{
	ptrdiff_t n = span_find(*rest, '\n');
	struct span line = n < 0 ? *rest : span_sub(*rest, 0, (size_t)n);

	*rest = span_sub(*rest, line.n + (n >= 0), rest->n);
	return line;
}

static void put_side(char sign, struct span middle)
{
	for (int i = 0; middle.n && i < DIFF_LINES; i++) {
		printf("  %c ", sign);
		put_safe(line_of(&middle), 0);
		putchar('\n');
	}
	if (middle.n)
		printf("  %c ...\n", sign);
}

/* Lines that differ between the first and the last that do. */
static void diff(const char *what, struct span a, struct span b)
{
	size_t from = 0, most = a.n < b.n ? a.n : b.n, end = 0;

	if (span_equal(a, b))
		return;
	while (from < most && a.p[from] == b.p[from])
		from++;
	while (from && a.p[from - 1] != '\n')
		from--;
	while (end < most - from && a.p[a.n - end - 1] == b.p[b.n - end - 1])
		end++;
	while (end && a.p[a.n - end - 1] != '\n')
		end--;
	printf("%s:\n", what);
	put_side('-', span_sub(a, from, a.n - end - from));
	put_side('+', span_sub(b, from, b.n - end - from));
}

static void diff_template(const char *what, const struct cli_campaign_version *old, unsigned old_tpl,
			  const struct cli_campaign_version *fresh, unsigned tpl)
{
	struct buf a, b;

	buf_init_wiped(&a, RENDER_MAX);
	buf_init_wiped(&b, RENDER_MAX);
	cli_campaign_render(old, old_tpl, &a);
	cli_campaign_render(fresh, tpl, &b);
	diff(what, buf_span(&a), buf_span(&b));
	buf_clear(&a);
	buf_clear(&b);
}

/* The template of the first part of that type. */
static unsigned template_of(const struct camp_manifest *m, const char *type)
{
	for (unsigned i = 0; i < m->n_mime; i++)
		if (m->mime[i].tpl != CAMP_NONE && !strcmp(m->mime[i].type, type))
			return m->mime[i].tpl;
	return CAMP_NONE;
}

static int has(char *const *list, unsigned n, const char *text)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(list[i], text))
			return 1;
	return 0;
}

void cli_campaign_compare(const struct cli_campaign_version *old, const struct cli_campaign_version *fresh)
{
	const struct camp_manifest *a = old->manifest, *b = fresh->manifest;

	if (strcmp(a->from.addr, b->from.addr) || strcmp(a->from.name, b->from.name)) {
		put_address("From was", &a->from);
		put_address("From is", &b->from);
	}
	if (a->has_audience != b->has_audience || a->audience_count != b->audience_count ||
	    memcmp(a->audience_sha256, b->audience_sha256, CAMP_HASH) != 0) {
		put_audience("To was", a);
		put_audience("To is", b);
		if (a->has_audience && b->has_audience && a->audience_count == b->audience_count)
			puts("           and not the same ones");
	}
	for (unsigned i = 0; i < b->n_hosts; i++)
		if (!has(a->hosts, a->n_hosts, b->hosts[i]))
			printf("Host added: %s\n", b->hosts[i]);
	for (unsigned i = 0; i < a->n_hosts; i++)
		if (!has(b->hosts, b->n_hosts, a->hosts[i]))
			printf("Host gone: %s\n", a->hosts[i]);
	if (a->n_attachments != b->n_attachments)
		printf("Attachments: %u, were %u\n", b->n_attachments, a->n_attachments);
	diff_template("Subject", old, a->subject, fresh, b->subject);
	diff_template("text/plain", old, template_of(a, "text/plain"), fresh, template_of(b, "text/plain"));
	diff_template("text/html", old, template_of(a, "text/html"), fresh, template_of(b, "text/html"));
}
