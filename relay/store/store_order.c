/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_order.h"

#include "core/err.h"

enum { CUSTOMER = 1, CAMPAIGN = 2, DESTINATION = 4 }; /* as the SELECT below says which are not NULL */

int64_t store_order_add(struct store *s, const struct store_order *o)
{
	int64_t rc = store_run(
	    s,
	    STORE_SQL("INSERT INTO queue_order(action, customer, campaign, destination, message, via, before,"
		      " created) VALUES(?, ?, ?, ?, ?, ?, ?, ?)"),
	    STORE_ARGS(store_int(o->action), store_text(o->customer), store_text(o->campaign),
		       store_text(o->destination), store_int((int64_t)o->message),
		       store_text(o->via && *o->via ? o->via : NULL), store_int(o->before),
		       store_int(o->created)));

	return rc < 0 ? rc : store_last(s);
}

int store_order_remove(struct store *s, int64_t number)
{
	int64_t rc =
	    store_run(s, STORE_SQL("DELETE FROM queue_order WHERE id=?"), STORE_ARGS(store_int(number)));

	return rc < 0 ? (int)rc : rc == 0 ? ERR_NOTFOUND : 0;
}

int store_order_remove_all(struct store *s, const int64_t *numbers, size_t count)
{
	int rc = store_begin(s);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = store_order_remove(s, numbers[i]);
	if (rc == 0)
		rc = store_commit(s);
	if (rc < 0)
		store_rollback(s);
	return rc;
}

int store_order_each(struct store *s, store_order_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, action, (customer IS NOT NULL) + 2 * (campaign IS NOT NULL)"
					   " + 4 * (destination IS NOT NULL), customer, campaign, destination,"
					   " message, via, before, created FROM queue_order ORDER BY id"),
				 NULL, 0);

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		int64_t by = store_rows_int(&r, 2);
		struct store_order o = {
		    .number = store_rows_int(&r, 0),
		    .action = (int)store_rows_int(&r, 1),
		    .customer = by & CUSTOMER ? store_rows_text(&r, 3) : NULL,
		    .campaign = by & CAMPAIGN ? store_rows_text(&r, 4) : NULL,
		    .destination = by & DESTINATION ? store_rows_text(&r, 5) : NULL,
		    .message = (uint64_t)store_rows_int(&r, 6),
		    .via = store_rows_text(&r, 7),
		    .before = store_rows_int(&r, 8),
		    .created = store_rows_int(&r, 9),
		};
		said = fn(arg, &o);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}
