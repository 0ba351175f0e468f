/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_query - finds rows in the ledger's files, and adds up counters.
 *
 * Story:  each walks the files of a snapshot, from the newest or from the oldest; files whose times do
 *         not fit are not opened. In a closed file its index leads to the rows (by recipient, by message,
 *         by domain, in this order of preference); in the open one, and where an index is missing, all
 *         rows are looked at.
 * Errors: ERR_NOMEM. A file that is gone meanwhile, or a record that is damaged, is passed over.
 * Thread: any; it only reads. */
#ifndef RELAY_LEDGER_LEDGER_QUERY_H
#define RELAY_LEDGER_LEDGER_QUERY_H

#include "relay/ledger/ledger_files.h"
#include "relay/ledger/ledger_index.h"

struct ledger_query_index {
	char customer[65];
	uint8_t index[LEDGER_INDEX];
};
struct ledger_filter {
	int64_t since, until; /* since <= at < until; 0: none */
	uint64_t id;	      /* 0: any */
	uint8_t outcome;      /* 0: any */
	char domain[256], customer[65], campaign[256]; /* "": any */
	int by_recipient; /* one of: */
	struct ledger_query_index *indexes;
	unsigned index_count;
	int oldest_first;
	uint64_t after; /* rows behind this one in that order; 0: from the first */
};

struct ledger_query_in {
	const struct ledger_files *files; /* for paths alone */
	const struct ledger_file *all;
	size_t count;
};

/* 1 to stop. Spans hold during the call. */
typedef int (*ledger_query_fn)(void *arg, const struct ledger_row *r, struct span record);
/* budget: rows to look at. 1: stopped, by fn or the budget, behind row *cursor; 0: all was seen. */
int ledger_query_rows(const struct ledger_query_in *in, const struct ledger_filter *f, uint64_t budget,
		      ledger_query_fn fn, void *arg, uint64_t *cursor);

/* Counters of each domain (or of the filter's alone) for rows since..until. */
struct ledger_query_stat {
	char *domain;
	struct ledger_stat stat;
};
struct ledger_query_stats {
	struct ledger_query_stat *all;
	size_t count, room;
	uint32_t *slots;
	size_t slot_count;
};
int ledger_query_stats(const struct ledger_query_in *in, const struct ledger_filter *f,
		       struct ledger_query_stats *out);
void ledger_query_stats_clear(struct ledger_query_stats *s);

/* Customers that have rows behind row after, with the keys that these are sealed under: fn may get a pair twice, and
 * some of rows before. */
typedef int (*ledger_query_customer_fn)(void *arg, struct span customer, uint32_t keyref);
int ledger_query_customers(const struct ledger_query_in *in, uint64_t after, ledger_query_customer_fn fn,
			   void *arg);

#endif
