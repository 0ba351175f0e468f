/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_exception.h"

#include "core/err.h"

int store_exception_put(struct store *s, const struct store_exception *e)
{
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT OR REPLACE INTO tls_exception(domain, level, reason,"
					 " created, until) VALUES(?, ?, ?, ?, ?)"),
			       STORE_ARGS(store_text(e->domain), store_int(e->level),
					  store_text(e->reason), store_int(e->created),
					  store_int(e->until)));

	return rc < 0 ? (int)rc : 0;
}

int store_exception_remove(struct store *s, const char *domain)
{
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM tls_exception WHERE domain=?"),
			       STORE_ARGS(store_text(domain)));

	return rc < 0 ? (int)rc : rc == 0 ? ERR_NOTFOUND : 0;
}

int store_exception_each(struct store *s, store_exception_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT domain, level, reason, created, until"
					   " FROM tls_exception ORDER BY domain"),
				 NULL, 0);

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_exception e = {.domain = store_rows_text(&r, 0),
					    .level = (int)store_rows_int(&r, 1),
					    .reason = store_rows_text(&r, 2),
					    .created = store_rows_int(&r, 3),
					    .until = store_rows_int(&r, 4)};
		said = fn(arg, &e);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}
