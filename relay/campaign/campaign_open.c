/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a version: pieces -> package -> bundle -> manifest, each checked by what stands above it. The last word has
 * keyd's signature, which is over the manifest's hash. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/campaign/campaign_own.h"

#define KEYD_WAIT (10 * CLOCK_SEC)

struct opening {
	struct campaigns *c;
	struct campaign_opened o;
	struct campaign_pack *pack;
	campaign_open_fn fn;
	void *arg;
};

/* --- rows */

static void copy(char out[CAMPAIGN_NAME_MAX + 1], const char *text)
{
	snprintf(out, CAMPAIGN_NAME_MAX + 1, "%s", text);
}

static size_t copy_bytes(uint8_t *out, size_t size, struct span s)
{
	if (s.n > size)
		return 0; /* then it does not verify */
	if (s.n)
		memcpy(out, s.p, s.n);
	return s.n;
}

void campaign_row_of(struct campaign_row *out, const struct store_campaign *c)
{
	*out = (struct campaign_row){.number = c->number, .version = c->version, .state = c->state,
				     .created = c->created, .approved = c->approved,
				     .activated = c->activated, .changed = c->changed,
				     .warnings = c->warnings, .valid_from = c->valid_from,
				     .valid_to = c->valid_to, .max_messages = c->max_messages,
				     .taken = c->taken, .pieces = c->pieces, .size = c->size,
				     .key_version = c->key_version};
	copy(out->customer, c->customer);
	copy(out->campaign, c->campaign);
	copy(out->author, c->author);
	copy(out->approver, c->approver);
	copy_bytes(out->hash, sizeof(out->hash), c->hash);
	out->approval_size = copy_bytes(out->approval, sizeof(out->approval), c->approval);
	out->signature_size = copy_bytes(out->signature, sizeof(out->signature), c->signature);
}

static int take_row(void *arg, const struct store_campaign *c)
{
	campaign_row_of(arg, c);
	return 0;
}

int campaign_row_get(struct campaigns *c, const char *customer, const char *campaign, int64_t version,
		     struct campaign_row *out)
{
	return store_campaign_get(c->relay->store, customer, campaign, version, take_row, out);
}

void campaign_row_manifest(const struct campaign_row *row, struct keyproto_manifest *m)
{
	*m = (struct keyproto_manifest){.customer = span_str(row->customer),
					.campaign = span_str(row->campaign),
					.version = (uint32_t)row->version,
					.hash = row->hash,
					.author = span_str(row->author),
					.approver = span_str(row->approver)};
}

static json_t *or_null(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

json_t *campaign_row_json(struct campaigns *c, const struct campaign_row *row)
{
	char hash[HEX_SIZE(STORE_CAMPAIGN_HASH)];
	const char *state = campaign_state_name(row->state, row->valid_to, clock_wall());

	hex_encode(hash, row->hash, sizeof(row->hash));
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:b, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
			 "customer", row->customer, "campaign", row->campaign, "version",
			 (json_int_t)row->version, "number", (json_int_t)row->number, "state", state, "damaged",
			 campaign_is_damaged(c, row->number), "hash", hash, "author", row->author, "approver",
			 or_null(row->approver), "created", (json_int_t)row->created, "approved",
			 (json_int_t)row->approved, "activated", (json_int_t)row->activated, "changed",
			 (json_int_t)row->changed, "warnings", (json_int_t)row->warnings, "valid_from",
			 (json_int_t)row->valid_from, "valid_to", (json_int_t)row->valid_to, "max_messages",
			 (json_int_t)row->max_messages, "taken", (json_int_t)row->taken);
}

/* --- damage */

int campaign_is_damaged(const struct campaigns *c, int64_t number)
{
	for (size_t i = 0; i < c->damaged_count; i++)
		if (c->damaged[i] == number)
			return 1;
	return 0;
}

static void note_damage(struct campaigns *c, const struct campaign_row *row, const char *why)
{
	int64_t *more;

	log_event(LOG_LEVEL_ERROR, NULL, "campaign-damaged", "customer=%s campaign=%s version=%lld what=\"%s\"",
		  row->customer, row->campaign, (long long)row->version, why);
	campaign_known_drop(c->known, (uint32_t)row->number);
	if (campaign_is_damaged(c, row->number))
		return;
	more = realloc(c->damaged, (c->damaged_count + 1) * sizeof(*more));
	if (!more)
		return;
	c->damaged = more;
	c->damaged[c->damaged_count++] = row->number;
	campaign_changed(c);
}

static void note_whole(struct campaigns *c, int64_t number)
{
	for (size_t i = 0; i < c->damaged_count; i++)
		if (c->damaged[i] == number) {
			c->damaged[i] = c->damaged[--c->damaged_count];
			campaign_changed(c);
			return;
		}
}

/* --- checks */

static void finish(struct opening *p, int err)
{
	p->fn(p->arg, err, err < 0 ? NULL : &p->o);
	camp_manifest_free(p->o.manifest);
	campaign_pack_free(p->pack);
	free(p);
}

static void refuse(struct opening *p, const char *why)
{
	note_damage(p->c, &p->o.row, why);
	finish(p, ERR_DAMAGED);
}

/* NULL, or what is wrong. */
static const char *check_manifest(struct opening *p)
{
	const struct campaign_row *row = &p->o.row;
	const struct camp_manifest *m;

	if (camp_bundle_get(p->o.package, &p->o.bundle, &p->o.manifest, NULL) < 0)
		return "its bundle does not hold together";
	m = p->o.manifest;
	if (memcmp(m->hash, row->hash, sizeof(row->hash)) != 0)
		return "its manifest has another hash";
	if (strcmp(m->customer, row->customer) || strcmp(m->campaign, row->campaign) ||
	    m->version != row->version || m->number != row->number || strcmp(m->author, row->author))
		return "its manifest is that of another campaign";
	return NULL;
}

static void check_signature(struct opening *p, const struct campaign_key *key)
{
	struct keyproto_manifest m;
	const struct campaign_row *row = &p->o.row;

	campaign_row_manifest(row, &m);
	if (keyproto_manifest_verify(&m, span_of(key->spki, CAMPAIGN_SPKI),
				     span_of(row->signature, row->signature_size)) < 0) {
		refuse(p, "keyd's signature does not hold");
		return;
	}
	note_whole(p->c, row->number);
	finish(p, 0);
}

static const struct campaign_key *find_key(const struct campaigns *c, const struct campaign_row *row)
{
	for (unsigned i = 0; i < c->key_count; i++)
		if (c->keys[i].version == row->key_version && !strcmp(c->keys[i].customer, row->customer))
			return &c->keys[i];
	return NULL;
}

static void on_key(void *arg, int err, struct span reply)
{
	struct opening *p = arg;
	struct campaigns *c = p->c;
	struct keyproto_public key;
	struct campaign_key *k;

	if (err == 0)
		err = keyproto_public_get(reply, &key);
	if (err == ERR_NOTFOUND || (err == 0 && key.spki.n != CAMPAIGN_SPKI)) {
		refuse(p, "keyd has no such key");
		return;
	}
	if (err < 0) {
		finish(p, err);
		return;
	}
	k = &c->keys[c->key_next];
	c->key_next = (c->key_next + 1) % (sizeof(c->keys) / sizeof(c->keys[0]));
	c->key_count += c->key_count < sizeof(c->keys) / sizeof(c->keys[0]);
	copy(k->customer, p->o.row.customer);
	k->version = (uint32_t)p->o.row.key_version;
	memcpy(k->spki, key.spki.p, CAMPAIGN_SPKI);
	check_signature(p, k);
}

static int fill_label(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

static void ask_key(struct opening *p)
{
	const struct campaign_key *key = find_key(p->c, &p->o.row);
	char label[2 * KEYPROTO_KEYNAME_MAX];
	int err;

	if (key) {
		check_signature(p, key);
		return;
	}
	snprintf(label, sizeof(label), "manifest/%s#%lld", p->o.row.customer, (long long)p->o.row.key_version);
	err = keyproto_client_ev_call(p->c->relay->keyd, KEYPROTO_PUBLIC_KEY, KEYD_WAIT, fill_label, label,
				      on_key, p);
	if (err < 0)
		finish(p, err);
}

static void on_pack(void *arg, int err)
{
	struct opening *p = arg;
	const char *wrong;

	if (err == ERR_DAMAGED || err == ERR_AUTH)
		refuse(p, "a piece does not open");
	else if (err < 0)
		finish(p, err);
	else if (buf_size(campaign_pack_plain(p->pack)) != (size_t)p->o.row.size ||
		 campaign_pack_get(p->pack, &p->o.findings, &p->o.package) < 0)
		refuse(p, "its pieces make no package");
	else if ((wrong = check_manifest(p)))
		refuse(p, wrong);
	else if (p->o.row.activated)
		ask_key(p);
	else
		finish(p, 0);
}

void campaign_open(struct campaigns *c, const struct campaign_row *row, campaign_open_fn fn, void *arg)
{
	struct opening *p = calloc(1, sizeof(*p));
	int err = ERR_NOMEM;

	if (p)
		p->pack = campaign_pack_new(c->relay, row->customer, row->number);
	if (!p || !p->pack) {
		free(p);
		fn(arg, err, NULL);
		return;
	}
	p->c = c;
	p->o.row = *row;
	p->fn = fn;
	p->arg = arg;
	err = campaign_pack_open(p->pack, row->pieces, row->size, on_pack, p);
	if (err < 0)
		on_pack(p, err);
}
