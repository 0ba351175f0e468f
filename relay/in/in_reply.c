/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_reply.h"

#include <stddef.h>

static const struct in_reply_row rows[IN_REPLY_COUNT] = {
#define IN_REPLY_ROW(name, code, enhanced, flags, text)                                            \
	[IN_REPLY_##name] = {code, enhanced, flags, text, #name},
    IN_REPLIES(IN_REPLY_ROW)
#undef IN_REPLY_ROW
};

const struct in_reply_row *in_reply_row(enum in_reply r)
{
	return &rows[r];
}
