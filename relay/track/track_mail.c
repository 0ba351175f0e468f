/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_mail.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/track/track_own.h"

#define TIMEOUT (10 * CLOCK_SEC)

struct asking {
	struct track_unsubscribe unsubscribe; /* first: it comes back as this */
	struct relay *relay;
	const struct relay_conf *conf; /* lives as long as relay */
	struct seal_track_raw raw;
	uint32_t epoch, today;
	size_t host; /* being tried */
	track_mail_fn done;
	void *arg;
};

static void end(struct asking *a, int err)
{
	track_mail_fn done = a->done;
	void *arg = a->arg;

	secret_wipe(a, sizeof(*a));
	free(a);
	done(arg, err);
}

static void unsubscribed(struct track_unsubscribe *u)
{
	end((struct asking *)u, u->err);
}

static void try_host(struct asking *a);

static const struct relay_track_host *host_of(const struct asking *a)
{
	return (const struct relay_track_host *)a->conf->tracking.hosts.items + a->host;
}

static void has_key(void *arg, int err, struct span reply)
{
	struct asking *a = arg;
	const struct relay_track_host *h = host_of(a);
	const struct seal_track_place place = {span_str(h->host), span_str(h->customer)};
	struct track_unsubscribe *u = &a->unsubscribe;
	struct seal_track t;
	struct span key;

	if (err == 0)
		err = keyproto_bytes_get(reply, &key);
	if (err == 0 && key.n != KEYPROTO_TRACK_SIZE)
		err = ERR_FORMAT;
	if (err == 0)
		err = seal_track_open(key.p, &place, &a->raw, a->today, &t);
	if (err == ERR_AUTH || err == ERR_NOTFOUND || err == ERR_GONE) {
		a->host++;
		try_host(a);
		return;
	}
	if (err < 0) {
		end(a, err == ERR_EXPIRED ? ERR_NOTFOUND : err);
		return;
	}
	u->tid = t.message;
	u->number = t.number;
	u->done = unsubscribed;
	memcpy(u->customer, h->customer, strlen(h->customer) + 1);
	track_unsubscribe_post(a->relay->track, u);
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_track_put(body, message);
}

static void try_host(struct asking *a)
{
	struct keyproto_track m = {.epoch = a->epoch};
	int err;

	if (a->host >= a->conf->tracking.hosts.count) {
		end(a, ERR_NOTFOUND);
		return;
	}
	m.customer = span_str(host_of(a)->customer);
	err = keyproto_client_ev_call(a->relay->keyd, KEYPROTO_TRACK_KEY, TIMEOUT, fill, &m, has_key, a);
	if (err < 0)
		end(a, err);
}

void track_mail_run(struct track *t, const struct seal_track_raw *token, track_mail_fn done, void *arg)
{
	struct asking *a = calloc(1, sizeof(*a));
	struct relay *r = t->relay;
	enum seal_track_kind kind;
	int err;

	if (!a) {
		done(arg, ERR_NOMEM);
		return;
	}
	*a = (struct asking){.relay = r, .conf = atomic_load(&r->conf), .raw = *token, .done = done, .arg = arg};
	a->today = seal_track_day(clock_wall() / CLOCK_SEC);
	err = seal_track_peek(token, a->today, &kind, &a->epoch);
	if (err < 0 || kind != SEAL_TRACK_UNSUBSCRIBE)
		end(a, ERR_NOTFOUND);
	else
		try_host(a);
}
