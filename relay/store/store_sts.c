/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_sts.h"

int store_sts_put(struct store *s, const struct store_sts *row)
{
	int64_t rc = store_run(
	    s,
	    STORE_SQL("INSERT OR REPLACE INTO sts(domain, id, fetched, policy) VALUES(?, ?, ?, ?)"),
	    STORE_ARGS(store_text(row->domain), store_text(row->id), store_int(row->fetched),
		       store_blob(row->policy)));

	return rc < 0 ? (int)rc : 0;
}

int store_sts_remove(struct store *s, const char *domain)
{
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM sts WHERE domain=?"),
			       STORE_ARGS(store_text(domain)));

	return rc < 0 ? (int)rc : 0;
}

int store_sts_each(struct store *s, store_sts_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(
	    s, &r, STORE_SQL("SELECT domain, id, fetched, policy FROM sts ORDER BY fetched"), NULL,
	    0);

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_sts row = {
		    .domain = store_rows_text(&r, 0),
		    .id = store_rows_text(&r, 1),
		    .fetched = store_rows_int(&r, 2),
		    .policy = store_rows_bytes(&r, 3),
		};
		said = fn(arg, &row);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}
