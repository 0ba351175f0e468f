/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_listen.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "evt/evt_listen.h"
#include "evt/evt_timer.h"
#include "relay/in/in_conn.h"

struct listener {
	struct in_listen *owner;
	const struct relay_listen *conf;
	struct evt_listen *socket;
};

struct in_listen {
	struct relay_worker *w;
	struct relay_conf *conf; /* the one it was made with: holds the listeners' customers */
	struct listener *listeners;
	size_t count;
	struct list conns;
	int stopping;
	void (*done)(void *arg);
	void *done_arg;
	struct evt_timer grace;
	struct evt_defer empty;
};

static void tell(void *arg)
{
	struct in_listen *l = arg;
	void (*done)(void *) = l->done;

	evt_timer_stop(&l->grace);
	l->done = NULL;
	if (done)
		done(l->done_arg);
}

static void on_grace(void *arg)
{
	struct in_listen *l = arg;
	struct list_link *k, *next;

	for (k = l->conns.head.next; k != &l->conns.head; k = next) {
		next = k->next; /* cutting one takes away that one at most */
		in_conn_cut(in_conn_of(k));
	}
	tell(l);
}

static void conn_gone(void *arg)
{
	struct in_listen *l = arg;

	if (l->stopping && list_empty(&l->conns))
		evt_loop_defer(l->w->loop, &l->empty);
}

static void accepted(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct listener *s = arg;
	struct in_listen *l = s->owner;

	int err = in_conn_open(l->w, fd, peer, s->conf, IN_REPLY_NONE, &l->conns, conn_gone, l);

	if (err < 0)
		log_event(LOG_LEVEL_WARN, NULL, "session-lost", "why=\"%s\"", err_text(err));
}

struct in_listen *in_listen_new(struct relay_worker *w, const struct relay_conf *conf, int *err,
				const char **which)
{
	const struct relay_listen *c = conf->listen.items;
	struct in_listen *l = calloc(1, sizeof(*l));

	*err = ERR_NOMEM;
	*which = "listeners";
	if (!l)
		return NULL;
	l->w = w;
	l->conf = relay_conf_ref((struct relay_conf *)conf);
	l->empty.fn = tell;
	l->empty.arg = l;
	list_init(&l->conns);
	evt_timer_init(&l->grace, w->loop, on_grace, l);
	l->listeners = calloc(conf->listen.count + 1, sizeof(*l->listeners));
	if (!l->listeners)
		goto fail;
	for (size_t i = 0; i < conf->listen.count; i++) {
		struct listener *s = &l->listeners[i];

		s->owner = l;
		s->conf = &c[i];
		s->socket = evt_listen_tcp(w->loop, &c[i].address, 1, accepted, s, err);
		if (!s->socket) {
			*which = c[i].address_text;
			goto fail;
		}
		l->count++;
	}
	*err = 0;
	return l;
fail:
	in_listen_free(l);
	return NULL;
}

static void close_listeners(struct in_listen *l)
{
	for (size_t i = 0; i < l->count; i++) {
		evt_listen_close(l->listeners[i].socket);
		l->listeners[i].socket = NULL;
	}
	l->count = 0;
}

void in_listen_stop(struct in_listen *l, int64_t grace_usec, void (*done)(void *arg), void *arg)
{
	struct list_link *k, *next;

	l->stopping = 1;
	l->done = done;
	l->done_arg = arg;
	close_listeners(l);
	for (k = l->conns.head.next; k != &l->conns.head; k = next) {
		next = k->next; /* stopping one takes away that one at most */
		in_conn_stop(in_conn_of(k));
	}
	if (list_empty(&l->conns) || evt_timer_set(&l->grace, grace_usec) < 0)
		evt_loop_defer(l->w->loop, &l->empty);
}

void in_listen_free(struct in_listen *l)
{
	struct list_link *k;

	if (!l)
		return;
	close_listeners(l);
	while ((k = list_first(&l->conns)))
		in_conn_free(in_conn_of(k));
	evt_timer_clear(&l->grace);
	evt_loop_undefer(l->w->loop, &l->empty);
	relay_conf_unref(l->conf);
	free(l->listeners);
	free(l);
}
