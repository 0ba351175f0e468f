/* SPDX-License-Identifier: Apache-2.0 */
/* store - relay's control data: one SQLite file, read and written by the control thread alone.
 *
 * Story:     control opens it at start and keeps it. Each kind of data has a file of its own (store_credential,
 *            store_order...) with its statements; everything else asks those. Other threads get snapshots, or ask
 *            control. What a run of SQL says is a literal, checked when it is compiled (STORE_SQL): nothing is put
 *            together at run time, values are bound. A change is on stable storage when its call returns (WAL,
 *            synchronous=FULL), or when the transaction around it is committed.
 *            Addresses, passwords and hashes are sealed fields (keyd, purpose FIELD or CRED); what binds each to its
 *            place is store_aad: it opens only in this database, table, column, row, for this customer.
 * Ownership: spans of a row hold until the next step.
 * Errors:    ERR_EXISTS (a rule of the table forbids it), ERR_NOSPACE, ERR_IO, ERR_DAMAGED, ERR_NOMEM, ERR_BUSY.
 * Limits:    STORE_STATEMENTS different statements; STORE_VALUES values for each.
 * Thread:    control's.
 * Source:    DESIGN section 4; sealpost-relay(8), FILES. */
#ifndef RELAY_STORE_STORE_H
#define RELAY_STORE_STORE_H

#include "core/buf.h"

#define STORE_STATEMENTS 160
#define STORE_VALUES	 16
#define STORE_ERR_MAX	 512

struct store;

/* Opens or makes state/relay.db (0600), checks it, brings its tables up to date. NULL: *err, and why in text. */
struct store *store_open(const char *state, int *err, char text[STORE_ERR_MAX]);
/* The same for another file in state, with steps of its own; the first makes the table meta, as here. */
struct store *store_open_file(const char *state, const char *name, const char *const *schema, unsigned steps, int *err,
			      char text[STORE_ERR_MAX]);
void store_close(struct store *s);

enum store_type { STORE_NULL, STORE_INT, STORE_TEXT, STORE_BLOB };
struct store_value {
	enum store_type type;
	int64_t number;
	struct span bytes; /* TEXT, BLOB: until the call returns */
};
static inline struct store_value store_int(int64_t n)
{
	return (struct store_value){STORE_INT, n, {NULL, 0}};
}
static inline struct store_value store_text(const char *s) /* NULL: none */
{
	return s ? (struct store_value){STORE_TEXT, 0, span_str(s)}
		 : (struct store_value){STORE_NULL, 0, {NULL, 0}};
}
static inline struct store_value store_blob(struct span b)
{
	return (struct store_value){STORE_BLOB, 0, b};
}

#define STORE_SQL(literal) ("" literal)
#define STORE_ARGS(...)                                                                          \
	(const struct store_value[]){__VA_ARGS__},                                               \
	    sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)

/* Runs a statement that gives no rows: how many rows it (or, for one that changes none, the last before it)
 * changed, or ERR_*. */
int64_t store_run(struct store *s, const char *sql, const struct store_value *args, size_t count);
/* Row id of the last insert. */
int64_t store_last(struct store *s);

/* Rows. One at a time for each statement: open, next until it is not 1, close. */
struct store_rows {
	void *statement;
};
int store_rows_open(struct store *s, struct store_rows *r, const char *sql,
		    const struct store_value *args, size_t count);
/* 1: a row, 0: no more, ERR_*. */
int store_rows_next(struct store_rows *r);
int64_t store_rows_int(const struct store_rows *r, int column);
struct span store_rows_bytes(const struct store_rows *r, int column);
/* The text with its NUL, "" for none; it holds until the next step. */
const char *store_rows_text(const struct store_rows *r, int column);
void store_rows_close(struct store_rows *r);

/* Several changes as one. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Appends the AAD of a field of customer: this database, table, column and row id. */
int store_aad(struct store *s, struct buf *out, const char *customer, const char *table,
	      const char *column, int64_t row);

/* --- store_schema.c: how the tables came about, step by step. */
extern const char *const store_schema[];
extern const unsigned store_schema_count;

#endif
