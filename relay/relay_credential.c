/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/in/in_auth.h"
#include "relay/keys/keys_cred.h"
#include "relay/keys/keys_field.h"

#define TABLE "credential"

/* --- publishing: all rows are read, then opened batch by batch */

struct row { /* of an inbound credential, while its hash is sealed */
	struct in_auth_credential c;
	struct buf aad, sealed;
};

struct loading {
	struct relay *relay;
	struct in_auth_set *set; /* filled from the front */
	struct row *rows;
	size_t count, at, batch;
	struct keyproto_field items[KEYS_FIELD_BATCH];
};

struct relay_credentials {
	struct loading *loading; /* NULL: nothing is under way */
	int again;		 /* something changed meanwhile */
};

static void load(struct relay *r);
static void next_batch(struct loading *l);

static void free_loading(struct loading *l)
{
	for (size_t i = 0; i < l->count; i++) {
		buf_clear(&l->rows[i].aad);
		buf_clear(&l->rows[i].sealed);
	}
	free(l->rows);
	in_auth_set_unref(l->set);
	free(l);
}

static void ended(struct loading *l)
{
	struct relay *r = l->relay;

	r->credentials->loading = NULL;
	free_loading(l);
	if (r->credentials->again)
		load(r);
}

static void unusable(const struct in_auth_credential *c, const char *why)
{
	log_event(LOG_LEVEL_ERROR, NULL, "credential-unusable", "credential=%s customer=%s why=\"%s\"", c->name,
		  c->customer, why);
}

static void take(struct loading *l, const struct row *row, struct span hash)
{
	struct in_auth_credential *c = &l->set->all[l->set->count];

	*c = row->c;
	if (hash.n >= sizeof(c->hash)) {
		unusable(c, "hash too long");
		return;
	}
	if (hash.n)
		memcpy(c->hash, hash.p, hash.n);
	l->set->count++;
}

static void opened(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct loading *l = arg;

	if (err == ERR_AWAY || err == ERR_LOCKED || err == ERR_TIMEOUT || err == ERR_LIMIT) {
		ended(l); /* READY comes again */
		return;
	}
	for (size_t i = 0; i < l->batch; i++) {
		const struct row *row = &l->rows[l->at + i];
		if (err < 0 || i >= count || results[i].status)
			unusable(&row->c, err < 0 ? err_text(err) : "does not open");
		else
			take(l, row, results[i].data);
	}
	l->at += l->batch;
	next_batch(l);
}

/* Rows of one customer, without those that need no opening. */
static void next_batch(struct loading *l)
{
	struct row *first;
	int err;

	while (l->at < l->count && !buf_size(&l->rows[l->at].sealed))
		take(l, &l->rows[l->at++], span_of(NULL, 0));
	if (l->at == l->count) {
		log_event(LOG_LEVEL_INFO, NULL, "credentials-loaded", "count=%zu", l->set->count);
		in_auth_publish(l->relay->auth, l->set);
		l->set = NULL;
		ended(l);
		return;
	}
	first = &l->rows[l->at];
	for (l->batch = 0; l->batch < KEYS_FIELD_BATCH && l->at + l->batch < l->count; l->batch++) {
		struct row *row = first + l->batch;
		if (!buf_size(&row->sealed) || strcmp(row->c.customer, first->c.customer))
			break;
		l->items[l->batch] = (struct keyproto_field){buf_span(&row->aad), buf_span(&row->sealed)};
	}
	err = keys_field_open(l->relay->keyd, KEYPROTO_FOR_CRED, first->c.customer, l->items,
			      (unsigned)l->batch, opened, l);
	if (err < 0)
		ended(l);
}

static int read_row(void *arg, const struct store_credential *c)
{
	struct loading *l = arg;
	struct row *rows, *row;

	if (c->kind != STORE_CREDENTIAL_INBOUND)
		return 0;
	rows = realloc(l->rows, (l->count + 1) * sizeof(*rows));
	if (!rows)
		return ERR_NOMEM;
	l->rows = rows;
	row = &rows[l->count];
	memset(row, 0, sizeof(*row));
	buf_init(&row->aad, 4096);
	buf_init(&row->sealed, 4096);
	row->c.id = c->id;
	row->c.changed = c->changed;
	snprintf(row->c.name, sizeof(row->c.name), "%s", c->name);
	snprintf(row->c.customer, sizeof(row->c.customer), "%s", c->customer);
	if (c->fingerprint.n == sizeof(row->c.fingerprint))
		memcpy(row->c.fingerprint, c->fingerprint.p, c->fingerprint.n);
	num_parse_rate(span_str(c->messages), &row->c.messages); /* checked when it was added */
	num_parse_rate(span_str(c->recipients), &row->c.recipients);
	row->c.connections = c->connections;
	row->c.disabled = c->disabled;
	l->count++;
	if (c->secret.n && (buf_put_span(&row->sealed, c->secret) < 0 ||
			    store_aad(l->relay->store, &row->aad, c->customer, TABLE, "secret", c->id) < 0))
		return ERR_NOMEM;
	return 0;
}

static int by_customer(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->c.customer, ((const struct row *)b)->c.customer);
}

static void load(struct relay *r)
{
	struct loading *l;
	int err;

	if (keyproto_client_ev_state(r->keyd) != KEYPROTO_READY)
		return;
	if (r->credentials->loading) {
		r->credentials->again = 1;
		return;
	}
	r->credentials->again = 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return;
	l->relay = r;
	r->credentials->loading = l;
	err = store_credential_each(r->store, read_row, l);
	l->set = err < 0 ? NULL : in_auth_set_new(l->count);
	if (!l->set) {
		log_event(LOG_LEVEL_ERROR, NULL, "credentials-unreadable", "why=\"%s\"",
			  err_text(err < 0 ? err : ERR_NOMEM));
		ended(l);
		return;
	}
	l->set->count = 0;
	if (l->count)
		qsort(l->rows, l->count, sizeof(*l->rows), by_customer);
	next_batch(l);
}

/* Both kinds of readers get what is now. */
void relay_credential_again(struct relay *r)
{
	int err = keys_cred_load(r);

	if (err < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "credentials-unreadable", "why=\"%s\"", err_text(err));
	load(r);
}

/* --- changing */

struct change {
	struct relay *relay;
	relay_credential_fn done;
	void *arg;
	int64_t id;
	int fresh; /* the row is new: it goes if it cannot be completed */
	int has_login, has_secret;
	struct buf aad[2];
	struct buf hash; /* wiped */
};

static void free_change(struct change *c)
{
	buf_clear(&c->aad[0]);
	buf_clear(&c->aad[1]);
	buf_clear(&c->hash);
	free(c);
}

static void finish(struct change *c, int err)
{
	if (err < 0 && c->fresh)
		store_credential_remove(c->relay->store, c->id);
	if (err == 0)
		relay_credential_again(c->relay);
	c->done(c->arg, err, c->id);
	free_change(c);
}

static void sealed(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct change *c = arg;
	unsigned want = (unsigned)(c->has_login + c->has_secret);
	struct span none = span_of(NULL, 0);

	for (unsigned i = 0; err == 0 && i < want; i++)
		if (i >= count || results[i].status)
			err = ERR_CRYPTO;
	if (err == 0)
		err = store_credential_seal(c->relay->store, c->id, c->has_login ? results[0].data : none,
					    c->has_secret ? results[c->has_login].data : none, clock_wall());
	finish(c, err);
}

/* What is kept of a password: inbound its hash, upstream itself. */
static int secret_of(struct change *c, int kind, struct span password)
{
	char hash[IN_AUTH_HASH];
	int err;

	if (kind == STORE_CREDENTIAL_UPSTREAM)
		return buf_put_span(&c->hash, password);
	err = in_auth_hash(hash, password);
	if (err == 0)
		err = buf_put_span(&c->hash, span_str(hash));
	secret_wipe(hash, sizeof(hash));
	return err;
}

/* Takes c over: done is called, or the error returned and c freed. */
static int seal(struct change *c, int kind, const char *customer, struct span login, struct span password)
{
	struct keyproto_field items[2];
	unsigned n = 0;
	int err = 0;

	c->has_login = login.n > 0;
	c->has_secret = password.n > 0;
	if (c->has_login) {
		err = store_aad(c->relay->store, &c->aad[0], customer, TABLE, "login", c->id);
		items[n++] = (struct keyproto_field){buf_span(&c->aad[0]), login};
	}
	if (err == 0 && c->has_secret) {
		err = store_aad(c->relay->store, &c->aad[1], customer, TABLE, "secret", c->id);
		if (err == 0)
			err = secret_of(c, kind, password);
		items[n++] = (struct keyproto_field){buf_span(&c->aad[1]), buf_span(&c->hash)};
	}
	if (err == 0 && n == 0) { /* a certificate alone: the row is whole */
		finish(c, 0);
		return 0;
	}
	if (err == 0)
		err = keys_field_seal(c->relay->keyd, KEYPROTO_FOR_CRED, customer, items, n, sealed, c);
	if (err < 0) {
		if (c->fresh)
			store_credential_remove(c->relay->store, c->id);
		free_change(c);
	}
	return err;
}

static struct change *new_change(struct relay *r, relay_credential_fn done, void *arg)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->relay = r;
	c->done = done;
	c->arg = arg;
	buf_init(&c->aad[0], 4096);
	buf_init(&c->aad[1], 4096);
	buf_init_wiped(&c->hash, 4096);
	return c;
}

int relay_credential_add(struct relay *r, const struct store_credential *given, struct span login,
			 struct span password, relay_credential_fn done, void *arg)
{
	struct change *c = new_change(r, done, arg);
	struct store_credential row = *given;

	if (!c)
		return ERR_NOMEM;
	row.created = row.changed = clock_wall();
	c->id = store_credential_add(r->store, &row);
	if (c->id < 0) {
		int err = (int)c->id;
		free_change(c);
		return err;
	}
	c->fresh = 1;
	return seal(c, row.kind, row.customer, login, password);
}

int relay_credential_change(struct relay *r, int kind, const char *name, struct span login,
			    struct span password, relay_credential_fn done, void *arg)
{
	char customer[STORE_CREDENTIAL_CUSTOMER];
	int64_t id = store_credential_find(r->store, kind, name, customer);
	struct change *c;

	if (id < 0)
		return (int)id;
	c = new_change(r, done, arg);
	if (!c)
		return ERR_NOMEM;
	c->id = id;
	return seal(c, kind, customer, login, password);
}

int relay_credential_disable(struct relay *r, int kind, const char *name, int disabled)
{
	int64_t id = store_credential_find(r->store, kind, name, NULL);
	int err = id < 0 ? (int)id : store_credential_disable(r->store, id, disabled, clock_wall());

	if (err == 0)
		relay_credential_again(r);
	return err;
}

int relay_credential_remove(struct relay *r, int kind, const char *name)
{
	int64_t id = store_credential_find(r->store, kind, name, NULL);
	int err = id < 0 ? (int)id : store_credential_remove(r->store, id);

	if (err == 0)
		relay_credential_again(r);
	return err;
}

/* --- the part */

static int open_part(struct relay *r, const char **why)
{
	r->credentials = calloc(1, sizeof(*r->credentials));
	*why = "out of memory";
	return r->credentials ? 0 : ERR_NOMEM;
}

static void keyd_part(struct relay *r, unsigned state)
{
	if (state == KEYPROTO_READY)
		load(r);
	else
		in_auth_publish(r->auth, NULL);
}

static void close_part(struct relay *r)
{
	free(r->credentials);
	r->credentials = NULL;
}

const struct relay_control_part relay_credential_part = {open_part, keyd_part, close_part};
