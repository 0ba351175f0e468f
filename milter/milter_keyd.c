/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_keyd.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_client_sync.h"
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
