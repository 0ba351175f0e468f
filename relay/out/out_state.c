/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_state.h"

#include <stdint.h>

#include "relay/queue/queue.h"

static const struct {
	const char *name;
	uint16_t seconds;
	uint8_t reason;
} states[] = {
#define OUT_STATE_X(sym, name, seconds, reason) [OUT_STATE_##sym] = {name, seconds, reason},
    OUT_STATES(OUT_STATE_X)
#undef OUT_STATE_X
};

const char *out_state_name(enum out_state s)
{
	return states[s].name;
}

int64_t out_state_timeout(enum out_state s)
{
	return states[s].seconds * INT64_C(1000000);
}

unsigned out_state_reason(enum out_state s)
{
	return states[s].reason;
}
