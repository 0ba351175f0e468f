/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "seal/seal_field.h"

#define ID 16

struct store {
	sqlite3 *db;
	unsigned count;
	struct {
		const char *sql; /* a literal: its address tells it */
		sqlite3_stmt *statement;
	} kept[STORE_STATEMENTS];
	uint8_t id[ID];
	int64_t said; /* failures, logged at powers of two */
};

static int error_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW:
		return 0;
	case SQLITE_CONSTRAINT:
		return ERR_EXISTS;
	case SQLITE_FULL:
		return ERR_NOSPACE;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_DAMAGED;
	default:
		return ERR_IO;
	}
}

/* Says what SQLite says, which holds no value that was bound. */
static int failed(struct store *s, int rc)
{
	int err = error_of(rc);

	if (err < 0 && err != ERR_EXISTS) {
		s->said++;
		if ((s->said & (s->said - 1)) == 0)
			log_event(LOG_LEVEL_ERROR, NULL, "database-failed", "error=\"%s\" code=%d failures=%lld",
				  sqlite3_errstr(rc), sqlite3_extended_errcode(s->db),
				  (long long)s->said);
	}
	return err;
}

/* --- statements */

static sqlite3_stmt *prepared(struct store *s, const char *sql, int *err)
{
	unsigned i = 0;
	int rc;

	while (i < s->count && s->kept[i].sql != sql)
		i++;
	if (i < s->count)
		return s->kept[i].statement;
	if (s->count == STORE_STATEMENTS)
		log_panic("store: more statements than STORE_STATEMENTS");
	rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->kept[i].statement, NULL);
	if (rc != SQLITE_OK) {
		*err = failed(s, rc);
		return NULL;
	}
	s->kept[i].sql = sql;
	s->count++;
	return s->kept[i].statement;
}

static int bind(sqlite3_stmt *st, int at, const struct store_value *v)
{
	switch (v->type) {
	case STORE_INT:
		return sqlite3_bind_int64(st, at, v->number);
	case STORE_TEXT:
		return sqlite3_bind_text(st, at, (const char *)v->bytes.p, (int)v->bytes.n, SQLITE_STATIC);
	case STORE_BLOB:
		return sqlite3_bind_blob(st, at, v->bytes.n ? (const void *)v->bytes.p : "",
					 (int)v->bytes.n, SQLITE_STATIC);
	default:
		return sqlite3_bind_null(st, at);
	}
}

static sqlite3_stmt *ready(struct store *s, const char *sql, const struct store_value *args, size_t count,
			   int *err)
{
	sqlite3_stmt *st = prepared(s, sql, err);
	int rc = SQLITE_OK;

	if (!st)
		return NULL;
	for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
		rc = bind(st, (int)i + 1, &args[i]);
	if (rc == SQLITE_OK)
		return st;
	sqlite3_clear_bindings(st);
	*err = failed(s, rc);
	return NULL;
}

static void done(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st); /* what was bound is the caller's again */
}

int64_t store_run(struct store *s, const char *sql, const struct store_value *args, size_t count)
{
	int err = 0, rc;
	sqlite3_stmt *st = ready(s, sql, args, count, &err);

	if (!st)
		return err;
	rc = sqlite3_step(st);
	err = rc == SQLITE_DONE ? 0 : failed(s, rc);
	done(st);
	return err < 0 ? err : sqlite3_changes64(s->db);
}

int64_t store_last(struct store *s)
{
	return sqlite3_last_insert_rowid(s->db);
}

int store_rows_open(struct store *s, struct store_rows *r, const char *sql,
		    const struct store_value *args, size_t count)
{
	int err = 0;

	r->statement = ready(s, sql, args, count, &err);
	return r->statement ? 0 : err;
}

int store_rows_next(struct store_rows *r)
{
	int rc = sqlite3_step(r->statement);

	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : error_of(rc);
}

int64_t store_rows_int(const struct store_rows *r, int column)
{
	return sqlite3_column_int64(r->statement, column);
}

struct span store_rows_bytes(const struct store_rows *r, int column)
{
	const void *p = sqlite3_column_blob(r->statement, column);

	return span_of(p, (size_t)sqlite3_column_bytes(r->statement, column));
}

const char *store_rows_text(const struct store_rows *r, int column)
{
	const unsigned char *text = sqlite3_column_text(r->statement, column);

	return text ? (const char *)text : "";
}

void store_rows_close(struct store_rows *r)
{
	if (r->statement)
		done(r->statement);
	r->statement = NULL;
}

int store_begin(struct store *s)
{
	int64_t rc = store_run(s, STORE_SQL("BEGIN IMMEDIATE"), NULL, 0);

	return rc < 0 ? (int)rc : 0;
}

int store_commit(struct store *s)
{
	int64_t rc = store_run(s, STORE_SQL("COMMIT"), NULL, 0);

	if (rc < 0)
		store_rollback(s);
	return rc < 0 ? (int)rc : 0;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		store_run(s, STORE_SQL("ROLLBACK"), NULL, 0);
}

int store_aad(struct store *s, struct buf *out, const char *customer, const char *table,
	      const char *column, int64_t row)
{
	char number[24];
	const struct span parts[] = {span_str(customer), span_of(s->id, ID), span_str(table),
				     span_str(column),
				     span_of(number, (size_t)snprintf(number, sizeof(number), "%lld",
								      (long long)row)),
				     span_str("1")};

	return seal_field_aad(out, parts, sizeof(parts) / sizeof(parts[0]));
}

/* --- opening */

static int exec(struct store *s, const char *sql)
{
	return error_of(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static int one_number(struct store *s, const char *sql, int64_t *out)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : error_of(rc) < 0 ? error_of(rc) : ERR_DAMAGED;
}

static int check(struct store *s)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	int good = 0;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		good = !strcmp((const char *)sqlite3_column_text(st, 0), "ok");
	sqlite3_finalize(st);
	return good ? 0 : error_of(rc) < 0 ? error_of(rc) : ERR_DAMAGED;
}

/* One step with its new version is one transaction. */
static int step(struct store *s, const char *const *schema, unsigned version)
{
	char number[64];
	int err = exec(s, "BEGIN IMMEDIATE");

	if (err == 0)
		err = exec(s, schema[version]);
	snprintf(number, sizeof(number), "PRAGMA user_version=%u", version + 1); /* takes no parameter */
	if (err == 0)
		err = exec(s, number);
	if (err == 0)
		err = exec(s, "COMMIT");
	if (err < 0 && !sqlite3_get_autocommit(s->db))
		exec(s, "ROLLBACK");
	return err;
}

static int migrate(struct store *s, const char *const *schema, unsigned steps, char text[STORE_ERR_MAX])
{
	int64_t version = 0;
	int err = one_number(s, "PRAGMA user_version", &version);

	if (err == 0 && version > (int64_t)steps) {
		snprintf(text, STORE_ERR_MAX, "was written by a newer version (%lld; this one knows %u)",
			 (long long)version, steps);
		return ERR_UNSUPPORTED;
	}
	for (; err == 0 && version < (int64_t)steps; version++)
		err = step(s, schema, (unsigned)version);
	return err;
}

static int read_id(struct store *s)
{
	struct store_rows r;
	int err = store_rows_open(s, &r, STORE_SQL("SELECT value FROM meta WHERE key='id'"), NULL, 0);
	struct span id;

	if (err < 0)
		return err;
	err = store_rows_next(&r);
	id = err == 1 ? store_rows_bytes(&r, 0) : span_of(NULL, 0);
	if (id.n == ID)
		memcpy(s->id, id.p, ID);
	store_rows_close(&r);
	return err < 0 ? err : id.n == ID ? 0 : ERR_DAMAGED;
}

static int set_up(struct store *s)
{
	int on = 0, err;

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, 2000);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, &on);
	sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	/* temp_store: nothing of a row may get into a file that is not this one */
	err = exec(s, "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
		      "PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON; PRAGMA cell_size_check=ON;"
		      "PRAGMA cache_size=-2048");
	return err < 0 ? err : check(s);
}

/* The file is ours alone before SQLite sees it. */
static int make_private(const char *path, char text[STORE_ERR_MAX])
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_from_errno(errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		snprintf(text, STORE_ERR_MAX, "must be a plain file of relay's user with mode 0600");
		close(fd);
		return ERR_DENIED;
	}
	close(fd);
	return 0;
}

struct store *store_open(const char *state, int *err, char text[STORE_ERR_MAX])
{
	return store_open_file(state, "relay.db", store_schema, store_schema_count, err, text);
}

struct store *store_open_file(const char *state, const char *name, const char *const *schema, unsigned steps, int *err,
			      char text[STORE_ERR_MAX])
{
	struct store *s = calloc(1, sizeof(*s));
	char path[4096];

	text[0] = '\0';
	*err = ERR_NOMEM;
	if (!s)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", state, name);
	*err = make_private(path, text);
	if (*err == 0)
		*err = error_of(sqlite3_open_v2(path, &s->db,
						SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
						    SQLITE_OPEN_NOFOLLOW,
						NULL));
	if (*err == 0)
		*err = set_up(s);
	if (*err == 0)
		*err = migrate(s, schema, steps, text);
	if (*err == 0)
		*err = read_id(s);
	if (*err == 0)
		return s;
	if (!text[0])
		snprintf(text, STORE_ERR_MAX, "%s", err_text(*err));
	store_close(s);
	return NULL;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->count; i++)
		sqlite3_finalize(s->kept[i].statement);
	sqlite3_close(s->db);
	free(s);
}
