/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_tally - counts of TLS sessions that are not in the store yet.
 *
 * Story:     add merges what is the same but for its number; each gives the sums.
 * Limits:    TLSRPT_TALLY_MAX different ones (ERR_LIMIT): write them out before.
 * Ownership: everything is copied. Errors: ERR_NOMEM.
 * Thread:    one at a time. */
#ifndef RELAY_TLSRPT_TLSRPT_TALLY_H
#define RELAY_TLSRPT_TLSRPT_TALLY_H

#include "relay/store/store_tlsrpt.h"

#define TLSRPT_TALLY_MAX 65536

struct tlsrpt_tally_entry;
struct tlsrpt_tally {
	struct tlsrpt_tally_entry **buckets; /* NULL: empty */
	size_t count;
};

int tlsrpt_tally_add(struct tlsrpt_tally *t, const struct store_tlsrpt_count *c);
/* In no order; fn until it says no (not 0), which is returned. */
int tlsrpt_tally_each(const struct tlsrpt_tally *t, store_tlsrpt_count_fn fn, void *arg);
void tlsrpt_tally_clear(struct tlsrpt_tally *t);

#endif
