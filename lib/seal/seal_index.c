/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_index.h"

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"

int seal_index(const uint8_t key[32], struct span label, struct span value, uint8_t *out, size_t n)
{
	const uint8_t size[2] = {(uint8_t)(label.n >> 8), (uint8_t)label.n};
	const struct span parts[] = {span_of(size, sizeof(size)), label, value};
	uint8_t full[SEAL_INDEX_MAX];
	int rc;

	if (n == 0 || n > sizeof(full) || label.n > 0xffff)
		return ERR_LIMIT;
	rc = seal_kdf_hmac(key, 32, parts, 3, full);
	memcpy(out, full, n);
	secret_wipe(full, sizeof(full));
	return rc;
}
