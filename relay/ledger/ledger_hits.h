/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_hits - what readers did, as the ledger's files have it between their rows.
 *
 * Story:  EVENT records have no numbers of their own and are in no index: all files from a place on are gone through, and
 *         what fits is written as text, until there is enough of it or so much was looked at that others should have their
 *         turn. The place to go on from is a file and an offset in it; a file that retention removed meanwhile is passed over.
 * Errors: ERR_NOMEM. A file that cannot be read, or what stands behind a damaged record in it, is passed over: ledger_verify
 *         names that.
 * Thread: any; it only reads.
 * Source: sealpost-ledger(7), (8). */
#ifndef RELAY_LEDGER_LEDGER_HITS_H
#define RELAY_LEDGER_LEDGER_HITS_H

#include "relay/ledger/ledger_query.h"

#define LEDGER_HITS_LOOK (64u << 20) /* octets, for one page */
#define LEDGER_HITS_PLACE 48

struct ledger_hits_place {
	uint64_t first, at; /* of a file, in it; zero: the beginning */
};
/* "1:4096"; "" is the beginning. ERR_FORMAT. */
int ledger_hits_place_parse(struct span text, struct ledger_hits_place *out);
void ledger_hits_place_format(char dst[LEDGER_HITS_PLACE], const struct ledger_hits_place *p);

/* Appends those of filter's since, until, customer and campaign to out, which has room for page and a record more. *count:
 * how many. 1: there may be more, from *place on; 0: that was all. */
int ledger_hits_text(const struct ledger_query_in *in, const struct ledger_filter *f, struct ledger_hits_place *place,
		     int csv, size_t page, struct buf *out, unsigned *count);

#endif
