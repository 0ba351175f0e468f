/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_tlsrpt.h"

#include <stdio.h>

#include "core/err.h"

static int done(int64_t rc)
{
	return rc < 0 ? (int)rc : 0;
}

/* The one number of a statement that gives one; -1: it gives none. */
static int64_t number(struct store *s, const char *sql, const struct store_value *args, size_t count)
{
	struct store_rows r;
	int64_t n = -1;
	int rc = store_rows_open(s, &r, sql, args, count);

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1)
		n = store_rows_int(&r, 0);
	store_rows_close(&r);
	return rc < 0 ? rc : n;
}

/* --- counts */

static int64_t find_policy(struct store *s, const struct store_tlsrpt_count *c, struct span text)
{
	return number(s,
		      STORE_SQL("SELECT id FROM tlsrpt_policy WHERE day=? AND domain=? AND kind=? AND text=?"),
		      STORE_ARGS(store_int(c->day), store_text(c->domain), store_int(c->kind), store_blob(text)));
}

static int64_t add_policy(struct store *s, const struct store_tlsrpt_count *c, struct span text)
{
	int64_t rc = store_run(s, STORE_SQL("INSERT INTO tlsrpt_policy(day, domain, kind, text) VALUES(?, ?, ?, ?)"),
			       STORE_ARGS(store_int(c->day), store_text(c->domain), store_int(c->kind),
					  store_blob(text)));

	return rc < 0 ? rc : store_last(s);
}

static int64_t policy_id(struct store *s, const struct store_tlsrpt_count *c)
{
	struct span text = c->policy.n ? c->policy : SPAN_LIT("");
	int64_t id = find_policy(s, c, text), n;

	if (id != -1)
		return id;
	n = number(s, STORE_SQL("SELECT count(*) FROM tlsrpt_policy WHERE day=? AND domain=?"),
		   STORE_ARGS(store_int(c->day), store_text(c->domain)));
	if (n < STORE_TLSRPT_POLICIES)
		return n < 0 ? n : add_policy(s, c, text);
	id = find_policy(s, c, SPAN_LIT(""));
	return id != -1 ? id : add_policy(s, c, SPAN_LIT(""));
}

static int64_t add_to(struct store *s, int64_t policy, const struct store_tlsrpt_count *c)
{
	return store_run(s,
			 STORE_SQL("UPDATE tlsrpt_count SET sessions=sessions+? WHERE policy=? AND result=? AND mx=?"
				   " AND ip=? AND source=? AND reason=?"),
			 STORE_ARGS(store_int(c->sessions), store_int(policy), store_int(c->result),
				    store_text(c->mx), store_text(c->ip), store_text(c->from),
				    store_text(c->reason)));
}

static int64_t add_row(struct store *s, int64_t policy, const struct store_tlsrpt_count *c)
{
	return store_run(s,
			 STORE_SQL("INSERT INTO tlsrpt_count(policy, result, mx, ip, source, reason, sessions)"
				   " VALUES(?, ?, ?, ?, ?, ?, ?)"),
			 STORE_ARGS(store_int(policy), store_int(c->result), store_text(c->mx), store_text(c->ip),
				    store_text(c->from), store_text(c->reason), store_int(c->sessions)));
}

int store_tlsrpt_count(struct store *s, const struct store_tlsrpt_count *c)
{
	struct store_tlsrpt_count bare = *c;
	int64_t policy = policy_id(s, c), n;

	if (policy < 0)
		return (int)policy;
	n = add_to(s, policy, c);
	if (n)
		return done(n);
	n = number(s, STORE_SQL("SELECT count(*) FROM tlsrpt_count WHERE policy=?"), STORE_ARGS(store_int(policy)));
	if (n < STORE_TLSRPT_DETAILS)
		return n < 0 ? (int)n : done(add_row(s, policy, c));
	bare.mx = bare.ip = bare.from = bare.reason = "";
	n = add_to(s, policy, &bare);
	return done(n ? n : add_row(s, policy, &bare));
}

int store_tlsrpt_counts(struct store *s, int64_t day, const char *domain, store_tlsrpt_count_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT p.id, p.kind, p.text, c.result, c.mx, c.ip, c.source, c.reason,"
					   " c.sessions FROM tlsrpt_policy p JOIN tlsrpt_count c ON c.policy=p.id"
					   " WHERE p.day=? AND p.domain=?"
					   " ORDER BY p.id, c.result, c.sessions DESC, c.mx, c.ip, c.source, c.reason"),
				 STORE_ARGS(store_int(day), store_text(domain)));

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_tlsrpt_count c = {.day = day,
					       .domain = domain,
					       .policy_id = store_rows_int(&r, 0),
					       .kind = (int)store_rows_int(&r, 1),
					       .policy = store_rows_bytes(&r, 2),
					       .result = (int)store_rows_int(&r, 3),
					       .mx = store_rows_text(&r, 4),
					       .ip = store_rows_text(&r, 5),
					       .from = store_rows_text(&r, 6),
					       .reason = store_rows_text(&r, 7),
					       .sessions = store_rows_int(&r, 8)};
		said = fn(arg, &c);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_tlsrpt_sums(struct store *s, int64_t day, const char *after, unsigned limit, store_tlsrpt_sum_fn fn,
		      void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(
	    s, &r,
	    STORE_SQL("SELECT p.domain, max(p.kind), sum(c.sessions) FILTER (WHERE c.result=0),"
		      " sum(c.sessions) FILTER (WHERE c.result<>0), coalesce(r.state, -1), coalesce(r.due, 0)"
		      " FROM tlsrpt_policy p JOIN tlsrpt_count c ON c.policy=p.id"
		      " LEFT JOIN tlsrpt_report r ON r.day=p.day AND r.domain=p.domain AND r.part=0"
		      " WHERE p.day=? AND p.domain>? GROUP BY p.domain ORDER BY p.domain LIMIT ?"),
	    STORE_ARGS(store_int(day), store_text(after), store_int(limit)));

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_tlsrpt_sum sum = {.domain = store_rows_text(&r, 0),
					       .kind = (int)store_rows_int(&r, 1),
					       .good = store_rows_int(&r, 2),
					       .failed = store_rows_int(&r, 3),
					       .state = (int)store_rows_int(&r, 4),
					       .due = store_rows_int(&r, 5)};
		said = fn(arg, &sum);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

/* --- reports */

int64_t store_tlsrpt_add(struct store *s, const struct store_tlsrpt_report *p)
{
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT INTO tlsrpt_report(day, domain, part, until_end, name, state, due,"
					 " until, tries, note) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
			       STORE_ARGS(store_int(p->day), store_text(p->domain), store_int(p->part),
					  store_int(p->end), store_text(p->name), store_int(p->state),
					  store_int(p->due), store_int(p->until), store_int(p->tries),
					  store_text(p->note)));

	return rc < 0 ? rc : store_last(s);
}

int store_tlsrpt_change(struct store *s, const struct store_tlsrpt_report *p)
{
	int64_t rc = store_run(s, STORE_SQL("UPDATE tlsrpt_report SET state=?, due=?, until=?, tries=?, note=?"
					 " WHERE id=?"),
			       STORE_ARGS(store_int(p->state), store_int(p->due), store_int(p->until),
					  store_int(p->tries), store_text(p->note), store_int(p->id)));

	return rc < 0 ? (int)rc : rc == 0 ? ERR_NOTFOUND : 0;
}

#define REPORT "SELECT id, day, domain, part, until_end, name, state, due, until, tries, note FROM tlsrpt_report "

static int each_report(struct store *s, const char *sql, const struct store_value *args, size_t count,
		       store_tlsrpt_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r, sql, args, count);

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_tlsrpt_report p = {.id = store_rows_int(&r, 0),
						.day = store_rows_int(&r, 1),
						.domain = store_rows_text(&r, 2),
						.part = store_rows_int(&r, 3),
						.end = store_rows_int(&r, 4),
						.name = store_rows_text(&r, 5),
						.state = (int)store_rows_int(&r, 6),
						.due = store_rows_int(&r, 7),
						.until = store_rows_int(&r, 8),
						.tries = store_rows_int(&r, 9),
						.note = store_rows_text(&r, 10)};
		said = fn(arg, &p);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_tlsrpt_waiting(struct store *s, unsigned limit, store_tlsrpt_fn fn, void *arg)
{
	return each_report(s, STORE_SQL(REPORT "WHERE state=0 ORDER BY due, id LIMIT ?"),
			   STORE_ARGS(store_int(limit)), fn, arg);
}

int store_tlsrpt_reports(struct store *s, int64_t day, const char *domain, store_tlsrpt_fn fn, void *arg)
{
	return each_report(s, STORE_SQL(REPORT "WHERE day=? AND domain=? ORDER BY part"),
			   STORE_ARGS(store_int(day), store_text(domain)), fn, arg);
}

int store_tlsrpt_missing(struct store *s, int64_t today, int64_t *day, char domain[256])
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT p.day, p.domain FROM tlsrpt_policy p WHERE p.day<? AND NOT EXISTS"
					   " (SELECT 1 FROM tlsrpt_report r WHERE r.day=p.day AND r.domain=p.domain"
					   " AND r.part=0) LIMIT 1"),
				 STORE_ARGS(store_int(today)));

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1) {
		*day = store_rows_int(&r, 0);
		snprintf(domain, 256, "%s", store_rows_text(&r, 1));
	}
	store_rows_close(&r);
	return rc;
}

/* --- ways */

int store_tlsrpt_way_put(struct store *s, int64_t report, const struct store_tlsrpt_way *w)
{
	return done(store_run(s,
			      STORE_SQL("INSERT OR REPLACE INTO tlsrpt_way(report, uri, state, tries, time, note)"
					" VALUES(?, ?, ?, ?, ?, ?)"),
			      STORE_ARGS(store_int(report), store_text(w->uri), store_int(w->state),
					 store_int(w->tries), store_int(w->time), store_text(w->note))));
}

int store_tlsrpt_ways(struct store *s, int64_t report, store_tlsrpt_way_fn fn, void *arg)
{
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT uri, state, tries, time, note FROM tlsrpt_way WHERE report=?"
					   " ORDER BY uri"),
				 STORE_ARGS(store_int(report)));

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct store_tlsrpt_way w = {.uri = store_rows_text(&r, 0),
					     .state = (int)store_rows_int(&r, 1),
					     .tries = store_rows_int(&r, 2),
					     .time = store_rows_int(&r, 3),
					     .note = store_rows_text(&r, 4)};
		said = fn(arg, &w);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_tlsrpt_forget(struct store *s, int64_t day)
{
	static const char *const all[] = {
	    STORE_SQL("DELETE FROM tlsrpt_count WHERE policy IN (SELECT id FROM tlsrpt_policy WHERE day<?)"),
	    STORE_SQL("DELETE FROM tlsrpt_policy WHERE day<?"),
	    STORE_SQL("DELETE FROM tlsrpt_way WHERE report IN (SELECT id FROM tlsrpt_report WHERE day<?)"),
	    STORE_SQL("DELETE FROM tlsrpt_report WHERE day<?")};
	int64_t rc = store_begin(s);

	if (rc < 0)
		return (int)rc;
	for (size_t i = 0; rc >= 0 && i < sizeof(all) / sizeof(all[0]); i++)
		rc = store_run(s, all[i], STORE_ARGS(store_int(day)));
	if (rc >= 0)
		return store_commit(s);
	store_rollback(s);
	return (int)rc;
}
