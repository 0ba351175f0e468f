/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_suppression.h"

#include "core/err.h"

static const char *const names[] = {
#define STORE_X(sym, num, name) [num] = name,
    STORE_SUPPRESSION_REASONS(STORE_X)
#undef STORE_X
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

const char *store_suppression_reason_name(int reason)
{
	return reason > 0 && reason < NAMES ? names[reason] : "unknown";
}

int store_suppression_reason(struct span name)
{
	for (int i = 1; i < NAMES; i++)
		if (span_equal(name, span_str(names[i])))
			return i;
	return 0;
}

/* AUTOINCREMENT's own memory. */
int64_t store_suppression_last(struct store *s)
{
	struct store_rows r;
	int64_t id = 0;
	int rc = store_rows_open(
	    s, &r, STORE_SQL("SELECT seq FROM sqlite_sequence WHERE name='suppression'"), NULL, 0);

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1)
		id = store_rows_int(&r, 0);
	store_rows_close(&r);
	return rc < 0 ? rc : id;
}

static int one(int64_t changed)
{
	return changed < 0 ? (int)changed : changed == 0 ? ERR_NOTFOUND : 0;
}

int store_suppression_add(struct store *s, const struct store_suppression *r)
{
	return one(store_run(
	    s,
	    STORE_SQL("INSERT INTO suppression(id, customer, address, reason, created, expires)"
		      " VALUES(?, ?, ?, ?, ?, ?)"),
	    STORE_ARGS(store_int(r->id), store_text(r->customer), store_blob(r->address),
		       store_int(r->reason), store_int(r->created), store_int(r->expires))));
}

int store_suppression_change(struct store *s, const struct store_suppression *r)
{
	return one(store_run(
	    s, STORE_SQL("UPDATE suppression SET reason=?, created=?, expires=? WHERE id=?"),
	    STORE_ARGS(store_int(r->reason), store_int(r->created), store_int(r->expires),
		       store_int(r->id))));
}

int store_suppression_remove(struct store *s, int64_t id)
{
	return one(store_run(s, STORE_SQL("DELETE FROM suppression WHERE id=?"),
			     STORE_ARGS(store_int(id))));
}

int64_t store_suppression_expire(struct store *s, int64_t now)
{
	return store_run(s, STORE_SQL("DELETE FROM suppression WHERE expires > 0 AND expires <= ?"),
			 STORE_ARGS(store_int(now)));
}

int store_suppression_each(struct store *s, const char *customer, int64_t after, unsigned limit,
			   store_suppression_fn fn, void *arg)
{
	struct store_rows r;
	int rc, said = 0;

	if (customer)
		rc = store_rows_open(
		    s, &r,
		    STORE_SQL("SELECT id, customer, address, reason, created, expires"
			      " FROM suppression WHERE customer=? AND id > ?"
			      " ORDER BY id LIMIT ?"),
		    STORE_ARGS(store_text(customer), store_int(after), store_int(limit)));
	else
		rc = store_rows_open(
		    s, &r,
		    STORE_SQL("SELECT id, customer, address, reason, created, expires"
			      " FROM suppression WHERE id > ? ORDER BY id LIMIT ?"),
		    STORE_ARGS(store_int(after), store_int(limit)));
	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_suppression row = {.id = store_rows_int(&r, 0),
						.customer = store_rows_text(&r, 1),
						.address = store_rows_bytes(&r, 2),
						.reason = (int)store_rows_int(&r, 3),
						.created = store_rows_int(&r, 4),
						.expires = store_rows_int(&r, 5)};
		said = fn(arg, &row);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_suppression_customers(struct store *s, int (*fn)(void *arg, const char *customer),
				void *arg)
{
	struct store_rows r;
	int rc =
	    store_rows_open(s, &r, STORE_SQL("SELECT DISTINCT customer FROM suppression"), NULL, 0);
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1)
		said = fn(arg, store_rows_text(&r, 0));
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_suppression_reseal(struct store *s, int64_t id, struct span old, struct span fresh)
{
	int rc =
	    one(store_run(s, STORE_SQL("UPDATE suppression SET address=? WHERE id=? AND address=?"),
			  STORE_ARGS(store_blob(fresh), store_int(id), store_blob(old))));

	return rc == ERR_NOTFOUND ? ERR_EXISTS : rc;
}
