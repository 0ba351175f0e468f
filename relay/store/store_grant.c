/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_grant.h"

#include "core/err.h"

static int done(int64_t rc)
{
	return rc < 0 ? (int)rc : 0;
}

/* Both numbers of the only row, or none: what it is if there is no row. */
static int numbers(struct store_rows *r, int rc, int none, int64_t *a, int64_t *b)
{
	if (rc < 0)
		return rc;
	rc = store_rows_next(r);
	if (rc == 1) {
		*a = store_rows_int(r, 0);
		*b = store_rows_int(r, 1);
	}
	store_rows_close(r);
	return rc == 1 ? 0 : rc < 0 ? rc : none;
}

static int allowed(struct store *s, int64_t number, int state, int64_t *count)
{
	int64_t max = 0, taken = 0;
	struct store_rows r;
	int rc = store_rows_open(
	    s, &r, STORE_SQL("SELECT max_messages, taken FROM campaign WHERE number=? AND state=?"),
	    STORE_ARGS(store_int(number), store_int(state)));

	rc = numbers(&r, rc, ERR_BADSTATE, &max, &taken);
	if (rc == 0 && max && *count > max - taken)
		*count = max > taken ? max - taken : 0;
	return rc;
}

static int note(struct store *s, int64_t number, int64_t count, struct span id)
{
	int64_t rc = store_run(s, STORE_SQL("UPDATE campaign SET taken=taken+? WHERE number=?"),
			       STORE_ARGS(store_int(count), store_int(number)));

	if (rc == 1)
		rc = store_run(
		    s, STORE_SQL("INSERT INTO campaign_grant(id, number, count) VALUES(?, ?, ?)"),
		    STORE_ARGS(store_blob(id), store_int(number), store_int(count)));
	if (rc == 1)
		rc = store_run(
		    s,
		    STORE_SQL(
			"DELETE FROM campaign_grant WHERE number=?1 AND seq NOT IN (SELECT seq"
			" FROM campaign_grant WHERE number=?1 ORDER BY seq DESC LIMIT ?2)"),
		    STORE_ARGS(store_int(number), store_int(STORE_GRANT_OPEN)));
	return done(rc);
}

int store_grant_take(struct store *s, int64_t number, int state, int64_t count, struct span spent,
		     struct span id, int64_t *granted)
{
	int err = store_begin(s);

	*granted = 0;
	if (err < 0)
		return err;
	if (spent.n)
		err = done(
		    store_run(s, STORE_SQL("DELETE FROM campaign_grant WHERE id=? AND number=?"),
			      STORE_ARGS(store_blob(spent), store_int(number))));
	if (err == 0)
		err = allowed(s, number, state, &count);
	if (err == 0 && count)
		err = note(s, number, count, id);
	if (err == 0)
		err = store_commit(s);
	if (err < 0)
		store_rollback(s);
	else
		*granted = count;
	return err;
}

int store_grant_return(struct store *s, struct span id, int64_t unused)
{
	int64_t number = 0, count = 0;
	struct store_rows r;
	int rc =
	    store_rows_open(s, &r, STORE_SQL("SELECT number, count FROM campaign_grant WHERE id=?"),
			    STORE_ARGS(store_blob(id)));

	rc = numbers(&r, rc, ERR_NOTFOUND, &number, &count);
	if (rc < 0)
		return rc;
	if (unused < 0 || unused > count)
		return ERR_LIMIT;
	rc = done(store_run(s, STORE_SQL("DELETE FROM campaign_grant WHERE id=?"),
			    STORE_ARGS(store_blob(id))));
	if (rc < 0)
		return rc;
	rc = (int)store_run(
	    s, STORE_SQL("UPDATE campaign SET taken=taken-?2 WHERE number=?1 AND taken>=?2"),
	    STORE_ARGS(store_int(number), store_int(unused)));
	return rc < 0 ? rc : rc == 0 ? ERR_NOTFOUND : 0;
}
