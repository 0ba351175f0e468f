/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_db.h"

#include "core/err.h"

static const char *const schema[] = {
    STORE_SQL("CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	      "INSERT INTO meta VALUES('id', randomblob(16));"

	      "CREATE TABLE sent(tid INTEGER PRIMARY KEY, number INTEGER NOT NULL, customer TEXT NOT NULL,"
	      " campaign TEXT NOT NULL, consent INTEGER NOT NULL, at INTEGER NOT NULL, delivered INTEGER NOT NULL,"
	      " keyref INTEGER NOT NULL, who BLOB, recipient BLOB) STRICT;"
	      "CREATE INDEX sent_who ON sent(customer, keyref, who);"
	      "CREATE INDEX sent_at ON sent(at);"

	      "CREATE TABLE event(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind INTEGER NOT NULL,"
	      " tid INTEGER NOT NULL, number INTEGER NOT NULL, customer TEXT NOT NULL, campaign TEXT NOT NULL,"
	      " link INTEGER NOT NULL, class INTEGER NOT NULL, reasons INTEGER NOT NULL, net TEXT NOT NULL,"
	      " agent INTEGER NOT NULL) STRICT;"
	      "CREATE INDEX event_tid ON event(tid);"
	      "CREATE INDEX event_at ON event(at);"
	      "CREATE INDEX event_campaign ON event(customer, campaign, kind, class);"

	      "CREATE TABLE total(customer TEXT NOT NULL, campaign TEXT NOT NULL, number INTEGER NOT NULL,"
	      " what INTEGER NOT NULL, link INTEGER NOT NULL, class INTEGER NOT NULL, hits INTEGER NOT NULL,"
	      " PRIMARY KEY(customer, campaign, number, what, link, class)) STRICT, WITHOUT ROWID;"

	      "CREATE TABLE hook(id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, url TEXT NOT NULL,"
	      " kinds INTEGER NOT NULL, secret BLOB NOT NULL, second BLOB, second_until INTEGER NOT NULL DEFAULT 0,"
	      " sealed INTEGER NOT NULL, created INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0,"
	      " last INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0) STRICT;"

	      "CREATE TABLE push(id INTEGER PRIMARY KEY AUTOINCREMENT, hook INTEGER NOT NULL REFERENCES hook(id)"
	      " ON DELETE CASCADE, event INTEGER NOT NULL, revised INTEGER NOT NULL, due INTEGER NOT NULL,"
	      " tries INTEGER NOT NULL, made INTEGER NOT NULL) STRICT;"
	      "CREATE INDEX push_due ON push(due);"
	      "CREATE INDEX push_hook ON push(hook);"
	      "CREATE INDEX push_event ON push(event);"),
    STORE_SQL("ALTER TABLE hook ADD waiting INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE hook ADD lost INTEGER NOT NULL DEFAULT 0;"
	      "ALTER TABLE hook ADD ended INTEGER NOT NULL DEFAULT 0;"
	      "UPDATE hook SET waiting=(SELECT count(*) FROM push WHERE push.hook=hook.id);"
	      "DROP INDEX push_due;"
	      "DROP INDEX push_hook;"
	      "CREATE INDEX push_of ON push(hook, due);"
	      "CREATE TRIGGER push_comes AFTER INSERT ON push BEGIN"
	      " UPDATE hook SET waiting=waiting+1 WHERE id=new.hook; END;"
	      "CREATE TRIGGER push_goes AFTER DELETE ON push BEGIN"
	      " UPDATE hook SET waiting=waiting-1 WHERE id=old.hook; END;"),
    STORE_SQL("ALTER TABLE hook ADD quiet INTEGER NOT NULL DEFAULT 0;")};

struct store *track_db_open(const char *state, int *err, char text[STORE_ERR_MAX])
{
	return store_open_file(state, "track.db", schema, sizeof(schema) / sizeof(schema[0]), err, text);
}

static int done(int64_t rc)
{
	return rc < 0 ? (int)rc : 0;
}

static int one(int64_t rc)
{
	return rc < 0 ? (int)rc : rc ? 0 : ERR_NOTFOUND;
}

static struct store_value blob(struct span s)
{
	return s.n ? store_blob(s) : (struct store_value){STORE_NULL, 0, {NULL, 0}};
}

static int64_t number_of(struct store *s, const char *sql, const struct store_value *args, size_t count)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r, sql, args, count);
	int64_t n = 0;

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1)
		n = store_rows_int(&r, 0);
	store_rows_close(&r);
	return rc < 0 ? rc : n;
}

/* --- sent */

int track_db_sent_add(struct store *s, const struct track_db_sent *m)
{
	return done(store_run(s,
			      STORE_SQL("INSERT INTO sent(tid, number, customer, campaign, consent, at, delivered, keyref, who,"
					" recipient) VALUES(?,?,?,?,?,?,?,?,?,?)"),
			      STORE_ARGS(store_int((int64_t)m->tid), store_int(m->number), store_text(m->customer),
					 store_text(m->campaign), store_int(m->consent), store_int(m->at),
					 store_int(m->delivered), store_int(m->keyref), blob(m->who), blob(m->recipient))));
}

int track_db_sent_delivered(struct store *s, uint64_t tid, int64_t at)
{
	return one(store_run(s, STORE_SQL("UPDATE sent SET delivered=? WHERE tid=? AND delivered=0"),
			     STORE_ARGS(store_int(at), store_int((int64_t)tid))));
}

static void read_sent(const struct store_rows *r, struct track_db_sent *m)
{
	*m = (struct track_db_sent){.tid = (uint64_t)store_rows_int(r, 0),
				    .number = (uint32_t)store_rows_int(r, 1),
				    .customer = store_rows_text(r, 2),
				    .campaign = store_rows_text(r, 3),
				    .consent = (unsigned)store_rows_int(r, 4),
				    .at = store_rows_int(r, 5),
				    .delivered = store_rows_int(r, 6),
				    .keyref = (uint32_t)store_rows_int(r, 7),
				    .recipient = store_rows_bytes(r, 8)};
}
#define SENT "SELECT tid, number, customer, campaign, consent, at, delivered, keyref, recipient FROM sent "

int track_db_sent_get(struct store *s, uint64_t tid, struct track_db_sent *m, char customer[TRACK_NAME],
		      char campaign[TRACK_NAME], struct buf *recipient)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r, STORE_SQL(SENT "WHERE tid=?"), STORE_ARGS(store_int((int64_t)tid)));

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1) {
		read_sent(&r, m);
		span_copy_str(customer, TRACK_NAME, span_str(m->customer));
		span_copy_str(campaign, TRACK_NAME, span_str(m->campaign));
		if (recipient)
			rc = buf_put_span(recipient, m->recipient) < 0 ? ERR_NOMEM : 1;
		m->customer = customer;
		m->campaign = campaign;
		m->recipient = span_of(NULL, 0);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : rc == 1 ? 0 : ERR_NOTFOUND;
}

int64_t track_db_oldest_sealed(struct store *s)
{
	int64_t sent = number_of(s, STORE_SQL("SELECT at FROM sent WHERE recipient IS NOT NULL ORDER BY at LIMIT 1"), NULL, 0);
	int64_t hook = number_of(s, STORE_SQL("SELECT sealed FROM hook ORDER BY sealed LIMIT 1"), NULL, 0);

	return sent > 0 && (hook <= 0 || sent < hook) ? sent : hook > 0 ? hook : 0;
}

int track_db_sent_of(struct store *s, const char *customer, uint32_t keyref, struct span who, track_db_sent_fn fn, void *arg)
{
	struct store_rows r;
	struct track_db_sent m;
	int rc = store_rows_open(s, &r, STORE_SQL(SENT "WHERE customer=? AND keyref=? AND who=? ORDER BY at"),
				 STORE_ARGS(store_text(customer), store_int(keyref), store_blob(who)));
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		read_sent(&r, &m);
		said = fn(arg, &m);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int track_db_keyrefs(struct store *s, const char *customer, uint32_t *out, unsigned most)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r, STORE_SQL("SELECT DISTINCT keyref FROM sent WHERE customer=? AND who IS NOT NULL"),
				 STORE_ARGS(store_text(customer)));
	unsigned n = 0;

	if (rc < 0)
		return rc;
	while (n < most && (rc = store_rows_next(&r)) == 1)
		out[n++] = (uint32_t)store_rows_int(&r, 0);
	store_rows_close(&r);
	return rc < 0 ? rc : (int)n;
}

int track_db_sent_erase(struct store *s, uint64_t tid)
{
	const struct store_value id = store_int((int64_t)tid);
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM push WHERE event IN (SELECT id FROM event WHERE tid=?)"), &id, 1);

	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM event WHERE tid=?"), &id, 1);
	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM sent WHERE tid=?"), &id, 1);
	return done(rc);
}

int64_t track_db_expire(struct store *s, int64_t before)
{
	const struct store_value at = store_int(before);
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM push WHERE event IN (SELECT id FROM event WHERE at<?)"), &at, 1);
	int64_t gone = 0;

	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM event WHERE at<?"), &at, 1);
	gone = rc;
	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM sent WHERE at<?"), &at, 1);
	return rc < 0 ? rc : gone + rc;
}

int64_t track_db_customer_forget(struct store *s, const char *customer, int64_t *webhooks)
{
	const struct store_value name = store_text(customer);
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM hook WHERE customer=?"), &name, 1), rows = 0;

	*webhooks = rc;
	if (rc >= 0)
		rc = rows = store_run(s, STORE_SQL("DELETE FROM event WHERE customer=?"), &name, 1);
	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM sent WHERE customer=?"), &name, 1);
	return rc < 0 ? rc : rows + rc;
}

/* Hops through the indexes from name to name: rows of one customer may be millions. */
#define NAMES(table)                                                                                          \
	"SELECT n FROM (WITH RECURSIVE c(n) AS (SELECT min(customer) FROM " table " UNION ALL"               \
	" SELECT (SELECT min(customer) FROM " table " WHERE customer>c.n) FROM c WHERE n IS NOT NULL)"       \
	" SELECT n FROM c WHERE n IS NOT NULL)"

int track_db_customers(struct store *s, track_db_customer_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL(NAMES("sent") " UNION " NAMES("event") " UNION SELECT customer FROM hook"), NULL, 0);
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1)
		said = fn(arg, store_rows_text(&r, 0));
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

void track_db_scrub(struct store *s)
{
	struct store_rows r;

	if (store_rows_open(s, &r, STORE_SQL("PRAGMA wal_checkpoint(TRUNCATE)"), NULL, 0) < 0)
		return;
	while (store_rows_next(&r) == 1)
		;
	store_rows_close(&r);
}

/* --- event */

int64_t track_db_event_add(struct store *s, const struct track_db_event *e)
{
	int64_t rc = store_run(
	    s,
	    STORE_SQL("INSERT INTO event(at, kind, tid, number, customer, campaign, link, class, reasons, net, agent)"
		      " VALUES(?,?,?,?,?,?,?,?,?,?,?)"),
	    STORE_ARGS(store_int(e->at), store_int(e->kind), store_int((int64_t)e->tid), store_int(e->number),
		       store_text(e->customer), store_text(e->campaign), store_int(e->link), store_int(e->class),
		       store_int(e->reasons), store_text(e->net), store_int(e->agent)));

	return rc < 0 ? rc : store_last(s);
}

int track_db_event_class(struct store *s, int64_t id, unsigned class, uint32_t reasons)
{
	return one(store_run(s, STORE_SQL("UPDATE event SET class=?, reasons=? WHERE id=?"),
			     STORE_ARGS(store_int(class), store_int(reasons), store_int(id))));
}

static int each_event(struct store_rows *r, int rc, track_db_event_fn fn, void *arg)
{
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(r)) == 1) {
		struct track_db_event e = {.id = store_rows_int(r, 0),
					   .at = store_rows_int(r, 1),
					   .kind = (uint8_t)store_rows_int(r, 2),
					   .tid = (uint64_t)store_rows_int(r, 3),
					   .number = (uint32_t)store_rows_int(r, 4),
					   .customer = store_rows_text(r, 5),
					   .campaign = store_rows_text(r, 6),
					   .link = (uint16_t)store_rows_int(r, 7),
					   .class = (uint8_t)store_rows_int(r, 8),
					   .reasons = (uint32_t)store_rows_int(r, 9),
					   .net = store_rows_text(r, 10),
					   .agent = (uint8_t)store_rows_int(r, 11)};
		said = fn(arg, &e);
	}
	store_rows_close(r);
	return rc < 0 ? rc : said;
}
#define EVENT "SELECT id, at, kind, tid, number, customer, campaign, link, class, reasons, net, agent FROM event "

int track_db_events(struct store *s, const char *customer, const char *campaign, uint64_t tid, int64_t after,
		    unsigned limit, track_db_event_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL(EVENT "WHERE id>?1 AND (?2 IS NULL OR customer=?2) AND"
						 " (?3 IS NULL OR campaign=?3) AND (?4=0 OR tid=?4) ORDER BY id LIMIT ?5"),
				 STORE_ARGS(store_int(after), store_text(customer), store_text(campaign),
					    store_int((int64_t)tid), store_int(limit)));

	return each_event(&r, rc, fn, arg);
}

int track_db_event_get(struct store *s, int64_t id, track_db_event_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r, STORE_SQL(EVENT "WHERE id=?"), STORE_ARGS(store_int(id)));

	return each_event(&r, rc, fn, arg);
}

/* --- total */

int track_db_total_add(struct store *s, const struct track_db_total *t)
{
	return done(store_run(s,
			      STORE_SQL("INSERT INTO total(customer, campaign, number, what, link, class, hits)"
					" VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO UPDATE SET hits=hits+?7"),
			      STORE_ARGS(store_text(t->customer), store_text(t->campaign), store_int(t->number),
					 store_int(t->what), store_int(t->link), store_int(t->class), store_int(t->hits))));
}

int track_db_totals(struct store *s, const char *customer, const char *campaign, track_db_total_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT customer, campaign, number, what, link, class, hits FROM total WHERE"
					   " (?1 IS NULL OR customer=?1) AND (?2 IS NULL OR campaign=?2) AND hits>0"
					   " ORDER BY customer, campaign, number, what, link, class"),
				 STORE_ARGS(store_text(customer), store_text(campaign)));
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct track_db_total t = {.customer = store_rows_text(&r, 0),
					   .campaign = store_rows_text(&r, 1),
					   .number = (uint32_t)store_rows_int(&r, 2),
					   .what = (unsigned)store_rows_int(&r, 3),
					   .link = (unsigned)store_rows_int(&r, 4),
					   .class = (unsigned)store_rows_int(&r, 5),
					   .hits = store_rows_int(&r, 6)};
		said = fn(arg, &t);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int64_t track_db_readers(struct store *s, const char *customer, const char *campaign, unsigned kind, unsigned class)
{
	return number_of(s,
			 STORE_SQL("SELECT count(DISTINCT tid) FROM event WHERE customer=? AND campaign=? AND kind=?"
				   " AND class=?"),
			 STORE_ARGS(store_text(customer), store_text(campaign), store_int(kind), store_int(class)));
}

/* --- hook */

int64_t track_db_hook_add(struct store *s, const struct track_db_hook *h)
{
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT INTO hook(customer, url, kinds, secret, sealed, created)"
					 " VALUES(?,?,?,?,?,?)"),
			       STORE_ARGS(store_text(h->customer), store_text(h->url), store_int(h->kinds),
					  store_blob(h->secret), store_int(h->sealed), store_int(h->created)));

	return rc < 0 ? rc : store_last(s);
}

int track_db_hook_secrets(struct store *s, int64_t id, struct span secret, struct span second, int64_t second_until,
			  int64_t sealed)
{
	return one(store_run(s, STORE_SQL("UPDATE hook SET secret=?, second=?, second_until=?, sealed=? WHERE id=?"),
			     STORE_ARGS(store_blob(secret), blob(second), store_int(second_until), store_int(sealed),
					store_int(id))));
}

int track_db_hook_told(struct store *s, int64_t id, int64_t at, int64_t status, int good)
{
	return done(store_run(s,
			      STORE_SQL("UPDATE hook SET last=?1, status=?2, failures=CASE WHEN ?3 THEN 0 ELSE failures+1 END"
					" WHERE id=?4"),
			      STORE_ARGS(store_int(at), store_int(status), store_int(good), store_int(id))));
}

int64_t track_db_hook_end(struct store *s, int64_t id, int64_t at)
{
	int64_t rc = store_run(s, STORE_SQL("UPDATE hook SET ended=? WHERE id=?"), STORE_ARGS(store_int(at), store_int(id)));

	return rc < 0 ? rc : store_run(s, STORE_SQL("DELETE FROM push WHERE hook=?"), STORE_ARGS(store_int(id)));
}

int track_db_hook_revive(struct store *s, int64_t id)
{
	return done(store_run(s, STORE_SQL("UPDATE hook SET ended=0 WHERE id=?"), STORE_ARGS(store_int(id))));
}

int track_db_hook_quiet(struct store *s, int64_t id, int64_t until)
{
	return done(store_run(s, STORE_SQL("UPDATE hook SET quiet=? WHERE id=?"), STORE_ARGS(store_int(until), store_int(id))));
}

int64_t track_db_hook_lost(struct store *s, int64_t id)
{
	int64_t rc = store_run(s, STORE_SQL("UPDATE hook SET lost=lost+1 WHERE id=?"), STORE_ARGS(store_int(id)));

	return rc < 0 ? rc : number_of(s, STORE_SQL("SELECT lost FROM hook WHERE id=?"), STORE_ARGS(store_int(id)));
}

int track_db_hook_remove(struct store *s, int64_t id)
{
	return one(store_run(s, STORE_SQL("DELETE FROM hook WHERE id=?"), STORE_ARGS(store_int(id))));
}

int track_db_hooks(struct store *s, int64_t id, const char *customer, track_db_hook_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, customer, url, kinds, secret, second, second_until, sealed, created,"
					   " failures, last, status, waiting, lost, ended, quiet FROM hook WHERE (?1=0 OR id=?1) AND"
					   " (?2 IS NULL OR customer=?2) ORDER BY id"),
				 STORE_ARGS(store_int(id), store_text(customer)));
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		struct track_db_hook h = {.id = store_rows_int(&r, 0),
					  .customer = store_rows_text(&r, 1),
					  .url = store_rows_text(&r, 2),
					  .kinds = (unsigned)store_rows_int(&r, 3),
					  .secret = store_rows_bytes(&r, 4),
					  .second = store_rows_bytes(&r, 5),
					  .second_until = store_rows_int(&r, 6),
					  .sealed = store_rows_int(&r, 7),
					  .created = store_rows_int(&r, 8),
					  .failures = store_rows_int(&r, 9),
					  .last = store_rows_int(&r, 10),
					  .status = store_rows_int(&r, 11),
					  .waiting = store_rows_int(&r, 12),
					  .lost = store_rows_int(&r, 13),
					  .ended = store_rows_int(&r, 14),
					  .quiet = store_rows_int(&r, 15)};
		said = fn(arg, &h);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

/* --- push */

int64_t track_db_push_add(struct store *s, const struct track_db_push *p)
{
	int64_t rc = store_run(s, STORE_SQL("INSERT INTO push(hook, event, revised, due, tries, made) VALUES(?,?,?,?,0,?)"),
			       STORE_ARGS(store_int(p->hook), store_int(p->event), store_int(p->revised),
					  store_int(p->due), store_int(p->made)));

	return rc < 0 ? rc : store_last(s);
}

int64_t track_db_push_count(struct store *s)
{
	return number_of(s, STORE_SQL("SELECT coalesce(sum(waiting), 0) FROM hook"), NULL, 0);
}

int track_db_push_later(struct store *s, int64_t id, int64_t due, int64_t tries)
{
	return one(store_run(s, STORE_SQL("UPDATE push SET due=?, tries=? WHERE id=?"),
			     STORE_ARGS(store_int(due), store_int(tries), store_int(id))));
}

int track_db_push_remove(struct store *s, int64_t id)
{
	return done(store_run(s, STORE_SQL("DELETE FROM push WHERE id=?"), STORE_ARGS(store_int(id))));
}

int track_db_pushes(struct store *s, int64_t hook, unsigned limit, track_db_push_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, hook, event, revised, due, tries, made FROM push WHERE hook=?"
					   " ORDER BY due, id LIMIT ?"),
				 STORE_ARGS(store_int(hook), store_int(limit)));
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		const struct track_db_push p = {.id = store_rows_int(&r, 0),
						.hook = store_rows_int(&r, 1),
						.event = store_rows_int(&r, 2),
						.revised = (int)store_rows_int(&r, 3),
						.due = store_rows_int(&r, 4),
						.tries = store_rows_int(&r, 5),
						.made = store_rows_int(&r, 6)};
		said = fn(arg, &p);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}
