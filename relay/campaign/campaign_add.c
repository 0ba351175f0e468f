/* SPDX-License-Identifier: Apache-2.0 */
/* Registration:  row (for its number) -> audience sorted -> lint -> manifest and templates -> package -> sealed -> audience
 * sealed -> row filled.
 * Whatever fails on the way takes the row away again; a crash leaves one in state MAKING, which the next start drops. */
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/campaign/campaign_host.h"
#include "relay/campaign/campaign_own.h"

#define CUSTOMER_DEFAULT "default"

struct adding {
	struct campaigns *c;
	campaign_fn fn;
	void *arg;
	struct campaign_row row; /* number 0: nothing is kept */
	json_t *findings;
	struct campaign_pack *pack;
	json_t *source;			    /* until the lint has it */
	struct campaign_audience *audience; /* NULL: anyone may get it */
};

static void finish(struct adding *a, int err, const char *why, json_t *body)
{
	if (err < 0 && a->row.number)
		store_campaign_drop(a->c->relay->store, a->row.number);
	a->fn(a->arg, err, why, body);
	json_decref(a->findings);
	json_decref(a->source);
	campaign_pack_free(a->pack);
	campaign_audience_drop(a->audience);
	free(a);
}

static void fail(struct adding *a, int err, const char *why)
{
	finish(a, err, why, NULL);
}

/* --- sealed */

static int fill_row(struct adding *a)
{
	struct campaign_row *row = &a->row;
	const struct store_campaign c = {.number = row->number,
					 .state = CAMPAIGN_LINTED,
					 .hash = span_of(row->hash, sizeof(row->hash)),
					 .warnings = row->warnings,
					 .valid_from = row->valid_from,
					 .valid_to = row->valid_to,
					 .max_messages = row->max_messages,
					 .pieces = campaign_pack_pieces(a->pack),
					 .size = (int64_t)buf_size(campaign_pack_plain(a->pack))};
	struct store *s = a->c->relay->store;
	int err = store_begin(s);

	if (err < 0)
		return err;
	err = campaign_pack_store(a->pack);
	if (err == 0)
		err = store_campaign_fill(s, &c, CAMPAIGN_MAKING);
	if (err == 0)
		err = store_commit(s);
	if (err < 0)
		store_rollback(s);
	return err;
}

/* What became of the list, beside the rest of an answer. */
static void put_audience(const struct adding *a, json_t *body)
{
	const struct camp_audience *list = a->audience ? campaign_audience_list(a->audience) : NULL;

	json_object_set_new(body, "audience", !list ? json_null()
						    : json_pack("{s:I, s:I, s:I}", "count",
								(json_int_t)camp_audience_count(list), "doubles",
								(json_int_t)list->doubles, "lines", (json_int_t)list->lines));
}

static void on_stored(void *arg, int err)
{
	struct adding *a = arg;
	json_t *body;

	if (err == 0)
		err = fill_row(a);
	if (err < 0) {
		fail(a, err, err == ERR_NOTFOUND ? "keyd has no such customer" : NULL);
		return;
	}
	a->row.state = CAMPAIGN_LINTED;
	log_event(LOG_LEVEL_INFO, NULL, "campaign-added",
		  "customer=%s campaign=%s version=%lld number=%lld author=%s warnings=%lld audience=%lld", a->row.customer,
		  a->row.campaign, (long long)a->row.version, (long long)a->row.number, a->row.author,
		  (long long)a->row.warnings,
		  a->audience ? (long long)camp_audience_count(campaign_audience_list(a->audience)) : 0);
	body = campaign_row_json(a->c, &a->row);
	json_object_set(body, "findings", a->findings);
	put_audience(a, body);
	finish(a, 0, NULL, body);
}

static void on_sealed(void *arg, int err)
{
	struct adding *a = arg;

	if (err == 0 && a->audience)
		campaign_audience_store(a->audience, a->row.number, on_stored, a);
	else
		on_stored(a, err);
}

/* --- linted */

static int64_t count_warnings(const json_t *findings)
{
	int64_t n = 0;
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		const char *level = json_string_value(json_object_get(f, "level"));
		n += level && !strcmp(level, "warning");
	}
	return n;
}

/* Octets of one base64 text, appended to out. */
static int put_base64(struct buf *out, const json_t *text)
{
	struct span s = span_of(json_string_value(text), json_string_length(text));
	uint8_t *p = s.n ? buf_reserve(out, s.n) : NULL;
	int n;

	if (!json_is_string(text))
		return ERR_FORMAT;
	if (!s.n)
		return 0;
	if (!p)
		return buf_failed(out);
	n = hex_b64_decode(p, s.n, s);
	if (n < 0)
		return n;
	buf_commit(out, (size_t)n);
	return 0;
}

/* The manifest in its one form of bytes, whether the lint gave it as text or as an object. */
static int put_manifest(struct buf *out, const json_t *manifest)
{
	if (json_is_string(manifest))
		return buf_put(out, json_string_value(manifest), json_string_length(manifest));
	return json_is_object(manifest) ? camp_json_canonical(manifest, out) : ERR_FORMAT;
}

static int make_bundle(const json_t *answer, struct buf *bytes, struct buf *bundle)
{
	const json_t *blobs = json_object_get(answer, "blobs");
	size_t ends[CAMP_TEMPLATES + 1], n = json_array_size(blobs);
	struct camp_bundle b = {.n_blobs = (unsigned)n};
	int err = n > CAMP_TEMPLATES ? ERR_LIMIT : put_manifest(bytes, json_object_get(answer, "manifest"));

	for (size_t i = 0; err == 0 && i < n; i++) {
		ends[i] = buf_size(bytes);
		err = put_base64(bytes, json_array_get(blobs, i));
	}
	if (err < 0)
		return err;
	ends[n] = buf_size(bytes);
	b.manifest = span_sub(buf_span(bytes), 0, ends[0]);
	for (size_t i = 0; i < n; i++)
		b.blob[i] = span_sub(buf_span(bytes), ends[i], ends[i + 1] - ends[i]);
	return camp_bundle_put(bundle, &b);
}

static int is_audience(const struct adding *a, const struct camp_manifest *m)
{
	if (!a->audience)
		return !m->has_audience;
	return m->has_audience && m->audience_count == camp_audience_count(campaign_audience_list(a->audience)) &&
	       memcmp(m->audience_sha256, campaign_audience_hash(a->audience), CAMP_HASH) == 0;
}

/* The lint is a process that read what others wrote: what it made is held against what was asked. */
static int check_bundle(struct adding *a, struct span bytes, struct camp_error *e)
{
	struct camp_manifest *m = NULL;
	struct campaign_row *row = &a->row;
	struct camp_bundle b;
	int err = camp_bundle_get(bytes, &b, &m, e);

	if (err < 0)
		return err;
	if (strcmp(m->customer, row->customer) || strcmp(m->campaign, row->campaign) ||
	    strcmp(m->author, row->author) || m->version != row->version || m->number != row->number ||
	    !is_audience(a, m))
		err = ERR_FORMAT;
	memcpy(row->hash, m->hash, sizeof(row->hash));
	row->valid_from = m->valid_from * CLOCK_SEC;
	row->valid_to = m->valid_to * CLOCK_SEC;
	row->max_messages = (int64_t)m->max_messages;
	camp_manifest_free(m);
	return err;
}

static int make_package(struct adding *a, const json_t *answer)
{
	struct buf bytes, bundle;
	struct camp_error e = {"", ""};
	char *findings = json_dumps(a->findings, JSON_COMPACT);
	int err = findings ? 0 : ERR_NOMEM;

	buf_init_wiped(&bytes, CAMPAIGN_PACK_MAX);
	buf_init_wiped(&bundle, CAMPAIGN_PACK_MAX);
	if (err == 0)
		err = make_bundle(answer, &bytes, &bundle);
	if (err == 0)
		err = check_bundle(a, buf_span(&bundle), &e);
	if (err == ERR_FORMAT || err == ERR_DAMAGED)
		log_event(LOG_LEVEL_ERROR, NULL, "campaign-lint-odd", "customer=%s campaign=%s place=\"%s\" what=\"%s\"",
			  a->row.customer, a->row.campaign, e.place, e.text);
	if (err == 0)
		err = campaign_pack_put(a->pack, span_str(findings), buf_span(&bundle));
	buf_clear(&bytes);
	buf_clear(&bundle);
	free(findings);
	return err;
}

static const char *lint_why(int err)
{
	switch (err) {
	case ERR_TIMEOUT:
		return "the lint took too long over it";
	case ERR_NOTFOUND:
		return "sealpost-lint is not installed";
	case ERR_LIMIT:
		return "too many sources are being looked at: again in a moment";
	default:
		return "the lint failed: see relay's log";
	}
}

static void lint_failed(struct adding *a, int err)
{
	log_event(LOG_LEVEL_ERROR, NULL, "campaign-lint-failed", "customer=%s campaign=%s why=\"%s\"", a->row.customer,
		  a->row.campaign, err_text(err));
	fail(a, err == ERR_LIMIT ? ERR_BUSY : ERR_CLOSED, lint_why(err));
}

static json_t *said(const struct adding *a, int ok)
{
	json_t *body = json_pack("{s:s, s:s, s:b, s:O}", "customer", a->row.customer, "campaign", a->row.campaign, "ok", ok,
				 "findings", a->findings);

	put_audience(a, body);
	return body;
}

static void on_linted(void *arg, int err, json_t *answer)
{
	struct adding *a = arg;
	int ok = json_is_true(json_object_get(answer, "ok")) && !json_array_size(a->findings);

	json_array_extend(a->findings, json_object_get(answer, "findings"));
	if (err < 0) {
		lint_failed(a, err);
	} else if (!a->row.number) {
		finish(a, 0, NULL, said(a, ok));
	} else if (!ok) {
		finish(a, ERR_UNSUPPORTED, "it is refused: see the findings", said(a, 0));
	} else {
		a->row.warnings = count_warnings(a->findings);
		err = make_package(a, answer);
		if (err == 0)
			err = campaign_pack_seal(a->pack, on_sealed, a);
		if (err < 0)
			fail(a, err == ERR_LIMIT ? err : ERR_CLOSED,
			     err == ERR_LIMIT ? "it is too large" : "the lint failed: see relay's log");
	}
	json_decref(answer);
}

/* --- begun */

static const char *name_of(const json_t *source, const char *member)
{
	const char *s = json_string_value(json_object_get(source, member));

	return s ? s : "";
}

/* NULL, or what is wrong with what the store must know. */
static const char *read_names(struct adding *a, const json_t *source, const char *author)
{
	const char *customer = name_of(source, "customer"), *campaign = name_of(source, "campaign");

	if (!json_object_get(source, "customer"))
		customer = CUSTOMER_DEFAULT;
	if (!keyproto_name_ok(span_str(customer)))
		return "customer must be the name of one";
	if (!keyproto_manifest_campaign_ok(span_str(campaign)))
		return "campaign must be 1 to 64 of A-Z a-z 0-9 . _ -";
	if (!keyproto_manifest_person_ok(span_str(author)))
		return "author must be 1 to 64 of A-Z a-z 0-9 . _ - @ +";
	strcpy(a->row.customer, customer);
	strcpy(a->row.campaign, campaign);
	strcpy(a->row.author, author);
	return NULL;
}

static int make_row(struct adding *a)
{
	struct campaign_row *row = &a->row;
	int err;

	if (keyproto_client_ev_state(a->c->relay->keyd) != KEYPROTO_READY)
		return ERR_LOCKED; /* said before a minute's work */
	if (campaign_revoked_whole(a->c->revoked, row->customer, row->campaign))
		return ERR_GONE;
	row->created = row->changed = clock_wall();
	err = store_campaign_add(a->c->relay->store, row->customer, row->campaign, row->author, CAMPAIGN_MAKING,
				 row->created, &row->number, &row->version);
	if (err == 0 && row->number > UINT32_MAX)
		err = ERR_LIMIT;
	if (err == 0)
		a->pack = campaign_pack_new(a->c->relay, row->customer, row->number);
	return err < 0 ? err : a->pack ? 0 : ERR_NOMEM;
}

static void complete(json_t *source, const struct campaign_row *row)
{
	json_object_set_new(source, "v", json_integer(1));
	json_object_set_new(source, "customer", json_string(row->customer));
	json_object_set_new(source, "campaign", json_string(row->campaign));
	json_object_set_new(source, "author", json_string(row->author));
	json_object_set_new(source, "version", json_integer(row->version ? row->version : 1));
	json_object_set_new(source, "number", json_integer(row->number ? row->number : 1));
}

/* --- its audience */

static void lint(struct adding *a)
{
	int err = campaign_lint_run(a->c->lint, a->source, on_linted, a);

	if (err < 0)
		lint_failed(a, err);
}

/* findings are those of the list until the lint adds its own. */
static void on_closed(void *arg, int err)
{
	struct adding *a = arg;
	char hash[HEX_SIZE(CAMP_HASH)];
	uint64_t n = camp_audience_count(campaign_audience_list(a->audience));

	json_decref(a->findings);
	a->findings = err < 0 ? NULL : campaign_audience_findings(a->audience);
	if (!a->findings) {
		fail(a, err < 0 ? err : ERR_NOMEM, NULL);
		return;
	}
	hex_encode(hash, campaign_audience_hash(a->audience), CAMP_HASH);
	json_object_set_new(a->source, "audience", !n ? json_null() : json_pack("{s:s, s:I}", "sha256", hash, "count", (json_int_t)n));
	lint(a);
}

static const char not_a_list[] = "[{s:s, s:s, s:s, s:i, s:i, s:i, s:s}]";

/* The list that a source names must have come before it, and is this customer's. What an author writes in its place says
 * nothing that could be held against a recipient. */
static void begin_audience(struct adding *a)
{
	const json_t *named = json_object_get(a->source, "audience");
	int err;

	if (json_is_string(named) && json_string_length(named) == CAMPAIGN_AUDIENCE_ID) {
		err = campaign_audience_take(a->c->audiences, a->row.customer, json_string_value(named), &a->audience);
		if (err == 0)
			err = campaign_audience_close(a->audience, on_closed, a);
		if (err < 0)
			fail(a, err == ERR_NOTFOUND ? ERR_FORMAT : err,
			     err == ERR_NOTFOUND ? "its list of recipients was not sent, or waited for too long" : NULL);
		return;
	}
	a->findings = named && !json_is_null(named)
			  ? json_pack(not_a_list, "level", "error", "rule", "audience-list", "part", "audience", "offset", 0,
				      "line", 0, "column", 0, "text",
				      "the recipients come from a list, given at registration: leave it out here")
			  : json_array();
	json_object_set_new(a->source, "audience", json_null());
	lint(a);
}

static void begin(struct relay *r, json_t *source, const char *author, int keep, campaign_fn fn, void *arg)
{
	struct adding *a = calloc(1, sizeof(*a));
	const char *wrong;
	int err = 0;

	if (!a) {
		fn(arg, ERR_NOMEM, NULL, NULL);
		return;
	}
	a->c = r->campaigns;
	a->fn = fn;
	a->arg = arg;
	wrong = read_names(a, source, author);
	if (wrong) {
		fail(a, ERR_FORMAT, wrong);
		return;
	}
	if (keep)
		err = make_row(a);
	if (err == 0) {
		complete(source, &a->row);
		err = campaign_host_complete(r, source, a->row.customer);
	}
	if (err == 0) {
		a->source = json_incref(source);
		begin_audience(a);
	} else {
		fail(a, err, err == ERR_GONE ? "all versions of this campaign are revoked: choose another name" : NULL);
	}
}

void campaign_add(struct relay *r, json_t *source, const char *author, campaign_fn fn, void *arg)
{
	begin(r, source, author, 1, fn, arg);
}

void campaign_lint_only(struct relay *r, json_t *source, const char *author, campaign_fn fn, void *arg)
{
	begin(r, source, author, 0, fn, arg);
}
