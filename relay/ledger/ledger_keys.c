/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger_keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_client_sync.h"

#define TIMEOUT (10 * CLOCK_SEC)
#define NAME "ledger"
#define VERSIONS 8 /* of the key, known at a time */

struct version {
	uint32_t number;
	uint8_t spki[KEYPROTO_CHECKPOINT_SPKI];
};
struct asks_keyd {
	struct ledger_keys keys;
	struct keyproto_client_sync *keyd;
	struct keyproto_fields message; /* here, for it is large */
	struct keyproto_result results[KEYPROTO_BATCH_MAX];
	struct version versions[VERSIONS];
	unsigned version_count, version_next;
};

int ledger_keys_later(int err)
{
	return err == ERR_AWAY || err == ERR_LOCKED || err == ERR_BUSY || err == ERR_TIMEOUT ||
	       err == ERR_CLOSED || err == ERR_DENIED || err == ERR_NOMEM || err == ERR_IO;
}

static uint8_t purpose_of(uint16_t op)
{
	return op == KEYPROTO_BLIND_INDEX ? KEYPROTO_FOR_INDEX : KEYPROTO_FOR_FIELD;
}

static int fields(struct ledger_keys *keys, uint16_t op, const char *customer, uint32_t keyref,
		  struct ledger_keys_item *items, unsigned count, struct buf *out)
{
	struct asks_keyd *k = (struct asks_keyd *)keys;
	struct keyproto_fields *m = &k->message;
	struct span reply;
	int err, n;

	m->customer = span_str(customer);
	m->purpose = purpose_of(op);
	m->keyref = keyref;
	m->count = (uint16_t)count;
	for (unsigned i = 0; i < count; i++)
		m->items[i] = (struct keyproto_field){items[i].aad, items[i].data};
	err = keyproto_fields_put(keyproto_client_sync_begin(k->keyd), m);
	if (err == 0)
		err = keyproto_client_sync_call(k->keyd, op, &reply);
	n = err < 0 ? err : keyproto_results_get(reply, k->results);
	if (n >= 0 && (unsigned)n != count)
		n = ERR_FORMAT;
	for (unsigned i = 0; n >= 0 && i < count; i++) {
		items[i].err = keyproto_err_of_status(k->results[i].status);
		items[i].at = buf_size(out);
		items[i].n = k->results[i].data.n;
		if (buf_put_span(out, k->results[i].data) < 0)
			n = ERR_NOMEM;
	}
	return n < 0 ? n : 0;
}

static int checkpoint(struct ledger_keys *keys, struct ledger_keys_signed *s)
{
	struct asks_keyd *k = (struct asks_keyd *)keys;
	const struct keyproto_checkpoint m = {SPAN_LIT(NAME), s->counter, s->rows, s->hash};
	struct keyproto_checkpoint_signed got;
	struct span reply;
	int err = keyproto_checkpoint_put(keyproto_client_sync_begin(k->keyd), &m);

	if (err == 0)
		err = keyproto_client_sync_call(k->keyd, KEYPROTO_CHECKPOINT, &reply);
	if (err == 0)
		err = keyproto_checkpoint_signed_get(reply, &got);
	if (err < 0)
		return err;
	s->version = got.version;
	s->size = KEYPROTO_CHECKPOINT_SIG;
	memcpy(s->signature, got.signature, s->size);
	return 0;
}

static int last(struct ledger_keys *keys, struct ledger_keys_signed *s)
{
	struct asks_keyd *k = (struct asks_keyd *)keys;
	struct keyproto_checkpoint_last got;
	struct span reply;
	int err = keyproto_bytes_put(keyproto_client_sync_begin(k->keyd), SPAN_LIT(NAME));

	if (err == 0)
		err = keyproto_client_sync_call(k->keyd, KEYPROTO_CHECKPOINT_LAST, &reply);
	if (err == 0)
		err = keyproto_checkpoint_last_get(reply, &got);
	if (err < 0)
		return err;
	*s = (struct ledger_keys_signed){.counter = got.counter, .rows = got.rows, .version = got.version,
					 .size = KEYPROTO_CHECKPOINT_SIG};
	memcpy(s->hash, got.hash, LEDGER_HASH);
	memcpy(s->signature, got.signature, s->size);
	return 0;
}

/* The public key of one version; keyd tells it even when the version is destroyed. */
static int find_version(struct asks_keyd *k, uint32_t number, const struct version **out)
{
	struct keyproto_public m;
	struct version *v;
	struct span reply;
	char label[64];
	int err;

	for (unsigned i = 0; i < k->version_count; i++)
		if (k->versions[i].number == number) {
			*out = &k->versions[i];
			return 0;
		}
	snprintf(label, sizeof(label), "audit/" NAME "#%u", (unsigned)number);
	err = keyproto_bytes_put(keyproto_client_sync_begin(k->keyd), span_str(label));
	if (err == 0)
		err = keyproto_client_sync_call(k->keyd, KEYPROTO_PUBLIC_KEY, &reply);
	if (err == 0)
		err = keyproto_public_get(reply, &m);
	if (err == 0 && m.spki.n != KEYPROTO_CHECKPOINT_SPKI)
		err = ERR_FORMAT;
	if (err < 0)
		return err;
	v = &k->versions[k->version_next++ % VERSIONS];
	k->version_count += k->version_count < VERSIONS;
	v->number = number;
	memcpy(v->spki, m.spki.p, sizeof(v->spki));
	*out = v;
	return 0;
}

static int verify(struct ledger_keys *keys, const struct ledger_checkpoint *c)
{
	const struct version *v = NULL;
	int err = c->version ? find_version((struct asks_keyd *)keys, c->version, &v) : ERR_AUTH;

	if (err == ERR_NOTFOUND) /* no key of keyd has that version */
		err = ERR_AUTH;
	return err < 0 ? err : ledger_verify_signature(span_of(v->spki, sizeof(v->spki)), c);
}

static void free_keys(struct ledger_keys *keys)
{
	struct asks_keyd *k = (struct asks_keyd *)keys;

	if (!k)
		return;
	keyproto_client_sync_free(k->keyd);
	free(k);
}

struct ledger_keys *ledger_keys_new(const char *socket)
{
	struct asks_keyd *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->keys = (struct ledger_keys){fields, checkpoint, last, verify, free_keys};
	k->keyd = keyproto_client_sync_new(socket, KEYPROTO_ROLE_RELAY, "sealpost-relay", TIMEOUT);
	if (!k->keyd) {
		free(k);
		return NULL;
	}
	return &k->keys;
}
