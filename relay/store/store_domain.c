/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_domain.h"

#include "core/err.h"

int store_domain_put(struct store *s, const struct store_domain *d)
{
	int64_t rc = store_run(
	    s,
	    STORE_SQL(
		"INSERT OR REPLACE INTO domain(domain, customer, state, challenge, reason,"
		" created, since, checked, found, secure) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
	    STORE_ARGS(store_text(d->domain), store_text(d->customer), store_int(d->state),
		       store_text(d->challenge), store_text(d->reason), store_int(d->created),
		       store_int(d->since), store_int(d->checked), store_int(d->found),
		       store_int(d->secure)));

	return rc < 0 ? (int)rc : 0;
}

static void read_row(const struct store_rows *r, struct store_domain *d)
{
	*d = (struct store_domain){.domain = store_rows_text(r, 0),
				   .customer = store_rows_text(r, 1),
				   .state = (int)store_rows_int(r, 2),
				   .challenge = store_rows_text(r, 3),
				   .reason = store_rows_text(r, 4),
				   .created = store_rows_int(r, 5),
				   .since = store_rows_int(r, 6),
				   .checked = store_rows_int(r, 7),
				   .found = (int)store_rows_int(r, 8),
				   .secure = (int)store_rows_int(r, 9)};
}

int store_domain_get(struct store *s, const char *customer, const char *domain, store_domain_fn fn,
		     void *arg)
{
	struct store_domain d;
	struct store_rows r;
	int rc = store_rows_open(
	    s, &r,
	    STORE_SQL("SELECT domain, customer, state, challenge, reason, created, since, checked,"
		      " found, secure FROM domain WHERE domain=? AND customer=?"),
	    STORE_ARGS(store_text(domain), store_text(customer)));

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1) {
		read_row(&r, &d);
		rc = fn(arg, &d);
	} else if (rc == 0) {
		rc = ERR_NOTFOUND;
	}
	store_rows_close(&r);
	return rc;
}

int store_domain_remove(struct store *s, const char *customer, const char *domain)
{
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM domain WHERE domain=? AND customer=?"),
			       STORE_ARGS(store_text(domain), store_text(customer)));

	return rc < 0 ? (int)rc : rc == 0 ? ERR_NOTFOUND : 0;
}

int store_domain_each(struct store *s, const char *customer, store_domain_fn fn, void *arg)
{
	struct store_domain d;
	struct store_rows r;
	int said = 0, rc;

	if (customer)
		rc = store_rows_open(
		    s, &r,
		    STORE_SQL("SELECT domain, customer, state, challenge, reason, created, since, "
			      "checked,"
			      " found, secure FROM domain WHERE customer=? ORDER BY domain"),
		    STORE_ARGS(store_text(customer)));
	else
		rc = store_rows_open(
		    s, &r,
		    STORE_SQL("SELECT domain, customer, state, challenge, reason, created, since, "
			      "checked,"
			      " found, secure FROM domain ORDER BY domain, customer"),
		    NULL, 0);
	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		read_row(&r, &d);
		said = fn(arg, &d);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

static int64_t first_number(struct store_rows *r, int rc)
{
	int64_t n = 0;

	if (rc < 0)
		return rc;
	rc = store_rows_next(r);
	if (rc == 1)
		n = store_rows_int(r, 0);
	store_rows_close(r);
	return rc < 0 ? rc : n;
}

int64_t store_domain_count(struct store *s, const char *customer)
{
	struct store_rows r;

	return first_number(
	    &r, store_rows_open(s, &r, STORE_SQL("SELECT count(*) FROM domain WHERE customer=?"),
				STORE_ARGS(store_text(customer))));
}

int store_domain_taken(struct store *s, const char *customer, const char *domain, int state)
{
	struct store_rows r;
	int rc = store_rows_open(
	    s, &r,
	    STORE_SQL("SELECT EXISTS(SELECT 1 FROM domain WHERE state=?1 AND customer<>?2 AND"
		      " (domain=?3 OR substr(domain, -length(?3) - 1)='.'||?3"
		      " OR substr(?3, -length(domain) - 1)='.'||domain))"),
	    STORE_ARGS(store_int(state), store_text(customer), store_text(domain)));

	return (int)first_number(&r, rc);
}
