/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_keyd.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_client_sync.h"
#include "keyproto/keyproto_manifest.h"
#include "mail/mail_campaign.h"

#define IDLE_MAX 32 /* connections kept for the next question; more are closed after use */

enum seen { SEEN_NOTHING, SEEN_READY, SEEN_AWAY };

struct milter_keyd {
	char *path;
	int64_t timeout;
	pthread_mutex_t lock; /* over what follows */
	struct keyproto_client_sync *idle[IDLE_MAX];
	unsigned idle_count;
	enum seen seen;
};

struct milter_keyd *milter_keyd_new(const char *path, int64_t timeout_usec)
{
	struct milter_keyd *k = calloc(1, sizeof(*k));

	if (!k || !(k->path = strdup(path))) {
		free(k);
		return NULL;
	}
	k->timeout = timeout_usec;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void milter_keyd_free(struct milter_keyd *k)
{
	if (!k)
		return;
	while (k->idle_count)
		keyproto_client_sync_free(k->idle[--k->idle_count]);
	pthread_mutex_destroy(&k->lock);
	free(k->path);
	free(k);
}

/* The one used last comes first: it is the most likely to be alive. */
static struct keyproto_client_sync *borrow(struct milter_keyd *k)
{
	struct keyproto_client_sync *c = NULL;

	pthread_mutex_lock(&k->lock);
	if (k->idle_count)
		c = k->idle[--k->idle_count];
	pthread_mutex_unlock(&k->lock);
	if (!c)
		c = keyproto_client_sync_new(k->path, KEYPROTO_ROLE_MILTER, "sealpost-milter",
					     k->timeout);
	return c;
}

static void give_back(struct milter_keyd *k, struct keyproto_client_sync *c)
{
	pthread_mutex_lock(&k->lock);
	if (k->idle_count < IDLE_MAX) {
		k->idle[k->idle_count++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&k->lock);
	keyproto_client_sync_free(c);
}

/* Logs the first answer and every change after it. */
static void note(struct milter_keyd *k, int err, uint8_t state)
{
	enum seen now = err == 0 ? SEEN_READY : SEEN_AWAY, before;

	pthread_mutex_lock(&k->lock);
	before = k->seen;
	k->seen = now;
	pthread_mutex_unlock(&k->lock);
	if (before == now)
		return;
	if (now == SEEN_READY)
		log_event(LOG_LEVEL_INFO, NULL, "keyd-ready", NULL);
	else
		log_event(LOG_LEVEL_WARN, NULL, "keyd-away", "state=%s why=\"%s\"",
			  state ? keyproto_state_name(state) : "unreachable", err_text(err));
}

/* A connection to a READY keyd, or NULL and *err. */
static struct keyproto_client_sync *reach(struct milter_keyd *k, int *err)
{
	struct keyproto_client_sync *c = borrow(k);
	uint8_t state = 0;

	*err = c ? keyproto_client_sync_open(c, &state) : ERR_NOMEM;
	if (*err == 0 && state != KEYPROTO_READY)
		*err = ERR_LOCKED;
	note(k, *err, state);
	if (*err == 0)
		return c;
	if (c)
		give_back(k, c);
	return NULL;
}

int milter_keyd_check(struct milter_keyd *k)
{
	struct keyproto_client_sync *c;
	int err;

	c = reach(k, &err);
	if (c)
		give_back(k, c);
	return err;
}

int milter_keyd_verify(struct milter_keyd *k, const char *customer, struct span data,
		       const uint8_t *mac)
{
	struct keyproto_mac m = {span_str(customer), SPAN_LIT(MAIL_CAMPAIGN_LABEL), data,
				 span_of(mac, MAIL_CAMPAIGN_MAC)};
	struct keyproto_client_sync *c;
	int err;

	c = reach(k, &err);
	if (!c)
		return err;
	keyproto_mac_put(keyproto_client_sync_begin(c), &m);
	err = keyproto_client_sync_call(c, KEYPROTO_VERIFY_MAC, NULL);
	give_back(k, c);
	return err;
}

/* --- what campaigns need */

int milter_keyd_public(struct milter_keyd *k, const char *label, struct buf *spki)
{
	struct keyproto_client_sync *c;
	struct keyproto_public key;
	struct span reply;
	int err;

	c = reach(k, &err);
	if (!c)
		return err;
	keyproto_bytes_put(keyproto_client_sync_begin(c), span_str(label));
	err = keyproto_client_sync_call(c, KEYPROTO_PUBLIC_KEY, &reply);
	if (err == 0)
		err = keyproto_public_get(reply, &key);
	if (err == 0)
		err = buf_put_span(spki, key.spki);
	give_back(k, c);
	return err;
}

int milter_keyd_revoked(struct milter_keyd *k, struct milter_keyd_revoked *out)
{
	struct keyproto_checkpoint_last last;
	struct keyproto_client_sync *c;
	struct span reply;
	int err;

	memset(out, 0, sizeof(*out));
	c = reach(k, &err);
	if (!c)
		return err;
	keyproto_bytes_put(keyproto_client_sync_begin(c), SPAN_LIT(KEYPROTO_REVOKED));
	err = keyproto_client_sync_call(c, KEYPROTO_CHECKPOINT_LAST, &reply);
	if (err == 0)
		err = keyproto_checkpoint_last_get(reply, &last);
	if (err == 0) {
		out->counter = last.counter;
		out->lines = last.rows;
		memcpy(out->hash, last.hash, sizeof(out->hash));
	}
	give_back(k, c);
	return err == ERR_NOTFOUND ? 0 : err;
}

/* The request is begun in c: its answer, one key. */
static int take_key(struct milter_keyd *k, struct keyproto_client_sync *c, uint16_t op, uint8_t *out, size_t size)
{
	struct span reply = {0}, key;
	int err = keyproto_client_sync_call(c, op, &reply);

	if (err == 0)
		err = keyproto_bytes_get(reply, &key);
	if (err == 0 && key.n != size)
		err = ERR_FORMAT;
	if (err == 0)
		memcpy(out, key.p, size);
	if (reply.n)
		secret_wipe((void *)(uintptr_t)reply.p, reply.n); /* the client keeps its last answer */
	give_back(k, c);
	return err;
}

int milter_keyd_track(struct milter_keyd *k, const char *customer, uint32_t epoch, uint8_t out[MILTER_KEYD_TRACK])
{
	struct keyproto_track m = {span_str(customer), epoch};
	struct keyproto_client_sync *c;
	int err;

	c = reach(k, &err);
	if (!c)
		return err;
	keyproto_track_put(keyproto_client_sync_begin(c), &m);
	return take_key(k, c, KEYPROTO_TRACK_KEY, out, MILTER_KEYD_TRACK);
}

int milter_keyd_audience(struct milter_keyd *k, const char *customer, uint8_t out[MILTER_KEYD_AUDIENCE])
{
	struct keyproto_client_sync *c;
	int err;

	c = reach(k, &err);
	if (!c)
		return err;
	keyproto_audience_put(keyproto_client_sync_begin(c), span_str(customer));
	return take_key(k, c, KEYPROTO_AUDIENCE_KEY, out, MILTER_KEYD_AUDIENCE);
}
