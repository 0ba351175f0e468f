/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_push_secret.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/track/track_push.h"

#define RESEAL (24 * 3600 * CLOCK_SEC)

static int field(struct track_keep *k, uint16_t op, int64_t hook, const char *customer, const char *column,
		 struct span in, struct buf *out)
{
	struct ledger_keys_item item = {.data = in};
	struct buf aad;
	int err;

	buf_init(&aad, 1024);
	err = store_aad(k->store, &aad, customer, "hook", column, hook);
	item.aad = buf_span(&aad);
	if (err == 0)
		err = k->keys->fields(k->keys, op, customer, 0, &item, 1, out);
	buf_clear(&aad);
	return err < 0 ? err : item.err;
}

int track_push_secret_keep(struct track_keep *k, int64_t hook, const char *customer,
			    const uint8_t secret[TRACK_HOOK_SECRET], const uint8_t *second, int64_t second_until)
{
	struct buf one, two;
	int err;

	buf_init(&one, 1024);
	buf_init(&two, 1024);
	err = field(k, KEYPROTO_SEAL_FIELDS, hook, customer, "secret", span_of(secret, TRACK_HOOK_SECRET), &one);
	if (err == 0 && second)
		err = field(k, KEYPROTO_SEAL_FIELDS, hook, customer, "second", span_of(second, TRACK_HOOK_SECRET), &two);
	if (err == 0)
		err = track_db_hook_secrets(k->store, hook, buf_span(&one), buf_span(&two), second ? second_until : 0,
					    clock_wall());
	buf_clear(&one);
	buf_clear(&two);
	return err;
}

struct sealed {
	struct track_push_secret *out;
	struct buf one, two;
};

static int copy_sealed(void *arg, const struct track_db_hook *h)
{
	struct sealed *s = arg;

	snprintf(s->out->customer, sizeof(s->out->customer), "%s", h->customer);
	s->out->second_until = h->second_until;
	buf_put_span(&s->one, h->secret);
	if (h->second_until > clock_wall())
		buf_put_span(&s->two, h->second);
	return 1;
}

static int open_one(struct track_keep *k, int64_t hook, const char *customer, const char *column, struct span sealed,
		    uint8_t out[TRACK_HOOK_SECRET])
{
	struct buf plain;
	int err;

	buf_init_wiped(&plain, 1024);
	err = field(k, KEYPROTO_OPEN_FIELDS, hook, customer, column, sealed, &plain);
	if (err == 0 && buf_size(&plain) != TRACK_HOOK_SECRET)
		err = ERR_DAMAGED;
	if (err == 0)
		memcpy(out, buf_ptr(&plain), TRACK_HOOK_SECRET);
	buf_clear(&plain);
	return err;
}

int track_push_secret_open(struct track_keep *k, int64_t hook, struct track_push_secret *out)
{
	struct sealed s = {.out = out};
	int err;

	memset(out, 0, sizeof(*out));
	buf_init(&s.one, 1024);
	buf_init(&s.two, 1024);
	err = track_db_hooks(k->store, hook, NULL, copy_sealed, &s);
	if (err == 0)
		err = ERR_NOTFOUND;
	if (err > 0)
		err = open_one(k, hook, out->customer, "secret", buf_span(&s.one), out->secret);
	if (err == 0 && buf_size(&s.two)) {
		err = open_one(k, hook, out->customer, "second", buf_span(&s.two), out->second);
		out->has_second = err == 0;
	}
	buf_clear(&s.one);
	buf_clear(&s.two);
	return err;
}

struct old {
	int64_t ids[TRACK_PUSH_HOOKS];
	unsigned count;
};

static int note_old(void *arg, const struct track_db_hook *h)
{
	struct old *o = arg;

	if (h->sealed < clock_wall() - RESEAL && o->count < TRACK_PUSH_HOOKS)
		o->ids[o->count++] = h->id;
	return 0;
}

static void seal_anew(struct track_keep *k, int64_t hook)
{
	struct track_push_secret s;
	int err = track_push_secret_open(k, hook, &s);

	if (err == 0)
		err = track_push_secret_keep(k, hook, s.customer, s.secret, s.has_second ? s.second : NULL, s.second_until);
	if (err == ERR_GONE)
		track_keep_gone_run(k, s.customer);
	secret_wipe(&s, sizeof(s));
}

void track_push_secret_reseal(struct track_keep *k)
{
	struct old *o = calloc(1, sizeof(*o));

	if (o && track_db_hooks(k->store, 0, NULL, note_old, o) == 0)
		for (unsigned i = 0; i < o->count; i++)
			seal_anew(k, o->ids[i]);
	free(o);
}
