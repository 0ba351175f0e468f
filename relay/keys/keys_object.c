/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_object.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/keys/keys_object_priv.h"

int keys_object_state_err(unsigned state)
{
	switch (state) {
	case KEYPROTO_READY:
		return 0;
	case KEYPROTO_EMPTY:
	case KEYPROTO_LOCKED:
		return ERR_LOCKED;
	default:
		return ERR_AWAY;
	}
}

struct keys_object *keys_object_new(struct evt_loop *loop, struct keyproto_client_ev *keyd)
{
	struct keys_object *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = loop;
	k->keyd = keyd;
	k->state = keyproto_client_ev_state(keyd);
	list_init(&k->customers);
	list_init(&k->fetches);
	keys_object_open_init(k);
	return k;
}

void keys_object_free(struct keys_object *k)
{
	if (!k)
		return;
	keys_object_open_free(k);
	keys_object_stock_free(k);
	free(k);
}

void keys_object_state(struct keys_object *k, unsigned state)
{
	int err = keys_object_state_err(state);

	if (!k)
		return;
	k->state = state;
	k->generation++;
	keys_object_open_forget(k);
	list_each(c, &k->customers, struct keys_object_customer, link) {
		keys_object_stock_drop(k, c);
		if (err == 0)
			keys_object_stock_refill(k, c);
	}
	if (err < 0)
		keys_object_stock_refuse(k, err);
}
