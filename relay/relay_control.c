/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_control.h"

#include <stdio.h>

#include "core/err.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/api/api_dkim.h"
#include "relay/bounce/bounce_list.h"
#include "relay/campaign/campaign.h"
#include "relay/domain/domain.h"
#include "relay/keys/keys_cred.h"
#include "relay/ledger/ledger.h"
#include "relay/relay_credential.h"
#include "relay/relay_order.h"
#include "relay/relay_reseal.h"
#include "relay/store/store.h"
#include "relay/sts/sts.h"
#include "relay/tls/tls_exception.h"
#include "relay/tlsrpt/tlsrpt.h"
#include "relay/track/track.h"

static const struct relay_control_part *const parts[] = {
    &ledger_part,
    &relay_credential_part,
    &bounce_list_part,
    &keys_cred_part,
    &relay_reseal_part,
    &relay_order_part,
    &sts_part,
    &tls_exception_part,
    &tlsrpt_part,
    &campaign_part,
    &track_part,
    &api_dkim_part,
    &domain_part,
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void keyd_state(void *arg, unsigned state)
{
	struct relay *r = arg;

	for (size_t i = 0; i < PARTS; i++)
		if (parts[i]->keyd)
			parts[i]->keyd(r, state);
}

int relay_control_start(struct relay *r, const char **why)
{
	static char text[STORE_ERR_MAX + 64];
	struct relay_conf *conf = relay_now(r);
	char what[STORE_ERR_MAX];
	int err = 0;

	r->store = store_open(conf->state, &err, what);
	if (!r->store) {
		snprintf(text, sizeof(text), "relay.db in state: %s", what);
		*why = text;
	}
	for (size_t i = 0; r->store && err == 0 && i < PARTS; i++)
		err = parts[i]->open ? parts[i]->open(r, why) : 0;
	if (err == 0) {
		r->keyd = keyproto_client_ev_new(r->loop, conf->keyd, KEYPROTO_ROLE_RELAY, "sealpost-relay",
						 keyd_state, r);
		err = r->keyd ? 0 : ERR_NOMEM;
	}
	relay_conf_unref(conf);
	return err;
}

void relay_control_stop(struct relay *r)
{
	keyproto_client_ev_free(r->keyd);
	r->keyd = NULL;
	for (size_t i = PARTS; i-- > 0;)
		if (parts[i]->close)
			parts[i]->close(r);
	store_close(r->store);
	r->store = NULL;
}
