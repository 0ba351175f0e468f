/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt_result.h"

static const char *const names[] = {
#define TLSRPT_X(sym, name) name,
    TLSRPT_RESULTS(TLSRPT_X)
#undef TLSRPT_X
};

const char *tlsrpt_result_name(enum tlsrpt_result r)
{
	return names[(unsigned)r < TLSRPT_COUNT ? r : TLSRPT_OK];
}
