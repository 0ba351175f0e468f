/* SPDX-License-Identifier: Apache-2.0 */
/* MACs under a customer's HMAC sub-key: made for campaigns, checked by the milter. */
#include "keyd/keyd_op.h"

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"

/* HMAC over label, a zero byte, data: no label can run into the data. */
static int compute(struct keyd_op_call *call, const struct keyproto_mac *m, uint8_t out[32])
{
	struct keyd_ring *ring = call->keyd->ring;
	struct span parts[3] = {m->label, span_of("", 1), m->data};
	int64_t customer = keyd_op_customer(call, m->customer);
	const uint8_t *key;
	int rc;

	if (customer < 0)
		return (int)customer;
	rc = keyd_ring_subkey(ring, (uint32_t)customer, keyd_ring_newest(ring, (uint32_t)customer),
			      KEYPROTO_FOR_HMAC, &key);
	return rc < 0 ? rc : seal_kdf_hmac(key, 32, parts, 3, out);
}

int keyd_op_mac(struct keyd_op_call *call)
{
	struct keyproto_mac m;
	uint8_t mac[32];
	int rc;

	if (keyproto_mac_get(call->body, &m) < 0 || m.mac.n)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.label) < 0)
		return ERR_DENIED;
	rc = compute(call, &m, mac);
	return rc < 0 ? rc : keyproto_bytes_put(call->reply, span_of(mac, sizeof(mac)));
}

int keyd_op_mac_verify(struct keyd_op_call *call)
{
	struct keyproto_mac m;
	uint8_t mac[32];
	int rc;

	if (keyproto_mac_get(call->body, &m) < 0 || m.mac.n != sizeof(mac))
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.label) < 0)
		return ERR_DENIED;
	rc = compute(call, &m, mac);
	if (rc < 0)
		return rc;
	rc = secret_equal(mac, m.mac.p, sizeof(mac)) ? 0 : ERR_AUTH;
	secret_wipe(mac, sizeof(mac)); /* else a wrong guess would leave the right answer behind */
	return rc;
}
