/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_verdict.h"

#include <stddef.h>

enum reply {
	REPLY_PASS,
	REPLY_REFUSED,
	REPLY_AMBIGUOUS,
	REPLY_TOO_BIG,
	REPLY_ONE_RCPT,
	REPLY_LATER
};

static const struct camp_reply replies[] = {
    [REPLY_PASS] = {250, "2.0.0"},	[REPLY_REFUSED] = {550, "5.7.1"},
    [REPLY_AMBIGUOUS] = {554, "5.6.0"}, [REPLY_TOO_BIG] = {552, "5.3.4"},
    [REPLY_ONE_RCPT] = {452, "4.5.3"},	[REPLY_LATER] = {451, "4.7.1"},
};

static const struct {
	const char *name;
	enum reply reply;
} verdicts[] = {
#define CAMP_X(sym, name, reply) [CAMP_##sym] = {name, REPLY_##reply},
    CAMP_VERDICTS(CAMP_X)
#undef CAMP_X
};

const char *camp_verdict_name(enum camp_verdict v)
{
	return (unsigned)v < CAMP_VERDICT_COUNT ? verdicts[v].name : "unknown";
}

struct camp_reply camp_verdict_reply(enum camp_verdict v)
{
	/* what is not known is not let through */
	return replies[(unsigned)v < CAMP_VERDICT_COUNT ? verdicts[v].reply : REPLY_LATER];
}
