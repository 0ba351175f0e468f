/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of versions: to people, and to milter. */
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_check.h"
#include "campaign/camp_template.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "mail/mail_header.h"
#include "relay/campaign/campaign_own.h"

#define REJECTION_ID_MAX 64
#define REJECTIONS_ONCE	 1000
#define AUDIENCE_TELL	 (60 * CLOCK_SEC) /* milter asks again every two seconds */

struct asking {
	struct campaigns *c;
	campaign_fn fn;
	void *arg;
	json_t *(*make)(struct asking *k, struct campaign_opened *o, const char **why);
	struct span message; /* test: in text */
	struct span rcpt;
	struct buf text;
	struct campaign_row row; /* of an audience that is read */
};

static void finish(struct asking *k, int err, const char *why, json_t *body)
{
	k->fn(k->arg, err, why, body);
	buf_clear(&k->text);
	free(k);
}

static void on_opened(void *arg, int err, struct campaign_opened *o)
{
	struct asking *k = arg;
	const char *why = NULL;
	json_t *body = err == 0 ? k->make(k, o, &why) : NULL;

	if (err == ERR_DAMAGED)
		why = "what is stored of it does not hold: see relay's log";
	else if (err == ERR_GONE)
		why = "the customer's keys were destroyed";
	finish(k, err < 0 ? err : body ? 0 : ERR_NOMEM, why, body);
}

static struct asking *begin(struct relay *r, campaign_fn fn, void *arg,
			    json_t *(*make)(struct asking *, struct campaign_opened *, const char **))
{
	struct asking *k = calloc(1, sizeof(*k));

	if (!k) {
		fn(arg, ERR_NOMEM, NULL, NULL);
		return NULL;
	}
	k->c = r->campaigns;
	k->fn = fn;
	k->arg = arg;
	k->make = make;
	buf_init_wiped(&k->text, 4u << 20);
	return k;
}

static void open_which(struct asking *k, const struct campaign_which *which)
{
	struct campaign_row row;
	int err = campaign_row_get(k->c, which->customer, which->campaign, which->version, &row);

	if (err < 0)
		finish(k, err, err == ERR_NOTFOUND ? "no such campaign, or version of it" : NULL, NULL);
	else
		campaign_open(k->c, &row, on_opened, k);
}

static json_t *base64(struct span s)
{
	char *text = malloc(HEX_B64_SIZE(s.n));
	json_t *j = NULL;

	if (text)
		j = json_stringn(text, hex_b64_encode(text, s.p, s.n));
	free(text);
	return j;
}

/* --- people */

static json_t *make_show(struct asking *k, struct campaign_opened *o, const char **why)
{
	json_t *body = campaign_row_json(k->c, &o->row), *findings;

	(void)why;
	findings = json_loadb((const char *)o->findings.p, o->findings.n, JSON_REJECT_DUPLICATES, NULL);
	json_object_set_new(body, "findings", findings ? findings : json_array());
	json_object_set_new(body, "bundle", base64(o->package));
	return body;
}

void campaign_show(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg)
{
	struct asking *k = begin(r, fn, arg, make_show);

	if (k)
		open_which(k, which);
}

struct listing {
	struct campaigns *c;
	json_t *items;
};

static int add_item(void *arg, const struct store_campaign *c)
{
	struct listing *l = arg;
	struct campaign_row row;

	campaign_row_of(&row, c);
	return json_array_append_new(l->items, campaign_row_json(l->c, &row));
}

json_t *campaign_list(struct relay *r, const char *customer, const char *campaign)
{
	struct listing l = {r->campaigns, json_array()};

	if (store_campaign_each(r->store, customer, campaign, add_item, &l) < 0) {
		json_decref(l.items);
		return NULL;
	}
	return json_pack("{s:o}", "items", l.items);
}

void campaign_numbers(struct relay *r, struct campaign_numbers *n)
{
	uint64_t counter;
	struct span text;

	n->active = store_campaign_count(r->store, CAMPAIGN_ACTIVE, clock_wall());
	n->damaged = (int64_t)r->campaigns->damaged_count;
	n->revoked_damaged = campaign_revoked_text(r->campaigns->revoked, &counter, &text) == ERR_DAMAGED;
}

/* --- test: the judge that milter asks */

/* A message as it comes from a file may have LF alone for its lines: on the wire it has CR LF. */
static int put_message(struct buf *out, struct span message)
{
	int bare = 1, rc = 0;

	for (size_t i = 0; i < message.n && bare; i++)
		bare = message.p[i] != '\r';
	if (!bare)
		return buf_put_span(out, message);
	while (rc == 0 && message.n) {
		ptrdiff_t n = span_find(message, '\n');
		struct span line = n < 0 ? message : span_sub(message, 0, (size_t)n);
		rc = buf_put_span(out, line);
		if (rc == 0 && n >= 0)
			rc = buf_put(out, "\r\n", 2);
		message = span_sub(message, line.n + (n >= 0), message.n);
	}
	return rc;
}

/* Header fields as a milter gets them: what is behind the colon, without one blank and the last line end. */
static int give_headers(struct camp_check *check, struct span message, struct span *body)
{
	struct mail_header_field f;
	struct mail_header h;
	int rc = 0;

	mail_header_init(&h, message, 0);
	while (rc == 0 && mail_header_next(&h, &f) == 1) {
		ptrdiff_t colon = span_find(f.whole, ':');
		struct span v = span_sub(f.whole, (size_t)colon + 1, f.whole.n);
		if (v.n && v.p[0] == ' ')
			v = span_sub(v, 1, v.n);
		while (v.n && (v.p[v.n - 1] == '\n' || v.p[v.n - 1] == '\r'))
			v.n--;
		rc = camp_check_header(check, f.name, v);
	}
	*body = h.rest;
	return rc;
}

static int judge(const struct camp_compiled *compiled, struct span message, struct span rcpt,
		 struct camp_check_result *v)
{
	const struct camp_check_params params = {.rcpt = rcpt};
	struct camp_check *check = camp_check_new(compiled, &params);
	struct span body;
	int rc;

	if (!check)
		return ERR_NOMEM;
	rc = give_headers(check, message, &body);
	if (rc == 0)
		rc = camp_check_eoh(check);
	if (rc == 0)
		rc = camp_check_body(check, body);
	if (rc == 0)
		camp_check_end(check);
	*v = camp_check_result(check);
	camp_check_free(check);
	return 0;
}

static json_t *verdict_json(const struct camp_manifest *m, const struct camp_check_result *v)
{
	struct camp_reply reply = camp_verdict_reply(v->verdict);
	const char *field = v->field != CAMP_NONE && v->field < m->n_fields ? m->fields[v->field].name : "";
	json_t *body = json_pack("{s:b, s:s, s:i, s:s, s:s, s:i, s:I, s:I, s:s, s:s}", "pass",
				 v->verdict == CAMP_PASS, "verdict", camp_verdict_name(v->verdict), "code", reply.code,
				 "enhanced", reply.enhanced, "rule", v->rule ? v->rule : "", "part", (int)v->part,
				 "offset", (json_int_t)v->offset, "line", (json_int_t)v->line, "field", field,
				 "header", v->header);

	json_object_set_new(body, "template", v->tpl != CAMP_NONE ? json_integer(v->tpl) : json_null());
	json_object_set_new(body, "template_offset", v->tpl != CAMP_NONE ? json_integer(v->tpl_offset) : json_null());
	return body;
}

static json_t *make_test(struct asking *k, struct campaign_opened *o, const char **why)
{
	struct camp_check_result v;
	struct camp_compiled *compiled = NULL;
	json_t *body = NULL;

	if (camp_template_compile(&o->manifest, o->bundle.blob, o->bundle.n_blobs, &compiled, NULL, NULL) < 0) {
		*why = "its templates do not compile";
		return NULL;
	}
	if (judge(compiled, k->message, k->rcpt, &v) == 0)
		body = verdict_json(camp_template_manifest(compiled), &v);
	camp_template_free(compiled);
	if (body) {
		json_object_set_new(body, "version", json_integer(o->row.version));
		json_object_set_new(body, "state", json_string(campaign_state_name(o->row.state, o->row.valid_to, clock_wall())));
	}
	return body;
}

void campaign_test(struct relay *r, const struct campaign_which *which, struct span message, const char *rcpt,
		   campaign_fn fn, void *arg)
{
	struct asking *k = begin(r, fn, arg, make_test);
	size_t n;

	if (!k)
		return;
	buf_put_str(&k->text, rcpt);
	n = buf_size(&k->text);
	if (put_message(&k->text, message) < 0) {
		finish(k, ERR_LIMIT, "the message is too large to be tested here", NULL);
		return;
	}
	k->rcpt = span_sub(buf_span(&k->text), 0, n);
	k->message = span_sub(buf_span(&k->text), n, buf_size(&k->text));
	open_which(k, which);
}

/* --- milter */

static int add_feed(void *arg, const struct store_campaign *c)
{
	char hash[HEX_SIZE(STORE_CAMPAIGN_HASH)];

	if (c->state != CAMPAIGN_ACTIVE && c->state != CAMPAIGN_PAUSED)
		return 0;
	/* milter knows the end of its time from the manifest, and says "expired" rather than "unknown" */
	if (c->hash.n != STORE_CAMPAIGN_HASH)
		return ERR_DAMAGED;
	hex_encode(hash, c->hash.p, c->hash.n);
	return json_array_append_new(arg, json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "customer", c->customer,
						    "campaign", c->campaign, "version", (json_int_t)c->version,
						    "number", (json_int_t)c->number, "state",
						    campaign_state_name(c->state, 0, 0), "hash", hash));
}

int campaign_feed(struct relay *r, json_t **out)
{
	struct campaigns *c = r->campaigns;
	uint64_t counter;
	struct span text;
	json_t *items;
	int err = campaign_revoked_text(c->revoked, &counter, &text);

	if (err < 0)
		return err;
	items = json_array();
	err = store_campaign_each(r->store, NULL, NULL, add_feed, items);
	if (err < 0) {
		json_decref(items);
		return err;
	}
	*out = json_pack("{s:I, s:o, s:{s:I, s:s%}}", "revision", (json_int_t)c->revision, "items", items, "revoked",
			 "counter", (json_int_t)counter, "list", (const char *)text.p, text.n);
	return *out ? 0 : ERR_NOMEM;
}

static json_t *make_bundle(struct asking *k, struct campaign_opened *o, const char **why)
{
	const struct campaign_row *row = &o->row;

	(void)k;
	(void)why;
	return json_pack("{s:o, s:s, s:s, s:I, s:o}", "bundle", base64(o->package), "author", row->author, "approver",
			 row->approver, "key_version", (json_int_t)row->key_version, "signature",
			 base64(span_of(row->signature, row->signature_size)));
}

/* What milter may fetch: ERR_NOTFOUND, and *why, of a version that is not active. */
static int served(struct relay *r, const struct campaign_which *which, struct campaign_row *row, const char **why)
{
	int err = campaign_row_get(r->campaigns, which->customer, which->campaign, which->version, row);

	if (err == 0 && row->state != CAMPAIGN_ACTIVE && row->state != CAMPAIGN_PAUSED)
		err = ERR_NOTFOUND;
	*why = err == ERR_NOTFOUND ? "no such version is active" : NULL;
	return err;
}

void campaign_bundle(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg)
{
	struct asking *k = begin(r, fn, arg, make_bundle);
	struct campaign_row row;
	const char *why;
	int err;

	if (!k)
		return;
	err = served(r, which, &row, &why);
	if (err < 0)
		finish(k, err, why, NULL);
	else
		campaign_open(k->c, &row, on_opened, k);
}

static void on_audience(void *arg, int err, struct span octets)
{
	struct asking *k = arg;
	json_t *body = err == 0 ? json_pack("{s:o}", "audience", base64(octets)) : NULL;

	if (err == 0 && !body)
		err = ERR_NOMEM;
	if (err == ERR_DAMAGED && clock_mono() - k->c->audience_told > AUDIENCE_TELL) {
		k->c->audience_told = clock_mono();
		log_event(LOG_LEVEL_ERROR, NULL, "campaign-damaged",
			  "customer=%s campaign=%s version=%lld what=\"a piece of its audience does not open\"",
			  k->row.customer, k->row.campaign, (long long)k->row.version);
	}
	finish(k, err, err == ERR_NOTFOUND ? "it has no audience, or none from there on" : NULL, body);
}

void campaign_audience_piece(struct relay *r, const struct campaign_which *which, int64_t from, campaign_fn fn, void *arg)
{
	struct asking *k = begin(r, fn, arg, NULL);
	const char *why;
	int err;

	if (!k)
		return;
	err = served(r, which, &k->row, &why);
	if (err < 0)
		finish(k, err, why, NULL);
	else
		campaign_audience_read(r, k->row.customer, k->row.number, from, on_audience, k);
}

/* --- rejections */

static const char *word(const json_t *o, const char *member, size_t max)
{
	const char *s = json_string_value(json_object_get(o, member));

	if (!s)
		return json_object_get(o, member) && !json_is_null(json_object_get(o, member)) ? NULL : "";
	if (strlen(s) > max)
		return NULL;
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return NULL;
	return s;
}

/* def: if it is not there, or null. -2: it is no whole number, or below zero. */
static int64_t whole(const json_t *o, const char *member, int64_t def)
{
	const json_t *v = json_object_get(o, member);

	if (!v || json_is_null(v))
		return def;
	if (!json_is_integer(v) || json_integer_value(v) < -1)
		return -2;
	return json_integer_value(v);
}

static int read_report(const json_t *o, struct store_rejection *x)
{
	*x = (struct store_rejection){.id = word(o, "id", REJECTION_ID_MAX),
				      .time = whole(o, "time", clock_wall()),
				      .customer = word(o, "customer", CAMPAIGN_NAME_MAX),
				      .campaign = word(o, "campaign", CAMPAIGN_NAME_MAX),
				      .version = whole(o, "version", 0),
				      .verdict = word(o, "verdict", 64),
				      .header = word(o, "header", 64),
				      .part = whole(o, "part", -1),
				      .offset = whole(o, "offset", -1),
				      .template = whole(o, "template", -1),
				      .template_offset = whole(o, "template_offset", -1)};
	if (!json_is_object(o) || !x->id || !x->id[0] || !x->customer || !x->campaign || !x->header || !x->verdict ||
	    !x->verdict[0] || x->time < 0 || x->version < 0 || x->part < -1 || x->offset < -1 || x->template < -1 ||
	    x->template_offset < -1)
		return ERR_FORMAT;
	return 0;
}

int campaign_reports(struct relay *r, const json_t *items)
{
	struct store_rejection x;
	int err = json_is_array(items) && json_array_size(items) <= REJECTIONS_ONCE ? 0 : ERR_FORMAT;
	const json_t *o;
	size_t i;

	json_array_foreach(items, i, o)
		if (err == 0)
			err = read_report(o, &x);
	if (err == 0)
		err = store_begin(r->store);
	if (err < 0)
		return err;
	json_array_foreach(items, i, o)
		if (err == 0 && (err = read_report(o, &x)) == 0)
			err = store_rejection_put(r->store, &x);
	if (err == 0)
		err = store_commit(r->store);
	if (err < 0)
		store_rollback(r->store);
	return err < 0 ? err : (int)json_array_size(items);
}

static json_t *or_null(int64_t n)
{
	return n < 0 ? json_null() : json_integer(n);
}

static int make_report(void *arg, const struct store_rejection *x)
{
	json_t **out = arg;

	*out = json_pack("{s:s, s:I, s:s, s:s, s:I, s:s, s:s, s:o, s:o, s:o, s:o}", "id", x->id, "time", (json_int_t)x->time,
			 "customer", x->customer, "campaign", x->campaign, "version", (json_int_t)x->version,
			 "verdict", x->verdict, "header", x->header, "part", or_null(x->part), "offset", or_null(x->offset), "template",
			 or_null(x->template), "template_offset", or_null(x->template_offset));
	return *out ? 0 : ERR_NOMEM;
}

int campaign_report(struct relay *r, const char *id, json_t **out)
{
	*out = NULL;
	return store_rejection_get(r->store, id, make_report, out);
}
