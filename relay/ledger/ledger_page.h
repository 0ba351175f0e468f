/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_page - some rows of an answer: gathered, opened by keyd in batches, written as text.
 *
 * Story:  add copies rows until one of the limits; open asks keyd for their recipients; text appends
 *         them. What keyd cannot open now says why in its place: the rest of a row is worth having.
 * Thread: one. */
#ifndef RELAY_LEDGER_LEDGER_PAGE_H
#define RELAY_LEDGER_LEDGER_PAGE_H

#include "relay/ledger/ledger_keys.h"
#include "relay/ledger/ledger_text.h"

#define LEDGER_PAGE_ROWS 4096

struct ledger_page {
	struct buf records, plain; /* plain is wiped */
	struct ledger_page_row {
		size_t at, n;	      /* in records */
		size_t plain_at, plain_n;
		uint8_t opened;
		const char *why; /* not opened */
	} rows[LEDGER_PAGE_ROWS];
	unsigned count;
	unsigned closed; /* could not be opened, although their customers' keys were not destroyed */
	const char *closed_why;
	unsigned order[LEDGER_PAGE_ROWS];
	struct ledger_keys_item items[LEDGER_KEYS_BATCH];
};
struct ledger_page *ledger_page_new(void);
void ledger_page_free(struct ledger_page *p);
/* 1: full. */
int ledger_page_add(struct ledger_page *p, struct span record);
void ledger_page_open(struct ledger_page *p, struct ledger_keys *k, const uint8_t uuid[LEDGER_UUID]);
/* csv 0: JSON; between: what stands between two of them. */
int ledger_page_text(const struct ledger_page *p, struct buf *out, int csv, const char *between);

#endif
