/* SPDX-License-Identifier: Apache-2.0 */
/* MACs under a customer's HMAC sub-key: made for campaigns, checked by the milter. They are made with
 * the newest DEK, and hold as long as theirs lives. */
#include "keyd/keyd_op.h"

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"

/* HMAC over label, a zero byte, data: no label can run into the data. */
static int compute(struct keyd_ring *ring, const struct keyproto_mac *m, uint32_t customer,
		   uint32_t keyref, uint8_t out[32])
{
	struct span parts[3] = {m->label, span_of("", 1), m->data};
	const uint8_t *key;
	int rc = keyd_ring_subkey(ring, customer, keyref, KEYPROTO_FOR_HMAC, &key);

	return rc < 0 ? rc : seal_kdf_hmac(key, 32, parts, 3, out);
}

int keyd_op_mac(struct keyd_op_call *call)
{
	struct keyd_ring *ring = call->keyd->ring;
	struct keyproto_mac m;
	int64_t customer;
	uint8_t mac[32];
	int rc;

	if (keyproto_mac_get(call->body, &m) < 0 || m.mac.n)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.label) < 0)
		return ERR_DENIED;
	customer = keyd_op_customer(call, m.customer);
	if (customer < 0)
		return (int)customer;
	rc = compute(ring, &m, (uint32_t)customer, keyd_ring_newest(ring, (uint32_t)customer), mac);
	return rc < 0 ? rc : keyproto_bytes_put(call->reply, span_of(mac, sizeof(mac)));
}

int keyd_op_mac_verify(struct keyd_op_call *call)
{
	struct keyd_ring *ring = call->keyd->ring;
	struct keyd_ring_dek_info dek;
	struct keyproto_mac m;
	int64_t customer;
	uint8_t mac[32];
	int rc = ERR_AUTH;

	if (keyproto_mac_get(call->body, &m) < 0 || m.mac.n != sizeof(mac))
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, m.label) < 0)
		return ERR_DENIED;
	customer = keyd_op_customer(call, m.customer);
	if (customer < 0)
		return (int)customer;
	dek.older = keyd_ring_newest(ring, (uint32_t)customer);
	while (rc == ERR_AUTH && keyd_ring_dek(ring, dek.older, &dek) == 0) {
		rc = compute(ring, &m, (uint32_t)customer, dek.keyref, mac);
		if (rc == 0)
			rc = secret_equal(mac, m.mac.p, sizeof(mac)) ? 0 : ERR_AUTH;
	}
	secret_wipe(mac, sizeof(mac)); /* else a wrong guess would leave the right answer behind */
	return rc;
}
