/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "campaign/camp_manifest_own.h"
#include "core/err.h"

struct whole {
	struct camp_manifest m;
	struct camp_manifest_arena arena;
};

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define M(member) offsetof(struct camp_manifest, member)

static const char *const type_names[] = {
#define CAMP_X(sym, name) [CAMP_TYPE_##sym] = name,
    CAMP_FIELD_TYPES(CAMP_X)
#undef CAMP_X
};
static const char *const context_names[] = {
#define CAMP_X(sym, name) [CAMP_CTX_##sym] = name,
    CAMP_CONTEXTS(CAMP_X)
#undef CAMP_X
};

const char *camp_field_type_name(enum camp_field_type t)
{
	return (unsigned)t < CAMP_FIELD_TYPE_COUNT ? type_names[t] : "unknown";
}

const char *camp_context_name(enum camp_context c)
{
	return (unsigned)c < CAMP_CTX_COUNT ? context_names[c] : "unknown";
}

static int read_one(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	(void)dst;
	if (!json_is_integer(v) || json_integer_value(v) != 1)
		return camp_manifest_bad(r, "must be 1");
	return 0;
}

static int read_version(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_u32(r, v, dst);

	return ret || *(uint32_t *)dst ? ret : camp_manifest_bad(r, "must be 1 or more");
}

static int read_mode(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const char *const names[] = {"template", "signed-part"};

	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_max_messages(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_u64(r, v, dst);

	return ret || *(uint64_t *)dst ? ret : camp_manifest_bad(r, "must be 1 or more");
}

static int read_valid(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"from", camp_manifest_instant, M(valid_from), 0},
	    {"to", camp_manifest_instant, M(valid_to), 0},
	};
	struct camp_manifest *m = dst;
	int ret = camp_manifest_object(r, v, members, COUNT(members), dst);

	if (ret == 0 && m->valid_from >= m->valid_to)
		return camp_manifest_bad(r, "ends before it begins");
	return ret;
}

static int read_address(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"addr", camp_manifest_text, offsetof(struct camp_address, addr), 0},
	    {"name", camp_manifest_text, offsetof(struct camp_address, name), 0},
	};
	struct camp_address *a = dst;
	int ret = camp_manifest_object(r, v, members, COUNT(members), dst);
	const char *at;

	if (ret)
		return ret;
	at = strrchr(a->addr, '@');
	if (!at || at == a->addr || !at[1] || strlen(a->addr) > 254 || strpbrk(a->addr, " <>,;"))
		return camp_manifest_bad(r, "addr is no address");
	return 0;
}

static int read_subject(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	const char *s = json_string_value(v);

	if (!s || strncmp(s, "tpl:", 4) != 0 || s[4] < '0' || s[4] > '0' + CAMP_TEMPLATES - 1 ||
	    s[5])
		return camp_manifest_bad(r, "must name a template: \"tpl:0\"");
	*(unsigned *)dst = (unsigned)(s[4] - '0');
	return 0;
}

/* What a campaign can never let pass unseen: who it is from and to, where answers and their
 * keys go, and how the body is read. */
static const char *const never_extra[] = {"from",
					  "sender",
					  "reply-to",
					  "to",
					  "cc",
					  "bcc",
					  "apparently-to",
					  "subject",
					  "mime-version",
					  "disposition-notification-to",
					  "date",
					  "message-id",
					  "errors-to",
					  "return-receipt-to",
					  "x-confirm-reading-to",
					  "mail-reply-to",
					  "mail-followup-to",
					  "autocrypt"};

static int read_extra(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_lower(r, v, dst);
	const char *s = *(char **)dst;

	if (ret)
		return ret;
	if (strchr(s, ':') || strlen(s) > 76)
		return camp_manifest_bad(r, "is no name of a header field");
	for (size_t i = 0; i < COUNT(never_extra); i++)
		if (strcmp(s, never_extra[i]) == 0)
			return camp_manifest_bad(r, "\"%s\" cannot be allowed", s);
	if (strncmp(s, "resent-", 7) == 0 || strncmp(s, "content-", 8) == 0 ||
	    strncmp(s, "x-mozilla-", 10) == 0)
		return camp_manifest_bad(r, "\"%.40s\" cannot be allowed", s);
	return 0;
}

static int read_extras(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;

	return camp_manifest_array(r, v, CAMP_EXTRA, sizeof(char *), read_extra,
				   (void **)&m->extra_allow, &m->n_extra);
}

static int read_headers(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"from", read_address, M(from), 0},
	    {"reply_to", read_address, M(reply_to), 2},
	    {"subject", read_subject, M(subject), 0},
	    {"list_id", camp_manifest_text, M(list_id), 2},
	    {"extra_allow", read_extras, 0, 0},
	};
	return camp_manifest_object(r, v, members, COUNT(members), dst);
}

static int read_hosts(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	struct camp_manifest *m = dst;

	return camp_manifest_array(r, v, CAMP_HOSTS, sizeof(char *), camp_manifest_host,
				   (void **)&m->hosts, &m->n_hosts);
}

static int read_audience(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"sha256", camp_manifest_sha256, M(audience_sha256), 0},
	    {"count", camp_manifest_u64, M(audience_count), 0},
	};
	struct camp_manifest *m = dst;
	int rc;

	m->has_audience = 1;
	rc = camp_manifest_object(r, v, members, COUNT(members), dst);
	if (rc == 0 && (m->audience_count < 1 || m->audience_count > CAMP_AUDIENCE_MAX))
		return camp_manifest_bad(r, "count must be 1 to %d", CAMP_AUDIENCE_MAX);
	return rc;
}

static int read_lint(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
	    {"sha256", camp_manifest_sha256, M(lint_sha256), 0},
	    {"warnings", camp_manifest_u32, M(lint_warnings), 0},
	};
	((struct camp_manifest *)dst)->has_lint = 1;
	return camp_manifest_object(r, v, members, COUNT(members), dst);
}

static int read_unsubscribe(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const char *const names[] = {"none", "https", "both"};

	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_existing(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const char *const names[] = {"keep", "replace"};

	return camp_manifest_choice(r, v, names, COUNT(names), dst);
}

static int read_consent(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	return camp_manifest_choice(r, v, camp_consent_names, CAMP_CONSENT_COUNT, dst);
}

static int read_days(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	int ret = camp_manifest_u32(r, v, dst);

	if (ret == 0 && (*(uint32_t *)dst < 1 || *(uint32_t *)dst > CAMP_TRACK_DAYS))
		return camp_manifest_bad(r, "must be 1 to 447");
	return ret;
}

static int read_track(struct camp_manifest_reader *r, const json_t *v, void *dst)
{
	static const struct camp_manifest_member members[] = {
#define T(member) offsetof(struct camp_manifest, track.member)
	    {"host", camp_manifest_host, T(host), 0},
	    {"pixel", camp_manifest_bool, T(pixel), 0},
	    {"clicks", camp_manifest_bool, T(clicks), 0},
	    {"text", camp_manifest_bool, T(text), 0},
	    {"vml", camp_manifest_bool, T(vml), 0},
	    {"unsubscribe", read_unsubscribe, T(unsubscribe), 0},
	    {"existing", read_existing, T(replace), 0},
	    {"mailto_domain", camp_manifest_host, T(mailto_domain), 2},
	    {"feedback_id", camp_manifest_text, T(feedback_id), 2},
	    {"honeypot", camp_manifest_bool, T(honeypot), 0},
	    {"days", read_days, T(days), 0},
	    {"consent", read_consent, T(consent), 0},
#undef T
	};
	struct camp_manifest *m = dst;
	int ret = camp_manifest_object(r, v, members, COUNT(members), dst);

	m->has_track = 1;
	if (ret == 0 && m->track.unsubscribe == CAMP_UNSUB_BOTH && !m->track.mailto_domain)
		return camp_manifest_bad(r, "unsubscribe \"both\" needs a mailto_domain");
	return ret;
}

/* Fields come before the templates that name them, templates before mime and links. */
static const struct camp_manifest_member top[] = {
    {"v", read_one, 0, 0},
    {"customer", camp_manifest_name, M(customer), 0},
    {"campaign", camp_manifest_name, M(campaign), 0},
    {"version", read_version, M(version), 0},
    {"number", camp_manifest_u32, M(number), 0},
    {"author", camp_manifest_name, M(author), 0},
    {"mode", read_mode, M(signed_part), 0},
    {"valid", read_valid, 0, 0},
    {"max_messages", read_max_messages, M(max_messages), 0},
    {"headers", read_headers, 0, 0},
    {"fields", camp_manifest_read_fields, 0, 0},
    {"templates", camp_manifest_read_templates, 0, 0},
    {"attachments", camp_manifest_read_attachments, 0, 0},
    {"mime", camp_manifest_read_mime, 0, 0},
    {"links", camp_manifest_read_links, 0, 0},
    {"hosts", read_hosts, 0, 0},
    {"audience", read_audience, 0, 2},
    {"track", read_track, 0, 2},
    {"lint", read_lint, 0, 1},
};

static int is_canonical(struct camp_manifest_reader *r, const json_t *v, struct span json)
{
	struct buf b;
	int ret;

	buf_init(&b, CAMP_MANIFEST_MAX + 1);
	ret = camp_json_canonical(v, &b);
	if (ret == ERR_FORMAT)
		camp_manifest_bad(r, "a number that is no integer of I-JSON");
	else if (ret == 0 && !span_equal(buf_span(&b), json))
		ret = camp_manifest_bad(r, "not in canonical form (RFC 8785)");
	buf_clear(&b);
	return ret;
}

static int read_all(struct camp_manifest_reader *r, struct span json)
{
	int line = 0, column = 0, ret;
	json_t *v = camp_json_parse(json, &line, &column);

	if (!v)
		return camp_manifest_bad(r, "no JSON, or a member twice: line %d, column %d", line,
					 column);
	ret = is_canonical(r, v, json);
	if (ret == 0)
		ret = camp_manifest_object(r, v, top, COUNT(top), r->m);
	if (ret == 0)
		ret = camp_manifest_join_mime(r);
	if (ret == 0)
		ret = camp_json_hash(json, r->m->hash);
	json_decref(v);
	return ret;
}

int camp_manifest_parse(struct span json, struct camp_manifest **m, struct camp_error *e)
{
	struct whole *w;
	struct camp_manifest_reader r = {.e = e};
	int ret;

	*m = NULL;
	if (e)
		memset(e, 0, sizeof(*e));
	if (json.n > CAMP_MANIFEST_MAX) {
		camp_manifest_bad(&r, "has %zu octets, at most %u are allowed", json.n,
				  CAMP_MANIFEST_MAX);
		return ERR_LIMIT;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return ERR_NOMEM;
	r.arena = &w->arena;
	r.m = &w->m;
	ret = read_all(&r, json);
	if (ret == 0)
		*m = &w->m;
	else
		camp_manifest_free(&w->m);
	return ret;
}

void camp_manifest_free(struct camp_manifest *m)
{
	struct whole *w = (struct whole *)m;

	if (!w)
		return;
	camp_manifest_drop(&w->arena);
	free(w);
}

int camp_manifest_field(const struct camp_manifest *m, struct span name)
{
	for (unsigned i = 0; i < m->n_fields; i++)
		if (span_equal(span_str(m->fields[i].name), name))
			return (int)i;
	return -1;
}
