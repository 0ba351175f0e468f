/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_witness.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/keys/keys_witness_file.h"
#include "keyproto/keyproto_client_ev.h"

#define AGAIN	(60 * CLOCK_SEC)
#define TIMEOUT (10 * CLOCK_SEC)

struct keys_witness {
	struct keyproto_client_ev *keyd;
	struct evt_timer timer;
	char *path;
	struct keys_witness_file known;
	/* on this connection: how many of our tombstones keyd was shown, and how many of its own it
	 * has told */
	uint32_t shown, told;
	int waiting; /* for a reply */
	int unsaved;
	int refused; /* keyd's store is an older copy: said once */
};

static void speak(struct keys_witness *w);

static void save(struct keys_witness *w)
{
	int rc = w->unsaved ? keys_witness_file_save(w->path, &w->known) : 0;

	if (rc < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "witness-not-saved", "error=\"%s\"", err_text(rc));
	else
		w->unsaved = 0;
}

/* 1: another store has taken the place of the one we knew, and all that we know begins anew. */
static int other_store(struct keys_witness *w, const struct keyproto_witness *m)
{
	static const uint8_t none[16];

	if (!memcmp(w->known.store, m->store, sizeof(none)))
		return 0;
	if (memcmp(w->known.store, none, sizeof(none)))
		log_event(LOG_LEVEL_WARN, NULL, "keyd-store-replaced", NULL);
	keys_witness_file_clear(&w->known);
	memcpy(w->known.store, m->store, sizeof(none));
	w->unsaved = 1;
	return 1;
}

/* Takes what keyd told. 1: there is more to hear or to show. */
static int take(struct keys_witness *w, const struct keyproto_witness *m)
{
	int rc;

	if (other_store(w, m))
		w->shown = 0;
	if (memcmp(&w->known.mark, &m->mark, sizeof(m->mark))) {
		w->known.mark = m->mark;
		w->unsaved = 1;
	}
	for (unsigned i = 0; i < m->count; i++) {
		rc = keys_witness_file_add(&w->known, m->tombs[i]);
		if (rc < 0 && rc != ERR_EXISTS)
			return 0;
		w->unsaved |= rc == 0;
	}
	w->told += m->count;
	return w->shown < w->known.count || (m->count && w->told < m->number);
}

static void heard(void *arg, int err, struct span reply)
{
	struct keys_witness *w = arg;
	struct keyproto_witness m;
	int more = 0;

	w->waiting = 0;
	if (err == 0 && keyproto_witness_get(reply, &m) < 0)
		err = ERR_FORMAT;
	if (err == ERR_ROLLBACK && !w->refused)
		log_event(LOG_LEVEL_ERROR, NULL, "keyd-store-older", NULL);
	w->refused = err == ERR_ROLLBACK;
	if (err == 0)
		more = take(w, &m);
	save(w);
	if (more)
		speak(w);
	else
		evt_timer_set(&w->timer, AGAIN);
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_witness_put(body, message);
}

/* Shows our mark and the tombstones that were not shown yet, some at a time. */
static void speak(struct keys_witness *w)
{
	struct keyproto_witness m = {
	    .store = w->known.store, .mark = w->known.mark, .number = w->told};

	if (w->waiting)
		return;
	while (m.count < KEYPROTO_TOMBS_MAX && w->shown < w->known.count)
		m.tombs[m.count++] = keys_witness_file_tomb(&w->known, w->shown++);
	if (keyproto_client_ev_call(w->keyd, KEYPROTO_WITNESS, TIMEOUT, fill, &m, heard, w) == 0)
		w->waiting = 1;
}

static void again(void *arg)
{
	struct keys_witness *w = arg;

	speak(w);
	evt_timer_set(&w->timer, AGAIN);
}

static void keyd_state(void *arg, unsigned state)
{
	struct keys_witness *w = arg;

	if (state != KEYPROTO_READY && state != KEYPROTO_LOCKED)
		return;
	w->shown = w->told = 0;
	speak(w);
}

struct keys_witness *keys_witness_new(struct evt_loop *loop, const char *keyd, const char *state)
{
	struct keys_witness *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return NULL;
	evt_timer_init(&w->timer, loop, again, w);
	if (asprintf(&w->path, "%s/keyd.witness", state) < 0)
		w->path = NULL;
	rc = w->path ? keys_witness_file_load(w->path, &w->known) : ERR_NOMEM;
	if (rc < 0 && rc != ERR_NOTFOUND)
		log_event(LOG_LEVEL_ERROR, NULL, "witness-unreadable", "error=\"%s\"",
			  err_text(rc));
	w->keyd = w->path ? keyproto_client_ev_new(loop, keyd, KEYPROTO_ROLE_RELAY,
						   "sealpost-relay", keyd_state, w)
			  : NULL;
	if (!w->keyd || evt_timer_set(&w->timer, AGAIN) < 0) {
		keys_witness_free(w);
		return NULL;
	}
	return w;
}

void keys_witness_free(struct keys_witness *w)
{
	if (!w)
		return;
	keyproto_client_ev_free(w->keyd);
	evt_timer_clear(&w->timer);
	save(w);
	keys_witness_file_clear(&w->known);
	free(w->path);
	free(w);
}
