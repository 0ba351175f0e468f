/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_credential.h"

#include <stdio.h>

#include "core/err.h"

int64_t store_credential_add(struct store *s, const struct store_credential *c)
{
	const struct store_value fingerprint =
	    c->fingerprint.n ? store_blob(c->fingerprint) : store_text(NULL);
	int64_t rc = store_run(
	    s,
	    STORE_SQL("INSERT INTO credential(kind, name, customer, fingerprint, messages, recipients,"
		      " connections, disabled, created, changed) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
	    STORE_ARGS(store_int(c->kind), store_text(c->name), store_text(c->customer), fingerprint,
		       store_text(c->messages), store_text(c->recipients), store_int(c->connections),
		       store_int(c->disabled), store_int(c->created), store_int(c->changed)));

	return rc < 0 ? rc : store_last(s);
}

static int one(int64_t changed)
{
	return changed < 0 ? (int)changed : changed == 0 ? ERR_NOTFOUND : 0;
}

int store_credential_seal(struct store *s, int64_t id, struct span login, struct span secret, int64_t now)
{
	const struct store_value l = login.n ? store_blob(login) : store_text(NULL);
	const struct store_value p = secret.n ? store_blob(secret) : store_text(NULL);

	return one(store_run(s,
			     STORE_SQL("UPDATE credential SET login=ifnull(?, login),"
				       " secret=ifnull(?, secret), changed=? WHERE id=?"),
			     STORE_ARGS(l, p, store_int(now), store_int(id))));
}

int store_credential_disable(struct store *s, int64_t id, int disabled, int64_t now)
{
	return one(store_run(s, STORE_SQL("UPDATE credential SET disabled=?, changed=? WHERE id=?"),
			     STORE_ARGS(store_int(disabled), store_int(now), store_int(id))));
}

int store_credential_remove(struct store *s, int64_t id)
{
	return one(store_run(s, STORE_SQL("DELETE FROM credential WHERE id=?"), STORE_ARGS(store_int(id))));
}

int64_t store_credential_find(struct store *s, int kind, const char *name,
			      char customer[STORE_CREDENTIAL_CUSTOMER])
{
	struct store_rows r;
	int64_t id = ERR_NOTFOUND;
	int rc = store_rows_open(s, &r, STORE_SQL("SELECT id, customer FROM credential WHERE kind=? AND name=?"),
				 STORE_ARGS(store_int(kind), store_text(name)));

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1) {
		id = store_rows_int(&r, 0);
		if (customer)
			snprintf(customer, STORE_CREDENTIAL_CUSTOMER, "%s", store_rows_text(&r, 1));
	}
	store_rows_close(&r);
	return rc < 0 ? rc : id;
}

static int each(struct store_rows *r, store_credential_fn fn, void *arg)
{
	int rc = 0, said = 0;

	while (!said && (rc = store_rows_next(r)) == 1) {
		struct store_credential c = {.id = store_rows_int(r, 0),
					     .kind = (int)store_rows_int(r, 1),
					     .name = store_rows_text(r, 2),
					     .customer = store_rows_text(r, 3),
					     .login = store_rows_bytes(r, 4),
					     .secret = store_rows_bytes(r, 5),
					     .fingerprint = store_rows_bytes(r, 6),
					     .messages = store_rows_text(r, 7),
					     .recipients = store_rows_text(r, 8),
					     .connections = store_rows_int(r, 9),
					     .disabled = (int)store_rows_int(r, 10),
					     .created = store_rows_int(r, 11),
					     .changed = store_rows_int(r, 12)};
		said = fn(arg, &c);
	}
	store_rows_close(r);
	return rc < 0 ? rc : said;
}

int store_credential_each(struct store *s, store_credential_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, kind, name, customer, login, secret, fingerprint,"
					   " messages, recipients, connections, disabled, created, changed"
					   " FROM credential ORDER BY kind, name"),
				 NULL, 0);

	return rc < 0 ? rc : each(&r, fn, arg);
}

int store_credential_each_by_id(struct store *s, store_credential_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, kind, name, customer, login, secret, fingerprint,"
					   " messages, recipients, connections, disabled, created, changed"
					   " FROM credential ORDER BY id"),
				 NULL, 0);

	return rc < 0 ? rc : each(&r, fn, arg);
}

int store_credential_reseal(struct store *s, int64_t id, int secret, struct span old, struct span fresh)
{
	int rc;

	if (secret)
		rc = one(store_run(s, STORE_SQL("UPDATE credential SET secret=? WHERE id=? AND secret=?"),
				   STORE_ARGS(store_blob(fresh), store_int(id), store_blob(old))));
	else
		rc = one(store_run(s, STORE_SQL("UPDATE credential SET login=? WHERE id=? AND login=?"),
				   STORE_ARGS(store_blob(fresh), store_int(id), store_blob(old))));
	return rc == ERR_NOTFOUND ? ERR_EXISTS : rc;
}
