/* SPDX-License-Identifier: Apache-2.0 */
/* Dates, caps, fields as such, and tracking. */
#include <stdio.h>

#include "campaign/camp_lint_own.h"
#include "core/err.h"

#define DAY	 86400
#define DAYS_MAX 400
#define MANY	 50000000

static void validity(struct camp_lint_run *r)
{
	json_t *valid = json_object_get(r->top, "valid");
	const char *from = json_string_value(json_object_get(valid, "from")), *to = json_string_value(json_object_get(valid, "to"));
	int64_t a, b;

	if (!from || !to)
		return;
	if (camp_manifest_time(from, &a) < 0 || camp_manifest_time(to, &b) < 0) {
		CAMP_LINT_ERROR(r, "valid-form", "valid", "times are written 2026-01-31T00:00:00Z");
		return;
	}
	if (a >= b)
		CAMP_LINT_ERROR(r, "valid-order", "valid", "ends before it begins");
	else if (b <= r->now)
		CAMP_LINT_ERROR(r, "valid-past", "valid.to", "is over already");
	else if (b - a > (int64_t)DAYS_MAX * DAY)
		CAMP_LINT_WARN(r, "valid-long", "valid", "valid for more than %d days", DAYS_MAX);
}

static void caps(struct camp_lint_run *r)
{
	json_int_t n = json_integer_value(json_object_get(r->top, "max_messages"));

	if (n < 1)
		CAMP_LINT_ERROR(r, "max-messages", "max_messages", "1 at least");
	else if (n > MANY)
		CAMP_LINT_WARN(r, "max-messages", "max_messages", "so many that it limits nothing");
}

static int is_type(const char *type)
{
	int i;

	for (i = 0; i < CAMP_FIELD_TYPE_COUNT; i++)
		if (strcmp(type, camp_field_type_name((enum camp_field_type)i)) == 0)
			return i;
	return -1;
}

/* Each of a url-choice's URLs is held to what holds for a link. */
static void choices(struct camp_lint_run *r, const char *part, json_t *values)
{
	struct mail_url u;
	json_t *v;
	size_t i;

	json_array_foreach(values, i, v) {
		struct span s = span_str(json_string_value(v));
		if (s.n && (mail_url_parse(&u, s) < 0 || u.odd || u.scheme != MAIL_URL_HTTPS || !camp_lint_owns(r, u.host)))
			CAMP_LINT_ERROR(r, "host-not-owned", part, "no https URL of one of the hosts: %.80s", (const char *)s.p);
	}
}

static void one_field(struct camp_lint_run *r, const char *name, json_t *v)
{
	const char *type = json_string_value(json_object_get(v, "type"));
	json_t *max = json_object_get(v, "max"), *values = json_object_get(v, "values");
	char part[80];
	int t;

	snprintf(part, sizeof(part), "fields.%s", name);
	if (!type)
		return;
	t = is_type(type);
	if (t < 0) {
		CAMP_LINT_ERROR(r, "field-type", part, "there is no type %s", type);
		return;
	}
	if ((t == CAMP_TYPE_ENUM || t == CAMP_TYPE_URL_CHOICE) != (json_array_size(values) > 0))
		CAMP_LINT_ERROR(r, "field-values", part, "values belong to enum and url-choice, and those need them");
	if (t == CAMP_TYPE_URL_CHOICE)
		choices(r, part, values);
	if (max && (json_integer_value(max) < 1 || json_integer_value(max) > CAMP_FIELD_MAX))
		CAMP_LINT_ERROR(r, "field-max", part, "max is 1 to %d octets", CAMP_FIELD_MAX);
}

/* What a field is by its places, or by its type if it has none. */
static const char *context_of(struct camp_lint_run *r, const char *name, unsigned bits, const char *type)
{
	char part[80];
	unsigned text = bits & (1u << CAMP_CTX_TEXT | 1u << CAMP_CTX_ATTR);
	int url = strcmp(type, "url-path") == 0 ? CAMP_CTX_URL_PATH : strcmp(type, "url-query") == 0 ? CAMP_CTX_URL_QUERY
			  : strcmp(type, "url-choice") == 0 ? CAMP_CTX_URL : -1;

	snprintf(part, sizeof(part), "fields.%s", name);
	if (strcmp(type, "url-choice") == 0)
		return "url";
	if (!bits)
		return camp_context_name(url >= 0 ? (enum camp_context)url : CAMP_CTX_TEXT);
	if (text) {
		if (bits & ~text)
			CAMP_LINT_ERROR(r, "field-two-contexts", part,
					"stands in text and in a URL: make two fields of it, one for each");
		else if (url >= 0)
			CAMP_LINT_ERROR(r, "field-context", part, "a field of type %s stands in a URL alone", type);
		return text & (1u << CAMP_CTX_ATTR) ? "attr" : "text";
	}
	if ((bits & (bits - 1)) != 0)
		CAMP_LINT_ERROR(r, "field-two-contexts", part, "stands in the path of a URL and in a query: make two fields of it");
	return bits & (1u << CAMP_CTX_URL_PATH) ? "url-path" : "url-query";
}

static void fields(struct camp_lint_run *r)
{
	const char *name;
	unsigned i = 0;
	json_t *v;

	json_object_foreach(json_object_get(r->top, "fields"), name, v) {
		const char *type = json_string_value(json_object_get(v, "type"));
		one_field(r, name, v);
		if (type && i < CAMP_FIELDS)
			json_object_set_new(v, "ctx", json_string(context_of(r, name, r->contexts[i], type)));
		if (!json_object_get(v, "max"))
			json_object_set_new(v, "max", json_integer(64));
		i++;
	}
}

/* 1 if relay has it for this customer, or it is his own. */
static int may_track(const struct camp_lint_run *r, const char *host)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(r->top, "tracking"), i, v)
		if (strcmp(json_string_value(v), host) == 0)
			return 1;
	return camp_lint_verified(r, host);
}

static void tracking(struct camp_lint_run *r)
{
	json_t *track = json_object_get(r->top, "track");
	const char *host = json_string_value(json_object_get(track, "host"));
	const char *unsubscribe = json_string_value(json_object_get(track, "unsubscribe"));
	const char *mailto = json_string_value(json_object_get(track, "mailto_domain"));
	char seen[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;

	if ((!unsubscribe || strcmp(unsubscribe, "none") == 0) && !r->visible_unsubscribe)
		CAMP_LINT_WARN(r, "unsubscribe-none", "track.unsubscribe",
			       "no way to unsubscribe: large receivers treat such mail as spam");
	if (!host)
		return;
	if (mail_url_host(seen, &kind, &odd, span_str(host)) < 0 || odd || strcmp(seen, host) != 0)
		CAMP_LINT_ERROR(r, "track-host", "track.host", "no host name in small letters");
	else if (!may_track(r, host))
		CAMP_LINT_ERROR(r, "host-not-owned", "track.host",
				"%s is no tracking host of the customer (tracking.hosts in relay.yaml), and no verified domain of his", host);
	else if (!camp_lint_related(r, host))
		CAMP_LINT_WARN(r, "track-host", "track.host", "links will lead to %s, a domain none of the hosts is under", host);
	odd = 0;
	if (unsubscribe && strcmp(unsubscribe, "both") == 0 && !mailto)
		CAMP_LINT_ERROR(r, "track-mailto", "track.mailto_domain", "unsubscribe: both needs it");
	if (mailto && (mail_url_host(seen, &kind, &odd, span_str(mailto)) < 0 || odd || strcmp(seen, mailto) != 0))
		CAMP_LINT_ERROR(r, "track-mailto", "track.mailto_domain", "no domain in small letters");
	else if (mailto && !may_track(r, mailto))
		CAMP_LINT_ERROR(r, "host-not-owned", "track.mailto_domain",
				"%s is not relay's (tracking.mailto in relay.yaml), and no verified domain of the customer", mailto);
}

void camp_lint_rest(struct camp_lint_run *r)
{
	validity(r);
	caps(r);
	fields(r);
	tracking(r);
}
