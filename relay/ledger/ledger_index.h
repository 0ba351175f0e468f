/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_index - what makes questions to a closed file quick: sorted keys and counters, in a file of
 * their own beside it.
 *
 *   head | offset of each row | recipients: keys, rows | messages: ids, rows | rows by domain |
 *   domains with their counters | customers with their key references | names
 *
 * Story:  make reads a file's records and gives the bytes; they hold nothing that the file does not, so
 *         a lost or wrong index is made again. of reads them; every number in them is checked before it
 *         is used, and what cannot be gives ERR_FORMAT.
 *         Rows are counted from 0 within the file here.
 * Thread: pure; any. */
#ifndef RELAY_LEDGER_LEDGER_INDEX_H
#define RELAY_LEDGER_LEDGER_INDEX_H

#include "ledger/ledger_record.h"

/* X(name): counters of a domain. attempts, of which reached: offered to a host. encrypted + clear =
 * reached. The ways of verification and plain (encrypted, not verified) add up to encrypted. */
#define LEDGER_STATS(X)                                                                           \
	X(attempts) X(reached) X(encrypted) X(clear) X(tls13) X(tls12) X(tlsother) X(pkix)         \
	X(dane_ee) X(dane_ta) X(sts) X(plain) X(failures) X(delivered) X(deferred) X(bounced)
struct ledger_stat {
#define LEDGER_X(name) uint64_t name;
	LEDGER_STATS(LEDGER_X)
#undef LEDGER_X
};
void ledger_stat_add(struct ledger_stat *s, const struct ledger_row *r);
void ledger_stat_sum(struct ledger_stat *s, const struct ledger_stat *more);

/* log: the file's bytes up to its end. Appends to out. ERR_DAMAGED: no whole record somewhere. */
int ledger_index_make(struct span log, struct buf *out);

struct ledger_index {
	struct span bytes;
	uint64_t size, first; /* of the file it belongs to */
	uint32_t rows, recipients, domains, customers;
	int64_t oldest, newest, sealed; /* sealed: the oldest row with a sealed field, or 0 */
	const uint8_t *offsets, *recipient_keys, *recipient_rows, *message_keys, *message_rows, *by_domain,
	    *domain_rows, *customer_rows;
	struct span names;
};
int ledger_index_of(struct span bytes, struct ledger_index *out);
/* Just the head: 128 octets at least. */
#define LEDGER_INDEX_HEAD 128
int ledger_index_head(struct span bytes, struct ledger_index *out);

/* Offset of a row's record; UINT32_MAX: no such row. */
uint32_t ledger_index_offset(const struct ledger_index *x, uint32_t row);
/* Rows with that key are (*at .. *at + count - 1) of the list; count is returned. */
uint32_t ledger_index_recipient(const struct ledger_index *x, const uint8_t index[LEDGER_INDEX], uint32_t *at);
uint32_t ledger_index_message(const struct ledger_index *x, uint64_t id, uint32_t *at);
struct ledger_index_domain {
	struct span name;
	uint32_t at, count;
	struct ledger_stat stat;
};
/* i-th in order of names. ERR_FORMAT. */
int ledger_index_domain_at(const struct ledger_index *x, uint32_t i, struct ledger_index_domain *out);
/* ERR_NOTFOUND. */
int ledger_index_domain(const struct ledger_index *x, struct span name, struct ledger_index_domain *out);
struct ledger_index_customer {
	struct span name;
	uint32_t keyref; /* of sealed fields; 0: none */
};
int ledger_index_customer_at(const struct ledger_index *x, uint32_t i, struct ledger_index_customer *out);
/* Entry i of one of the lists of rows. */
static inline uint32_t ledger_index_row(const uint8_t *list, uint32_t i)
{
	uint32_t v;

	memcpy(&v, list + 4 * (size_t)i, 4);
	return __builtin_bswap32(v);
}

#endif
