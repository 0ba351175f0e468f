/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_field.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"

#define TIMEOUT (30 * CLOCK_SEC)

struct question {
	keys_field_fn fn;
	void *arg;
	unsigned count;
};

static int fill(struct buf *body, const void *message)
{
	return keyproto_fields_put(body, message);
}

static void answered(void *arg, int err, struct span reply)
{
	struct keyproto_result results[KEYPROTO_BATCH_MAX];
	struct question q = *(struct question *)arg;
	int n = err < 0 ? err : keyproto_results_get(reply, results);

	free(arg);
	if (n >= 0 && (unsigned)n != q.count)
		n = ERR_FORMAT;
	q.fn(q.arg, n < 0 ? n : 0, n < 0 ? NULL : results, n < 0 ? 0 : (unsigned)n);
}

static int ask(struct keyproto_client_ev *c, uint16_t op, uint8_t purpose, const char *customer,
	       const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	struct keyproto_fields m = {
	    .customer = span_str(customer), .purpose = purpose, .count = (uint16_t)count};
	struct question *q;
	int err;

	if (count < 1 || count > KEYS_FIELD_BATCH)
		return ERR_LIMIT;
	q = malloc(sizeof(*q));
	if (!q)
		return ERR_NOMEM;
	*q = (struct question){fn, arg, count};
	memcpy(m.items, items, count * sizeof(*items));
	err = keyproto_client_ev_call(c, op, TIMEOUT, fill, &m, answered, q);
	if (err < 0)
		free(q);
	return err;
}

int keys_field_seal(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	return ask(c, KEYPROTO_SEAL_FIELDS, purpose, customer, items, count, fn, arg);
}

int keys_field_open(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	return ask(c, KEYPROTO_OPEN_FIELDS, purpose, customer, items, count, fn, arg);
}

int keys_field_index(struct keyproto_client_ev *c, const char *customer, const struct keyproto_field *items,
		     unsigned count, keys_field_fn fn, void *arg)
{
	return ask(c, KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX, customer, items, count, fn, arg);
}
