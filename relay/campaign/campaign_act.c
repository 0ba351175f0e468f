/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to a version once it is there: its states. */
/* events: campaign-activated campaign-revoked campaign-paused campaign-resumed */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/campaign/campaign_host.h"
#include "relay/campaign/campaign_own.h"

#define KEYD_WAIT (20 * CLOCK_SEC)

struct act {
	struct campaigns *c;
	struct campaign_row row;
	campaign_fn fn;
	void *arg;
	int keep; /* what is active stays so */
	int64_t *olds; /* numbers of what is superseded or revoked */
	size_t old_count;
	const char *event; /* for the log, once it is done */
	char why[400]; /* it is not activated; "" */
	struct span signature; /* an approver's, in bytes */
	uint8_t bytes[KEYPROTO_MANIFEST_SIG_MAX];
};

static void finish(struct act *a, int err, const char *why, json_t *body)
{
	a->fn(a->arg, err, why, body);
	free(a->olds);
	free(a);
}

static void fail(struct act *a, int err, const char *why)
{
	finish(a, err, why, NULL);
}

/* The row as it is now, and whether the list of the revoked is signed as far. */
static void done(struct act *a, int is_signed)
{
	struct campaign_row row = a->row;
	json_t *body;

	campaign_row_get(a->c, row.customer, row.campaign, row.version, &row);
	body = campaign_row_json(a->c, &row);
	json_object_set_new(body, "revocation_signed", json_boolean(is_signed));
	finish(a, 0, NULL, body);
}

static struct act *begin(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg)
{
	struct act *a = calloc(1, sizeof(*a));
	int err;

	if (!a) {
		fn(arg, ERR_NOMEM, NULL, NULL);
		return NULL;
	}
	a->c = r->campaigns;
	a->fn = fn;
	a->arg = arg;
	err = campaign_row_get(a->c, which->customer, which->campaign, which->version, &a->row);
	if (err == 0)
		return a;
	fail(a, err, err == ERR_NOTFOUND ? "no such campaign, or version of it" : NULL);
	return NULL;
}

static int is_over(const struct act *a)
{
	return a->row.state == CAMPAIGN_REVOKED || a->row.state == CAMPAIGN_SUPERSEDED;
}

static void log_act(const struct act *a, const char *event)
{
	log_event(LOG_LEVEL_INFO, NULL, event, "customer=%s campaign=%s version=%lld", a->row.customer,
		  a->row.campaign, (long long)a->row.version);
}

/* --- approval: the signature is looked at here so that who approves hears of a mistake; keyd does so at activation */

static int key_of_approver(const struct act *a, const json_t *list, uint8_t spki[KEYPROTO_APPROVER_SPKI_MAX])
{
	const json_t *x;
	size_t i;

	json_array_foreach(list, i, x) {
		const char *name = json_string_value(json_object_get(x, "name")),
			   *customer = json_string_value(json_object_get(x, "customer")),
			   *key = json_string_value(json_object_get(x, "key"));
		if (!name || !customer || !key ||
		    !keyproto_manifest_same_person(span_str(name), span_str(a->row.approver)))
			continue;
		if (strcmp(customer, a->row.customer) && strcmp(customer, KEYPROTO_ANY_CUSTOMER))
			continue;
		return hex_b64_decode(spki, KEYPROTO_APPROVER_SPKI_MAX, span_str(key));
	}
	return ERR_NOTFOUND;
}

static void on_approvers(void *arg, int err, struct span reply)
{
	struct act *a = arg;
	json_t *all = err < 0 ? NULL : json_loadb((const char *)reply.p, reply.n, JSON_REJECT_DUPLICATES, NULL);
	uint8_t spki[KEYPROTO_APPROVER_SPKI_MAX];
	struct keyproto_manifest m;
	int n = all ? key_of_approver(a, json_object_get(all, "approvers"), spki) : err < 0 ? err : ERR_FORMAT;

	json_decref(all);
	campaign_row_manifest(&a->row, &m);
	if (n == ERR_NOTFOUND) {
		fail(a, ERR_DENIED, "no such approver is enrolled for this customer: see \"sealpost approver list\"");
		return;
	}
	if (n >= 0 && keyproto_manifest_approver_verify(&m, span_of(spki, (size_t)n), a->signature) < 0) {
		fail(a, ERR_DENIED, "the signature is not by the approver's enrolled key, or of something else");
		return;
	}
	if (n >= 0)
		n = store_campaign_approve(a->c->relay->store, a->row.number, a->row.state, CAMPAIGN_APPROVED,
					   a->row.approver, a->signature, clock_wall());
	if (n < 0) {
		fail(a, n, n == ERR_BADSTATE ? "its state changed meanwhile" : NULL);
		return;
	}
	log_event(LOG_LEVEL_INFO, NULL, "campaign-approved", "customer=%s campaign=%s version=%lld approver=%s",
		  a->row.customer, a->row.campaign, (long long)a->row.version, a->row.approver);
	done(a, 1);
}

void campaign_approve(struct relay *r, const struct campaign_which *which, const uint8_t hash[32],
		      const char *approver, struct span signature, campaign_fn fn, void *arg)
{
	struct act *a = begin(r, which, fn, arg);
	int err;

	if (!a)
		return;
	if (!keyproto_manifest_person_ok(span_str(approver))) {
		fail(a, ERR_FORMAT, "approver must be 1 to 64 of A-Z a-z 0-9 . _ - @ +");
	} else if (keyproto_manifest_same_person(span_str(approver), span_str(a->row.author))) {
		fail(a, ERR_DENIED, "who wrote it does not approve it: somebody else must");
	} else if (a->row.state != CAMPAIGN_LINTED && a->row.state != CAMPAIGN_APPROVED) {
		fail(a, ERR_BADSTATE, "this version is past its approval");
	} else if (memcmp(hash, a->row.hash, sizeof(a->row.hash)) != 0) {
		fail(a, ERR_BADSTATE, "that is the hash of something else than this version");
	} else if (signature.n > sizeof(a->bytes)) {
		fail(a, ERR_FORMAT, "that is no signature");
	} else {
		snprintf(a->row.approver, sizeof(a->row.approver), "%s", approver);
		memcpy(a->bytes, signature.p, signature.n);
		a->signature = span_of(a->bytes, signature.n);
		err = keyproto_client_ev_call(r->keyd, KEYPROTO_APPROVERS, KEYD_WAIT, NULL, NULL, on_approvers, a);
		if (err < 0)
			fail(a, err, NULL);
	}
}

/* --- what ends versions: superseded by another, or revoked */

static int note_old(void *arg, const struct store_campaign *row)
{
	struct act *a = arg;
	int64_t *more;

	if (row->number == a->row.number && !a->keep)
		return 0; /* itself, at its activation */
	more = realloc(a->olds, (a->old_count + 1) * sizeof(*more));
	if (!more)
		return ERR_NOMEM;
	a->olds = more;
	more[a->old_count++] = row->number;
	return campaign_revoked_add(a->c->revoked, row->customer, row->campaign, row->version);
}

static void publish(struct act *a, int state)
{
	for (size_t i = 0; i < a->old_count; i++)
		campaign_known_state(a->c->known, (uint32_t)a->olds[i], state);
	campaign_changed(a->c);
}

static void on_revocation(void *arg, int err)
{
	struct act *a = arg;

	log_act(a, a->event);
	done(a, err == 0);
}

/* Those that were noted, within the caller's transaction. Nobody is asked again who is in their audiences. */
static int end_olds(struct act *a, int state)
{
	struct store *s = a->c->relay->store;
	int err = 0;

	for (size_t i = 0; err == 0 && i < a->old_count; i++) {
		err = store_campaign_state(s, a->olds[i], -1, state, clock_wall());
		if (err == 0)
			err = store_campaign_list_drop(s, a->olds[i]);
	}
	return err;
}

/* --- activation */

static int supersede(struct act *a)
{
	static const int states[] = {CAMPAIGN_ACTIVE, CAMPAIGN_PAUSED};
	struct store *s = a->c->relay->store;
	int err = 0;

	for (size_t i = 0; err == 0 && i < 2; i++)
		err = store_campaign_in_state(s, a->row.customer, a->row.campaign, states[i], note_old, a);
	return err == 0 ? end_olds(a, CAMPAIGN_SUPERSEDED) : err;
}

/* One change: the new one is active, and those before it are not. */
static int make_active(struct act *a, const struct keyproto_manifest_signed *s)
{
	struct store *store = a->c->relay->store;
	int stay = a->keep, err = store_begin(store);

	if (err < 0)
		return err;
	a->keep = 0; /* note_old must not end this one */
	err = store_campaign_sign(store, a->row.number, s->version,
				  span_of(s->signature, KEYPROTO_MANIFEST_SIG), clock_wall());
	if (err == 0)
		err = store_campaign_state(store, a->row.number, CAMPAIGN_APPROVED, CAMPAIGN_ACTIVE, clock_wall());
	if (err == 0 && !stay)
		err = supersede(a);
	if (err == 0)
		err = store_commit(store);
	if (err < 0)
		store_rollback(store);
	return err;
}

static void on_manifest_signed(void *arg, int err, struct span reply)
{
	struct act *a = arg;
	struct keyproto_manifest_signed s;

	if (err == 0)
		err = keyproto_manifest_signed_get(reply, &s);
	if (err == ERR_DENIED) {
		log_event(LOG_LEVEL_WARN, NULL, "campaign-denied", "customer=%s campaign=%s version=%lld approver=%s",
			  a->row.customer, a->row.campaign, (long long)a->row.version, a->row.approver);
		fail(a, err, "keyd refuses: the approver is not enrolled (any more), or did not sign this version");
		return;
	}
	if (err == 0)
		err = make_active(a, &s);
	if (err < 0) {
		fail(a, err, err == ERR_BADSTATE ? "its state changed meanwhile" : NULL);
		return;
	}
	campaign_load(a->c);
	publish(a, CAMPAIGN_SUPERSEDED);
	a->event = "campaign-activated";
	if (a->old_count)
		campaign_revoked_sign(a->c->revoked, on_revocation, a);
	else
		on_revocation(a, 0);
}

static int fill_sign(struct buf *body, const void *message)
{
	return keyproto_manifest_sign_put(body, message);
}

/* 0; ERR_BADSTATE: a->why tells which host is nobody's any more. */
static int check_hosts(struct act *a, const struct camp_manifest *m)
{
	const char *host;
	int rc = campaign_host_check(a->c->relay, a->row.customer, m, &host);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	snprintf(a->why, sizeof(a->why),
		 "host-not-owned: %.250s is no verified domain of the customer any more, nor below one: see \"sealpost domain\"", host);
	return ERR_BADSTATE;
}

static void on_opened_to_activate(void *arg, int err, struct campaign_opened *o)
{
	struct act *a = arg;
	struct keyproto_manifest_sign m;

	if (err == 0) /* it opens, and is what its hash says */
		err = check_hosts(a, o->manifest);
	if (err == 0) {
		campaign_row_manifest(&a->row, &m.manifest);
		m.signature = span_of(a->row.approval, a->row.approval_size);
		err = keyproto_client_ev_call(a->c->relay->keyd, KEYPROTO_MANIFEST_SIGN, KEYD_WAIT, fill_sign, &m,
					      on_manifest_signed, a);
	}
	if (err < 0)
		fail(a, err,
		     err == ERR_DAMAGED ? "what is stored of it does not hold: see relay's log" : a->why[0] ? a->why : NULL);
}

void campaign_activate(struct relay *r, const struct campaign_which *which, int keep, campaign_fn fn, void *arg)
{
	struct act *a = begin(r, which, fn, arg);

	if (!a)
		return;
	a->keep = keep;
	if (a->row.state == CAMPAIGN_LINTED)
		fail(a, ERR_BADSTATE, "nobody has approved it yet");
	else if (a->row.state == CAMPAIGN_ACTIVE)
		fail(a, ERR_BADSTATE, "it is active already");
	else if (a->row.state == CAMPAIGN_PAUSED)
		fail(a, ERR_BADSTATE, "it is paused: \"sealpost campaign resume\" goes on with it");
	else if (is_over(a))
		fail(a, ERR_BADSTATE, "it was revoked, which is for ever: add a new version");
	else if (campaign_revoked_whole(a->c->revoked, a->row.customer, a->row.campaign))
		fail(a, ERR_BADSTATE, "all versions of this campaign are revoked, which is for ever");
	else if (a->row.valid_to && a->row.valid_to <= clock_wall())
		fail(a, ERR_BADSTATE, "its time is over: see valid.to");
	else
		campaign_open(a->c, &a->row, on_opened_to_activate, a);
}

/* --- revocation */

static int revoke_row(void *arg, const struct store_campaign *row)
{
	struct act *a = arg;

	return row->state == CAMPAIGN_REVOKED || row->state == CAMPAIGN_SUPERSEDED ? 0 : note_old(a, row);
}

static int revoke_rows(struct act *a, int64_t version)
{
	struct store *s = a->c->relay->store;
	const char *campaign = a->row.campaign;
	int err = store_begin(s);

	if (err < 0)
		return err;
	a->keep = 1; /* itself too */
	if (version)
		err = store_campaign_get(s, a->row.customer, campaign, version, revoke_row, a);
	else
		err = store_campaign_each(s, a->row.customer, campaign, revoke_row, a);
	if (err == 0)
		err = campaign_revoked_add(a->c->revoked, a->row.customer, campaign, version);
	if (err == 0)
		err = end_olds(a, CAMPAIGN_REVOKED);
	if (err == 0)
		err = store_commit(s);
	if (err < 0)
		store_rollback(s);
	return err;
}

void campaign_revoke(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg)
{
	struct act *a = begin(r, which, fn, arg);
	int err;

	if (!a)
		return;
	err = revoke_rows(a, which->version);
	if (err < 0) {
		fail(a, err, NULL);
		return;
	}
	publish(a, CAMPAIGN_REVOKED);
	a->event = "campaign-revoked";
	campaign_revoked_sign(a->c->revoked, on_revocation, a);
}

/* --- pause */

void campaign_pause(struct relay *r, const struct campaign_which *which, int pause, campaign_fn fn, void *arg)
{
	struct act *a = begin(r, which, fn, arg);
	const int from = pause ? CAMPAIGN_ACTIVE : CAMPAIGN_PAUSED, to = pause ? CAMPAIGN_PAUSED : CAMPAIGN_ACTIVE;
	int err;

	if (!a)
		return;
	if (!pause && a->row.state == from && a->row.valid_to && a->row.valid_to <= clock_wall()) {
		fail(a, ERR_BADSTATE, "its time is over: see valid.to");
		return;
	}
	err = store_campaign_state(r->store, a->row.number, from, to, clock_wall());
	if (err < 0) {
		fail(a, err, err != ERR_BADSTATE ? NULL : pause ? "it is not active" : "it is not paused");
		return;
	}
	campaign_known_state(a->c->known, (uint32_t)a->row.number, to);
	campaign_changed(a->c);
	log_act(a, pause ? "campaign-paused" : "campaign-resumed");
	done(a, 1);
}
