/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: an algorithm. The rest: data to sign. What a DKIM key signs no other key does; what a
 * TLS key signs a JWT key may, which is held to less. */
#include <stdlib.h>

#include "keyd/keyd_form.h"
#include "keyproto/keyproto_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest;
	unsigned alg;
	int dkim, tls, jwt;

	if (size < 1)
		return 0;
	alg = data[0] % (KEYPROTO_ALG_ED25519 + 2);
	rest = span_of(data + 1, size - 1);
	dkim = keyd_form_ok(SPAN_LIT("dkim/a"), alg, rest);
	tls = keyd_form_ok(SPAN_LIT("tls/a"), alg, rest);
	jwt = keyd_form_ok(SPAN_LIT("jwt/a"), alg, rest);
	if ((dkim && (tls || jwt)) || (tls && !jwt))
		abort();
	if (dkim && alg != KEYPROTO_ALG_RS256 && alg != KEYPROTO_ALG_ED25519)
		abort();
	return 0;
}
