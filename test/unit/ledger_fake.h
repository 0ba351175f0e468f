/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_fake - a keyd for the ledger, within the process: the same sealing, indexes and signatures, without the socket.
 *
 * Story: one world, shared by all that ledger_fake_keys makes; err makes every question fail. What it signed last is
 *        kept, as keyd does. */
#ifndef TEST_UNIT_LEDGER_FAKE_H
#define TEST_UNIT_LEDGER_FAKE_H

#include <stdatomic.h>

#include "relay/ledger/ledger_keys.h"

struct ledger_fake {
	atomic_int err;	      /* for everything */
	atomic_int lose;      /* so many checkpoints are signed, but the answer is lost */
	atomic_uint seals, opens, indexes, checkpoints;
	uint8_t field_key[32], index_key[32];
	const char *destroyed; /* a customer: ERR_GONE */
	void *pkey;
	struct ledger_keys_signed last;
};
extern struct ledger_fake ledger_fake;

void ledger_fake_reset(void);
void ledger_fake_clear(void);
struct ledger_keys *ledger_fake_keys(void);

#endif
