/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define GZIP_WINDOW (15 + 16) /* deflateInit2: a gzip head and tail */

static const char *const kinds[] = {
#define TLSRPT_X(sym, name) name,
    TLSRPT_KINDS(TLSRPT_X)
#undef TLSRPT_X
};

const char *tlsrpt_kind_name(int kind)
{
	return kinds[kind >= 0 && kind < (int)(sizeof(kinds) / sizeof(kinds[0])) ? kind : 0];
}

/* --- the head */

static int64_t last_second(const struct tlsrpt_report_head *h)
{
	int64_t last = h->end / CLOCK_SEC - 1, first = h->begin / CLOCK_SEC;

	return last > first ? last : first;
}

void tlsrpt_report_id(char dst[280], const struct tlsrpt_report_head *h)
{
	snprintf(dst, 280, "%s@%s", h->id, h->submitter);
}

void tlsrpt_report_file(char dst[TLSRPT_REPORT_FILE], const struct tlsrpt_report_head *h)
{
	snprintf(dst, TLSRPT_REPORT_FILE, "%s!%s!%" PRId64 "!%" PRId64 "!%s.json.gz", h->submitter, h->domain,
		 h->begin / CLOCK_SEC, last_second(h), h->id);
}

int tlsrpt_report_init(struct tlsrpt_report *r, const struct tlsrpt_report_head *h)
{
	char begin[21], end[21], id[280];

	*r = (struct tlsrpt_report){.policy = NULL};
	clock_format_iso(begin, h->begin);
	clock_format_iso(end, last_second(h) * CLOCK_SEC);
	tlsrpt_report_id(id, h);
	r->json = json_pack("{s:s, s:{s:s, s:s}, s:s, s:s, s:[]}", "organization-name", h->organization,
			    "date-range", "start-datetime", begin, "end-datetime", end, "contact-info", h->contact,
			    "report-id", id, "policies");
	return r->json ? 0 : ERR_NOMEM;
}

void tlsrpt_report_clear(struct tlsrpt_report *r)
{
	json_decref(r->json);
	*r = (struct tlsrpt_report){.policy = NULL};
}

/* --- policies */

static json_t *printable(struct span s)
{
	char *copy = malloc(s.n + 1);
	json_t *text;

	if (!copy)
		return NULL;
	for (size_t i = 0; i < s.n; i++)
		copy[i] = s.p[i] >= ' ' && s.p[i] < 0x7f ? (char)s.p[i] : '?';
	text = json_stringn(copy, s.n);
	free(copy);
	return text;
}

static struct span trim(struct span s)
{
	while (s.n && (s.p[s.n - 1] == '\r' || s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_sub(s, 1, s.n);
	return s;
}

static void add_pattern(json_t *patterns, struct span line)
{
	ptrdiff_t colon = span_find(line, ':');

	if (colon > 0 && span_equal(trim(span_sub(line, 0, (size_t)colon)), SPAN_LIT("mx")))
		json_array_append_new(patterns, printable(trim(span_sub(line, (size_t)colon + 1, line.n))));
}

static void set_unless_empty(json_t *o, const char *name, json_t *list)
{
	if (json_array_size(list))
		json_object_set_new(o, name, list);
	else
		json_decref(list);
}

static void add_strings(json_t *policy, const struct store_tlsrpt_count *row)
{
	json_t *strings = json_array(), *patterns = json_array();
	struct span rest = row->policy;

	while (rest.n) {
		ptrdiff_t lf = span_find(rest, '\n');
		struct span line = trim(lf < 0 ? rest : span_sub(rest, 0, (size_t)lf));
		rest = lf < 0 ? span_sub(rest, rest.n, 0) : span_sub(rest, (size_t)lf + 1, rest.n);
		if (line.n)
			json_array_append_new(strings, printable(line));
		if (row->kind == TLSRPT_KIND_STS)
			add_pattern(patterns, line);
	}
	set_unless_empty(policy, "policy-string", strings);
	json_object_set_new(policy, "policy-domain", json_string(row->domain));
	set_unless_empty(policy, "mx-host", patterns);
}

static json_t *add_policy(json_t *policies, const struct store_tlsrpt_count *row)
{
	json_t *p = json_pack("{s:{s:s}, s:{s:i, s:i}}", "policy", "policy-type", tlsrpt_kind_name(row->kind), "summary",
			      "total-successful-session-count", 0, "total-failure-session-count", 0);

	if (!p)
		return NULL;
	add_strings(json_object_get(p, "policy"), row);
	return json_array_append_new(policies, p) == 0 ? p : NULL;
}

static json_t *policy_of(struct tlsrpt_report *r, const struct store_tlsrpt_count *row)
{
	if (!r->policy || r->policy_id != row->policy_id) {
		r->policy = add_policy(json_object_get(r->json, "policies"), row);
		r->policy_id = row->policy_id;
	}
	return r->policy;
}

/* --- counts */

static void count(json_t *policy, const char *what, int64_t n)
{
	json_t *summary = json_object_get(policy, "summary");

	json_object_set_new(summary, what, json_integer(json_integer_value(json_object_get(summary, what)) + n));
}

static void set_text(json_t *o, const char *name, const char *text)
{
	if (text && text[0])
		json_object_set_new(o, name, printable(span_str(text)));
}

static int add_failure(json_t *policy, const struct store_tlsrpt_count *row)
{
	json_t *details = json_object_get(policy, "failure-details");
	json_t *d = json_pack("{s:s}", "result-type", tlsrpt_result_name((enum tlsrpt_result)row->result));

	if (!details) {
		json_object_set_new(policy, "failure-details", json_array());
		details = json_object_get(policy, "failure-details");
	}
	set_text(d, "sending-mta-ip", row->from);
	set_text(d, "receiving-mx-hostname", row->mx);
	set_text(d, "receiving-ip", row->ip);
	json_object_set_new(d, "failed-session-count", json_integer(row->sessions));
	set_text(d, "failure-reason-code", row->reason);
	return json_array_append_new(details, d) == 0 ? 0 : ERR_NOMEM;
}

int tlsrpt_report_add(struct tlsrpt_report *r, const struct store_tlsrpt_count *row)
{
	json_t *policy = policy_of(r, row);

	if (!policy)
		return ERR_NOMEM;
	if (row->result == TLSRPT_OK) {
		count(policy, "total-successful-session-count", row->sessions);
		return 0;
	}
	count(policy, "total-failure-session-count", row->sessions);
	return add_failure(policy, row);
}

/* --- packing */

static int deflate_all(struct span in, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
	int rc = Z_OK;

	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return ERR_NOMEM;
	while (rc == Z_OK) {
		size_t room = buf_room(out) < 4096 ? buf_room(out) : 4096;
		uint8_t *to = room ? buf_reserve(out, room) : NULL;
		if (!to)
			break;
		z.next_out = to;
		z.avail_out = (uInt)room;
		rc = deflate(&z, Z_FINISH);
		buf_commit(out, room - z.avail_out);
	}
	deflateEnd(&z);
	return rc == Z_STREAM_END ? 0 : ERR_LIMIT;
}

int tlsrpt_report_gzip(const json_t *report, struct buf *out)
{
	char *text = json_dumps(report, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
	int err = text ? deflate_all(span_str(text), out) : ERR_NOMEM;

	free(text);
	return err;
}
