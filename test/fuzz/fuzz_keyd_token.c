/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary packets between keyd and its token helper. The first byte says which end reads: even
 * the helper a request, odd keyd a reply. What is taken must be written again byte for byte. */
#include <stdint.h>
#include <stdlib.h>

#include "keyd/keyd_token_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyd_token_ask ask;
	struct keyd_token_reply reply;
	struct span in;
	struct buf b;
	int rc, taken;

	if (size < 1)
		return 0;
	in = span_of(data + 1, size - 1);
	buf_init(&b, KEYD_TOKEN_MSG_MAX);
	if (data[0] & 1) {
		taken = keyd_token_msg_reply_get(in, &reply) == 0;
		rc = taken ? keyd_token_msg_reply_put(&b, &reply) : 0;
	} else {
		taken = keyd_token_msg_ask_get(in, &ask) == 0;
		rc = taken ? keyd_token_msg_ask_put(&b, &ask) : 0;
	}
	if (taken && (rc < 0 || !span_equal(buf_span(&b), in)))
		abort();
	buf_clear(&b);
	return 0;
}
