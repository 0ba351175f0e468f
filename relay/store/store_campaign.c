/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_campaign.h"

#include "core/err.h"

#define COLUMNS                                                                                    \
	"SELECT number, customer, campaign, version, state, author, created, hash, warnings,"      \
	" valid_from, valid_to, max_messages, taken, pieces, size, approver, approval, approved,"  \
	" key_version, signature, activated, changed FROM campaign "

/* 0, or ERR_*; none if no row was changed. */
#define LISTS ((int64_t)1 << 48) /* above the pieces of all packages: numbers are u32 */

static int one(int64_t changed, int none)
{
	return changed < 0 ? (int)changed : changed == 0 ? none : 0;
}

int store_campaign_add(struct store *s, const char *customer, const char *campaign, const char *author,
		       int state, int64_t now, int64_t *number, int64_t *version)
{
	struct store_rows r;
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT INTO campaign(customer, campaign, version, state, author,"
					 " created, changed) SELECT ?1, ?2, coalesce(max(version), 0) + 1,"
					 " ?3, ?4, ?5, ?5 FROM campaign WHERE customer=?1 AND campaign=?2"),
			       STORE_ARGS(store_text(customer), store_text(campaign), store_int(state),
					  store_text(author), store_int(now)));

	if (rc < 0)
		return (int)rc;
	*number = store_last(s);
	rc = store_rows_open(s, &r, STORE_SQL("SELECT version FROM campaign WHERE number=?"),
			     STORE_ARGS(store_int(*number)));
	if (rc < 0)
		return (int)rc;
	rc = store_rows_next(&r);
	*version = rc == 1 ? store_rows_int(&r, 0) : 0;
	store_rows_close(&r);
	return rc < 0 ? (int)rc : rc == 1 ? 0 : ERR_NOTFOUND;
}

int store_campaign_drop(struct store *s, int64_t number)
{
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM campaign_piece WHERE number=?"), STORE_ARGS(store_int(number)));

	if (rc < 0)
		return (int)rc;
	return one(store_run(s, STORE_SQL("DELETE FROM campaign WHERE number=?"), STORE_ARGS(store_int(number))),
		   ERR_NOTFOUND);
}

int store_campaign_drop_all(struct store *s, int state)
{
	int64_t rc = store_run(s,
			       STORE_SQL("DELETE FROM campaign_piece WHERE number IN"
					 " (SELECT number FROM campaign WHERE state=?)"),
			       STORE_ARGS(store_int(state)));

	if (rc >= 0)
		rc = store_run(s, STORE_SQL("DELETE FROM campaign WHERE state=?"), STORE_ARGS(store_int(state)));
	return rc < 0 ? (int)rc : 0;
}

int64_t store_campaign_piece_id(int64_t number, int64_t piece)
{
	if (piece < STORE_CAMPAIGN_LIST)
		return number * STORE_CAMPAIGN_PIECES + piece;
	return LISTS + number * STORE_CAMPAIGN_LIST_PIECES + piece - STORE_CAMPAIGN_LIST;
}

int store_campaign_piece_add(struct store *s, const char *customer, int64_t number, int64_t piece,
			     struct span sealed)
{
	return one(store_run(s,
			     STORE_SQL("INSERT INTO campaign_piece(id, customer, number, bytes)"
				       " VALUES(?, ?, ?, ?)"),
			     STORE_ARGS(store_int(store_campaign_piece_id(number, piece)),
					store_text(customer), store_int(number), store_blob(sealed))),
		   ERR_IO);
}

int store_campaign_list_drop(struct store *s, int64_t number)
{
	int64_t rc = store_run(s, STORE_SQL("DELETE FROM campaign_piece WHERE number=? AND id>=?"),
			       STORE_ARGS(store_int(number), store_int(store_campaign_piece_id(number, STORE_CAMPAIGN_LIST))));

	return rc < 0 ? (int)rc : 0;
}

int store_campaign_fill(struct store *s, const struct store_campaign *c, int from)
{
	return one(store_run(s,
			     STORE_SQL("UPDATE campaign SET state=?3, hash=?4, warnings=?5, valid_from=?6,"
				       " valid_to=?7, max_messages=?8, pieces=?9, size=?10"
				       " WHERE number=?1 AND state=?2"),
			     STORE_ARGS(store_int(c->number), store_int(from), store_int(c->state),
					store_blob(c->hash), store_int(c->warnings), store_int(c->valid_from),
					store_int(c->valid_to), store_int(c->max_messages),
					store_int(c->pieces), store_int(c->size))),
		   ERR_BADSTATE);
}

int store_campaign_approve(struct store *s, int64_t number, int from, int state, const char *approver,
			   struct span approval, int64_t now)
{
	return one(store_run(s,
			     STORE_SQL("UPDATE campaign SET state=?3, approver=?4, approval=?5, approved=?6,"
				       " changed=?6 WHERE number=?1 AND state=?2"),
			     STORE_ARGS(store_int(number), store_int(from), store_int(state),
					store_text(approver), store_blob(approval), store_int(now))),
		   ERR_BADSTATE);
}

int store_campaign_sign(struct store *s, int64_t number, int64_t key_version, struct span signature, int64_t now)
{
	return one(store_run(s,
			     STORE_SQL("UPDATE campaign SET key_version=?2, signature=?3,"
				       " activated=iif(activated=0, ?4, activated), changed=?4 WHERE number=?1"),
			     STORE_ARGS(store_int(number), store_int(key_version), store_blob(signature),
					store_int(now))),
		   ERR_NOTFOUND);
}

int store_campaign_state(struct store *s, int64_t number, int from, int state, int64_t now)
{
	return one(store_run(s,
			     STORE_SQL("UPDATE campaign SET state=?3, changed=?4"
				       " WHERE number=?1 AND (?2 < 0 OR state=?2)"),
			     STORE_ARGS(store_int(number), store_int(from), store_int(state), store_int(now))),
		   ERR_BADSTATE);
}

/* --- rows */

static void read_row(const struct store_rows *r, struct store_campaign *c)
{
	*c = (struct store_campaign){.number = store_rows_int(r, 0),
				     .customer = store_rows_text(r, 1),
				     .campaign = store_rows_text(r, 2),
				     .version = store_rows_int(r, 3),
				     .state = (int)store_rows_int(r, 4),
				     .author = store_rows_text(r, 5),
				     .created = store_rows_int(r, 6),
				     .hash = store_rows_bytes(r, 7),
				     .warnings = store_rows_int(r, 8),
				     .valid_from = store_rows_int(r, 9),
				     .valid_to = store_rows_int(r, 10),
				     .max_messages = store_rows_int(r, 11),
				     .taken = store_rows_int(r, 12),
				     .pieces = store_rows_int(r, 13),
				     .size = store_rows_int(r, 14),
				     .approver = store_rows_text(r, 15),
				     .approval = store_rows_bytes(r, 16),
				     .approved = store_rows_int(r, 17),
				     .key_version = store_rows_int(r, 18),
				     .signature = store_rows_bytes(r, 19),
				     .activated = store_rows_int(r, 20),
				     .changed = store_rows_int(r, 21)};
}

/* none: what no row at all means. */
static int each(struct store_rows *r, int rc, int none, store_campaign_fn fn, void *arg)
{
	struct store_campaign c;
	int said = 0, any = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(r)) == 1) {
		read_row(r, &c);
		any = 1;
		said = fn(arg, &c);
	}
	store_rows_close(r);
	return rc < 0 ? rc : said ? said : any ? 0 : none;
}

int store_campaign_get(struct store *s, const char *customer, const char *campaign, int64_t version,
		       store_campaign_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL(COLUMNS "WHERE customer=? AND campaign=? AND state>0"
						   " AND (?3=0 OR version=?3) ORDER BY version DESC LIMIT 1"),
				 STORE_ARGS(store_text(customer), store_text(campaign), store_int(version)));

	return each(&r, rc, ERR_NOTFOUND, fn, arg);
}

int store_campaign_number(struct store *s, int64_t number, store_campaign_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r, STORE_SQL(COLUMNS "WHERE number=?"), STORE_ARGS(store_int(number)));

	return each(&r, rc, ERR_NOTFOUND, fn, arg);
}

int store_campaign_each(struct store *s, const char *customer, const char *campaign, store_campaign_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL(COLUMNS "WHERE state>0 AND (?1 IS NULL OR customer=?1)"
						   " AND (?2 IS NULL OR campaign=?2)"
						   " ORDER BY customer, campaign, version DESC"),
				 STORE_ARGS(store_text(customer), store_text(campaign)));

	return each(&r, rc, 0, fn, arg);
}

int store_campaign_in_state(struct store *s, const char *customer, const char *campaign, int state,
			    store_campaign_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL(COLUMNS "WHERE customer=? AND campaign=? AND state=? ORDER BY version"),
				 STORE_ARGS(store_text(customer), store_text(campaign), store_int(state)));

	return each(&r, rc, 0, fn, arg);
}

int64_t store_campaign_count(struct store *s, int state, int64_t now)
{
	struct store_rows r;
	int64_t n = store_rows_open(s, &r, STORE_SQL("SELECT count(*) FROM campaign WHERE state=?1 AND (valid_to=0 OR valid_to>?2)"),
				    STORE_ARGS(store_int(state), store_int(now)));

	if (n < 0)
		return n;
	n = store_rows_next(&r);
	if (n == 1)
		n = store_rows_int(&r, 0);
	store_rows_close(&r);
	return n;
}

/* --- pieces */

static int each_piece(struct store_rows *r, int rc, store_campaign_piece_fn fn, void *arg)
{
	struct store_campaign_piece p;
	int said = 0;

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(r)) == 1) {
		p = (struct store_campaign_piece){store_rows_int(r, 0), store_rows_int(r, 1),
						  store_rows_bytes(r, 2)};
		said = fn(arg, &p);
	}
	store_rows_close(r);
	return rc < 0 ? rc : said;
}

int store_campaign_pieces(struct store *s, int64_t number, int64_t first, int64_t count, store_campaign_piece_fn fn,
			  void *arg)
{
	int64_t id = store_campaign_piece_id(number, first);
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, number, bytes FROM campaign_piece"
					   " WHERE number=?1 AND id>=?2 AND id<?2+?3 ORDER BY id"),
				 STORE_ARGS(store_int(number), store_int(id), store_int(count)));

	return each_piece(&r, rc, fn, arg);
}

int store_campaign_pieces_each(struct store *s, const char *customer, int64_t after, int64_t limit,
			       store_campaign_piece_fn fn, void *arg)
{
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, number, bytes FROM campaign_piece"
					   " WHERE customer=? AND id>? ORDER BY id LIMIT ?"),
				 STORE_ARGS(store_text(customer), store_int(after), store_int(limit)));

	return each_piece(&r, rc, fn, arg);
}

int store_campaign_reseal(struct store *s, int64_t id, struct span was, struct span fresh)
{
	return one(store_run(s, STORE_SQL("UPDATE campaign_piece SET bytes=?3 WHERE id=?1 AND bytes=?2"),
			     STORE_ARGS(store_int(id), store_blob(was), store_blob(fresh))),
		   ERR_EXISTS);
}

/* --- the revoked */

int store_campaign_revoke(struct store *s, const struct store_campaign_revoked *line, int64_t now)
{
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT OR IGNORE INTO campaign_revoked(customer, campaign, version,"
					 " counter, since) VALUES(?, ?, ?, ?, ?)"),
			       STORE_ARGS(store_text(line->customer), store_text(line->campaign),
					  store_int(line->version), store_int(line->counter), store_int(now)));

	return rc < 0 ? (int)rc : 0;
}

int store_campaign_revoked_each(struct store *s, int64_t most, store_campaign_revoked_fn fn, void *arg)
{
	struct store_campaign_revoked line;
	struct store_rows r;
	int said = 0;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT customer, campaign, version, counter FROM campaign_revoked"
					   " WHERE counter<=? ORDER BY customer || ' ' || campaign || ' ' ||"
					   " iif(version=0, '*', version)"),
				 STORE_ARGS(store_int(most)));

	if (rc < 0)
		return rc;
	while (!said && (rc = store_rows_next(&r)) == 1) {
		line = (struct store_campaign_revoked){store_rows_text(&r, 0), store_rows_text(&r, 1),
						       store_rows_int(&r, 2), store_rows_int(&r, 3)};
		said = fn(arg, &line);
	}
	store_rows_close(&r);
	return rc < 0 ? rc : said;
}

int store_campaign_revoked_move(struct store *s, int64_t counter)
{
	int64_t rc = store_run(s, STORE_SQL("UPDATE campaign_revoked SET counter=?1 WHERE counter>?1"),
			       STORE_ARGS(store_int(counter)));

	return rc < 0 ? (int)rc : 0;
}

/* --- rejections */

int store_rejection_put(struct store *s, const struct store_rejection *x)
{
	int64_t rc = store_run(s,
			       STORE_SQL("INSERT OR IGNORE INTO rejection(id, time, customer, campaign, version,"
					 " verdict, header, part, offset, template, template_offset)"
					 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
			       STORE_ARGS(store_text(x->id), store_int(x->time), store_text(x->customer),
					  store_text(x->campaign), store_int(x->version),
					  store_text(x->verdict), store_text(x->header), store_int(x->part), store_int(x->offset),
					  store_int(x->template), store_int(x->template_offset)));

	return rc < 0 ? (int)rc : 0;
}

int store_rejection_get(struct store *s, const char *id, store_rejection_fn fn, void *arg)
{
	struct store_rejection x;
	struct store_rows r;
	int rc = store_rows_open(s, &r,
				 STORE_SQL("SELECT id, time, customer, campaign, version, verdict, header, part, offset,"
					   " template, template_offset FROM rejection WHERE id=?"),
				 STORE_ARGS(store_text(id)));

	if (rc < 0)
		return rc;
	rc = store_rows_next(&r);
	if (rc == 1) {
		x = (struct store_rejection){store_rows_text(&r, 0), store_rows_int(&r, 1),
					     store_rows_text(&r, 2), store_rows_text(&r, 3),
					     store_rows_int(&r, 4),  store_rows_text(&r, 5),
					     store_rows_text(&r, 6), store_rows_int(&r, 7),
					     store_rows_int(&r, 8),  store_rows_int(&r, 9),
					     store_rows_int(&r, 10)};
		rc = fn(arg, &x);
	} else if (rc == 0) {
		rc = ERR_NOTFOUND;
	}
	store_rows_close(&r);
	return rc;
}

int64_t store_rejection_expire(struct store *s, int64_t before, int64_t most)
{
	return store_run(s,
			 STORE_SQL("DELETE FROM rejection WHERE time<?1 OR id IN"
				   " (SELECT id FROM rejection ORDER BY time DESC LIMIT -1 OFFSET ?2)"),
			 STORE_ARGS(store_int(before), store_int(most)));
}
